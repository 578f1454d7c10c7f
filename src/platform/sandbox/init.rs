//! The first process of a sandbox: its API server, kubelet and StatefulSet controller.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::join_all;
use nix::mount::MsFlags;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stdin, dup2_stdout, sethostname};
use tokio::net::{TcpListener, UdpSocket};

use super::injections::Injections;
use super::network::{GATEWAY, Network};
use super::reaper::Reaper;
use super::set::{Set, Sets};
use super::state_dir::{Setup, StateDir};
use super::sweeper::{LOCK_DESCRIPTOR, explain};
use super::{control, controller, dns, node_process, set_faults};
use crate::host::mount;
use crate::host::namespace::inherited;

/// What init says on stdout when it answers on its socket.
pub const READY: &str = "ready";

/// Everything that init's tasks share, whatever StatefulSet they are about.
pub struct World {
    /// What runs, and how.
    pub setup: Setup,
    /// Where files are.
    pub dir: StateDir,
    /// The Injections.
    pub injections: Injections,
    /// Init's children.
    pub reaper: Reaper,
    /// Addresses and cables.
    pub network: Network,
}

impl World {
    /// The cgroups of a pod, one in each hierarchy; its containers' are below them.
    pub fn pod_cgroups(&self, uid: &str) -> Vec<PathBuf> {
        self.setup.cgroups().map(|sandbox| pod_cgroup(sandbox, uid)).collect()
    }

    /// The cgroups of a container, one in each hierarchy.
    pub fn container_cgroups(&self, uid: &str, container: &str) -> Vec<PathBuf> {
        self.pod_cgroups(uid).iter().map(|pod| pod.join(container)).collect()
    }

    /// The cgroup of a container that holds its processes and can be frozen.
    pub fn container_cgroup(&self, uid: &str, container: &str) -> Option<PathBuf> {
        self.setup.cgroup.as_deref().map(|sandbox| pod_cgroup(sandbox, uid).join(container))
    }

    /// The cgroup of a container in which its I/O can be limited.
    pub fn container_throttle(&self, uid: &str, container: &str) -> Option<PathBuf> {
        let sandbox = self.setup.blkio.as_deref().or(self.setup.cgroup.as_deref());
        sandbox.map(|sandbox| pod_cgroup(sandbox, uid).join(container))
    }
}

fn pod_cgroup(sandbox: &Path, uid: &str) -> PathBuf {
    sandbox.join(format!("pod{uid}"))
}

/// `seatrial __sandbox-init DIR`, as process 1 of the sandbox.
pub fn init_main(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let Some(path) = arguments.into_iter().next() else {
        eprintln!("seatrial: the sandbox's folder is missing");
        return 2;
    };
    match start(StateDir::at(PathBuf::from(path))) {
        Ok(never) => match never {},
        Err(error) => {
            // Until init is ready, whoever waits for it reads the reason there.
            println!("{error}");
            eprintln!("seatrial: the sandbox's init failed: {error}");
            1
        }
    }
}

fn start(dir: StateDir) -> io::Result<std::convert::Infallible> {
    set_pdeathsig(Signal::SIGKILL)?;
    // What pods make and see is the same, whoever starts the sandbox.
    umask(Mode::from_bits_truncate(0o022));
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
    let _alive = inherited(LOCK_DESCRIPTOR)?;
    dup2_stdin(OpenOptions::new().read(true).open("/dev/null")?)?;
    let setup = dir.setup()?;
    let network = isolate(&setup).map_err(|error| {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        if is_denied { io::Error::new(error.kind(), explain(&error, setup.is_root)) } else { error }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(setup, dir, network))
}

/// Makes this mount and network namespace our own.
fn isolate(setup: &Setup) -> io::Result<Network> {
    mount::follow_parent()?;
    mount::filesystem(
        "proc",
        Path::new("/proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        "",
    )?;
    sethostname(&setup.options.name)?;
    Network::create()
}

async fn serve(setup: Setup, dir: StateDir, network: Network) -> io::Result<std::convert::Infallible> {
    let world =
        Arc::new(World { injections: Injections::new(), reaper: Reaper::start()?, setup, dir, network });
    let (sets, wishes): (Vec<_>, Vec<_>) = world.setup.sets().map(|spec| Set::new(spec, &world)).unzip();
    let sets = Sets(sets.into());
    let server = SocketAddr::from((GATEWAY, 53));
    let (udp, tcp) = (UdpSocket::bind(server).await?, TcpListener::bind(server).await?);
    tokio::spawn(dns::serve(udp, tcp, sets.0.iter().map(|set| set.board.records()).collect()));
    let listener = control::listen(&world)?;
    tokio::spawn(set_faults::serve(Arc::clone(&world), sets.clone()));
    tokio::spawn(control::serve(listener, Arc::clone(&world), sets.clone()));
    if let Some(arguments) = world.setup.options.node.clone() {
        tokio::spawn(node_process::keep_running(Arc::clone(&world), arguments));
    }
    report_ready()?;
    let controllers = sets.0.iter().zip(wishes).map(|(set, wishes)| controller::run(Arc::clone(set), wishes));
    join_all(controllers).await;
    Err(io::Error::other("the controllers ended"))
}

fn report_ready() -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    Ok(dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?)
}
