//! What an agent is told on its command line.

use std::net::SocketAddr;
use std::path::PathBuf;

/// `seatrial agent`
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The name of the node it runs on
    #[arg(long, env = "SEATRIAL_NODE", value_name = "NAME")]
    pub node: String,
    /// Obey the Injections of this namespace only
    #[arg(long, env = "SEATRIAL_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The node's folder for undo records; it must survive the agent
    #[arg(long, value_name = "DIR", default_value = "/var/lib/seatrial/undo")]
    pub undo_dir: PathBuf,
    /// Where to answer health checks: /healthz and /readyz
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8086")]
    pub health: SocketAddr,
}
