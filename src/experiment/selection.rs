//! Who is meant: by ordinal, by role, or by share.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::scalar;
use crate::api::{Ordinal, Role};

/// Members of the target. Decided on a fresh snapshot right before each injection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub enum Selection {
    /// Exactly these.
    Ordinals(OrdinalSet),
    /// Those with this role; `count` of them where it is given, else all of them.
    Role {
        /// The role.
        role: Role,
        /// How many of those with the role.
        count: Option<Count>,
    },
    /// This many, chosen by the run's seed.
    Count(Count),
}

impl Selection {
    /// Whom of these it can mean: those that it names, or anybody.
    pub fn among(&self, all: impl Iterator<Item = Ordinal>) -> Vec<Ordinal> {
        let is_possible = |ordinal: &Ordinal| match self {
            Self::Ordinals(named) => named.iter().any(|one| one == *ordinal),
            Self::Role { .. } | Self::Count(_) => true,
        };
        all.filter(is_possible).collect()
    }
}

/// A selection as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    /// Exactly these: ordinals and ranges with both ends included, as in [0, 2..4].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ordinals: Option<OrdinalSet>,
    /// Those with this role now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<NamedRole>,
    /// How many: a number, a percentage, minority, majority or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<Count>,
}

/// The roles that can be asked for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum NamedRole {
    Leader,
    Follower,
}

impl TryFrom<Wire> for Selection {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        match wire {
            Wire { ordinals: Some(set), role: None, count: None } => Ok(Self::Ordinals(set)),
            Wire { ordinals: None, role: Some(role), count } => Ok(Self::Role {
                role: match role {
                    NamedRole::Leader => Role::Leader,
                    NamedRole::Follower => Role::Follower,
                },
                count,
            }),
            Wire { ordinals: None, role: None, count: Some(count) } => Ok(Self::Count(count)),
            Wire { ordinals: Some(_), .. } => {
                Err("`ordinals` says exactly whom: leave `role` and `count` out")
            }
            Wire { ordinals: None, role: None, count: None } => {
                Err("selects nobody: write ordinals: [0], role: leader, or count: minority")
            }
        }
    }
}

impl From<Selection> for Wire {
    fn from(selection: Selection) -> Self {
        match selection {
            Selection::Ordinals(set) => Self { ordinals: Some(set), role: None, count: None },
            Selection::Role { role: Role::Leader, count } => {
                Self { ordinals: None, role: Some(NamedRole::Leader), count }
            }
            Selection::Role { role: Role::Follower | Role::Other, count } => {
                Self { ordinals: None, role: Some(NamedRole::Follower), count }
            }
            Selection::Count(count) => Self { ordinals: None, role: None, count: Some(count) },
        }
    }
}

/// Ordinals and ranges with both ends included: `[0, 2..4]` is 0, 2, 3 and 4. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Span>", into = "Vec<Ordinal>")]
pub struct OrdinalSet(BTreeSet<Ordinal>);

impl JsonSchema for OrdinalSet {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OrdinalSet".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let structural = json_schema!({ "x-kubernetes-int-or-string": true });
        let item = scalar::number_or_text(generator, "ordinal or range, as 2 or 0..2", structural);
        json_schema!({ "type": "array", "minItems": 1, "items": item })
    }
}

impl OrdinalSet {
    /// The ordinals, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Ordinal> {
        self.0.iter().copied()
    }
}

/// One item of an ordinal list.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "write an ordinal (2) or a range (2..4)")]
enum Span {
    One(Ordinal),
    Range(String),
}

/// The most ordinals that make sense: StatefulSets do not have more pods.
const MOST: usize = 10_000;

impl TryFrom<Vec<Span>> for OrdinalSet {
    type Error = String;

