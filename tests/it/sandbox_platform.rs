//! What a run and a node see of a sandbox.

use std::time::Duration;

use seatrial::api::{Deadline, Desired, HostFault, InjectionSpec, InjectionState, InjectionStatus, PodRef};
use seatrial::node::{Channel, Order};
use seatrial::platform::Nodes;
use tempfile::TempDir;

use crate::sandbox_fixture::{Fixture, LIMIT, options, shell_set};

pub fn injection(name: &str) -> InjectionSpec {
    InjectionSpec {
        name: name.to_owned(),
        run: "run".to_owned(),
        step: "step".to_owned(),
        occurrence: 0,
        pod: PodRef { name: "web-0".to_owned(), ordinal: 0, uid: "u".to_owned(), node: "n".to_owned() },
        container: None,
        fault: HostFault::Pause {},
        desired: Desired::Injected,
        deadline: Deadline { at: jiff::Timestamp::now(), within: Duration::from_secs(1) },
        follow: false,
    }
}

fn status() -> InjectionStatus {
    InjectionStatus {
        state: InjectionState::Injected,
        since: jiff::Timestamp::now(),
        proof: None,
        effective_for: Duration::ZERO,
        error: None,
        done: false,
        measured: None,
    }
}

#[test]
fn injections_go_to_the_node_and_statuses_come_back() {
    let fixture = Fixture::up("orders", shell_set(1, "exec sleep 1000"));
    let exchange = async {
        let client = &fixture.client;
        client.apply(injection("early")).await.expect("init takes it");
        let mut orders = client.orders().await.expect("the watch opens");
        let mut statuses = client.statuses().await.expect("the watch opens");
        assert_eq!(orders.recv().await, Some(Order::Put(injection_seen(client, "early").await)));
        client.apply(injection("late")).await.expect("init takes it");
        assert!(matches!(orders.recv().await, Some(Order::Put(spec)) if spec.name == "late"));
        client.report("late", status()).await.expect("there is such an Injection");
        let reported = loop {
            let injection = statuses.recv().await.expect("the watch is open");
            if let Some(status) = injection.status {
                break (injection.spec.name, status.state);
            }
        };
        assert_eq!(reported, ("late".to_owned(), InjectionState::Injected));
        client.forget("early").await.expect("init takes it");
        let gone = loop {
            if let Some(Order::Gone(name)) = orders.recv().await {
                break name;
            }
        };
        assert_eq!(gone, "early");
        let unknown = client.report("early", status()).await.expect_err("it is forgotten");
        assert!(unknown.to_string().contains("no Injection named early"), "{unknown}");
    };
    fixture.runtime.block_on(async { tokio::time::timeout(LIMIT, exchange).await }).expect("nothing hangs");
}

/// The spec as a new watch tells it.
async fn injection_seen(client: &impl Nodes, name: &str) -> InjectionSpec {
    let mut all = client.statuses().await.expect("the watch opens");
    loop {
        let injection = all.recv().await.expect("the watch is open");
        if injection.spec.name == name {
            return injection.spec;
        }
    }
}

#[test]
fn watches_end_when_init_is_gone() {
    let mut fixture = Fixture::up("gone", shell_set(1, "exec sleep 1000"));
    let mut orders = fixture.runtime.block_on(fixture.client.orders()).expect("the watch opens");
    fixture.sandbox.take().expect("it runs").stop().expect("it can be stopped");
    assert_eq!(fixture.runtime.block_on(orders.recv()), None);
    let refused = fixture.runtime.block_on(fixture.client.forget("x")).expect_err("nobody is there");
    assert!(refused.to_string().contains("does not answer"), "{refused}");
}

#[test]
fn node_process_runs_beside_init_and_is_started_again() {
    let state = TempDir::new().expect("a temporary folder can be made");
    let mut options = options("daemon", state.path());
    // A hidden subcommand without its arguments: says so and ends.
    options.node = Some(vec!["__sandbox-pod".to_owned()]);
    let fixture = Fixture::with(state, shell_set(1, "exec sleep 1000"), options);
    let log = fixture.sandbox().logs_dir().join("node.log");
    crate::sandbox_fixture::wait_until("it was started twice", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.lines().count() >= 2)
    });
}
