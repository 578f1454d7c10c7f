//! Packets that are delayed, lost and slowed down. A narrow network needs no more than htb and tbf, which kernels have; what
//! needs netem is in [`vm_netem`], for a kernel that has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use seatrial::api::{Desired, HostFault, InjectionSpec, InjectionState, Shape, ShapedTraffic};
use seatrial::experiment::Rate;
use seatrial::fault::network_shaping::host::obstacle;
use seatrial::host::network_namespace;
use seatrial::host::process::ProcessId;
use seatrial::host::traffic_control::{Probes, Seen};

use crate::node_fixture::{Folder, Node, cut, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};

const LONG: Duration = Duration::from_mins(1);
/// At one Mbit/s this takes two seconds, and next to nothing without a limit.
const BULK: usize = 250_000;
/// More than it takes on a machine that is busy now and then, and less than the limit.
const SLOW: Duration = Duration::from_millis(1500);
const ONE_MBIT: Shape = Shape::Bandwidth { rate: Rate::of_bits(1_000_000) };

fn shaped(addresses: &[&str], shape: Shape) -> HostFault {
    let members = addresses.iter().map(|address| address.parse().expect("an address")).collect();
    HostFault::Shape(ShapedTraffic { members, everybody: false, ports: Vec::new(), shape })
}

/// One Mbit/s to these addresses.
pub fn narrow(addresses: &[&str]) -> HostFault {
    shaped(addresses, ONE_MBIT)
}

fn disciplines(pod: &Pod) -> String {
    pod.must_run(&["tc", "-statistics", "qdisc", "show"])
}

/// Whether a discipline of ours is on any interface of the pod.
pub fn is_shaped(pod: &Pod) -> bool {
    disciplines(pod).contains("qdisc htb 5")
}

/// Sends more at once than fits through one Mbit/s, as soon as that is all there is: a rate that nobody comes near is not in
/// force.
pub fn crowd(pod: &Pod, address: &str, port: u16) {
    eventually("packets are steered", Duration::from_secs(10), || (!pod.tables().is_empty()).then_some(()));
    let to = (address.parse::<IpAddr>().expect("an address"), port);
    let holder = ProcessId::of(pod.located.holder).expect("readable").expect("it lives");
    let sent = network_namespace::inside(&holder, || {
        let any: IpAddr =
            if to.0.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        (0..30).try_for_each(|_| socket.send_to(&[0; 1_400], to).map(drop))
    });
    sent.expect("there is a way").expect("it lives");
}

/// The handles of our root and of what is below its class, as tc(8) writes them.
fn handles(pod: &Pod) -> [String; 2] {
    let shown = disciplines(pod);
    let root = shown.split("qdisc htb ").nth(1).and_then(|rest| rest.split(':').next());
    let root = root.expect("htb is the root");
    let leaf = u16::from_str_radix(root, 16).expect("hexadecimal") + 1;
    [root.to_owned(), format!("{leaf:x}")]
}

struct Scene {
    folder: Folder,
    pod: Pod,
    peer: Pod,
    node: Node,
}

impl Scene {
    fn new() -> Self {
        let (folder, pod, peer) = (Folder::new(), Pod::new(Grouping::None), Pod::new(Grouping::None));
        pod.connect(&peer);
        folder.show(0, &pod.located);
        let node = Node::start(&folder);
        Self { folder, pod, peer, node }
    }

    /// Lets somebody else change our queue, and expects that it is noticed.
    fn changed_by_somebody_else(mut self, fault: HostFault, to: &str) {
        let (spec, _) = self.inject("changed", fault);
        let [root, leaf] = handles(&self.pod);
        let change = format!("tc qdisc change dev eth0 parent {root}:1 handle {leaf}: {to}");
        self.pod.must_run(&change.split(' ').collect::<Vec<_>>());
        let why = self.folder.await_state("changed", InjectionState::Lost).error.expect("a reason");
        let kind = to.split(' ').next().expect("there is a first word");
        assert!(why.contains(&format!("{kind} on eth0 is not as it was made")), "{why}");
        self.revert(&spec);
        self.nothing_is_left();
    }