    fn try_from(spans: Vec<Span>) -> Result<Self, String> {
        let mut set = BTreeSet::new();
        for span in spans {
            match span {
                Span::One(ordinal) => {
                    set.insert(ordinal);
                }
                Span::Range(text) => {
                    let parsed = match text.split_once("..") {
                        Some((first, last)) => {
                            first.trim().parse::<Ordinal>().ok().zip(last.trim().parse::<Ordinal>().ok())
                        }
                        None => text.trim().parse::<Ordinal>().ok().map(|one| (one, one)),
                    };
                    let (first, last) = parsed.ok_or_else(|| {
                        format!("`{text}` is not an ordinal: write 2, or 2..4 for 2, 3 and 4")
                    })?;
                    if last < first {
                        return Err(format!(
                            "`{text}` is not a range of ordinals: write the smaller one first"
                        ));
                    }
                    // One more than there may be is enough to tell that there are too many.
                    set.extend((first..=last).take(MOST + 1));
                }
            }
            if set.len() > MOST {
                return Err(format!("names more than {MOST} ordinals: no StatefulSet has so many"));
            }
        }
        if set.is_empty() { Err("selects nobody: name at least one ordinal".into()) } else { Ok(Self(set)) }
    }
}

impl From<OrdinalSet> for Vec<Ordinal> {
    fn from(set: OrdinalSet) -> Self {
        set.0.into_iter().collect()
    }
}

/// A share of the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// This many.
    Number(u32),
    /// This percentage, rounded up, so that a small one still hits somebody.
    Percent(u32),
    /// As many as can be lost while a majority stays: ⌈n/2⌉ − 1.
    Minority,
    /// One more than half, rounded down: ⌊n/2⌋ + 1.
    Majority,
    /// Everyone.
    All,
}

impl Count {
    /// How many of `n` that is.
    pub fn of(self, n: u32) -> u32 {
        match self {
            Self::Number(number) => number,
            Self::Percent(percent) => (u64::from(n) * u64::from(percent)).div_ceil(100) as u32,
            Self::Minority => n.div_ceil(2).saturating_sub(1),
            Self::Majority => n / 2 + 1,
            Self::All => n,
        }
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a count: write 1, 50%, minority, majority or all");
        match text.trim() {
            "minority" => Ok(Self::Minority),
            "majority" => Ok(Self::Majority),
            "all" => Ok(Self::All),
            other => match other.strip_suffix('%') {
                Some(percent) => match percent.parse() {
                    Ok(percent @ 1..=100) => Ok(Self::Percent(percent)),
                    Ok(_) | Err(_) => Err(refuse()),
                },
                None => match other.parse() {
                    Ok(number) if number > 0 => Ok(Self::Number(number)),
                    Ok(_) | Err(_) => Err(refuse()),
                },
            },
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Minority => f.write_str("minority"),
            Self::Majority => f.write_str("majority"),
            Self::All => f.write_str("all"),
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ordinals(set) => {
                f.write_str("ordinals ")?;
                for (place, ordinal) in set.iter().enumerate() {
                    write!(f, "{}{ordinal}", if place == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Role { role, count } => {
                let role = match role {
                    Role::Leader => "leader",
                    Role::Follower => "follower",
                    Role::Other => "other",
                };
                match count {
                    Some(count) => write!(f, "{count} of role {role}"),
                    None => write!(f, "role {role}"),
                }
            }
            Self::Count(count) => write!(f, "{count} of the members"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Selection, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_minority_and_its_majority_are_everyone() {
        for n in 1..100 {
            assert!(Count::Minority.of(n) + Count::Majority.of(n) >= n, "{n}");
            assert!(n - Count::Minority.of(n) >= Count::Majority.of(n), "{n}");
        }
        assert_eq!((Count::Minority.of(3), Count::Majority.of(3)), (1, 2));
        assert_eq!((Count::Minority.of(4), Count::Majority.of(4)), (1, 3));
        assert_eq!(Count::Percent(100).of(u32::MAX), u32::MAX);
    }

    #[test]
    fn ranges_include_both_ends() {
        let Ok(Selection::Ordinals(set)) = read(r#"{"ordinals":[0,"2..4"]}"#) else { panic!("not a set") };
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 2, 3, 4]);
    }

    #[test]
    fn refuses_what_selects_nobody_or_contradicts_itself() {
        for json in [
            "{}",
            r#"{"ordinals":[]}"#,
            r#"{"ordinals":["4..2"]}"#,
            r#"{"ordinals":["0..4000000000"]}"#,
            r#"{"ordinals":["0..9000", "10000..19000"]}"#,
            r#"{"ordinals":[0],"role":"leader"}"#,
            r#"{"count":0}"#,
            r#"{"count":"101%"}"#,
            r#"{"role":"king"}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
