//! A real group of three members on the loopback: Debian's etcd or PostgreSQL, or the built-in store.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use seatrial::api::{Member, MemberSample, Members, Ordinal};
use seatrial::experiment::Store;
use seatrial::host::process::ProcessId;
use seatrial::host::process::tree::Tree;
use seatrial::platform::{Dial, Endpoint};
use seatrial::store::{Adapter, SecretError, Secrets, open};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::store_postgres;

pub const MEMBERS: [Ordinal; 3] = [0, 1, 2];
pub const HEARTBEAT: &str = "seatrial/heartbeat";
/// How long anything may take that is to happen; far more than it does.
pub const IN_TIME: Duration = Duration::from_mins(1);

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Etcd,
    Postgres,
    Refkv,
}

/// Three processes, ended when this is dropped.
pub struct Group {
    kind: Kind,
    folder: TempDir,
    addresses: Arc<Vec<SocketAddr>>,
    peers: Vec<SocketAddr>,
    processes: Mutex<Vec<Option<Child>>>,
    /// Where the members' certificate is, where they have one.
    tls: Option<PathBuf>,
    dial: Arc<Loopback>,
    pub adapter: Arc<dyn Adapter>,
}

/// Dials members by ordinal, and the service in turns.
struct Loopback {
    addresses: Arc<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

#[async_trait]
impl Dial for Loopback {
    async fn dial(&self, endpoint: Endpoint, _port: u16) -> io::Result<TcpStream> {
        let member = match endpoint {
            Endpoint::Member(ordinal) => ordinal as usize,
            Endpoint::Service => self.turn.fetch_add(1, Ordering::Relaxed) % self.addresses.len(),
        };
        TcpStream::connect(self.addresses[member]).await
    }

    fn names(&self, endpoint: Endpoint) -> Vec<String> {
        match endpoint {
            Endpoint::Member(ordinal) => vec![format!("etcd-{ordinal}.etcd.it.svc"), "etcd.it.svc".into()],
            Endpoint::Service => vec!["etcd.it.svc".into(), "etcd-0.etcd.it.svc".into()],
        }
    }
}

/// Free ports, other ones each time. They are below those that the kernel gives to whoever does not mind which
/// (ip_local_port_range in ip(7)): a member listens only a while after its port was chosen, and again after it was ended, and
/// no connection is to have the port meanwhile.
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Two programs with tests that run at the same time begin at different places.
    let begin = std::process::id() as usize * 61;
    let mut found = Vec::new();
    while found.len() < count {
        let number = begin + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_000 + number % 20_000).expect("below 30,000");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            found.push(address);
        }
    }
    found
}