    /// Asks for a fault; what proves it.
    fn inject(&mut self, name: &str, fault: HostFault) -> (InjectionSpec, String) {
        let spec = injection(name, &self.pod, fault, LONG);
        self.node.put(&spec);
        if let HostFault::Shape(ShapedTraffic { members, ports, shape: Shape::Bandwidth { .. }, .. }) =
            &spec.fault
        {
            let address = members.first().map_or("10.99.0.2".to_owned(), ToString::to_string);
            crowd(&self.pod, &address, ports.first().copied().unwrap_or(9));
        }
        let status = self.folder.await_state(name, InjectionState::Injected);
        (spec, status.proof.expect("it is in force").observed)
    }

    /// Asks for a fault that is refused, or comes to nothing; why.
    fn refused(&mut self, name: &str, fault: HostFault) -> String {
        self.node.put(&injection(name, &self.pod, fault, LONG));
        self.folder.await_state(name, InjectionState::Failed).error.expect("a reason")
    }

    fn revert(&mut self, spec: &InjectionSpec) {
        self.node.put(&InjectionSpec { desired: Desired::Reverted, ..spec.clone() });
        self.folder.await_state(&spec.name, InjectionState::Reverted);
    }

    fn nothing_is_left(self) {
        assert!(!is_shaped(&self.pod), "{}", disciplines(&self.pod));
        assert!(disciplines(&self.pod).contains("noqueue 0: dev eth0 root"), "{}", disciplines(&self.pod));
        assert_eq!(self.pod.tables(), Vec::<String>::new());
        assert_eq!(self.folder.records(), Vec::<std::path::PathBuf>::new());
        eventually("no guardian", Duration::from_secs(2), || {
            guardians(&self.folder).is_empty().then_some(())
        });
        self.node.end();
    }

    /// How long it takes to bring [`BULK`] bytes to the peer.
    fn takes(&self, address: &str, port: u16) -> Duration {
        let netcat = |pod: &Pod, script: &str| {
            let holder = pod.located.holder.to_string();
            let mut command = Command::new("nsenter");
            command.args(["-t", &holder, "-n", "sh", "-c", script]);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("the tools of the tests are installed")
        };
        let mut listener = netcat(&self.peer, &format!("busybox nc -l -p {port}"));
        // While it may still say something itself, it listens to the end.
        let _says = listener.stdin.take();
        eventually("somebody listens", Duration::from_secs(5), || {
            let listening = self.peer.must_run(&["cat", "/proc/net/tcp6", "/proc/net/tcp"]);
            listening.contains(&format!(":{port:04X} ")).then_some(())
        });
        let began = Instant::now();
        let mut speaker =
            netcat(&self.pod, &format!("head -c {BULK} /dev/zero | busybox nc {address} {port}"));
        for end in [&mut listener, &mut speaker] {
            assert!(end.wait().expect("ours").success(), "{address} port {port}");
        }
        began.elapsed()
    }

    fn is_slow(&self, address: &str, port: u16) -> bool {
        self.takes(address, port) > SLOW
    }

    /// Whether it is not, once at least: a busy machine takes long to start the programs. Each attempt has a port of its own.
    fn is_quick(&self, address: &str, port: u16) -> bool {
        (0..5).any(|attempt| !self.is_slow(address, port + 1000 * attempt))
    }
}

#[test]
fn a_narrow_network_is_as_fast_as_asked_for_and_given_back() {
    let mut scene = Scene::new();
    assert!(scene.is_quick("10.99.0.2", 7000));
    let (spec, observed) = scene.inject("narrow", narrow(&["10.99.0.2", "fd99::2"]));
    assert!(observed.starts_with("tbf on eth0: "), "{observed}");
    assert!(observed.contains(" of them probes"), "{observed}");
    assert!(!observed.contains(" 0 times one had to wait"), "something had to: {observed}");
    let [root, leaf] = handles(&scene.pod);
    let shown = disciplines(&scene.pod);
    assert!(shown.contains(&format!("htb {root}: dev eth0 root")), "{shown}");
    assert!(shown.contains(&format!("tbf {leaf}: dev eth0 parent {root}:1 rate 1Mbit")), "{shown}");
    for (address, port) in [("10.99.0.2", 7001), ("fd99::2", 7002)] {
        assert!(scene.is_slow(address, port), "{address}");
    }
    assert!(observed.contains(" bytes in "), "{observed}");
    scene.revert(&spec);
    assert!(scene.is_quick("10.99.0.2", 7003));
    scene.nothing_is_left();
}

