use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use kube::client::Body;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::platform::kubernetes::claims::Mounts;

fn known<K: kube::Resource + serde::de::DeserializeOwned>(objects: &[Value]) -> Known<K> {
    let mut known = Known::default();
    known.hear(Event::Init);
    for object in objects {
        known
            .hear(Event::InitApply(serde_json::from_value(object.clone()).expect("an object of Kubernetes")));
    }
    known.hear(Event::InitDone);
    known
}

fn claim(name: &str, volume: &str, phase: &str) -> Value {
    json!({
        "metadata": { "name": name, "uid": format!("uid-{name}") },
        "spec": { "volumeName": volume },
        "status": { "phase": phase },
    })
}

fn attachment(name: &str, volume: &str, node: &str, status: &Value) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "attacher": "d", "nodeName": node, "source": { "persistentVolumeName": volume } },
        "status": status,
    })
}

#[test]
fn a_volume_that_is_being_detached_is_not_attached_and_each_node_has_its_own_reason() {
    let (_sender, mounts) = watch::channel(Mounts::new());
    let owners = Owners::new("db".into(), vec!["data".into()], mounts);
    let status = json!({ "attached": true, "detachError": { "message": "it is in use" } });
    let mut leaving = attachment("a", "pv-0", "n1", &status);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let failed = json!({ "attached": false, "attachError": { "message": "the disk is busy" } });
    let attachments = [leaving, attachment("b", "pv-0", "n2", &failed)];
    let claims = known(&[claim("data-db-0", "pv-0", "Bound")]);
    let told = claimed(&owners, &claims, &known(&attachments), &BTreeMap::new());
    assert_eq!(told[0].nodes, [""; 0]);
    let errors = [("n1", "it is in use"), ("n2", "the disk is busy")];
    assert_eq!(told[0].errors, errors.map(|(node, why)| (node.into(), why.into())).into());
}

