//! The node's loop: leftovers first, then orders, each Injection in a task of its own.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::actor::{Actor, Begin, Wish};
use super::begin::begin;
use super::blocking::blocking;
use super::status::Status;
use super::{Channel, Locate, Order};
use crate::host::process::boot::{Era, uptime};
use crate::undo::guardian::Launch;
use crate::undo::{Scope, StoreError, replay};

/// How long a node that ends waits for what it takes back.
const FAREWELL: Duration = Duration::from_secs(30);

/// What a node is told when it starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of its undo records. It must survive the node, and should survive the machine.
    pub undo_dir: PathBuf,
    /// How guardians are started.
    pub guardian: Launch,
    /// How long after its start a node waits to hear of a fault that it found in force, before it takes it back.
    pub adopt_within: Duration,
}

/// Why a node ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It does not know where it is.
    #[error("cannot tell this boot and pid namespace: {0}")]
    Era(#[source] io::Error),
    /// Without records nothing may be changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody gives orders.
    #[error("cannot hear orders: {0}")]
    Channel(#[source] io::Error),
    /// The channel is closed, and these are still in force; their guardians end them at their deadlines.
    #[error("ended with faults that could not be taken back: {}", .0.join(", "))]
    LeftBehind(Vec<String>),
}

/// What all Injections of a node share.
pub(super) struct Node<C, L> {
    pub channel: C,
    pub locate: L,
    pub options: Options,
    pub era: Era,
}

struct Actors<C, L> {
    node: Arc<Node<C, L>>,
    wishes: HashMap<String, mpsc::UnboundedSender<Wish>>,
    /// Found in force, and not spoken of since.
    unheard: HashSet<String>,
    /// Those that change nothing, and so leave nothing behind.
    harmless: HashSet<String>,
    tasks: JoinSet<String>,
}

/// Makes Injections true until the channel ends; then takes everything back.
pub async fn serve(
    channel: impl Channel + 'static,
    locate: impl Locate + 'static,
    options: Options,
) -> Result<(), ServeError> {
    let era = Era::current().map_err(ServeError::Era)?;
    let folder = options.undo_dir.clone();
    let outcomes = blocking(move || replay(&folder, Scope::Leftover)).await?;
    let node = Arc::new(Node { channel, locate, options, era });
    let mut actors = Actors {
        node: Arc::clone(&node),
        wishes: HashMap::new(),
        unheard: HashSet::new(),
        harmless: HashSet::new(),
        tasks: JoinSet::new(),
    };
    // What is overdue is everybody's to take back; what may be wanted still is for its own node to know.
    let is_ours = |begun: &(String, Begin)| match begun {
        (name, Begin::Found(..)) => node.channel.is_ours(name),
        (_, Begin::Stuck(..) | Begin::Wanted) => true,
    };
    for (name, beginning) in outcomes.into_iter().filter_map(begin).filter(is_ours) {
        actors.unheard.insert(name.clone());
        actors.begin(name, beginning);
    }
    let mut orders = node.channel.orders().await.map_err(ServeError::Channel)?;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => actors.hear(order),
                None => return actors.farewell().await,
            },
            Some(ended) = actors.tasks.join_next(), if !actors.tasks.is_empty() => actors.forget(ended),
        }
    }
}

impl<C: Channel + 'static, L: Locate + 'static> Actors<C, L> {
    fn begin(&mut self, name: String, beginning: Begin) -> mpsc::UnboundedSender<Wish> {
        let (sender, wishes) = mpsc::unbounded_channel();
        let actor = Actor {
            node: Arc::clone(&self.node),
            name: name.clone(),
            wishes,
            status: Status::new(),
            began: uptime(),
            spec: None,
            ended_of_it: None,
        };
        // An older record of the same Injection hears nothing and is taken back.
        self.wishes.insert(name.clone(), sender.clone());
        self.tasks.spawn(async move {
            actor.run(beginning).await;
            name
        });
        sender
    }

    fn hear(&mut self, order: Order) {
        match order {
            Order::Put(spec) => {
                let name = spec.name.clone();
                self.unheard.remove(&name);
                if spec.fault.changes_nothing() {
                    self.harmless.insert(name.clone());
                }
                let wish = Wish::Put(Box::new(spec));
                let unheard = match self.wishes.get(&name) {
                    Some(sender) => sender.send(wish).err().map(|mpsc::error::SendError(wish)| wish),
                    None => Some(wish),
                };
                if let Some(wish) = unheard {
                    // The new actor cannot have ended before its first wish.
                    let _ = self.begin(name, Begin::Wanted).send(wish);
                }
            }
            Order::Gone(name) => self.tell_gone(&name),
            Order::AllTold => {
                for name in std::mem::take(&mut self.unheard) {
                    self.tell_gone(&name);
                }
            }
        }
    }

    fn tell_gone(&mut self, name: &str) {
        self.unheard.remove(name);
        self.harmless.remove(name);
        if let Some(sender) = self.wishes.remove(name) {
            let _ = sender.send(Wish::Gone);
        }
    }

    fn forget(&mut self, ended: Result<String, tokio::task::JoinError>) {
        match ended {
            Ok(name) => {
                if self.wishes.get(&name).is_some_and(mpsc::UnboundedSender::is_closed) {
                    self.wishes.remove(&name);
                }
            }
            Err(error) => tracing::error!(%error, "an injection's task failed; its guardian ends it"),
        }
    }

    async fn farewell(mut self) -> Result<(), ServeError> {
        for sender in self.wishes.values() {
            let _ = sender.send(Wish::Gone);
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FAREWELL, all).await.is_ok() {
            return Ok(());
        }
        let mut names: Vec<String> = self
            .wishes
            .iter()
            .filter(|(name, sender)| !sender.is_closed() && !self.harmless.contains(*name))
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        names.sort();
        Err(ServeError::LeftBehind(names))
    }
}