#[test]
fn others_than_those_who_are_meant_are_as_fast_as_before() {
    let mut scene = Scene::new();
    let (spec, _) = scene.inject("v6", narrow(&["fd99::2"]));
    assert!(scene.is_slow("fd99::2", 7000));
    assert!(scene.is_quick("10.99.0.2", 7001), "another address");
    scene.revert(&spec);

    let HostFault::Shape(traffic) = narrow(&["10.99.0.2"]) else { unreachable!("as it was made") };
    let by_port = HostFault::Shape(ShapedTraffic { ports: vec![7002], ..traffic.clone() });
    let (spec, observed) = scene.inject("port", by_port);
    assert!(observed.contains(" of them probes"), "a probe goes to the port: {observed}");
    assert!(scene.is_slow("10.99.0.2", 7002));
    assert!(scene.is_quick("10.99.0.2", 7003), "another port");
    scene.revert(&spec);

    let everybody = HostFault::Shape(ShapedTraffic { members: Vec::new(), everybody: true, ..traffic });
    let (spec, observed) = scene.inject("everybody", everybody);
    assert!(observed.contains("no probe possible"), "there is no way to strangers: {observed}");
    assert!(scene.is_slow("10.99.0.2", 7004));
    assert!(scene.is_slow("fd99::2", 7005));
    scene.revert(&spec);
    scene.nothing_is_left();
}

