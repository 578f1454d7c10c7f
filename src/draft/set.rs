//! What a StatefulSet's manifest tells of it.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Container as Written;

use crate::api::Ordinal;
use crate::spec;
use crate::spec::document::Document;
use crate::spec::problem::Problem;

/// A StatefulSet, as far as an experiment has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its first ordinal.
    pub first: Ordinal,
    /// How many members it has.
    pub replicas: u32,
    /// Its containers, without those that only run before them.
    pub containers: Vec<Container>,
    /// Its claim templates.
    pub claims: Vec<String>,
}

/// One of its containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image, with the tag.
    pub image: String,
    /// What it starts.
    pub command: Vec<String>,
    /// The ports that it says it has.
    pub ports: Vec<u16>,
    /// The claim templates that it mounts.
    pub claims: Vec<String>,
}

impl Found {
    /// Reads a manifest, or says everything that is wrong with it as far as an experiment has to know it.
    pub fn read(document: &Document) -> Result<Self, Vec<Problem>> {
        let set: StatefulSet = spec::object(document)?;
        Self::of(&set).map_err(|why| vec![Problem::of_document(document, format!("this StatefulSet {why}"))])
    }

    /// Reads an object. Says what is missing.
    pub fn of(set: &StatefulSet) -> Result<Self, String> {
        let name = set.metadata.name.clone().ok_or("has no metadata.name")?;
        if !spec::is_set_name(&name) {
            return Err(format!("has the metadata.name `{name}`, which Kubernetes does not take"));
        }
        let spec = set.spec.as_ref().ok_or("has no spec")?;
        let claims: Vec<String> = spec
            .volume_claim_templates
            .iter()
            .flatten()
            .filter_map(|template| template.metadata.name.clone())
            .collect();
        let pod = spec.template.spec.as_ref().ok_or("has no spec.template.spec")?;
        let containers: Vec<Container> =
            pod.containers.iter().map(|container| Container::of(container, &claims)).collect();
        if containers.is_empty() {
            return Err("has no containers".into());
        }
        let number =
            |number: Option<i32>, usual: u32| number.map_or(usual, |n| u32::try_from(n).unwrap_or_default());
        let replicas = number(spec.replicas, 1);
        if replicas == 0 {
            return Err("has no replicas: nothing of it could be broken".into());
        }
        let first = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
        Ok(Self { name, first: number(first, 0), replicas, containers, claims })
    }

    /// The container with this name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Its last ordinal.
    pub(super) fn last(&self) -> Ordinal {
        self.first.saturating_add(self.replicas - 1)
    }
}

impl Container {
    fn of(written: &Written, templates: &[String]) -> Self {
        let words = written.command.iter().chain(&written.args).flatten();
        let ports = written.ports.iter().flatten();
        let mounts = written.volume_mounts.iter().flatten().map(|mount| mount.name.clone());
        Self {
            name: written.name.clone(),
            image: written.image.clone().unwrap_or_default(),
            command: words.cloned().collect(),
            ports: ports.filter_map(|port| u16::try_from(port.container_port).ok()).collect(),
            claims: mounts.filter(|name| templates.contains(name)).collect(),
        }
    }
}
