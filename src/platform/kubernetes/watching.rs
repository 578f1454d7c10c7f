//! Watches that never end: they begin again by themselves, and say when they could not.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, StreamExt, unfold};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

/// Between two tries. There is one watch of each kind in a process, so they need not be spread.
const PAUSE: Duration = Duration::from_secs(1);
/// After so many seconds a watch begins again where it was, so that a connection that died without a word is noticed.
const LIFETIME: u32 = 60;

/// Every event of a watch. `what` is watched, for the warning.
pub fn watch<K>(api: Api<K>, config: Config, what: &'static str) -> BoxStream<'static, Event<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let events = watcher(api, config.timeout(LIFETIME)).boxed();
    unfold((events, None::<Instant>), move |(mut events, mut silent_since)| async move {
        loop {
            match events.next().await? {
                Ok(event) => {
                    if let Some(since) = silent_since {
                        let seconds = since.elapsed().as_secs();
                        tracing::info!("{what}: heard of again, after {seconds} s");
                    }
                    return Some((event, (events, None)));
                }
                Err(error) => {
                    if silent_since.is_none() {
                        tracing::warn!(%error, "{what}: nothing is heard; what is known may be old");
                    }
                    silent_since.get_or_insert_with(Instant::now);
                    sleep(PAUSE).await;
                }
            }
        }
    })
    .boxed()
}

/// The objects of a watch, as far as they are known, by name.
#[derive(Debug)]
pub struct Known<K> {
    objects: BTreeMap<String, K>,
    /// A list that is still arriving.
    arriving: Option<BTreeMap<String, K>>,
    is_complete: bool,
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), arriving: None, is_complete: false }
    }
}

impl<K: Resource> Known<K> {
    /// Takes an event in. A list replaces everything once it is there as a whole.
    pub fn hear(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.arriving = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                self.arriving.get_or_insert_default().insert(object.name_any(), object);
            }
            Event::InitDone => {
                self.objects = self.arriving.take().unwrap_or_default();
                self.is_complete = true;
            }
            Event::Apply(object) => {
                self.objects.insert(object.name_any(), object);
            }
            Event::Delete(object) => {
                self.objects.remove(&object.name_any());
            }
        }
    }

    /// Whether everything that exists was heard of once.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The objects, by name.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        self.objects.values()
    }

    /// The only object, of a watch that has at most one.
    pub fn single(&self) -> Option<&K> {
        self.objects.values().next()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn pod(name: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.into());
        pod
    }

    fn names(known: &Known<Pod>) -> Vec<String> {
        known.iter().map(ResourceExt::name_any).collect()
    }

    #[test]
    fn a_list_replaces_what_was_known_only_when_it_is_whole() {
        let mut known = Known::default();
        for event in [Event::Init, Event::InitApply(pod("a")), Event::InitApply(pod("b"))] {
            known.hear(event);
            assert!(!known.is_complete());
        }
        known.hear(Event::InitDone);
        assert!(known.is_complete());
        known.hear(Event::Init);
        known.hear(Event::InitApply(pod("b")));
        assert_eq!(names(&known), ["a", "b"], "the new list is not there yet");
        known.hear(Event::InitDone);
        assert_eq!(names(&known), ["b"]);
        known.hear(Event::Apply(pod("c")));
        known.hear(Event::Delete(pod("b")));
        assert_eq!(names(&known), ["c"]);
    }
}
