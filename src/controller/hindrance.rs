//! What keeps a runner's pod from starting although a node has it: the kubelet says so in events and nowhere else.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::trouble::{Doing, Trouble};

/// What the kubelet says of volumes that it cannot mount.
const FAILED_MOUNT: &str = "FailedMount";

/// In a sentence, if the kubelet has said something.
pub async fn of(client: &Client, pod: &Pod) -> Result<Option<String>, Trouble> {
    let events: Api<Event> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let uid = pod.uid().unwrap_or_default();
    let its_own = ListParams::default().fields(&format!("involvedObject.uid={uid},reason={FAILED_MOUNT}"));
    let found = events.list(&its_own).await.doing("read what the kubelet says of the runner's pod")?;
    let said: Vec<_> = found.items.iter().filter_map(|event| event.message.as_deref()).collect();
    Ok(sentence(&said, &pod.namespace().unwrap_or_default()))
}

/// The most telling of the kubelet's messages. It also says that it has waited for long, which tells nothing.
fn sentence(said: &[&str], namespace: &str) -> Option<String> {
    let telling = said.iter().find(|message| message.contains(" : "));
    // MountVolume.SetUp failed for volume "secret-0" : secret "etcd-tls" not found
    let why = telling.or_else(|| said.first())?.rsplit(" : ").next()?;
    Some(match absent(why) {
        Some(secret) => format!(
            "there is no Secret {secret} in namespace {namespace}: create it, and the runner starts by itself"
        ),
        None => why.to_owned(),
    })
}

/// The name of a Secret that is not there.
fn absent(why: &str) -> Option<&str> {
    let rest = why.strip_suffix(" not found")?.rsplit_once("secret ")?.1;
    let name = rest.trim_matches('"');
    (!name.is_empty()).then(|| name.rsplit('/').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_missing_is_named_with_what_to_do() {
        let waited = "Unable to attach or mount volumes: unmounted volumes=[secret-0]: timed out";
        let failed = "MountVolume.SetUp failed for volume \"secret-0\" : secret \"etcd-tls\" not found";
        let told = sentence(&[waited, failed], "db").expect("something is said");
        assert!(told.starts_with("there is no Secret etcd-tls in namespace db: "), "{told}");
    }

    #[test]
    fn whatever_else_the_kubelet_says_is_passed_on() {
        let failed = "MountVolume.SetUp failed for volume \"journal\" : no space left on device";
        assert_eq!(sentence(&[failed], "db").as_deref(), Some("no space left on device"));
        assert_eq!(sentence(&["something else"], "db").as_deref(), Some("something else"));
        assert_eq!(sentence(&[], "db"), None);
    }
}
