//! What it took, as the API server and the kernel tell it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::agents::Seen;
use super::{Cluster, Size};

/// Requests about Injections by who makes them, and those of the controller about anything.
pub type Requests = BTreeMap<&'static str, u64>;

/// What was asked of the API server so far. Specs of Injections are written by runners alone, statuses by agents.
pub fn requests(cluster: &Cluster) -> Requests {
    let mut found = Requests::new();
    for line in cluster.kubectl(["get", "--raw", "/metrics"]).lines() {
        let Some(labels) = line.strip_prefix("apiserver_request_total{") else { continue };
        let Some((labels, count)) = labels.rsplit_once("} ") else { continue };
        let count = count.trim().parse::<f64>().unwrap_or(0.0) as u64;
        let is_injection = labels.contains("resource=\"injections\"");
        let by = match (is_injection, labels.contains("subresource=\"status\"")) {
            (true, true) => "statuses of Injections, by agents",
            (true, false) => "Injections, by the runner and the controller",
            (false, _) => "anything else, by anybody",
        };
        *found.entry(by).or_default() += count;
    }
    let leases = "--output=jsonpath={.spec.holderIdentity}";
    let leader =
        cluster.kubectl(["get", "lease", "seatrial-controller", "--namespace", "seatrial-system", leases]);
    let metrics = format!("/api/v1/namespaces/seatrial-system/pods/{leader}:8080/proxy/metrics");
    let told = cluster.kubectl(["get", "--raw", &metrics]);
    let own = told.lines().find_map(|line| line.strip_prefix("seatrial_api_requests_total ")?.parse().ok());
    found.insert("anything, by the controller that leads", own.expect("the controller counts its requests"));
    found
}

/// The most memory that one of these processes had resident, in bytes (`VmHWM` of proc_pid_status(5)).
pub fn peak(processes: &[i32]) -> u64 {
    let of = |pid: &i32| -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    processes.iter().filter_map(of).max().unwrap_or(0)
}

/// Everything as a table.
pub fn print(
    size: &Size,
    planned: Duration,
    took: Duration,
    seen: &Seen,
    (runner, controller): (u64, u64),
    before: &Requests,
    after: &Requests,
) {
    let between = |from: &str, to: &str| {
        let moment = |what: &str, pick: fn(&(Instant, Instant)) -> Instant| seen.moments.get(what).map(pick);
        match (moment(from, |moments| moments.0), moment(to, |moments| moments.1)) {
            (Some(from), Some(to)) => to.saturating_duration_since(from).as_secs_f64(),
            (_, _) => f64::NAN,
        }
    };
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{} nodes, {} pods, a fault on {} of them, held for {}",
        size.nodes,
        size.pods,
        size.hit,
        super::HELD
    );
    println!("  plan, with every check            {:>9.2} s", planned.as_secs_f64());
    println!("  first asked for → last asked for  {:>9.2} s", between("asked", "asked"));
    println!("  first asked for → last in force   {:>9.2} s", between("asked", "in force"));
    println!("  first wanted back → last reverted {:>9.2} s", between("wanted back", "taken back"));
    println!("  first wanted back → last gone     {:>9.2} s", between("wanted back", "gone"));
    println!("  whole run                         {:>9.2} s", took.as_secs_f64());
    println!("  runner, largest                   {:>9.1} MiB", mebibytes(runner));
    println!("  controller, largest               {:>9.1} MiB", mebibytes(controller));
    for (by, count) in after {
        let new = count - before.get(by).copied().unwrap_or(0);
        println!("  requests: {by:<44} {new:>7}, {:.1} a second", new as f64 / took.as_secs_f64());
    }
}
