//! Where a command acts: on this machine, or in a cluster.

use clap::{Args, ValueEnum};

/// Where an experiment runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// In a sandbox on this machine
    #[cfg(feature = "sandbox")]
    Sandbox,
    /// In a Kubernetes cluster
    #[cfg(feature = "kubernetes")]
    Kubernetes,
}

impl On {
    /// The one that breaks nothing that others need, where there is a choice.
    #[cfg(feature = "sandbox")]
    pub(super) const DEFAULT: Self = Self::Sandbox;
    #[cfg(not(feature = "sandbox"))]
    pub(super) const DEFAULT: Self = Self::Kubernetes;
}

/// Where it is.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Where it runs
    #[arg(long, value_name = "WHERE", default_value_t = On::DEFAULT, value_enum)]
    pub on: On,
    /// Which cluster.
    #[cfg(feature = "kubernetes")]
    #[command(flatten)]
    pub cluster: Cluster,
}

/// Which namespace of which cluster.
#[cfg(feature = "kubernetes")]
#[derive(Debug, Clone, Args)]
pub struct Cluster {
    /// The kubeconfig's context [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace [default: the context's]
    #[arg(long, short, value_name = "NAME")]
    pub namespace: Option<String>,
}

/// What only a run in a cluster can be told.
#[cfg(feature = "kubernetes")]
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Do not ask before something is broken in a cluster
    #[arg(long)]
    pub yes: bool,
    /// Apply the manifests that are given along to the cluster first
    #[arg(long)]
    pub apply: bool,
}

/// `seatrial status`
#[cfg(feature = "kubernetes")]
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  seatrial status -n db\n  seatrial status -n db etcd-leader-cut-20260102-030405"
)]
pub struct Status {
    /// An Experiment [default: all of the namespace]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: Cluster,
}

/// `seatrial abort`
#[cfg(feature = "kubernetes")]
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  seatrial abort -n db etcd-leader-cut-20260102-030405 --reason 'on call'")]
pub struct Abort {
    /// The Experiment
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Why, for whoever finds their run aborted
    #[arg(long, value_name = "TEXT", default_value = "seatrial abort")]
    pub reason: String,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: Cluster,
}
