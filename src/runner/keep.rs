//! Keeps a run's journal in ConfigMaps that belong to the Experiment, and gets it back from there.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client, Resource};

use super::PATIENCE;
use crate::journal::archive::{self, ArchiveError};
use crate::platform::PlatformError;
use crate::platform::kubernetes::RUNNER;
use crate::platform::kubernetes::failure::{insist, insist_for};
use crate::resource::{Experiment, JournalPlace, RUN_LABEL};

/// The key of a ConfigMap that holds a piece of a journal.
pub const KEY: &str = "journal";

/// Why a journal is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It could not be read.
    #[error("it cannot be read")]
    Read(#[source] std::io::Error),
    /// It could not be packed or unpacked.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The API server did not take or give it.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// A piece is not there.
    #[error("ConfigMap `{0}` has no piece of it")]
    Piece(String),
}

/// A reference by which objects of a run belong to its Experiment.
pub fn owner(object: &Experiment) -> Option<OwnerReference> {
    object.controller_owner_ref(&()).map(|owner| OwnerReference { controller: None, ..owner })
}

/// Keeps the journal of a run.
pub(super) async fn keep(
    client: &Client,
    namespace: &str,
    object: &Experiment,
    run: &str,
    journal: &Path,
) -> Result<JournalPlace, KeepError> {
    let bytes = std::fs::read(journal).map_err(KeepError::Read)?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut place = JournalPlace { config_maps: Vec::new(), bytes: bytes.len() as u64 };
    for (number, piece) in archive::pack(&bytes)?.into_iter().enumerate() {
        let name = format!("{run}-journal-{number}");
        let patch = Patch::Apply(map(&name, run, owner(object), piece));
        let parameters = PatchParams::apply(RUNNER).force();
        insist_for(PATIENCE, || maps.patch(&name, &parameters, &patch)).await?;
        place.config_maps.push(name);
    }
    Ok(place)
}

fn map(name: &str, run: &str, owner: Option<OwnerReference>, piece: Vec<u8>) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(RUN_LABEL.to_owned(), run.to_owned())])),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        binary_data: Some(BTreeMap::from([(KEY.to_owned(), ByteString(piece))])),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

/// The journal that is kept there.
pub async fn fetch(client: &Client, namespace: &str, place: &JournalPlace) -> Result<Vec<u8>, KeepError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut pieces = Vec::new();
    for name in &place.config_maps {
        let piece = insist(|| maps.get_opt(name))
            .await?
            .and_then(|map| map.binary_data)
            .and_then(|mut data| data.remove(KEY))
            .ok_or_else(|| KeepError::Piece(name.clone()))?;
        pieces.push(piece.0);
    }
    Ok(archive::unpack(&pieces, place.bytes)?)
}
