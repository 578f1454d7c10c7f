//! Starts, stops and asks members.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::http::Method;
use clap::Parser;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::http::health::{Role, View};
use crate::member::Member;
use crate::options::Options;
use crate::peers::link::{Link, Message};
use crate::{http, start};

const PATIENCE: Duration = Duration::from_secs(20);

/// Timers of three times the usual length: members of a busy machine are not run for a while now and then, and nobody is to be
/// elected for that.
const UNHURRIED: [&str; 6] = ["--heartbeat", "300ms", "--election-min", "1s", "--election-max", "2s"];

#[derive(Parser)]
#[command(args_override_self = true)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// Members on loopback, each with a folder that outlives its restarts.
pub struct Cluster {
    folders: Vec<TempDir>,
    addresses: Vec<String>,
    arguments: Vec<String>,
    running: BTreeMap<u64, (Member, JoinHandle<()>)>,
}

impl Cluster {
    /// Starts `size` members with further arguments.
    pub async fn start(size: u64, arguments: &[&str]) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..size {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        }
        let address = |listener: &TcpListener| listener.local_addr().expect("a bound socket").to_string();
        let mut cluster = Self {
            folders: (0..size).map(|_| tempfile::tempdir().expect("a temporary folder")).collect(),
            addresses: listeners.iter().map(address).collect(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            running: BTreeMap::new(),
        };
        for (id, listener) in (0..).zip(listeners) {
            cluster.run(id, listener).await;
        }
        cluster
    }

    async fn run(&mut self, id: u64, listener: TcpListener) {
        let peers: Vec<_> =
            (0..).zip(&self.addresses).map(|(id, address)| format!("{id}={address}")).collect();
        let folder = self.folders[id as usize].path().to_string_lossy().into_owned();
        let own = ["refkv", "--id", &id.to_string(), "--peers", &peers.join(","), "--data", &folder];
        let line = own.into_iter().chain(UNHURRIED).chain(self.arguments.iter().map(String::as_str));
        let options = Line::parse_from(line).options;
        let settings = options.settle("test").expect("all is said");
        let member = start(&options, &settings).await.expect("a member");
        let server = axum::serve(listener, http::routes(member.clone()));
        let server = tokio::spawn(async move { drop(server.await) });
        self.running.insert(id, (member, server));
    }

    /// Stops a member as a crash does: nothing more is written, sent or answered.
    pub async fn stop(&mut self, id: u64) {
        let (member, server) = self.running.remove(&id).expect("it runs");
        server.abort();
        member.raft.shutdown().await.expect("it ends");
    }

    /// Starts a stopped member again, on its old address and folder.
    pub async fn restart(&mut self, id: u64) {
        let address = &self.addresses[id as usize];
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        self.run(id, listener).await;
    }

    /// Empties the folder of a stopped member.
    pub fn wipe(&mut self, id: u64) {
        self.folders[id as usize] = tempfile::tempdir().expect("a temporary folder");
    }

    /// Sends a request to one member, on a connection of its own.
    pub async fn ask(&self, id: u64, method: Method, target: &str, body: Option<Json>) -> (u16, Json) {
        let link = Link::new(self.addresses[id as usize].clone(), PATIENCE);
        let body = body.map(|body| body.to_string()).unwrap_or_default().into();
        let message = Message { method, body, ..Message::get(target) };
        let (status, answer) = link.send(message).await.expect("an answer");
        (status.as_u16(), serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// Only the status of a GET.
    pub async fn status(&self, id: u64, target: &str) -> u16 {
        self.ask(id, Method::GET, target, None).await.0
    }

    /// Writes a number, which must succeed.
    pub async fn put(&self, id: u64, key: &str, value: u64) {
        let answer = self.ask(id, Method::PUT, &format!("/v1/kv/{key}"), Some(json!({"value": value}))).await;
        assert_eq!(answer.0, 200, "{}", answer.1);
    }

    /// What a member says about itself.
    pub async fn view(&self, id: u64) -> View {
        let (_, view) = self.ask(id, Method::GET, "/v1/members", None).await;
        serde_json::from_value(view).expect("a view")
    }

    /// Waits until a member's view is as wanted.
    pub async fn until(&self, id: u64, what: &str, is_wanted: impl Fn(&View) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view = self.view(id).await;
            if is_wanted(&view) {
                return;
            }
            assert!(Instant::now() < deadline, "member {id} never {what}: {view:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until all running members agree on a leader that runs and is one, and vote if it goes.
    pub async fn leader(&self) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut views = Vec::new();
            for id in self.running.keys() {
                views.push(self.view(*id).await);
            }
            let leads = |view: &&View| view.role == Role::Leader;
            if let Some(leader) = views.iter().find(leads).map(|view| view.id)
                && views.iter().all(|view| view.leader == Some(leader) && !self.is_fresh(view.id))
            {
                return leader;
            }
            assert!(Instant::now() < deadline, "no leader: {views:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether a member still has to catch up after an empty disk.
    pub fn is_fresh(&self, id: u64) -> bool {
        self.running[&id].0.fresh.is_fresh()
    }
}