/// A program that the kernel ends when the thread that starts it is gone, so that a test run that is killed leaves
/// nothing behind (PR_SET_PDEATHSIG in prctl(2)). A test's root future stays on the test's own thread.
pub fn bound_to_this_thread(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

impl Group {
    /// Starts three members and waits until all agree on a leader.
    pub async fn start(kind: Kind) -> Self {
        let store: Store = match kind {
            Kind::Etcd => serde_json::from_str(r#"{"etcd":{}}"#),
            Kind::Postgres => serde_json::from_str(r#"{"postgres":{}}"#),
            Kind::Refkv => serde_json::from_str(r#"{"refkv":{}}"#),
        }
        .expect("a store");
        Self::start_with(kind, None, &store, &Secrets::none()).await
    }

    /// Starts the store with the certificates of this folder, by which its clients are told, too.
    pub async fn by_tls(kind: Kind, server: &Path, store: &Store, secrets: &Secrets) -> Self {
        Self::start_with(kind, Some(server.to_owned()), store, secrets).await
    }

    async fn start_with(kind: Kind, tls: Option<PathBuf>, store: &Store, secrets: &Secrets) -> Self {
        let addresses = Arc::new(free_addresses(3));
        let dial = Arc::new(Loopback { addresses: Arc::clone(&addresses), turn: AtomicUsize::new(0) });
        let group = Self {
            kind,
            folder: tempfile::tempdir().expect("a folder"),
            addresses,
            peers: free_addresses(3),
            processes: Mutex::new(vec![None, None, None]),
            tls,
            dial: Arc::clone(&dial),
            adapter: open(store, dial, secrets).expect("these Secrets are there"),
        };
        if kind == Kind::Postgres {
            store_postgres::let_in(group.folder.path(), group.tls.as_deref());
        }
        for member in MEMBERS {
            group.run(member);
        }
        group.wait_until_all_follow().await;
        group
    }

    /// Another adapter of the same group.
    pub fn open(&self, store: &Store, secrets: &Secrets) -> Result<Arc<dyn Adapter>, SecretError> {
        open(store, Arc::clone(&self.dial) as _, secrets)
    }

    /// Starts a member, again with the same data where it ran before.
    pub fn run(&self, member: Ordinal) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{member}.log")))
            .expect("a log file");
        let data = self.folder.path().join(format!("data-{member}"));
        let mut command = match self.kind {
            Kind::Etcd => self.etcd(member, &data),
            Kind::Postgres => store_postgres::member(member, &self.addresses, &data, self.tls.is_some()),
            Kind::Refkv => self.refkv(member, &data),
        };
        let errors = log.try_clone().expect("a second descriptor");
        let process = command
            .env("RUST_LOG", "refkv=info,openraft=info")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("the store is installed");
        self.processes.lock().expect("no other test shares it")[member as usize] = Some(process);
    }

    fn etcd(&self, member: Ordinal, data: &Path) -> Command {
        let all: Vec<String> = MEMBERS
            .iter()
            .map(|&other| format!("etcd-{other}=http://{}", self.peers[other as usize]))
            .collect();
        let mut command = bound_to_this_thread("etcd");
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        if let Some(folder) = &self.tls {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(folder.join("ca.crt"));
            command
                .arg("--cert-file")
                .arg(folder.join("tls.crt"))
                .arg("--key-file")
                .arg(folder.join("tls.key"));
        }
        for (flag, value) in [
            ("--name", format!("etcd-{member}")),
            ("--listen-client-urls", format!("{scheme}://{}", self.addresses[member as usize])),
            ("--advertise-client-urls", format!("{scheme}://{}", self.addresses[member as usize])),
            ("--listen-peer-urls", format!("http://{}", self.peers[member as usize])),
            ("--initial-advertise-peer-urls", format!("http://{}", self.peers[member as usize])),
            ("--initial-cluster", all.join(",")),
        ] {
            command.arg(flag).arg(value);
        }
        // Nobody is to be elected because a member was not run, or waited for a disk, for a second.
        command.args(["--heartbeat-interval", "300", "--election-timeout", "3000"]);
        command.arg("--data-dir").arg(data);
        command
    }

    fn refkv(&self, member: Ordinal, data: &Path) -> Command {
        let all: Vec<String> =
            MEMBERS.iter().map(|&other| format!("{other}={}", self.addresses[other as usize])).collect();
        let mut command = bound_to_this_thread(env!("CARGO_BIN_EXE_seatrial"));
        command
            .arg("refkv")
            .args(["--id", &member.to_string()])
            .args(["--listen", &self.addresses[member as usize].to_string()])
            .args(["--peers", &all.join(",")])
            // As with etcd: three times what is usual. A leader confirms its reads within a heartbeat, too.
            .args(["--heartbeat", "300ms", "--election-min", "1s", "--election-max", "2s"])
            .arg("--data")
            .arg(data);
        command
    }

    /// Where a member's clients connect to.
    pub fn address(&self, member: Ordinal) -> SocketAddr {
        self.addresses[member as usize]
    }

    /// Stops every thread of a member.
    pub fn stop(&self, member: Ordinal) {
        assert!(self.tree(member).stop(IN_TIME).expect("a child can be stopped"));
    }

    pub fn go_on(&self, member: Ordinal) {
        assert!(self.tree(member).go_on(IN_TIME).expect("a child can be continued"));
    }

    fn tree(&self, member: Ordinal) -> Tree {
        let processes = self.processes.lock().expect("no other test shares it");
        let process = processes[member as usize].as_ref().expect("it runs");
        let process = ProcessId::of(process.id().cast_signed()).expect("readable");
        Tree::below(process.expect("not reaped"))
    }

    /// Ends a member at once, with all its processes.
    pub fn end(&self, member: Ordinal) {
        assert!(self.tree(member).kill(IN_TIME).expect("a child can be killed"));
        let process = self.processes.lock().expect("no other test shares it")[member as usize].take();
        let mut process = process.expect("it runs");
        process.kill().expect("a child can be killed");
        process.wait().expect("a child can be waited for");
    }

    /// Asks every member once.
    pub async fn members(&self) -> Members {
        let mut members = Vec::new();
        for ordinal in MEMBERS {
            let mut client = self.adapter.client(Endpoint::Member(ordinal));
            let sample = client.member(HEARTBEAT, in_(Duration::from_secs(1))).await;
            members.push(Member { ordinal, sample });
        }
        Members { members }
    }

    /// Asks until every member holds this heartbeat itself.
    pub async fn members_once_all_hold(&self, beat: u64) -> Members {
        let until = in_(IN_TIME);
        loop {
            let members = self.members().await;
            let holds = |member: &Member| matches!(member.sample, MemberSample::Answer { heartbeat, .. } if heartbeat == Some(beat));
            if members.members.iter().all(holds) {
                return members;
            }
            assert!(Instant::now() < until, "not replicated in time: {members:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The member that leads; waits for one.
    pub async fn leader(&self) -> Ordinal {
        let until = in_(IN_TIME);
        loop {
            let members = self.members().await;
            if let Some(leader) = members.leader() {
                return leader;
            }
            assert!(Instant::now() < until, "nobody leads: {members:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn wait_until_all_follow(&self) {
        let until = in_(IN_TIME);
        loop {
            let members = self.members().await;
            let leader = members.leader();
            let agree = |member: &Member| matches!(&member.sample, MemberSample::Answer { leader: seen, .. } if *seen == leader);
            if leader.is_some() && members.members.iter().all(agree) {
                return;
            }
            assert!(Instant::now() < until, "no group in time: {members:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A test that failed while it held the lock needs its processes ended all the more.
        let processes = self.processes.get_mut().unwrap_or_else(PoisonError::into_inner);
        for process in processes.iter_mut().flatten() {
            // One that ended by itself needs no end.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            for member in MEMBERS {
                let log = std::fs::read_to_string(self.folder.path().join(format!("{member}.log")));
                eprintln!("--- member {member} said:\n{}", log.unwrap_or_default());
            }
        }
    }
}

/// A moment from now.
pub fn in_(time: Duration) -> Instant {
    Instant::now() + time
}
