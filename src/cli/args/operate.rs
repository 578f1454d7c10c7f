//! What operates Seatrial in a cluster.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::install::AgentMode;

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub struct Context {
    /// The kubeconfig's context [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// An installation that a command works on, and the consent to it.
#[derive(Debug, Clone, Args)]
pub struct Operated {
    /// The cluster.
    #[command(flatten)]
    pub context: Context,
    /// Where controller and agents run
    #[arg(long, value_name = "NAME", default_value = crate::install::NAMESPACE)]
    pub namespace: String,
    /// Do it: without, what would be done is told
    #[arg(long, short)]
    pub yes: bool,
}

/// `seatrial bench cluster`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  seatrial bench cluster --context kind-dev --yes")]
pub struct BenchCluster {
    /// How often each fault is injected and reverted
    #[arg(long, default_value_t = 200)]
    pub rounds: u32,
    /// With how many Injections in force an agent is measured; 0 leaves it out
    #[arg(long, default_value_t = 10)]
    pub injections: u32,
    /// With how many running Experiments the controller is measured; 0 leaves it out
    #[arg(long, default_value_t = 50)]
    pub experiments: u32,
    /// The installation.
    #[command(flatten)]
    pub operated: Operated,
}

/// What `seatrial soak` can be told about a cluster.
#[derive(Debug, Args)]
pub struct SoakCluster {
    /// In a cluster: how many runs the leading controller is killed in
    #[arg(long, default_value_t = 30)]
    pub controller_rounds: u32,
    /// The installation.
    #[command(flatten)]
    pub operated: Operated,
}

/// `seatrial install`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial install | kubectl apply --server-side -f -
  seatrial install --image registry.example/seatrial:1 --agent none | kubectl apply --server-side -f -")]
pub struct Install {
    /// Where controller and agents run
    #[arg(long, value_name = "NAME", default_value = crate::install::NAMESPACE)]
    pub namespace: String,
    /// The image of everything
    #[arg(long, value_name = "IMAGE", default_value = crate::install::IMAGE)]
    pub image: String,
    /// When agents run on nodes
    #[arg(long, value_name = "MODE", default_value = "resident")]
    pub agent: AgentMode,
    /// Print the CustomResourceDefinitions and nothing else
    #[arg(long)]
    pub crds_only: bool,
}

/// `seatrial uninstall`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  seatrial uninstall --context staging --yes")]
pub struct Uninstall {
    /// The cluster.
    #[command(flatten)]
    pub context: Context,
    /// Where controller and agents run
    #[arg(long, value_name = "NAME", default_value = crate::install::NAMESPACE)]
    pub namespace: String,
    /// Do it: without, what would be done is told
    #[arg(long, short)]
    pub yes: bool,
}

/// `seatrial preflight`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial preflight                          is the cluster ready
  seatrial preflight experiment.yaml          would this experiment start there, and what would be refused")]
pub struct Preflight {
    /// Experiments that would be run
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The cluster.
    #[command(flatten)]
    pub context: Context,
    /// The target's namespace [default: the context's]
    #[arg(long, short, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Where controller and agents run
    #[arg(long, value_name = "NAME", default_value = crate::install::NAMESPACE)]
    pub system_namespace: String,
}

/// `seatrial controller`
#[derive(Debug, Args)]
pub struct Controller {
    /// Its own namespace
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = crate::install::NAMESPACE)]
    pub namespace: String,
    /// Its own name among the controllers
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "seatrial-controller")]
    pub identity: String,
    /// Look after this namespace only
    #[arg(long, env = "SEATRIAL_WATCH_NAMESPACE", value_name = "NAME")]
    pub watch_namespace: Option<String>,
    /// The image of runners
    #[arg(long, env = "SEATRIAL_IMAGE", value_name = "IMAGE", default_value = crate::install::IMAGE)]
    pub image: String,
    /// When the image of runners is pulled
    #[arg(long, env = "SEATRIAL_IMAGE_PULL_POLICY", value_name = "POLICY", default_value = "IfNotPresent")]
    pub image_pull_policy: String,
    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
}

/// `seatrial reap`
#[derive(Debug, Args)]
pub struct Reap {
    /// Look after this namespace only
    #[arg(long, env = "SEATRIAL_WATCH_NAMESPACE", value_name = "NAME")]
    pub watch_namespace: Option<String>,
}
