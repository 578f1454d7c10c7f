//! Looks into a sandbox from a process of its own, because only a process with one thread can enter namespaces and the
//! one that soaks must stay outside.
//!
//! It reads a line and answers with a [`Look`] as one line of JSON, until its standard input ends.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use super::super::super::console;
use super::super::super::exit::Exit;
use super::super::super::runtime::block_on;
use super::look::Look;
use super::processes::{self, Part};
use crate::api::{Member, Ordinal};
use crate::experiment::{Store, StorePort};
use crate::host::nftables;
use crate::platform::sandbox::client::Client;
use crate::platform::sandbox::{Sandbox, StateDir};
use crate::platform::{Cluster, Endpoint};
use crate::store::{self, Adapter};

/// The word that makes a process an inspector.
pub(in super::super::super) const INSPECT: &str = "__soak-inspect";

/// How long a member may take to answer.
const ANSWER: Duration = Duration::from_millis(300);
/// How long a look may take at the very most.
const LIMIT: Duration = Duration::from_secs(10);
const PORT: u16 = 7400;

/// An inspector at work; it ends when this is dropped.
pub(super) struct Inspector {
    _child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Inspector {
    pub(super) fn start(dir: &StateDir) -> Result<Self, String> {
        let broken =
            |error: io::Error| format!("cannot start the process that looks into the sandbox: {error}");
        let mut child = Command::new("/proc/self/exe")
            .arg(INSPECT)
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        let no_pipe = || broken(io::ErrorKind::BrokenPipe.into());
        Ok(Self {
            requests: child.stdin.take().ok_or_else(no_pipe)?,
            answers: BufReader::new(child.stdout.take().ok_or_else(no_pipe)?).lines(),
            _child: child,
        })
    }

    /// What is there now.
    pub(super) async fn look(&mut self) -> Result<Look, String> {
        let exchange = async {
            self.requests.write_all(b"\n").await?;
            let line = self.answers.next_line().await?;
            let line = line.ok_or_else(|| io::Error::other("it ended"))?;
            Ok::<Look, io::Error>(serde_json::from_str(&line)?)
        };
        let told = |why: String| format!("cannot look into the sandbox: {why}");
        match timeout(LIMIT, exchange).await {
            Ok(look) => look.map_err(|error| told(error.to_string())),
            Err(_) => Err(told(format!("no answer within {} s", LIMIT.as_secs()))),
        }
    }
}

/// `seatrial __soak-inspect DIR`
pub(in super::super::super) fn main(folder: PathBuf) -> Exit {
    let dir = StateDir::at(folder);
    let served = Sandbox::attach(dir.root(), &dir.name())
        .and_then(|sandbox| sandbox.enter().map(|()| sandbox))
        .map_err(|error| error.to_string())
        .and_then(|sandbox| block_on(serve(sandbox)));
    match served {
        Ok(()) => Exit::Pass,
        Err(why) => console::error(why, Exit::Unexpected),
    }
}

async fn serve(sandbox: Sandbox) -> Result<(), String> {
    let told = |error: io::Error| error.to_string();
    let client = Arc::new(Client::connect(sandbox.dir()).await.map_err(told)?);
    let members: Vec<Ordinal> = client.snapshots().borrow().ordinals().collect();
    let adapter = store::open(&Store::Refkv(StorePort { port: PORT }), client);
    let cgroup = sandbox.dir().setup().map_err(told)?.cgroup;
    // This thread may block: the runtime's own threads follow the sandbox meanwhile.
    for request in io::stdin().lines() {
        request.map_err(told)?;
        let mut look = at_host(sandbox.dir(), cgroup.as_deref()).map_err(told)?;
        look.answers = ask(&*adapter, &members).await;
        let mut line = serde_json::to_vec(&look).map_err(|error| error.to_string())?;
        line.push(b'\n');
        let mut answers = io::stdout().lock();
        answers.write_all(&line).and_then(|()| answers.flush()).map_err(told)?;
    }
    Ok(())
}

/// Every member at once, each over a new connection.
async fn ask(adapter: &dyn Adapter, members: &[Ordinal]) -> Vec<Member> {
    let questions = members.iter().map(|&ordinal| {
        let mut client = adapter.client(Endpoint::Member(ordinal));
        async move { Member { ordinal, sample: client.member("soak", Instant::now() + ANSWER).await } }
    });
    futures::future::join_all(questions).await
}

/// Everything but the members' own answers.
fn at_host(dir: &StateDir, cgroup: Option<&Path>) -> io::Result<Look> {
    let mut look = Look::default();
    for process in processes::of_sandbox(dir)? {
        let id = process.id;
        if id.stat()?.is_some_and(|stat| stat.is_stopped()) {
            look.stopped.push(format!("{:?}, {id}", process.part));
        }
        match process.part {
            Part::Node => look.node = Some(id),
            Part::Guardian => look.guardians.push(id),
            Part::Member(pod) => {
                let tables = nftables::tables_of(&id)?;
                look.tables.extend(tables.into_iter().map(|table| format!("{table} in {pod}")));
                look.members.insert(pod, id);
            }
            Part::Other => {}
        }
    }
    if let Some(cgroup) = cgroup {
        find_frozen(cgroup, &mut look.frozen)?;
    }
    for entry in fs::read_dir(dir.undo())? {
        look.records.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(look)
}

/// Cgroups at and below `folder` that are frozen or were asked to be (cgroups(7)).
fn find_frozen(folder: &Path, found: &mut Vec<String>) -> io::Result<()> {
    let says = |file: &str, line: &str| {
        fs::read_to_string(folder.join(file)).is_ok_and(|text| text.lines().any(|found| found == line))
    };
    if says("cgroup.freeze", "1") || says("cgroup.events", "frozen 1") {
        found.push(folder.display().to_string());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find_frozen(&entry.path(), found)?;
        }
    }
    Ok(())
}
