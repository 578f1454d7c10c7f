//! Who may stop a run, and how they say so.

use std::future::ready;

use futures::StreamExt;
use futures::stream::select_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Options;
use crate::platform::kubernetes::watching::watch;
use crate::resource::{ABORT_ANNOTATION, Experiment, Halt};
use crate::run::Stop;

/// A message for each who wants the run to stop, with the reason; a reason that is repeated is told once. Whoever deletes
/// one of the StatefulSets `broken` that the run acts on wants that as well.
pub(super) fn listen(
    client: &Client,
    object: &Experiment,
    broken: &[&str],
    options: &Options,
) -> mpsc::Receiver<Stop> {
    let (sender, receiver) = mpsc::channel(4);
    let uid = object.uid();
    let itself = Config::default().fields(&format!("metadata.name={}", options.experiment));
    let objects: Api<Experiment> = Api::namespaced(client.clone(), &options.namespace);
    let mut experiments = watch(objects, itself, "the Experiment");
    let mut halts = watch(Api::<Halt>::all(client.clone()), Config::default(), "Halts");
    let ends = broken.iter().map(|set| {
        let itself = Config::default().fields(&format!("metadata.name={set}"));
        let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &options.namespace);
        let mut broken = Broken::default();
        let events = watch(sets, itself, "whether the StatefulSet is deleted");
        events.filter_map(move |event| ready(broken.hear(event)))
    });
    let mut ends = select_all(ends);
    tokio::spawn(async move {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::warn!("signals cannot be heard: SIGTERM will end the runner at once");
            return;
        };
        let mut told = Vec::new();
        // Whether a list that is arriving has the Experiment in it.
        let mut is_there = true;
        loop {
            let reason = tokio::select! {
                Some(event) = experiments.next() => asked(event, uid.as_deref(), &mut is_there),
                Some(reason) = ends.next() => Some(reason),
                Some(event) = halts.next() => halted(event),
                _ = terminate.recv() => Some("the runner was told to end (SIGTERM)".to_owned()),
                _ = interrupt.recv() => {
                    if sender.send(Stop::Interrupt).await.is_err() {
                        return;
                    }
                    None
                }
            };
            let Some(reason) = reason.filter(|reason| !told.contains(reason)) else {
                continue;
            };
            told.push(reason.clone());
            if sender.send(Stop::Because(reason)).await.is_err() {
                return;
            }
        }
    });
    receiver
}

fn asked(event: Event<Experiment>, uid: Option<&str>, is_there: &mut bool) -> Option<String> {
    let deleted = || Some("the Experiment was deleted".to_owned());
    let object = match event {
        Event::Apply(object) => object,
        Event::InitApply(object) => {
            *is_there = true;
            object
        }
        Event::Init => {
            *is_there = false;
            return None;
        }
        Event::InitDone if *is_there => return None,
        Event::Delete(_) | Event::InitDone => return deleted(),
    };
    if object.metadata.deletion_timestamp.is_some() || object.uid().as_deref() != uid {
        return deleted();
    }
    let reason = object.annotations().get(ABORT_ANNOTATION)?;
    Some(match reason.trim() {
        "" => format!("the annotation {ABORT_ANNOTATION} asks for it"),
        reason => format!("the annotation {ABORT_ANNOTATION} asks for it: {reason}"),
    })
}

/// A StatefulSet that the run breaks, as far as it was seen.
#[derive(Default)]
struct Broken {
    seen: Option<(String, String)>,
    /// Whether a list that is arriving has it.
    is_listed: bool,
}

impl Broken {
    /// Notices that it is deleted, or was replaced by another one of its name. One that never was there is another matter.
    fn hear(&mut self, event: Event<StatefulSet>) -> Option<String> {
        let is_gone = match event {
            Event::Init => {
                self.is_listed = false;
                false
            }
            Event::InitDone => !self.is_listed,
            Event::Delete(_) => true,
            Event::Apply(set) | Event::InitApply(set) => {
                self.is_listed = true;
                let seen = (set.name_any(), set.uid().unwrap_or_default());
                let is_another = self.seen.get_or_insert_with(|| seen.clone()) != &seen;
                is_another || set.metadata.deletion_timestamp.is_some()
            }
        };
        let (name, _) = self.seen.as_ref().filter(|_| is_gone)?;
        Some(format!("StatefulSet {name} was deleted in the middle of the run"))
    }
}

fn halted(event: Event<Halt>) -> Option<String> {
    let halt = match event {
        Event::Apply(halt) | Event::InitApply(halt) => halt,
        Event::Delete(_) | Event::Init | Event::InitDone => return None,
    };
    let name = halt.name_any();
    Some(match &halt.spec.reason {
        Some(reason) => format!("Halt `{name}` exists: {reason}"),
        None => format!("Halt `{name}` exists"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{ExperimentSpec, HaltSpec};

    fn object(annotations: &[(&str, &str)]) -> Experiment {
        let mut object = Experiment::new("x", ExperimentSpec { written: serde_json::Map::new() });
        object.metadata.uid = Some("u".into());
        for (key, value) in annotations {
            object.annotations_mut().insert((*key).into(), (*value).into());
        }
        object
    }

    #[test]
    fn the_annotation_stops_with_its_reason() {
        let quiet = asked(Event::Apply(object(&[])), Some("u"), &mut true);
        assert_eq!(quiet, None);
        let event = Event::Apply(object(&[(ABORT_ANNOTATION, "too slow")]));
        let reason = asked(event, Some("u"), &mut true).expect("it asks");
        assert!(reason.ends_with("asks for it: too slow"), "{reason}");
    }

    #[test]
    fn a_deletion_is_noticed_even_where_its_event_was_missed() {
        let mut is_there = true;
        assert_eq!(asked(Event::Init, Some("u"), &mut is_there), None);
        assert!(asked(Event::InitDone, Some("u"), &mut is_there).is_some(), "it is in no list");
        assert!(asked(Event::Apply(object(&[])), Some("old"), &mut is_there).is_some(), "another one");
        assert!(asked(Event::Delete(object(&[])), Some("u"), &mut is_there).is_some());
    }

    #[test]
    fn the_end_of_the_target_is_the_end_of_the_run() {
        let set = |uid: &str| {
            let mut set = StatefulSet::default();
            (set.metadata.name, set.metadata.uid) = (Some("db".into()), Some(uid.into()));
            set
        };
        let list = |broken: &mut Broken, found: Vec<StatefulSet>| {
            broken.hear(Event::Init);
            let told: Vec<_> =
                found.into_iter().filter_map(|set| broken.hear(Event::InitApply(set))).collect();
            broken.hear(Event::InitDone).or(told.into_iter().next())
        };
        let mut broken = Broken::default();
        assert_eq!(list(&mut broken, Vec::new()), None, "it never was there");
        assert_eq!(list(&mut broken, vec![set("a")]), None);
        let said = Some("StatefulSet db was deleted in the middle of the run".to_owned());
        assert_eq!(list(&mut broken, Vec::new()), said, "its event was missed");
        assert_eq!(broken.hear(Event::Delete(set("a"))), said);
        assert_eq!(broken.hear(Event::Apply(set("b"))), said, "another one of its name");
        let mut going = set("a");
        going.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(broken.hear(Event::Apply(going)), said, "it goes when its pods are gone");
    }

    #[test]
    fn any_halt_stops() {
        let halt = Halt::new("all", HaltSpec { reason: Some("maintenance".into()) });
        assert_eq!(halted(Event::InitApply(halt)).as_deref(), Some("Halt `all` exists: maintenance"));
    }
}
