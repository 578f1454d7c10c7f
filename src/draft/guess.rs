//! Which store a container runs, by what its manifest says.

use serde_json::json;

use super::{Container, Found};
use crate::experiment::Store;

/// A store, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The store.
    pub store: Store,
    /// The words that a person can check: `its image is postgres:17`.
    pub because: String,
}

/// A store's usual signs.
struct Signs {
    store: &'static str,
    /// A part of the image's name, or of the program's.
    word: &'static str,
    port: u16,
}

const SIGNS: [Signs; 3] = [
    Signs { store: "etcd", word: "etcd", port: 2379 },
    Signs { store: "postgres", word: "postgres", port: 5432 },
    Signs { store: "refkv", word: "refkv", port: 7400 },
];

/// The container that runs a store, with that store; the first one where none is known to run any.
pub fn guess(found: &Found) -> Option<(&Container, Guess)> {
    let of = |container| Some((container, of_container(container)?));
    found.containers.iter().find_map(of)
}

/// The store that a container runs, if anything tells.
pub(super) fn of_container(container: &Container) -> Option<Guess> {
    let image = name_of(&container.image);
    let by_image = SIGNS
        .iter()
        .find(|signs| is_of(image, signs.word))
        .map(|signs| (signs, format!("its image is {}", container.image)));
    let by_program = || {
        let program = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
        let started = container.command.first().map(|word| program(word))?;
        SIGNS.iter().find(|signs| started == signs.word).map(|signs| (signs, format!("it starts {started}")))
    };
    let by_port = || {
        let signs = SIGNS.iter().find(|signs| container.ports.contains(&signs.port))?;
        Some((signs, format!("it has the port {}", signs.port)))
    };
    let (signs, because) = by_image.or_else(by_program).or_else(by_port)?;
    Some(Guess { store: store(signs.store, container)?, because })
}

/// A store that somebody names, on the port that the container has.
pub fn named(name: &str, container: &Container) -> Option<Guess> {
    Some(Guess { store: store(name, container)?, because: "you named it".into() })
}

fn store(name: &str, container: &Container) -> Option<Store> {
    let signs = SIGNS.iter().find(|signs| signs.store == name)?;
    // Of several ports that are all unusual nobody knows which one is for clients.
    let parameters = match container.ports.as_slice() {
        [only] if *only != signs.port => json!({ "port": only }),
        _ => json!({}),
    };
    serde_json::from_value(json!({ name: parameters })).ok()
}

/// Whether an image's name is the store's, and not that of something beside it, as `postgres-exporter`.
fn is_of(image: &str, word: &str) -> bool {
    image.rsplit(['-', '_', '.']).next().is_some_and(|last| last.starts_with(word))
}

/// `postgresql` of `registry:5000/bitnami/postgresql:17@sha256:…`.
fn name_of(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().unwrap_or(last)
}
