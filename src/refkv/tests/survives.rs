//! Members go and come back.

use std::time::Duration;

use axum::http::Method;
use serde_json::json;

use super::cluster::Cluster;

async fn holds(cluster: &Cluster, id: u64, keys: u64) {
    let (status, list) = cluster.ask(id, Method::GET, "/v1/kv?prefix=k", None).await;
    assert_eq!(status, 200, "{list}");
    assert_eq!(list["entries"].as_object().expect("entries").len() as u64, keys);
}

/// Waits until a member has so many keys in its own state.
async fn comes_to_hold(cluster: &Cluster, id: u64, keys: usize) {
    let mut held = 0;
    for _ in 0..1000 {
        let (_, list) = cluster.ask(id, Method::GET, "/v1/kv?prefix=k&read=local", None).await;
        held = list["entries"].as_object().map_or(0, serde_json::Map::len);
        if held == keys {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(held, keys, "member {id} does not catch up");
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_with_another_leader_and_takes_the_old_one_back() {
    let mut cluster = Cluster::start(3, &[]).await;
    let first = cluster.leader().await;
    for key in 0..20 {
        cluster.put(key % 3, &format!("k{key}"), key).await;
    }
    let term = cluster.view(first).await.term;
    cluster.stop(first).await;
    let second = cluster.leader().await;
    assert_ne!(first, second);
    assert!(cluster.view(second).await.term > term);
    for key in 20..40 {
        cluster.put(second, &format!("k{key}"), key).await;
    }
    cluster.restart(first).await;
    cluster.leader().await;
    holds(&cluster, first, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_campaign_at_the_same_moment_do_not_divide_the_votes_for_ever() {
    // Both that are left have the same timeout, and look at it at the same moment.
    let hasty = ["--election-min", "599ms", "--election-max", "600ms", "--heartbeat", "200ms"];
    for _ in 0..2 {
        let mut cluster = Cluster::start(3, &hasty).await;
        let first = cluster.leader().await;
        cluster.stop(first).await;
        cluster.leader().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn has_every_acknowledged_write_after_all_members_went_down() {
    let mut cluster = Cluster::start(3, &[]).await;
    cluster.leader().await;
    for key in 0..30 {
        cluster.put(key % 3, &format!("k{key}"), key).await;
    }
    for id in 0..3 {
        cluster.stop(id).await;
    }
    for id in 0..3 {
        cluster.restart(id).await;
    }
    cluster.leader().await;
    holds(&cluster, 1, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_a_snapshot_to_a_member_that_was_away_for_long() {
    let mut cluster = Cluster::start(3, &["--snapshot-every", "20"]).await;
    let leader = cluster.leader().await;
    let away = (leader + 1) % 3;
    cluster.stop(away).await;
    for key in 0..200 {
        cluster.put(leader, &format!("k{key}"), key).await;
    }
    cluster.restart(away).await;
    comes_to_hold(&cluster, away, 200).await;
    // What came as a snapshot is on its disk as well.
    cluster.stop(away).await;
    cluster.restart(away).await;
    comes_to_hold(&cluster, away, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_member_back_that_lost_its_disk_and_lets_it_vote_when_it_has_caught_up() {
    let mut cluster = Cluster::start(3, &[]).await;
    cluster.leader().await;
    for key in 0..10 {
        cluster.put(0, &format!("k{key}"), key).await;
    }
    // Member 0 is the one that forms clusters.
    cluster.stop(0).await;
    cluster.wipe(0);
    cluster.leader().await;
    cluster.restart(0).await;
    cluster.until(0, "caught up", |view| view.applied >= Some(10)).await;
    for _ in 0..1000 {
        if !cluster.is_fresh(0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!cluster.is_fresh(0), "it has caught up and says so");
    holds(&cluster, 0, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elects_nobody_when_a_majority_has_lost_its_disks() {
    let mut cluster = Cluster::start(3, &[]).await;
    cluster.leader().await;
    cluster.put(0, "k", 1).await;
    for id in 0..3 {
        cluster.until(id, "has the write", |view| view.applied >= Some(2)).await;
    }
    for id in 0..3 {
        cluster.stop(id).await;
    }
    cluster.wipe(0);
    cluster.wipe(1);
    for id in 0..3 {
        cluster.restart(id).await;
    }
    // Long enough for each of them to stand for election more than once.
    tokio::time::sleep(Duration::from_secs(8)).await;
    for id in 0..3 {
        let (status, _) = cluster.ask(id, Method::PUT, "/v1/kv/k", Some(json!({"value": 2}))).await;
        assert_eq!(status, 503, "member {id} must not make a cluster that has forgotten a write");
        let (status, why) = cluster.ask(id, Method::GET, "/readyz", None).await;
        assert_eq!(status, 503, "{why}");
        assert_eq!(why.to_string().contains("empty disk"), id < 2, "{why}");
    }
}
