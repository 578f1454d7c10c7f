//! In which order the containers of a pod start and end.
//!
//! Init containers run one after the other. A sidecar, which is one that is restarted always, is only waited for until it
//! has started, and runs on. Of a pod that is going it runs its hook at once, as all do, and is asked to end after the main
//! containers have ended, the last one that was started first.

use futures::future::{join, join_all};
use tokio::sync::watch;

use super::supervise::{History, Place};
use super::{Histories, PodSandbox};

/// What a sidecar is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is not started yet.
    Waits,
    /// It runs, as long as others need it.
    Runs,
    /// Nobody needs it.
    Ends,
}

/// A sidecar, as the others see it.
struct Sidecar {
    /// Where its status is.
    status: usize,
    turn: watch::Sender<Turn>,
    has_started: watch::Sender<bool>,
    has_ended: watch::Sender<bool>,
}

/// Runs all containers, until the pod is going and they have ended.
pub async fn run(pod: &PodSandbox<'_>, histories: &mut Histories) {
    let Histories { init, main } = histories;
    let template = &pod.set.spec.pod;
    let mut status = template.containers.len();
    let sidecars: Vec<Option<Sidecar>> = template
        .init_containers
        .iter()
        .map(|container| {
            container.is_sidecar.then(|| {
                let sidecar = Sidecar::new(status);
                status += 1;
                sidecar
            })
        })
        .collect();
    let mut steps: Vec<(usize, Option<&mut History>)> = Vec::new();
    let mut beside = Vec::new();
    for (place, history) in init.iter_mut().enumerate() {
        match &sidecars[place] {
            Some(sidecar) => {
                beside.push(sidecar.run(pod, place, history));
                steps.push((place, None));
            }
            None => steps.push((place, Some(history))),
        }
    }
    let sequence = async {
        if start(pod, &sidecars, steps).await {
            let main = main.iter_mut().enumerate();
            join_all(main.map(|(place, history)| {
                pod.keep_running(&template.containers[place], Place::Main(place), history)
            }))
            .await;
        }
        for sidecar in sidecars.iter().flatten().rev() {
            sidecar.end().await;
        }
    };
    join(sequence, join_all(beside)).await;
}

/// Runs init containers and starts sidecars in order; whether to go on.
async fn start(
    pod: &PodSandbox<'_>,
    sidecars: &[Option<Sidecar>],
    steps: Vec<(usize, Option<&mut History>)>,
) -> bool {
    for (place, history) in steps {
        let goes_on = match (&sidecars[place], history) {
            (Some(sidecar), _) => sidecar.start(pod).await,
            (None, Some(history)) => pod.complete(place, history).await,
            (None, None) => true,
        };
        if !goes_on {
            return false;
        }
    }
    true
}

impl Sidecar {
    fn new(status: usize) -> Self {
        Self {
            status,
            turn: watch::Sender::new(Turn::Waits),
            has_started: watch::Sender::new(false),
            has_ended: watch::Sender::new(false),
        }
    }

    /// Keeps it running from its turn to its end.
    async fn run(&self, pod: &PodSandbox<'_>, place: usize, history: &mut History) {
        let mut turn = self.turn.subscribe();
        // It cannot close: this is its sender.
        let runs = turn.wait_for(|turn| *turn != Turn::Waits).await.is_ok_and(|turn| *turn == Turn::Runs);
        if runs {
            let own = PodSandbox { turn, has_started: self.has_started.clone(), ..pod.clone() };
            let container = &pod.set.spec.pod.init_containers[place];
            own.keep_running(container, Place::Main(self.status), history).await;
        }
        self.has_ended.send_replace(true);
    }

    /// Starts it and waits until it has started; whether to go on.
    async fn start(&self, pod: &PodSandbox<'_>) -> bool {
        self.turn.send_replace(Turn::Runs);
        let mut started = self.has_started.subscribe();
        tokio::select! {
            _ = started.wait_for(|&started| started) => true,
            () = pod.stopped() => false,
        }
    }

    /// Ends it, and waits until it has ended.
    async fn end(&self) {
        self.turn.send_replace(Turn::Ends);
        let _ = self.has_ended.subscribe().wait_for(|&ended| ended).await;
    }
}
