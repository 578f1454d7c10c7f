//! Init's side of a pod's holder.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot, watch};

use super::{CONTROL_DESCRIPTOR, Ended, Event, Request};
use crate::host::namespace::{Spawn, spawn};
use crate::platform::sandbox::container::{ContainerPlan, ExecPlan};
use crate::platform::sandbox::init::World;
use crate::platform::sandbox::reaper::Reaper;

/// A pod's first process.
#[derive(Clone)]
pub struct Holder {
    pid: Pid,
    reaper: Reaper,
    requests: mpsc::UnboundedSender<Request>,
    waiting: Arc<Mutex<Waiting>>,
    has_ended: watch::Receiver<bool>,
}

/// Who waits for what.
#[derive(Default)]
struct Waiting {
    next: u64,
    network: Option<oneshot::Sender<Result<(), String>>>,
    starts: BTreeMap<u64, oneshot::Sender<Result<i32, String>>>,
    ends: BTreeMap<u64, oneshot::Sender<Ended>>,
}

/// Why a program does not run, for a person.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The pod's first process is gone, and the pod with it.
    #[error("the pod's first process has died")]
    HolderDied,
    /// The program could not be executed.
    #[error("{0}")]
    Program(String),
}

/// A program that runs in a pod.
pub struct Running {
    /// What [`Holder::signal`] knows it by.
    pub id: u64,
    /// Its pid in the pod's pid namespace.
    pub pid_in_pod: i32,
    ended: oneshot::Receiver<Ended>,
}

impl Running {
    /// Waits for its end; `None` when the whole pod died.
    pub async fn ended(&mut self) -> Option<Ended> {
        (&mut self.ended).await.ok()
    }
}

impl Holder {
    /// Starts the first process of a pod, in network, pid, ipc and uts namespaces of its own.
    pub fn start(world: &World, hostname: &str) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let program = CString::new(world.dir.program().as_os_str().as_bytes())?;
        let argv = [program.clone(), c"__sandbox-pod".to_owned(), CString::new(hostname)?, program];
        let pid = spawn(&Spawn {
            argv: &argv,
            namespaces: CloneFlags::CLONE_NEWPID
                | CloneFlags::CLONE_NEWNET
                | CloneFlags::CLONE_NEWIPC
                | CloneFlags::CLONE_NEWUTS,
            identity: None,
            descriptors: &[(theirs.as_fd(), CONTROL_DESCRIPTOR)],
            leads_group: false,
        })?;
        let died = world.reaper.adopt(pid);
        let (read, mut write) = UnixStream::from_std(ours)?.into_split();
        let (requests, mut outgoing) = mpsc::unbounded_channel::<Request>();
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (ended_sender, has_ended) = watch::channel(false);
        tokio::spawn(async move {
            while let Some(request) = outgoing.recv().await {
                let mut line = serde_json::to_vec(&request).expect("a request holds only texts and numbers");
                line.push(b'\n');
                if write.write_all(&line).await.is_err() {
                    return;
                }
            }
        });
        let hearing = Arc::clone(&waiting);
        tokio::spawn(async move {
            hear(read, &hearing).await;
            let _ = died.await;
            // Whoever still waits learns it from the dropped channel.
            *hearing.lock().unwrap_or_else(PoisonError::into_inner) = Waiting::default();
            let _ = ended_sender.send(true);
        });
        Ok(Self { pid, reaper: world.reaper.clone(), requests, waiting, has_ended })
    }

    /// Its pid in init's pid namespace.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Gives the pod's interface its address.
    pub async fn configure_network(&self, address: Ipv4Addr) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.with_waiting(|waiting| waiting.network = Some(sender));
        let _ = self.requests.send(Request::Network { address });
        match receiver.await {
            Ok(result) => result.map_err(io::Error::other),
            Err(_) => Err(io::Error::other(NotStarted::HolderDied)),
        }
    }

    /// Starts a container; returns when its program was executed.
    pub async fn start_container(&self, plan: ContainerPlan) -> Result<Running, NotStarted> {
        self.launch(|id| Request::Start(id, Box::new(plan))).await
    }

    /// Starts a program in a container that runs.
    pub async fn exec(&self, container: u64, plan: ExecPlan) -> Result<Running, NotStarted> {
        self.launch(|id| Request::Exec(id, container, Box::new(plan))).await
    }

    async fn launch(&self, request: impl FnOnce(u64) -> Request) -> Result<Running, NotStarted> {
        let (start_sender, started) = oneshot::channel();
        let (end_sender, ended) = oneshot::channel();
        let id = self.with_waiting(|waiting| {
            waiting.next += 1;
            waiting.starts.insert(waiting.next, start_sender);
            waiting.ends.insert(waiting.next, end_sender);
            waiting.next
        });
        if *self.has_ended.borrow() || self.requests.send(request(id)).is_err() {
            return Err(NotStarted::HolderDied);
        }
        match started.await {
            Ok(Ok(pid_in_pod)) => Ok(Running { id, pid_in_pod, ended }),
            Ok(Err(reason)) => Err(NotStarted::Program(reason)),
            Err(_) => Err(NotStarted::HolderDied),
        }
    }

    /// Sends a signal to a container's first process or to an executed program.
    pub fn signal(&self, id: u64, signal: Signal) {
        let _ = self.requests.send(Request::Signal(id, signal as i32));
    }

    /// Ends the pod at once.
    pub fn kill(&self) {
        self.reaper.signal(self.pid, Signal::SIGKILL);
    }

    /// Waits until the pod's first process is gone, and every process of the pod with it (pid_namespaces(7)).
    pub async fn ended(&self) {
        let mut has_ended = self.has_ended.clone();
        let _ = has_ended.wait_for(|&ended| ended).await;
    }

    fn with_waiting<T>(&self, act: impl FnOnce(&mut Waiting) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn hear(read: OwnedReadHalf, waiting: &Mutex<Waiting>) {
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(event) => waiting.lock().unwrap_or_else(PoisonError::into_inner).take(event),
            Err(error) => tracing::warn!(%error, "a pod's first process said something unreadable"),
        }
    }
}

impl Waiting {
    fn take(&mut self, event: Event) {
        // Somebody who no longer waits is no error.
        match event {
            Event::Network(result) => {
                let _ = self.network.take().map(|waiting| waiting.send(result));
            }
            Event::Started(id, pid) => {
                let _ = self.starts.remove(&id).map(|waiting| waiting.send(Ok(pid)));
            }
            Event::NotStarted(id, reason) => {
                self.ends.remove(&id);
                let _ = self.starts.remove(&id).map(|waiting| waiting.send(Err(reason)));
            }
            Event::Ended(id, ended) => {
                let _ = self.ends.remove(&id).map(|waiting| waiting.send(ended));
            }
        }
    }
}
