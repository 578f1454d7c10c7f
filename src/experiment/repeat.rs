//! How often a step happens, and how far its occurrences are apart.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::duration;

/// How often a step happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// From one start to the next; zero where there is no next one.
    pub every: Every,
    /// At least 1.
    pub times: u32,
    /// For how long the next one waits, at most, until everything has recovered from the one before; it does not wait where
    /// there is none.
    pub recover_between: Option<Duration>,
}

impl Repeat {
    /// Once.
    pub const ONCE: Self =
        Self { every: Every { mean: Duration::ZERO, jitter: None }, times: 1, recover_between: None };
}

/// From one start of a step to the next: always the same, or drawn anew for each occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every {
    /// In the mean; exactly, where there is no jitter.
    pub mean: Duration,
    /// How it is drawn.
    pub jitter: Option<Jitter>,
}

/// How the time from one start to the next is drawn, by the run's seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Jitter {
    /// As the time to the next of many events that know nothing of each other: often short, now and then long, without an
    /// end. A third of them is longer than the mean, one of 20 is longer than three times the mean.
    Exponential,
    /// From half the mean to one and a half of it, each as likely.
    Uniform,
}

impl Jitter {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Uniform => "uniform",
        }
    }
}

/// `{mean: 10m, jitter: exponential}`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Drawn {
    #[serde(default, with = "duration::optional")]
    mean: Option<Duration>,
    #[serde(default)]
    jitter: Option<Jitter>,
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.jitter {
            None => duration::serialize(&self.mean, serializer),
            jitter @ Some(_) => Drawn { mean: Some(self.mean), jitter }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Every;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 20s, or {mean: 10m, jitter: exponential}")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Every, E> {
                let mean = duration::parse(text).map_err(E::custom)?;
                Ok(Every { mean, jitter: None })
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Every, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Every, A::Error> {
                let Drawn { mean, jitter } = Drawn::deserialize(MapAccessDeserializer::new(map))?;
                let (Some(mean), Some(jitter)) = (mean, jitter) else {
                    return Err(A::Error::custom(
                        "needs both `mean` and `jitter`: write for example {mean: 10m, jitter: exponential}, or 10m alone \
                         for always the same",
                    ));
                };
                if mean.is_zero() {
                    return Err(A::Error::custom(
                        "`mean` must be longer than 0s: write for example mean: 10m",
                    ));
                }
                Ok(Every { mean, jitter: Some(jitter) })
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for Every {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Every".into()
    }

    // A text or an object: a CRD's structural schema has no word for that, so `spec` alone checks it.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = duration::format(self.mean);
        match self.jitter {
            None => f.write_str(&mean),
            Some(jitter) => write!(f, "{mean} in the mean, {}, drawn by the seed", jitter.name()),
        }
    }
}
