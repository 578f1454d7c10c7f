//! What a cut does to connections that are there already, to pods that are made anew, and when there is nobody to cut off.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use seatrial::api::{Desired, InjectionSpec, InjectionState};

use crate::node_fixture::{Folder, Node, cut, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};

const LONG: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);

/// A TCP connection from one pod to another that stays open.
struct Flow {
    listener: Child,
    speaker: Child,
    says: ChildStdin,
    heard: Receiver<String>,
}

impl Flow {
    /// From `pod` to `peer`, which has `address`.
    fn open(pod: &Pod, peer: &Pod, address: &str) -> Self {
        let netcat = |pod: &Pod, arguments: &[&str]| {
            Command::new("nsenter")
                .args(["-t", &pod.located.holder.to_string(), "-n", "busybox", "nc"])
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("the tools of the tests are installed")
        };
        let mut listener = netcat(peer, &["-l", "-p", "7000"]);
        eventually("somebody listens", Duration::from_secs(5), || {
            peer.must_run(&["cat", "/proc/net/tcp6", "/proc/net/tcp"]).contains(":1B58 ").then_some(())
        });
        let mut speaker = netcat(pod, &[address, "7000"]);
        let says = speaker.stdin.take().expect("piped");
        let lines = BufReader::new(listener.stdout.take().expect("piped")).lines();
        let (sender, heard) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { listener, speaker, says, heard }
    }

    fn say(&mut self, word: &str) {
        writeln!(self.says, "{word}").expect("the connection is there");
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        for end in [&mut self.listener, &mut self.speaker] {
            let _ = end.kill();
            let _ = end.wait();
        }
    }
}

#[test]
fn a_cut_holds_up_an_established_connection_and_lets_it_go_on_afterwards() {
    for address in ["10.99.0.2", "fd99::2"] {
        let (folder, pod, peer) = (Folder::new(), Pod::new(Grouping::None), Pod::new(Grouping::None));
        pod.connect(&peer);
        folder.show(0, &pod.located);
        let mut flow = Flow::open(&pod, &peer, address);
        flow.say("before");
        assert_eq!(flow.heard.recv_timeout(LONG).as_deref(), Ok("before"));
        let mut node = Node::start(&folder);
        let spec = injection("flow", &pod, cut(&["10.99.0.2", "fd99::2"]), LONG);
        node.put(&spec);
        folder.await_state("flow", InjectionState::Injected);
        flow.say("during");
        assert!(flow.heard.recv_timeout(SECOND).is_err(), "what is said through {address} does not arrive");
        let observed = eventually("its packets are counted", 3 * SECOND, || {
            let observed = folder.status("flow")?.proof?.observed;
            (!observed.contains(" 0 packets of others")).then_some(observed)
        });
        assert!(observed.contains("2 probes refused"), "{observed}");
        node.put(&InjectionSpec { desired: Desired::Reverted, ..spec });
        folder.await_state("flow", InjectionState::Reverted);
        // The same connection: TCP has kept what was not acknowledged and sends it again, after a pause as long as the cut was.
        assert_eq!(flow.heard.recv_timeout(LONG).as_deref(), Ok("during"));
        node.end();
    }
}

#[test]
fn a_cut_follows_a_pod_that_is_made_anew() {
    let (folder, mut pod, peer) = (Folder::new(), Pod::new(Grouping::None), Pod::new(Grouping::None));
    pod.connect(&peer);
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    let spec =
        InjectionSpec { follow: true, ..injection("follows", &pod, cut(&["10.99.0.2", "fd99::2"]), LONG) };
    node.put(&spec);
    folder.await_state("follows", InjectionState::Injected);
    pod.remove();
    folder.await_state("follows", InjectionState::Lost);
    eventually("what held the old one is gone", 10 * SECOND, || folder.records().is_empty().then_some(()));

    let (next, peer) = (Pod::new(Grouping::None), Pod::new(Grouping::None));
    next.connect(&peer);
    assert_ne!(next.located.uid, spec.pod.uid);
    folder.show(0, &next.located);
    let status = folder.await_state("follows", InjectionState::Injected);
    assert!(status.proof.is_some_and(|proof| proof.observed.contains("2 probes refused")));
    assert!(!next.reaches("10.99.0.2"));
    assert!(!peer.reaches("10.99.0.1"));
    node.put(&InjectionSpec { desired: Desired::Reverted, ..spec });
    folder.await_state("follows", InjectionState::Reverted);
    assert_eq!(next.tables(), Vec::<String>::new());
    assert!(next.reaches("10.99.0.2"));
    eventually("no guardian", 10 * SECOND, || guardians(&folder).is_empty().then_some(()));
    node.end();
}

#[test]
fn a_cut_from_peers_without_an_address_is_no_cut() {
    let (folder, pod) = (Folder::new(), Pod::new(Grouping::None));
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("nobody", &pod, cut(&[]), LONG));
    let error = folder.await_state("nobody", InjectionState::Failed).error.expect("a reason");
    assert!(error.contains("no peer has an address"), "{error}");
    assert_eq!(pod.tables(), Vec::<String>::new());
    node.end();
}