#[test]
fn a_claim_is_told_without_attachments_and_when_its_deletion_is_asked_for() {
    let (_sender, mounts) = watch::channel(Mounts::new());
    let owners = Owners::new("db".into(), vec!["data".into()], mounts);
    let mut held = claim("data-db-0", "pv-0", "Bound");
    held["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let claims = known(&[held, claim("data-db-1", "pv-1", "Bound")]);
    let attachable = BTreeMap::from([("pv-0".to_owned(), true), ("pv-1".to_owned(), true)]);
    let told = claimed(&owners, &claims, &Known::default(), &attachable);
    let told: Vec<_> = told.iter().map(|claim| (claim.deleted, claim.attachable)).collect();
    assert_eq!(told, [(true, false), (false, false)]);
}

#[test]
fn a_claim_is_told_with_the_nodes_that_have_its_volume_and_with_what_the_attacher_says() {
    let mounts = Mounts::from([("shared".to_owned(), BTreeSet::from([0, 1]))]);
    let (_sender, mounts) = watch::channel(mounts);
    let owners = Owners::new("db".into(), vec!["data".into()], mounts);
    let objects = [
        claim("data-db-0", "pv-0", "Bound"),
        claim("data-db-1", "pv-1", "Lost"),
        claim("of-somebody-else", "pv-9", "Bound"),
        claim("shared", "", "Pending"),
    ];
    let failed = json!({ "attached": false, "attachError": { "message": "the disk is busy" } });
    let attachments = [
        attachment("a", "pv-0", "n1", &json!({ "attached": true })),
        attachment("b", "pv-0", "n2", &failed),
        attachment("c", "pv-9", "n1", &json!({ "attached": true })),
    ];
    let attachable = BTreeMap::from([("pv-0".to_owned(), true), ("pv-1".to_owned(), false)]);
    let told = claimed(&owners, &known(&objects), &known(&attachments), &attachable);
    let volume = |ordinal: Ordinal| ClaimedVolume {
        claim: format!("data-db-{ordinal}"),
        ordinal: Some(ordinal),
        uid: format!("uid-data-db-{ordinal}"),
        deleted: false,
        lost: false,
        attachable: false,
        nodes: Vec::new(),
        errors: BTreeMap::new(),
    };
    let first = ClaimedVolume {
        attachable: true,
        nodes: vec!["n1".into()],
        errors: BTreeMap::from([("n2".into(), "the disk is busy".into())]),
        ..volume(0)
    };
    let shared =
        |ordinal| ClaimedVolume { claim: "shared".into(), uid: "uid-shared".into(), ..volume(ordinal) };
    let second = ClaimedVolume { lost: true, ..volume(1) };
    assert_eq!(told, [first, second, shared(0), shared(1)]);
}

/// An API server that answers these requests with a status and an object, and leaves all others without an answer.
fn server(answer: impl Fn(&str) -> Option<(u16, Value)> + Send + 'static) -> Client {
    let answers = tower::service_fn(move |request: Request<Body>| {
        let answer = answer(&request.uri().to_string());
        async move {
            let Some((status, object)) = answer else { return std::future::pending().await };
            let response = Response::builder().status(status).body(Full::<Bytes>::from(object.to_string()));
            Ok::<_, Infallible>(response.expect("it is a response"))
        }
    });
    Client::new(answers, "default")
}

/// The list of one claim, of a volume `pv-0`.
fn claims() -> Value {
    list("v1", "PersistentVolumeClaim", &[claim("data-db-0", "pv-0", "Bound")])
}

fn list(version: &str, kind: &str, items: &[Value]) -> Value {
    json!({
        "apiVersion": version, "kind": format!("{kind}List"), "metadata": { "resourceVersion": "1" },
        "items": items,
    })
}

/// Follows claims of the set `db`, as long as what tells its mounts is there.
fn following(client: Client) -> (watch::Sender<Mounts>, mpsc::Receiver<Volumes>) {
    let (sender, mounts) = watch::channel(Mounts::new());
    (sender, follow(client, "default", Owners::new("db".into(), vec!["data".into()], mounts)))
}

/// Waits until what a test waits for is told.
async fn until(told: &mut mpsc::Receiver<Volumes>, is_meant: fn(&Volumes) -> bool) {
    let found = async { while !is_meant(&told.recv().await.expect("it goes on")) {} };
    timeout(Duration::from_secs(20), found).await.expect("it is told");
}

#[tokio::test]
async fn a_claim_is_told_while_nobody_says_whether_its_volume_is_attached() {
    let client = server(|uri| uri.contains("/persistentvolumeclaims?&limit").then(|| (200, claims())));
    let (_sender, mut told) = following(client);
    until(&mut told, |now| now.claims[0].claim == "data-db-0" && !now.claims[0].attachable).await;
}

#[tokio::test]
async fn whether_a_volume_is_attached_is_told_when_it_is_known() {
    let client = server(|uri| {
        let found = if uri.contains("/persistentvolumeclaims?&limit") {
            claims()
        } else if uri.contains("/volumeattachments?&limit") {
            list("storage.k8s.io/v1", "VolumeAttachment", &[])
        } else if uri.contains("/persistentvolumes/pv-0") {
            json!({ "metadata": { "name": "pv-0" }, "spec": { "csi": { "driver": "d", "volumeHandle": "v" } } })
        } else if uri.contains("/csidrivers/d") {
            json!({ "metadata": { "name": "d" }, "spec": { "attachRequired": true } })
        } else {
            return None;
        };
        Some((200, found))
    });
    let (_sender, mut told) = following(client);
    until(&mut told, |now| now.claims[0].attachable).await;
}

#[tokio::test]
async fn it_is_told_when_nothing_is_heard_and_afterwards_what_is_true_by_then() {
    let refused = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
    });
    let is_refused = Arc::new(AtomicBool::new(true));
    let still_refused = Arc::clone(&is_refused);
    let client = server(move |uri| {
        let is_refused = still_refused.load(Ordering::Relaxed);
        if uri.contains("limit=500") && uri.contains("/persistentvolumeclaims?") {
            let none = list("v1", "PersistentVolumeClaim", &[]);
            Some((200, if is_refused { claims() } else { none }))
        } else if uri.contains("limit=1") && is_refused {
            Some((403, refused.clone()))
        } else {
            let kind = if uri.contains("limit=1") { "PartialObjectMetadata" } else { return None };
            Some((200, list("meta.k8s.io/v1", kind, &[])))
        }
    });
    let (_sender, mut told) = following(client);
    until(&mut told, |now| now.unheard && now.claims.len() == 1).await;
    is_refused.store(false, Ordering::Relaxed);
    // No watch has said that the claim is gone.
    until(&mut told, |now| !now.unheard && now.claims.is_empty()).await;
}
