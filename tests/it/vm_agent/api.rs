//! An API server, as far as one agent asks one: Injections that are watched and whose statuses are written, one pod, and
//! what the agent says of its node. Who may do what is for the tests of a real one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use seatrial::api::{InjectionSpec, InjectionState, InjectionStatus};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::node_fixture::eventually;

const NAMESPACE: &str = "databases";
const UID: &str = "6f9d3c1e-0000-4000-8000-000000000001";

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Serves for as long as it is there.
pub struct Api {
    kept: Arc<Kept>,
    pub port: u16,
    _runtime: Runtime,
}

/// What a real one keeps in etcd.
struct Kept {
    pod: Value,
    objects: Mutex<Objects>,
    /// How many changes there were; the version of an object is the number of its last one.
    versions: watch::Sender<usize>,
}

#[derive(Default)]
struct Objects {
    injections: BTreeMap<String, Value>,
    /// As it was last written.
    node_agent: Value,
    /// Of Injections, each as a watch tells it.
    changes: Vec<Value>,
}

impl Api {
    /// One that knows this pod.
    pub fn serve(pod: Value) -> Self {
        let kept = Kept { pod, objects: Mutex::default(), versions: watch::Sender::new(0) };
        let kept = Arc::new(kept);
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = threads.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        runtime.spawn(accept(listener, Arc::clone(&kept)));
        Self { kept, port, _runtime: runtime }
    }

    /// Creates or changes an Injection.
    pub fn put(&self, spec: &InjectionSpec) {
        let mut objects = self.kept.objects();
        let status = objects.injections.get(&spec.name).map(|known| known["status"].clone());
        let kind = if status.is_some() { "MODIFIED" } else { "ADDED" };
        let object = json!({ "apiVersion": "seatrial.dev/v1alpha1", "kind": "Injection", "spec": spec,
            "metadata": { "name": spec.name, "namespace": NAMESPACE, "uid": UID }, "status": status });
        self.kept.change(&mut objects, kind, object);
    }

    fn status(&self, name: &str) -> Option<InjectionStatus> {
        let status = self.kept.objects().injections.get(name)?["status"].clone();
        serde_json::from_value(status).expect("the agent writes statuses")
    }

    pub fn await_state(&self, name: &str, state: InjectionState) -> InjectionStatus {
        eventually(&format!("{name} is {state:?}"), Duration::from_secs(20), || {
            let status = self.status(name)?;
            let is_over = status.state == InjectionState::Failed && state != InjectionState::Failed;
            assert!(!is_over, "{name}: {:?}", status.error);
            (status.state == state).then_some(status)
        })
    }

    /// What the agent has said of its node, once it has.
    pub fn node_agent(&self) -> Value {
        eventually("the agent tells what it can do", Duration::from_secs(30), || {
            let told = self.kept.objects().node_agent.clone();
            told["status"].is_object().then_some(told)
        })
    }

    /// Forgets that, so that the next agent has to say it.
    pub fn forget_agent(&self) {
        self.kept.objects().node_agent = Value::Null;
    }
}

impl Kept {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().expect("no holder panics")
    }

    fn change(&self, objects: &mut Objects, kind: &str, mut object: Value) -> Value {
        let version = objects.changes.len() + 1;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        objects.changes.push(json!({ "type": kind, "object": object }));
        let name = object["metadata"]["name"].as_str().expect("it has one").to_owned();
        objects.injections.insert(name, object.clone());
        self.versions.send_replace(version);
        object
    }

    fn answer(self: Arc<Self>, method: &Method, path: &str, query: &str, body: &[u8]) -> Answer {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method.as_str(), words.as_slice()) {
            ("GET", ["apis", _, _, kind @ ("injections" | "halts")]) => match query_word(query, "watch") {
                Some("true") => self.watch(kind, query),
                _ => whole(StatusCode::OK, &self.list(kind)),
            },
            ("GET", ["api", "v1", "nodes", name]) => whole(
                StatusCode::OK,
                &json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                    "metadata": { "name": name, "uid": UID } }),
            ),
            ("GET", ["api", "v1", "namespaces", _, "pods", _]) => whole(StatusCode::OK, &self.pod),
            ("GET", ["apis", _, _, "namespaces", _, "injections", name]) => {
                let found = self.objects().injections.get(*name).cloned();
                found.map_or_else(|| failure(StatusCode::NOT_FOUND), |found| whole(StatusCode::OK, &found))
            }
            ("PATCH", ["apis", _, _, "namespaces", _, "injections", name, "status"]) => {
                self.write_status(name, &body)
            }
            ("PATCH", ["apis", _, _, "nodeagents", name, ..]) => {
                let mut object = body;
                object["metadata"]["name"] = (*name).into();
                object["spec"] = json!({});
                self.objects().node_agent = object.clone();
                whole(StatusCode::OK, &object)
            }
            _ => failure(StatusCode::NOT_FOUND),
        }
    }

    /// Only onto the version that the writer has seen.
    fn write_status(&self, name: &str, patch: &Value) -> Answer {
        let mut objects = self.objects();
        let Some(mut object) = objects.injections.get(name).cloned() else {
            return failure(StatusCode::NOT_FOUND);
        };
        if object["metadata"]["resourceVersion"] != patch["metadata"]["resourceVersion"] {
            return failure(StatusCode::CONFLICT);
        }
        object["status"] = patch["status"].clone();
        whole(StatusCode::OK, &self.change(&mut objects, "MODIFIED", object))
    }

    fn list(&self, kind: &str) -> Value {
        let objects = self.objects();
        let items: Vec<&Value> =
            if kind == "injections" { objects.injections.values().collect() } else { Vec::new() };
        json!({ "apiVersion": "seatrial.dev/v1alpha1", "kind": "List", "items": items,
            "metadata": { "resourceVersion": objects.changes.len().to_string() } })
    }

    /// Every change since the version that is asked for, as it comes. Halts never do.
    fn watch(self: Arc<Self>, kind: &str, query: &str) -> Answer {
        let since = query_word(query, "resourceVersion").and_then(|version| version.parse().ok());
        let next = if kind == "injections" { since.unwrap_or(0) } else { usize::MAX };
        let versions = self.versions.subscribe();
        let told = stream::unfold((self, versions, next), |(kept, mut versions, next)| async move {
            versions.wait_for(|version| *version > next).await.ok()?;
            let line = format!("{}\n", kept.objects().changes[next]);
            Some((Ok(Frame::data(Bytes::from(line))), (kept, versions, next + 1)))
        });
        Response::new(StreamBody::new(told).boxed_unsync())
    }
}

async fn accept(listener: TcpListener, kept: Arc<Kept>) {
    while let Ok((stream, _)) = listener.accept().await {
        let kept = Arc::clone(&kept);
        let service = service_fn(move |request: Request<Incoming>| {
            let kept = Arc::clone(&kept);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
                let query = head.uri.query().unwrap_or_default();
                Ok::<_, Infallible>(kept.answer(&head.method, head.uri.path(), query, &body))
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn query_word<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, word)| word)
}

fn whole(code: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())).boxed_unsync());
    *answer.status_mut() = code;
    answer
}

fn failure(code: StatusCode) -> Answer {
    let reason = code.canonical_reason().unwrap_or_default();
    whole(
        code,
        &json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(),
            "reason": reason, "message": reason }),
    )
}
