//! What has become of a runner, told from its pod and the node of it. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Node, Pod};

/// How long a pod may take to start before the run is given up.
const START: SignedDuration = SignedDuration::from_mins(3);
/// How long a node may be silent before its pods count as lost. Its own faults end by their deadlines meanwhile.
const SILENCE: SignedDuration = SignedDuration::from_secs(40);
/// How long a pod may take to end beyond its grace period before it counts as lost.
const OVERTIME: SignedDuration = SignedDuration::from_secs(30);
/// How often a runner may be restarted: it needs one to take everything back, and two more against bad luck.
const RESTARTS: i32 = 3;

/// Where a runner stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runner {
    /// There is no pod.
    Absent,
    /// The pod is there and has not started yet.
    Starting,
    /// It has not started for too long, with the reason.
    Stuck(String),
    /// It runs, or is restarted by the kubelet and will take everything back by itself.
    Running,
    /// It has ended, with how.
    Ended(String),
    /// Nobody can say whether it runs, with the reason; or it cannot be brought to run.
    Lost(String),
}

impl Runner {
    /// Tells from the pod, and the node that it runs on, as the API server has them.
    pub fn of(pod: Option<&Pod>, node: Where<'_>, now: Timestamp) -> Self {
        let Some(pod) = pod else {
            return Self::Absent;
        };
        let status = pod.status.clone().unwrap_or_default();
        let container = status.container_statuses.as_ref().and_then(|all| all.first());
        match status.phase.as_deref() {
            Some("Succeeded") => return Self::Ended("it ended by itself".into()),
            Some("Failed") => {
                return Self::Ended(failure(status.reason.as_ref(), status.message.as_ref(), container));
            }
            Some(_) | None => {}
        }
        if let Some(why) = overdue(pod, now).or_else(|| node.silent(now)) {
            return Self::Lost(why);
        }
        if let Some(container) = container
            && container.restart_count >= RESTARTS
            && let Some(why) = waiting(container)
        {
            return Self::Lost(format!("it ended {} times, now {why}", container.restart_count));
        }
        let started = container.is_some_and(|container| container.restart_count > 0 || runs(container));
        if started {
            return Self::Running;
        }
        let created = pod.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
        if now.duration_since(created) < START {
            return Self::Starting;
        }
        let unscheduled = status.conditions.iter().flatten().find(|condition| condition.status == "False");
        let why = container
            .and_then(waiting)
            .or_else(|| unscheduled.and_then(|condition| condition.message.clone()))
            .unwrap_or_else(|| "nothing says why".into());
        Self::Stuck(why)
    }
}

/// The node of a runner's pod.
#[derive(Debug, Clone, Copy)]
pub enum Where<'a> {
    /// It is on none yet, or nobody has looked.
    Unknown,
    /// It was on a node that is no more.
    Gone,
    /// It is on this one.
    On(&'a Node),
}

impl Where<'_> {
    /// Why nothing on the node can be relied on.
    fn silent(self, now: Timestamp) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Gone => Some("its node is gone".into()),
            Self::On(node) => {
                let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref())?;
                let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
                let since = ready.last_transition_time.as_ref()?.0;
                let silent = ready.status == "Unknown" && now.duration_since(since) >= SILENCE;
                let name = node.metadata.name.as_deref().unwrap_or_default();
                silent.then(|| format!("its node {name} has not been heard of since {since:.0}"))
            }
        }
    }
}

/// Why a pod that was deleted should long be gone.
fn overdue(pod: &Pod, now: Timestamp) -> Option<String> {
    // `deletionTimestamp` is when the grace period ends, not when somebody asked.
    let ends = pod.metadata.deletion_timestamp.as_ref()?.0;
    (now.duration_since(ends) >= OVERTIME).then(|| "its pod was deleted and does not end".into())
}

fn runs(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

fn waiting(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().unwrap_or_else(|| "waiting".into());
    Some(match waiting.message.as_deref() {
        Some(message) if !message.is_empty() => format!("{reason}: {message}"),
        Some(_) | None => reason,
    })
}

fn failure(reason: Option<&String>, message: Option<&String>, container: Option<&ContainerStatus>) -> String {
    if let Some(reason) = reason {
        return match message {
            Some(message) => format!("{reason}: {message}"),
            None => reason.clone(),
        };
    }
    let ended = |state: &Option<ContainerState>| state.as_ref()?.terminated.clone();
    match container.and_then(|container| ended(&container.state).or_else(|| ended(&container.last_state))) {
        Some(ended) => {
            let reason = ended.reason.filter(|reason| reason != "Error").map(|reason| format!(" ({reason})"));
            format!("it ended with exit code {}{}", ended.exit_code, reason.unwrap_or_default())
        }
        None => "it failed".into(),
    }
}

#[cfg(test)]
mod tests;