/// A packet belongs to its sender until somebody receives it, and a bridge only hands it to another device, whose times are none
/// of the pod's.
#[test]
fn a_probe_is_heard_of_once_where_a_bridge_hands_it_on() {
    let [pod, node, peer] = [(); 3].map(|()| Pod::new(Grouping::None));
    pod.connect_through(&node, &peer);
    let holder = ProcessId::of(pod.located.holder).expect("readable").expect("it lives");
    let opened = network_namespace::inside(&holder, Probes::open).expect("it can be entered");
    let (mut probes, _) = opened.expect("it lives");
    let mut seen = Seen::default();
    let mut hear = |probes: &mut Probes| {
        let more = probes.hear().expect("times are told");
        seen.handed += more.handed;
        seen.waited.extend(more.waited);
        (seen.handed, seen.waited.len())
    };
    // Those of a first probe are heard before the next one is sent, as they are by looks.
    for sent in 1..=3 {
        probes.send("10.99.0.2".parse().expect("an address"), 9);
        eventually("it is sent", Duration::from_secs(10), || (hear(&mut probes).1 >= sent).then_some(()));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(hear(&mut probes), (3, 3));
}

#[test]
fn new_addresses_of_members_are_meant_and_old_ones_let_go() {
    let mut scene = Scene::new();
    let (spec, _) = scene.inject("moves", narrow(&["10.99.0.2"]));
    scene.node.put(&InjectionSpec { fault: narrow(&["fd99::2"]), ..spec.clone() });
    eventually("the new address is probed", Duration::from_secs(3), || {
        let rules = scene.pod.must_run(&["nft", "list", "ruleset"]);
        (rules.contains("fd99::2") && !rules.contains("10.99.0.2")).then_some(())
    });
    assert!(scene.is_slow("fd99::2", 7000));
    assert!(scene.is_quick("10.99.0.2", 7001));
    assert_eq!(scene.folder.status("moves").expect("told").state, InjectionState::Injected);
    scene.revert(&spec);
    scene.nothing_is_left();
}

#[test]
fn a_discipline_of_somebody_else_is_not_replaced() {
    let mut scene = Scene::new();
    scene.pod.must_run(&["tc", "qdisc", "add", "dev", "eth0", "root", "handle", "77:", "pfifo"]);
    let why = scene.refused("foreign", narrow(&["10.99.0.2"]));
    assert!(
        why.contains("interface eth0 of the pod has a queueing discipline of somebody else, pfifo 77:"),
        "{why}"
    );
    assert!(why.contains("tc qdisc del dev eth0 root"), "{why}");
    assert!(disciplines(&scene.pod).contains("pfifo 77: dev eth0 root"));
    scene.pod.must_run(&["tc", "qdisc", "del", "dev", "eth0", "root"]);
    scene.nothing_is_left();
}

#[test]
fn one_pod_is_shaped_once_at_a_time() {
    let mut scene = Scene::new();
    let (spec, _) = scene.inject("first", narrow(&["10.99.0.2"]));
    let why = scene.refused("second", narrow(&["10.99.0.2"]));
    assert!(why.contains("packets of the pod are shaped already, on interface eth0"), "{why}");
    assert!(is_shaped(&scene.pod), "the first stays");
    scene.revert(&spec);
    scene.nothing_is_left();
}

#[test]
fn nobody_to_shape_and_a_pod_of_the_nodes_network_are_refused() {
    let mut scene = Scene::new();
    let why = scene.refused("nobody", narrow(&[]));
    assert!(why.contains("no other member has an address"), "{why}");
    let mut located = scene.pod.located.clone();
    located.holder = std::process::id().cast_signed();
    scene.folder.show(0, &located);
    let why = scene.refused("host", narrow(&["10.99.0.2"]));
    assert!(why.contains("the pod uses the network namespace of its node"), "{why}");
    scene.nothing_is_left();
}

#[test]
fn an_interface_that_comes_up_meanwhile_is_noticed() {
    let mut scene = Scene::new();
    let (spec, _) = scene.inject("second", narrow(&["10.99.0.2"]));
    scene.pod.must_run(&["ip", "link", "add", "late0", "type", "veth", "peer", "name", "late1"]);
    scene.pod.must_run(&["ip", "link", "set", "late0", "up"]);
    let why = scene.folder.await_state("second", InjectionState::Lost).error.expect("a reason");
    assert!(why.contains("interface late0 has come up"), "{why}");
    scene.pod.must_run(&["ip", "link", "del", "late0"]);
    scene.revert(&spec);
    scene.nothing_is_left();
}

#[test]
fn a_rate_that_nobody_comes_near_is_never_in_force() {
    let mut scene = Scene::new();
    let shape = Shape::Bandwidth { rate: Rate::of_bits(1_000_000_000) };
    let spec = injection("wide", &scene.pod, shaped(&["10.99.0.2"], shape), LONG);
    scene.node.put(&spec);
    eventually("it is shaped", Duration::from_secs(10), || is_shaped(&scene.pod).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(scene.folder.status("wide").map(|status| status.state), Some(InjectionState::Pending));
    scene.revert(&spec);
    scene.nothing_is_left();
}

/// What one Injection takes back late is never what another one has made meanwhile.
#[test]
fn a_discipline_of_another_injection_survives_a_revert() {
    let mut scene = Scene::new();
    let (first, _) = scene.inject("first", narrow(&["10.99.0.2"]));
    let [root, _] = handles(&scene.pod);
    scene.pod.must_run(&["tc", "qdisc", "del", "dev", "eth0", "root"]);
    scene.pod.must_run(&["tc", "qdisc", "add", "dev", "eth0", "root", "handle", "5000:", "htb"]);
    assert_ne!(root, "5000", "one of two thousand has this one: try again");
    scene.revert(&first);
    assert!(disciplines(&scene.pod).contains("htb 5000: dev eth0 root"), "{}", disciplines(&scene.pod));
    let why = scene.refused("second", narrow(&["10.99.0.2"]));
    assert!(why.contains("packets of the pod are shaped already, on interface eth0"), "{why}");
    scene.pod.must_run(&["tc", "qdisc", "del", "dev", "eth0", "root"]);
    scene.nothing_is_left();
}

/// What is taken away behind our backs is not called in force any more.
#[test]
fn a_discipline_or_a_table_that_somebody_removes_is_noticed() {
    let mut scene = Scene::new();
    let (spec, _) = scene.inject("removed", narrow(&["10.99.0.2"]));
    scene.pod.must_run(&["tc", "qdisc", "del", "dev", "eth0", "root"]);
    let why = scene.folder.await_state("removed", InjectionState::Lost).error.expect("a reason");
    assert!(why.contains("our queueing discipline on eth0 is gone"), "{why}");
    scene.revert(&spec);

    scene.changed_by_somebody_else(narrow(&["10.99.0.2"]), "tbf rate 1gbit burst 16kb limit 100kb");
}

#[test]
fn it_goes_together_with_a_cut() {
    let mut scene = Scene::new();
    let (shaped, _) = scene.inject("shaped", narrow(&["10.99.0.2", "fd99::2"]));
    let (cut, _) = scene.inject("cut", cut(&["fd99::2"]));
    assert!(!scene.pod.reaches("fd99::2"));
    assert!(scene.is_slow("10.99.0.2", 7000));
    let told = scene.folder.status("shaped").expect("told");
    assert_eq!(told.state, InjectionState::Injected, "{told:?}");
    scene.revert(&cut);
    assert!(scene.pod.reaches("fd99::2"));
    assert!(scene.is_slow("fd99::2", 7001));
    scene.revert(&shaped);
    scene.nothing_is_left();
}

#[test]
fn it_follows_a_pod_that_is_made_anew() {
    let mut scene = Scene::new();
    let spec = InjectionSpec {
        follow: true,
        ..injection("follows", &scene.pod, narrow(&["10.99.0.2", "fd99::2"]), LONG)
    };
    scene.node.put(&spec);
    crowd(&scene.pod, "10.99.0.2", 9);
    scene.folder.await_state("follows", InjectionState::Injected);
    scene.pod.remove();
    scene.folder.await_state("follows", InjectionState::Lost);
    eventually("what held the old one is gone", Duration::from_secs(2), || {
        scene.folder.records().is_empty().then_some(())
    });
    (scene.pod, scene.peer) = (Pod::new(Grouping::None), Pod::new(Grouping::None));
    scene.pod.connect(&scene.peer);
    scene.folder.show(0, &scene.pod.located);
    crowd(&scene.pod, "10.99.0.2", 9);
    scene.folder.await_state("follows", InjectionState::Injected);
    assert!(scene.is_slow("10.99.0.2", 7000));
    scene.revert(&spec);
    scene.nothing_is_left();
}

/// The kernel steers nothing any more when nobody holds the table, whoever is left to say so.
#[test]
fn nothing_is_slow_when_everybody_of_ours_is_dead() {
    let mut scene = Scene::new();
    scene.inject("orphan", narrow(&["10.99.0.2"]));
    // The node first: it would start another guardian.
    scene.node.child.kill().expect("ours");
    scene.node.child.wait().expect("ours");
    for guardian in guardians(&scene.folder) {
        let id = nix::unistd::Pid::from_raw(guardian);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL).expect("there");
    }
    eventually("the table is gone", Duration::from_secs(3), || scene.pod.tables().is_empty().then_some(()));
    assert!(is_shaped(&scene.pod), "the discipline is left, and nothing goes through it");
    assert!(scene.is_quick("10.99.0.2", 7000));
    scene.node = Node::start(&scene.folder);
    eventually("the next node removes it", Duration::from_secs(5), || (!is_shaped(&scene.pod)).then_some(()));
    scene.nothing_is_left();
}

/// What went through before is not held against the rate, and its probes are not asked for twice.
#[test]
fn a_node_that_is_started_again_goes_on_proving_it() {
    let mut scene = Scene::new();
    let (spec, _) = scene.inject("kept", narrow(&["10.99.0.2"]));
    assert!(scene.is_slow("10.99.0.2", 7000));
    scene.node.child.kill().expect("ours");
    scene.node.child.wait().expect("ours");
    let told = scene.folder.statuses().len();
    scene.node = Node::takes_over(&scene.folder);
    scene.node.put(&spec);
    eventually("three proofs of the new node", Duration::from_secs(10), || {
        let statuses = scene.folder.statuses();
        let proofs =
            statuses[told..].iter().filter(|(_, status)| status.proof.as_ref().is_some_and(|it| it.holds));
        (proofs.count() >= 3).then_some(())
    });
    assert_eq!(scene.folder.status("kept").expect("told").state, InjectionState::Injected);
    assert!(scene.is_slow("10.99.0.2", 7001));
    scene.revert(&spec);
    scene.nothing_is_left();
}

/// By tc, in a network namespace of its own.
pub fn kernel_has_netem() -> bool {
    let tried = Command::new("unshare")
        .args(["--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"])
        .stderr(Stdio::null())
        .status();
    tried.expect("the tools of the tests are installed").success()
}

/// On a kernel with netem, this is in force; on another one it says what there is not.
#[test]
fn a_kernel_without_netem_says_so() {
    let mut scene = Scene::new();
    let shape = Shape::Delay { delay: Duration::from_millis(50), jitter: Duration::ZERO };
    let delay = shaped(&["10.99.0.2"], shape);
    assert_eq!(obstacle("networkBandwidth"), None);
    if kernel_has_netem() {
        assert_eq!(obstacle("networkDelay"), None);
        let (spec, observed) = scene.inject("delay", delay);
        assert!(observed.starts_with("netem on eth0: "), "{observed}");
        scene.revert(&spec);
    } else {
        let lacking = "this kernel has no netem (CONFIG_NET_SCH_NETEM): load the module sch_netem";
        for fault in ["networkDelay", "networkLoss"] {
            let why = obstacle(fault).expect("an obstacle");
            assert!(why.starts_with(lacking), "{fault}: {why}");
        }
        let why = scene.refused("delay", delay);
        assert!(why.contains(lacking), "{why}");
    }
    scene.nothing_is_left();
}

/// On a kernel with netem alone, such as that of the virtual machine of the tests.
mod vm_netem {
    use super::*;
    use crate::vm::{inside, these};

    const BOTH: [&str; 2] = ["10.99.0.2", "fd99::2"];

    fn delay(milliseconds: u64, jitter: u64) -> Shape {
        let [delay, jitter] = [milliseconds, jitter].map(Duration::from_millis);
        Shape::Delay { delay, jitter }
    }

    /// How long probes have waited, in milliseconds, by what was observed.
    fn waited(observed: &str) -> Vec<f64> {
        let told = observed.split("probes waited ").nth(1).expect("probes were timed");
        told.split(' ').filter_map(|word| word.parse().ok()).collect()
    }

    /// No less than asked for, and not seconds more: the virtual machine may be slow.
    fn is_about(took: f64, milliseconds: f64) -> bool {
        (milliseconds - 1.0..milliseconds + 5_000.0).contains(&took)
    }

    /// The shortest of five round trips, in milliseconds: the others may have waited for a slow machine as well.
    fn round_trip(pod: &Pod, address: &str) -> f64 {
        let told = pod.must_run(&["busybox", "ping", "-c", "5", "-i", "0.2", "-W", "5", address]);
        // round-trip min/avg/max = 0.069/0.069/0.069 ms
        let times =
            told.lines().last().and_then(|line| line.split(" = ").nth(1)).expect("every one answered");
        times.split('/').next().and_then(|shortest| shortest.parse().ok()).expect("a number")
    }

    #[test]
    fn a_round_trip_takes_longer_by_the_delay_and_no_longer_afterwards() {
        inside(
            "node_shaping::vm_netem::a_round_trip_takes_longer_by_the_delay_and_no_longer_afterwards",
            || {
                let mut scene = Scene::new();
                assert!(round_trip(&scene.pod, "10.99.0.2") < 2_000.0);
                let (spec, observed) = scene.inject("delay", shaped(&BOTH, delay(2_000, 0)));
                assert!(observed.starts_with("netem on eth0: "), "{observed}");
                let times = waited(&observed);
                assert!(times.iter().all(|took| is_about(*took, 2_000.0)), "timed by the kernel: {observed}");
                for address in BOTH {
                    let took = round_trip(&scene.pod, address);
                    let once = 2_000.0..4_000.0;
                    assert!(once.contains(&took), "for the way there, not for the way back: {took}");
                    let took =
                        round_trip(&scene.peer, if address.contains(':') { "fd99::1" } else { "10.99.0.1" });
                    assert!(once.contains(&took), "the answers wait as well: {took}");
                }
                scene.revert(&spec);
                assert!(round_trip(&scene.pod, "10.99.0.2") < 2_000.0);
                scene.nothing_is_left();
            },
        );
    }

    /// Not every kernel tells what a bridge does.
    #[test]
    fn a_probe_is_heard_of_once_here_as_well() {
        these(&["node_shaping::a_probe_is_heard_of_once_where_a_bridge"]);
    }

    #[test]
    fn a_jitter_lets_delays_differ_within_its_bounds() {
        inside("node_shaping::vm_netem::a_jitter_lets_delays_differ_within_its_bounds", || {
            let mut scene = Scene::new();
            let (spec, _) = scene.inject("jitter", shaped(&BOTH, delay(100, 80)));
            let mut seen: Vec<f64> = Vec::new();
            // A slow machine makes a wait longer, never shorter: this one is the jitter's.
            eventually("a wait that is shorter than the mean", Duration::from_secs(30), || {
                seen.extend(waited(&scene.folder.status("jitter")?.proof?.observed));
                seen.iter().any(|took| *took < 90.0).then_some(())
            });
            assert!(seen.iter().all(|took| is_about(*took, 20.0)), "{seen:?}");
            scene.revert(&spec);
            scene.nothing_is_left();
        });
    }

    #[test]
    fn a_delay_of_everybody_is_felt_without_members() {
        inside("node_shaping::vm_netem::a_delay_of_everybody_is_felt_without_members", || {
            let mut scene = Scene::new();
            let fault = ShapedTraffic {
                members: Vec::new(),
                everybody: true,
                ports: Vec::new(),
                shape: delay(2_000, 0),
            };
            let (spec, _) = scene.inject("everybody", HostFault::Shape(fault));
            assert!(round_trip(&scene.pod, "10.99.0.2") >= 2_000.0);
            assert!(round_trip(&scene.pod, "127.0.0.1") < 2_000.0, "what stays in the pod is left alone");
            scene.revert(&spec);
            scene.nothing_is_left();
        });
    }

    #[test]
    fn a_delay_of_seconds_is_proven_when_its_first_probe_has_waited() {
        inside(
            "node_shaping::vm_netem::a_delay_of_seconds_is_proven_when_its_first_probe_has_waited",
            || {
                let mut scene = Scene::new();
                let asked = Instant::now();
                let (spec, observed) = scene.inject("long", shaped(&BOTH, delay(2_000, 0)));
                assert!(asked.elapsed() >= Duration::from_secs(2), "not before");
                assert!(waited(&observed).iter().all(|took| is_about(*took, 2_000.0)), "{observed}");
                scene.revert(&spec);
                scene.nothing_is_left();
            },
        );
    }

    #[test]
    fn as_many_packets_are_lost_as_asked_for() {
        inside("node_shaping::vm_netem::as_many_packets_are_lost_as_asked_for", || loses(None, 20..=40));
    }

    fn loses(burst: Option<u32>, expected: std::ops::RangeInclusive<u32>) {
        let mut scene = Scene::new();
        let (spec, observed) =
            scene.inject("loss", shaped(&BOTH, Shape::Loss { millionths: 300_000, burst }));
        assert!(observed.starts_with("netem on eth0: "), "{observed}");
        let told = scene.pod.run(&["busybox", "ping", "-c", "400", "-i", "0.005", "-W", "5", "10.99.0.2"]);
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        // 400 packets transmitted, 281 packets received, 29% packet loss
        let lost = told.split(", ").find_map(|part| part.split('%').next()?.parse::<u32>().ok());
        let lost = lost.expect(&told);
        assert!(expected.contains(&lost), "{lost} % with {burst:?}");
        eventually("the losses are counted", Duration::from_secs(3), || {
            let observed = scene.folder.status("loss")?.proof?.observed;
            (!observed.contains(" 0 lost")).then_some(())
        });
        scene.revert(&spec);
        scene.nothing_is_left();
    }

    /// A minute and more where the machine is emulated: `make test-long`.
    mod long {
        use super::{inside, loses};

        #[test]
        fn as_many_packets_are_lost_in_bursts_as_asked_for() {
            let test = "node_shaping::vm_netem::long::as_many_packets_are_lost_in_bursts_as_asked_for";
            // They are a smaller sample.
            inside(test, || loses(Some(4), 10..=55));
        }
    }

    #[test]
    fn a_delay_that_somebody_changes_is_noticed() {
        inside("node_shaping::vm_netem::a_delay_that_somebody_changes_is_noticed", || {
            let scene = Scene::new();
            scene.changed_by_somebody_else(shaped(&BOTH, delay(100, 0)), "netem delay 1ms");
        });
    }

    #[test]
    fn a_delay_goes_together_with_a_cut() {
        inside("node_shaping::vm_netem::a_delay_goes_together_with_a_cut", || {
            let mut scene = Scene::new();
            let (slow, _) = scene.inject("slow", shaped(&BOTH, delay(100, 0)));
            let (cut, _) = scene.inject("cut", cut(&["fd99::2"]));
            assert!(!scene.pod.reaches("fd99::2"));
            assert!(round_trip(&scene.pod, "10.99.0.2") >= 100.0);
            scene.revert(&cut);
            assert!(round_trip(&scene.pod, "fd99::2") >= 100.0);
            scene.revert(&slow);
            scene.nothing_is_left();
        });
    }
}
