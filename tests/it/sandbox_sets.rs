//! Several StatefulSets in one sandbox.

use std::time::Duration;

use seatrial::api::{
    ApiFault, Deadline, Desired, HostFault, InjectionSpec, InjectionState, InjectionStatus, Pod, PodRef,
};
use seatrial::node::{Locate, LocatedPod};
use seatrial::platform::sandbox::client::Client;
use seatrial::platform::sandbox::manifest::{Document, on_this_machine, read};
use seatrial::platform::{Cluster, Nodes};
use tempfile::TempDir;

use crate::sandbox_fixture::{Fixture, LIMIT, options, wait_until};
use crate::sandbox_platform::injection;

const WORD: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: shared}
data: {word: both-know-it}
";

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: NAME}}
";

/// It asks the other set for what both have, by name, and serves it itself.
const SET: &str = r"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: NAME}
spec:
  replicas: 2
  serviceName: NAME
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: busybox
          command: [sh, -c]
          args:
            - |
              busybox httpd -p 8080 -h /config; echo NAME > /data/whose
              until busybox wget -q -O - http://OTHER-1.OTHER.default.svc.cluster.local:8080/word
              do sleep 0.1; done
              echo; echo reached OTHER
              while :; do sleep 0.1; done
          readinessProbe: {httpGet: {path: /word, port: 8080}, periodSeconds: 1}
          volumeMounts: [{name: config, mountPath: /config}, {name: data, mountPath: /data}]
      volumes: [{name: config, configMap: {name: shared}}]
  volumeClaimTemplates:
    - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 16Mi}}}}
";

/// A sandbox of `front` and `back`, each of two pods, with a node.
struct Both {
    fixture: Fixture,
    back: Client,
}

impl Both {
    fn up(name: &str) -> Self {
        let text = |text: &str, name: &str, other: &str| text.replace("NAME", name).replace("OTHER", other);
        let texts = [
            WORD.to_owned(),
            text(SERVICE, "front", "back"),
            text(SET, "front", "back"),
            text(SET, "back", "front"),
            text(SERVICE, "back", "front"),
        ];
        let documents: Vec<Document<'_>> =
            texts.iter().map(|text| Document { file: "test.yaml", first_line: 1, text }).collect();
        let accepted = read(&documents, &on_this_machine).expect("it can be run");
        let state = TempDir::new().expect("a temporary folder can be made");
        let mut options = options(name, state.path());
        let folder = state.path().join("sandboxes").join(name);
        options.node = Some(vec!["__node".to_owned(), folder.display().to_string()]);
        let fixture = Fixture::with_others(state, accepted.set, accepted.others, options);
        let back = fixture.runtime.block_on(Client::connect_to(fixture.sandbox().dir(), "back"));
        let both = Self { back: back.expect("there is such a set"), fixture };
        both.fixture.wait_ready();
        // The client of this set hears of it by a way of its own.
        wait_until("back is seen to be ready", || {
            let pods = both.back_pods();
            pods.len() == 2 && pods.iter().all(|pod| pod.ready)
        });
        both
    }

    fn back_pods(&self) -> Vec<Pod> {
        self.back.snapshots().borrow().pods.clone()
    }

    fn front_pods(&self) -> Vec<Pod> {
        self.fixture.client.snapshots().borrow().pods.clone()
    }

    fn locate(&self, pod: &str) -> LocatedPod {
        let mut wanted = injection("located");
        pod.clone_into(&mut wanted.pod.name);
        let found = self.fixture.runtime.block_on(Locate::pod(&self.fixture.client, &wanted));
        found.expect("init answers").expect("the pod is there")
    }

    /// Whether a pod answers somebody in the sandbox's network within a second.
    fn answers(&self, pod: &Pod) -> bool {
        let url = format!("http://{}:8080/word", pod.ip.expect("it is ready"));
        let page = self.fixture.in_network(&["timeout", "1", "busybox", "wget", "-q", "-O", "-", &url]);
        page.stdout == b"both-know-it"
    }

    fn apply(&self, spec: &InjectionSpec) {
        let applied = self.fixture.runtime.block_on(self.fixture.client.apply(spec.clone()));
        applied.expect("init takes it");
    }

    /// Waits until an Injection is in a state.
    fn status(&self, name: &str, wanted: InjectionState) -> InjectionStatus {
        let found = async {
            let mut all = self.back.statuses().await.expect("the watch opens");
            loop {
                let injection = all.recv().await.expect("the watch is open");
                let is_it = injection.spec.name == name;
                if let Some(status) = injection.status.filter(|status| is_it && status.state == wanted) {
                    return status;
                }
            }
        };
        let found = self.fixture.runtime.block_on(async { tokio::time::timeout(LIMIT, found).await });
        let logs = || self.fixture.all_logs();
        assert!(found.is_ok(), "{name} is not {wanted:?} within {LIMIT:?}\n{}", logs());
        found.expect("it was just looked at")
    }
}

/// A wish that lasts far longer than a test.
fn wish(name: &str, fault: HostFault, pod: PodRef) -> InjectionSpec {
    let within = Duration::from_mins(10);
    let deadline = Deadline { at: jiff::Timestamp::now() + within, within };
    InjectionSpec { fault, pod, deadline, ..injection(name) }
}

fn reference(pod: &Pod) -> PodRef {
    PodRef { name: pod.name.clone(), ordinal: pod.ordinal, uid: pod.uid.clone(), node: pod.node.clone() }
}

fn whole(set: &str) -> PodRef {
    PodRef { name: set.to_owned(), ordinal: 0, uid: String::new(), node: String::new() }
}

