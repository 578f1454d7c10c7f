//! What an API server is asked for, where one object cannot be put back.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use kube::client::Body;
use serde_json::Value;

use super::*;
use crate::controller::reap;
use crate::resource::NODE_DOWN_TAINT;

/// The StatefulSets that are there, each with a change that is past its deadline.
fn changed() -> Value {
    let undo = Undo {
        run: "r".into(),
        injection: "r.s.0.set".into(),
        deadline: Timestamp::UNIX_EPOCH,
        patch: json!({ "spec": { "replicas": 3 } }),
    };
    let set = |name: &str| json!({ "metadata": { "name": name, "namespace": "shop", "annotations": { UNDO_ANNOTATION: undo.write() } } });
    json!([set("first"), set("second")])
}

fn tainted() -> Value {
    let taint = json!({ "key": NODE_DOWN_TAINT, "value": "r", "effect": "NoExecute" });
    json!({ "metadata": { "name": "tainted" }, "spec": { "taints": [taint] } })
}

/// An API server with these StatefulSets and one node, which lets nobody touch the first one.
fn answer(method: &str, path: &str) -> (u16, Value) {
    match (method, path.rsplit('/').next()) {
        ("PATCH", Some("first")) => (
            422,
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "code": 422 }),
        ),
        ("PATCH", Some(name)) => (200, json!({ "metadata": { "name": name } })),
        (_, Some("statefulsets")) => (200, json!({ "metadata": {}, "items": changed() })),
        // Taken away by a fault, and somebody has removed the annotation that says how it is given back.
        (_, Some("nodes")) => (200, json!({ "metadata": {}, "items": [tainted()] })),
        (_, Some("tainted")) => (200, tainted()),
        _ => (200, json!({ "metadata": {}, "items": [] })),
    }
}

fn scripted() -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (method, path) = (request.method().as_str(), request.uri().path());
        heard.lock().expect("nobody panics with it").push(format!("{method} {path}"));
        let (code, object) = answer(method, path);
        let answer = Response::builder().status(code).body(Full::new(Bytes::from(object.to_string())));
        std::future::ready(answer)
    });
    (Client::new(service, "shop"), asked)
}

#[tokio::test]
async fn an_object_that_cannot_be_put_back_keeps_nobody_from_the_others() {
    let (client, asked) = scripted();
    let reaped = reap::reap(&client, &Scope::Namespace("shop".into()), Timestamp::now()).await;
    let trouble = reaped.expect_err("the first one stays as it is").to_string();
    assert_eq!(trouble, "could not put an object back");
    let asked = asked.lock().expect("nobody panics with it");
    for wanted in [
        "PATCH /apis/apps/v1/namespaces/shop/statefulsets/second",
        "GET /api/v1/namespaces/shop/persistentvolumeclaims",
        "GET /apis/seatrial.dev/v1alpha1/namespaces/shop/injections",
        "GET /apis/coordination.k8s.io/v1/namespaces/shop/leases",
    ] {
        assert!(asked.iter().any(|request| request == wanted), "{wanted}: {asked:#?}");
    }
}

#[tokio::test]
async fn a_node_that_does_not_say_how_it_is_given_back_is_named_by_whoever_takes_everything_back() {
    let mut round = Round::default();
    nodes(&scripted().0, Whose::PastDeadline(Timestamp::MAX), &mut round).await;
    let undone = round.end().expect("no request failed");
    assert_eq!(undone.back, Vec::<String>::new());
    let [stuck] = &undone.stuck[..] else { panic!("{:?}", undone.stuck) };
    assert!(stuck.starts_with("Node tainted: it carries our taint, but the annotation"), "{stuck}");
}
