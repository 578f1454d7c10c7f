//! Real members that talk over real sockets and write real files, in one process.

mod cluster;
mod survives;

use axum::http::Method;
use cluster::Cluster;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn takes_any_request_at_any_member() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    for id in 0..3 {
        let key = format!("/v1/kv/team/{id}%20x");
        let written = cluster.ask(id, Method::PUT, &key, Some(json!({"value": id}))).await;
        assert_eq!(written, (200, json!({"applied": "yes"})));
        let read = cluster.ask((id + 1) % 3, Method::GET, &key, None).await;
        let expected =
            json!({"key": format!("team/{id} x"), "found": true, "value": id, "served_by": leader});
        assert_eq!(read, (200, expected));
    }
    let swap = json!({"expect": 1, "value": "new"});
    let first = cluster.ask(0, Method::POST, "/v1/kv/team/1%20x/cas", Some(swap.clone())).await;
    assert_eq!(first, (200, json!({"applied": "yes", "swapped": true, "current": "new"})));
    let second = cluster.ask(1, Method::POST, "/v1/kv/team/1%20x/cas", Some(swap)).await;
    assert_eq!(second, (200, json!({"applied": "yes", "swapped": false, "current": "new"})));
    let absent = json!({"expect": null, "value": 7});
    let third = cluster.ask(2, Method::POST, "/v1/kv/other/cas", Some(absent)).await;
    assert_eq!(third, (200, json!({"applied": "yes", "swapped": true, "current": 7})));

    let (_, list) = cluster.ask(2, Method::GET, "/v1/kv?prefix=team/", None).await;
    assert_eq!(list["entries"], json!({"team/0 x": 0, "team/1 x": "new", "team/2 x": 2}));
    let deleted = cluster.ask(1, Method::DELETE, "/v1/kv?prefix=team/", None).await;
    assert_eq!(deleted, (200, json!({"applied": "yes", "deleted": 3})));
    let (_, list) = cluster.ask(0, Method::GET, "/v1/kv", None).await;
    assert_eq!(list["entries"], json!({"other": 7}));
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_is_wrong_with_a_request() {
    let cluster = Cluster::start(1, &[]).await;
    cluster.leader().await;
    let long = "k".repeat(513);
    let big = json!({"value": "v".repeat(64 * 1024 + 1)});
    let cases = [
        (Method::PUT, "/v1/kv/a", Some(json!({"value": null})), 400, "a JSON number or a string"),
        (Method::PUT, "/v1/kv/a", Some(json!({"value": 1, "ttl": 3})), 400, "unknown field `ttl`"),
        (Method::PUT, "/v1/kv/a", Some(big), 400, "at most 65536 bytes"),
        (Method::PUT, &format!("/v1/kv/{long}"), Some(json!({"value": 1})), 400, "1 to 512 bytes"),
        (Method::POST, "/v1/kv/a/cas", Some(json!({"value": 1})), 400, "missing field `expect`"),
        (Method::POST, "/v1/kv/a", Some(json!({"value": 1})), 400, "use PUT to set a key"),
        (Method::GET, "/v1/kv/a?read=fast", None, 400, "read=linearizable or read=local"),
        (Method::DELETE, "/v1/kv", None, 400, "DELETE /v1/kv?prefix=P"),
        (Method::GET, "/v2/kv/a", None, 404, "GET /v1/members"),
        (Method::PATCH, "/v1/kv/a", None, 404, "no such method"),
    ];
    for (method, target, body, status, part) in cases {
        let (got, answer) = cluster.ask(0, method, target, body).await;
        let text = answer["error"].as_str().unwrap_or_default();
        assert!(got == status && text.contains(part), "{target}: {got} {answer}");
        assert_eq!(answer["applied"], "no");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_its_own_view() {
    let cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    cluster.put(0, "a", 1).await;
    for id in 0..3 {
        cluster
            .until(id, "has applied the write", |view| view.applied >= Some(2) && view.committed >= Some(2))
            .await;
        let view = cluster.view(id).await;
        assert_eq!((view.id, view.leader, view.voter), (id, Some(leader), true));
        assert_eq!(view.role == super::http::health::Role::Leader, id == leader);
        assert_eq!(cluster.status(id, "/readyz").await, 200);
        assert_eq!(cluster.status(id, "/healthz").await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_no_write_and_no_linearizable_read_without_a_majority() {
    let mut cluster = Cluster::start(3, &[]).await;
    let leader = cluster.leader().await;
    cluster.put(leader, "a", 1).await;
    for other in (0..3).filter(|id| *id != leader) {
        cluster.stop(other).await;
    }
    let (status, answer) = cluster.ask(leader, Method::PUT, "/v1/kv/a", Some(json!({"value": 2}))).await;
    assert_eq!((status, &answer["applied"]), (504, &json!("unknown")), "{answer}");
    let (status, answer) = cluster.ask(leader, Method::GET, "/v1/kv/a", None).await;
    assert_eq!((status, &answer["applied"]), (503, &json!("no")), "{answer}");
    let (status, answer) = cluster.ask(leader, Method::GET, "/v1/kv/a?read=local", None).await;
    assert_eq!((status, &answer["value"]), (200, &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_reads_only_with_stale_read() {
    let mut cluster = Cluster::start(3, &["--bug", "stale-read"]).await;
    let leader = cluster.leader().await;
    cluster.put(leader, "a", 1).await;
    let left = (leader + 1) % 3;
    cluster.until(left, "has applied the write", |view| view.applied >= Some(2)).await;
    cluster.stop(leader).await;
    cluster.stop((leader + 2) % 3).await;
    let (status, answer) = cluster.ask(left, Method::GET, "/v1/kv/a?read=linearizable", None).await;
    assert_eq!((status, &answer["value"]), (200, &json!(1)), "nobody confirmed this read");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledges_alone_only_with_ack_before_quorum() {
    let mut cluster = Cluster::start(3, &["--bug", "ack-before-quorum"]).await;
    let leader = cluster.leader().await;
    cluster.put(leader, "a", 1).await;
    for other in (0..3).filter(|id| *id != leader) {
        cluster.stop(other).await;
    }
    for value in 2..20 {
        // Nobody else has any of them: the next leader will not either.
        cluster.put(leader, "a", value).await;
    }
    let swap = Some(json!({"expect": 1, "value": 2}));
    let (status, _) = cluster.ask(leader, Method::POST, "/v1/kv/a/cas", swap).await;
    assert_eq!(status, 504, "a compare-and-set needs its outcome");
}
