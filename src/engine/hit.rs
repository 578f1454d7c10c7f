//! One member that a fault hits, whichever way: through its node or through the platform.

use crate::api::{InjectionStatus, Nanos, Ordinal};
use crate::fault::Action;

use super::deletion::Deletion;
use super::injecting::Injecting;
use super::scene::Scene;
use crate::experiment::{Alternative, Step};
use std::time::Duration;

/// How far a hit is on its way into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arming {
    /// Asked for; not proven yet.
    Pending,
    /// Its effect was observed.
    Proven,
    /// It will not come into force.
    Failed(String),
}

/// A member and what is done to it.
#[derive(Debug)]
pub(super) enum Hit {
    /// Its node makes it so, or the run through the API server.
    Node(Box<Injecting>),
    /// The platform deletes its pod.
    Platform(Deletion),
}

impl Hit {
    /// Asks for it. The member, if one is meant, has a running pod: who decides has checked that.
    pub(super) fn start(
        step: &Step,
        what: &Alternative,
        occurrence: u32,
        whom: Option<Ordinal>,
        action: &Action,
        scene: &mut Scene<'_>,
    ) -> Option<Self> {
        match action {
            Action::DeletePod { grace } => {
                let set = scene.brief.which(step);
                Deletion::start(set, whom?, *grace, step.follow, scene).map(Self::Platform)
            }
            Action::Host(_) | Action::Cut { .. } | Action::Shape { .. } | Action::Api(_) => {
                Injecting::start(step, what, occurrence, whom, action, scene)
                    .map(|hit| Self::Node(Box::new(hit)))
            }
        }
    }

    /// Takes a status in, if it is about this hit.
    pub(super) fn hear(&mut self, name: &str, status: &InjectionStatus, scene: &Scene<'_>) {
        match self {
            Self::Node(hit) if hit.name() == name => hit.hear(status, scene),
            Self::Node(_) | Self::Platform(_) => {}
        }
    }

    /// Reacts to what changed: follows pods and addresses, asks again.
    pub(super) fn advance(&mut self, scene: &mut Scene<'_>) {
        match self {
            Self::Node(hit) => hit.advance(scene),
            Self::Platform(deletion) => deletion.advance(scene),
        }
    }

    /// How far it is on its way into force.
    pub(super) fn arming(&self) -> Arming {
        match self {
            Self::Node(hit) => hit.arming(),
            Self::Platform(deletion) => deletion.arming(),
        }
    }

    /// What is said of one that is not in force yet, where it is said why.
    pub(super) fn excuse(&self) -> Option<String> {
        match self {
            Self::Node(hit) => hit.excuse(),
            Self::Platform(_) => None,
        }
    }

    /// Whether it goes on until it is done, and is not done yet.
    pub(super) fn is_still_going_on(&self) -> bool {
        match self {
            Self::Node(hit) => hit.is_still_going_on(),
            Self::Platform(_) => false,
        }
    }

    /// Asks for its end.
    pub(super) fn end(&mut self, scene: &mut Scene<'_>) {
        match self {
            Self::Node(hit) => hit.revert(scene),
            Self::Platform(deletion) => deletion.end(scene),
        }
    }

    /// Whether nothing of it is left, or nobody waits for it any more.
    pub(super) fn is_over(&self, scene: &Scene<'_>) -> bool {
        match self {
            Self::Node(hit) => hit.is_reverted(),
            Self::Platform(deletion) => deletion.is_over(scene),
        }
    }

    /// Whether what it took away is there again, as far as that belongs to it.
    pub(super) fn is_replaced(&self, scene: &Scene<'_>) -> bool {
        match self {
            Self::Node(_) => true,
            Self::Platform(deletion) => deletion.is_over(scene),
        }
    }

    /// Why its effect does not count as proven for the time `asked`, if so.
    pub(super) fn shortfall(&self, asked: Duration) -> Option<String> {
        match self {
            Self::Node(hit) => hit.shortfall(asked),
            Self::Platform(deletion) => deletion.shortfall(),
        }
    }

    /// When it has to be looked at next; a deleted pod's successor may take as long as `replace`.
    pub(super) fn timer(&self, replace: Duration) -> Option<Nanos> {
        match self {
            Self::Node(hit) => hit.timer(),
            Self::Platform(deletion) => deletion.timer(replace),
        }
    }
}
