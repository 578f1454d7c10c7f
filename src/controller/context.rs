//! What every reconciliation shares. None of it is state of a run: that is in the API alone.

use std::sync::Arc;

use kube::runtime::reflector::Store;
use kube::{Api, Client};

use super::metrics::Metrics;
use super::news::News;
use super::runner_pod::Image;
use crate::resource::Experiment;

/// Which namespaces are looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that opted in.
    Cluster,
    /// One only.
    Namespace(String),
}

impl Scope {
    /// The objects of a kind in this scope.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// What every reconciliation shares.
pub struct Context {
    /// The way to the API server.
    pub client: Client,
    /// Our own namespace, where agents are.
    pub namespace: String,
    /// What runners are made of.
    pub image: Image,
    /// Events.
    pub news: News,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Every Experiment, as last seen.
    pub experiments: Store<Experiment>,
}