fn uids(pods: &[Pod]) -> Vec<String> {
    pods.iter().map(|pod| pod.uid.clone()).collect()
}

#[test]
fn sets_reach_each_other_by_name_and_share_their_configuration_but_no_volume() {
    let mut both = Both::up("sets-names");
    for (pod, other) in [("front-0", "back"), ("front-1", "back"), ("back-0", "front"), ("back-1", "front")] {
        both.fixture.wait_log(pod, "main", &format!("both-know-it\nreached {other}\n"));
    }
    let addresses: std::collections::BTreeSet<_> =
        both.front_pods().iter().chain(&both.back_pods()).map(|pod| pod.ip.expect("ready")).collect();
    assert_eq!(addresses.len(), 4, "{addresses:?}");
    let [front, back] = ["front-0", "back-0"].map(|pod| both.locate(pod).volumes[0].clone());
    assert_ne!(front.path, back.path);
    assert!(front.device.is_none() || front.device != back.device, "{front:?} {back:?}");
    let listed = seatrial::platform::sandbox::Sandbox::list(both.fixture.state.path());
    assert_eq!(listed[0].stateful_sets, ["front", "back"]);

    let sandbox = both.fixture.sandbox.take().expect("it was not stopped");
    let folder = sandbox.dir().path().to_owned();
    let cgroup = sandbox.dir().setup().expect("it is there").cgroup;
    sandbox.stop().expect("it can be stopped");
    assert!(!folder.exists());
    assert!(cgroup.is_none_or(|cgroup| !cgroup.exists()));
    let devices = std::process::Command::new("losetup").arg("-l").output().expect("losetup runs").stdout;
    let state = both.fixture.state.path().display().to_string();
    assert!(!String::from_utf8_lossy(&devices).contains(&state), "its loop devices are free");
}

#[test]
fn a_pod_that_is_deleted_is_that_of_the_set_that_was_named() {
    let both = Both::up("sets-delete");
    let (front, back) = (uids(&both.front_pods()), uids(&both.back_pods()));
    let deleted = both.fixture.runtime.block_on(both.back.delete_pod(0, None));
    deleted.expect("there is such a pod");
    wait_until("back-0 is replaced", || {
        both.back_pods().iter().any(|pod| pod.ordinal == 0 && pod.ready && pod.uid != back[0])
    });
    both.fixture.wait_ready();
    assert_eq!(uids(&both.front_pods()), front);
    assert_eq!(uids(&both.back_pods())[1], back[1]);
    let unknown = Client::connect_to(both.fixture.sandbox().dir(), "middle");
    let unknown = both.fixture.runtime.block_on(unknown).err().expect("there is no such set");
    assert!(unknown.to_string().contains("no StatefulSet middle"), "{unknown}");
}

#[test]
fn a_fault_hits_the_pod_that_is_named_and_no_other_of_its_ordinal() {
    let both = Both::up("sets-fault");
    let (front, back) = (both.front_pods()[0].clone(), both.back_pods()[0].clone());
    wait_until("both answer", || both.answers(&front) && both.answers(&back));
    let spec = wish("run.pause.0.0", HostFault::Pause {}, reference(&back));
    both.apply(&spec);
    let status = both.status(&spec.name, InjectionState::Injected);
    assert!(status.proof.is_some_and(|proof| proof.holds));
    assert!(!both.answers(&back), "it is stopped");
    wait_until("the other one answers as before", || both.answers(&front));
    both.apply(&InjectionSpec { desired: Desired::Reverted, ..spec.clone() });
    both.status(&spec.name, InjectionState::Reverted);
    wait_until("it answers again", || both.answers(&back));
}

#[test]
fn what_is_asked_of_a_set_is_asked_of_the_one_that_is_named() {
    let both = Both::up("sets-scale");
    let scale = HostFault::Api(ApiFault::Scale { replicas: 3 });
    let spec = wish("run.scale.0.set", scale.clone(), whole("back"));
    both.apply(&spec);
    both.status(&spec.name, InjectionState::Injected);
    wait_until("back-2 is ready", || both.back_pods().iter().any(|pod| pod.name == "back-2" && pod.ready));
    assert_eq!(both.front_pods().len(), 2);
    both.apply(&InjectionSpec { desired: Desired::Reverted, ..spec.clone() });
    both.status(&spec.name, InjectionState::Reverted);
    wait_until("back-2 is gone", || both.back_pods().len() == 2);

    let held = HostFault::Api(ApiFault::BlockAttach { ordinals: vec![1], claims: Vec::new() });
    let front = uids(&both.front_pods());
    let spec = wish("run.block.0.set", held, whole("back"));
    both.apply(&spec);
    wait_until("the new back-1 waits", || {
        let waits = |pod: &Pod| {
            pod.containers[0].waiting.as_deref().is_some_and(|why| why.contains("FailedAttachVolume"))
        };
        both.back_pods().iter().any(|pod| pod.ordinal == 1 && waits(pod))
    });
    both.apply(&InjectionSpec { desired: Desired::Reverted, ..spec.clone() });
    both.status(&spec.name, InjectionState::Reverted);
    both.fixture.wait_ready();
    assert_eq!(uids(&both.front_pods()), front);

    let nobody = wish("run.nobody.0.set", scale, whole("middle"));
    both.apply(&nobody);
    let failed = both.status(&nobody.name, InjectionState::Failed);
    assert!(failed.error.is_some_and(|why| why.contains("no StatefulSet that middle is")));
}
