//! The development CSI driver in pods, as deploy/components/dev-csi has it, on nodes that share a kernel as those of kind do:
//! volumes are attached, go to another node with their data, and outlive the driver's controller. Snapshots are bound by the
//! snapshot controller of deploy/components as well, with the rights that it has there.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cluster_fixture::{Cluster, Held, Namespace, PATIENCE, eventually};

const IMAGE: &str = "seatrial.dev/dev-csi:0.1.0";
const LABEL: &str = "seatrial.dev/dev-csi-volumes";

/// One member on a node that the test chooses.
const SET: &str = r"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 1
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: {kubernetes.io/hostname: NODE}
      containers:
      - name: db
        image: 'docker.io/library/busybox:1'
        imagePullPolicy: IfNotPresent
        command: [sh, -c, 'echo $NODE >> /data/seen && exec sleep 100000']
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: dev-block, resources: {requests: {storage: 64Mi}}}
";

/// The driver while a test uses it.
struct Driver<'a> {
    cluster: &'a Held,
    folder: PathBuf,
    node: String,
}

impl<'a> Driver<'a> {
    fn install(cluster: &'a Held, node: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/components/dev-csi");
        if let Some(program) = cluster.program("dev-csi") {
            let own = format!("{}:/usr/local/bin/dev-csi", program.display());
            let tools = ["mkfs.ext4", "e2fsck", "resize2fs"].map(|tool| format!("/sbin/{tool}"));
            let files: Vec<&str> = [&own].into_iter().chain(&tools).map(String::as_str).collect();
            cluster.load_image(IMAGE, "/usr/local/bin/dev-csi", &files);
        }
        // A cluster has one of it: this test's own.
        cluster.stop("snapshot-controller");
        let driver = Self { cluster, folder, node: node.into() };
        cluster.kubectl(["label", "node", node, &format!("{LABEL}=true")]);
        for component in ["snapshot-controller", "dev-csi"] {
            let folder = driver.folder.with_file_name(component).display().to_string();
            cluster.kubectl(["apply", "--server-side", "--force-conflicts", "--kustomize", &folder]);
        }
        for (namespace, what) in [
            ("kube-system", "deployment/snapshot-controller"),
            ("seatrial-dev-csi", "deployment/dev-csi-controller"),
            ("seatrial-dev-csi", "daemonset/dev-csi-node"),
        ] {
            driver.wait_for(namespace, what);
        }
        driver
    }

    fn wait_for(&self, namespace: &str, what: &str) {
        let patience = format!("--timeout={}s", PATIENCE.as_secs());
        self.cluster.kubectl(["rollout", "status", "--namespace", namespace, what, &patience]);
    }

    /// The nodes to which volumes of this driver are attached now.
    fn attached_to(&self) -> Vec<String> {
        let text = self.cluster.kubectl(["get", "volumeattachments", "--output", "json"]);
        let found: Value = serde_json::from_str(&text).expect("kubectl writes JSON");
        let all = found["items"].as_array().expect("a list").iter();
        all.filter(|one| {
            one["spec"]["attacher"] == "dev-csi.seatrial.dev" && one["status"]["attached"] == true
        })
        .map(|one| one["spec"]["nodeName"].as_str().unwrap_or_default().to_owned())
        .collect()
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for pods in ["controller", "node"] {
                let selector = format!("--selector=app.kubernetes.io/component={pods}");
                let arguments = ["logs", "--namespace", "seatrial-dev-csi", "--all-containers", &selector];
                let shown = self.cluster.try_kubectl(arguments);
                eprintln!("{}", shown.unwrap_or_else(|complaint| complaint));
            }
        }
        let folder = self.folder.display().to_string();
        for arguments in [
            vec!["delete", "--kustomize", &folder, "--wait=false"],
            // Not the definitions, which others use.
            vec!["delete", "deployment,serviceaccount", "snapshot-controller", "--namespace=kube-system"],
            vec!["delete", "clusterrole,clusterrolebinding", "snapshot-controller"],
            vec!["label", "node", &self.node, &format!("{LABEL}-")],
        ] {
            if let Err(complaint) = self.cluster.try_kubectl(arguments) {
                eprintln!("{complaint}");
            }
        }
    }
}

fn seen(namespace: &Namespace<'_>) -> Vec<String> {
    let text = namespace.kubectl(["exec", "db-0", "--", "cat", "/data/seen"]);
    text.lines().map(str::to_owned).collect()
}

fn run_on(namespace: &Namespace<'_>, node: &str) {
    namespace.apply(&SET.replace("NODE}", &format!("{node}}}")));
    namespace.wait_ready("db");
}

/// The loop devices of this driver's volumes, as this machine sees them: their files lie on a node's disk.
fn devices(volume: &str) -> usize {
    let blocks = std::fs::read_dir("/sys/block").expect("block devices can be listed");
    let backing = blocks.map(|block| block.expect("an entry can be read").path().join("loop/backing_file"));
    let files = backing.filter_map(|file| std::fs::read_to_string(file).ok());
    files
        .filter(|file| file.trim_end_matches(" (deleted)\n").trim_end().ends_with(&format!("{volume}.img")))
        .count()
}

#[test]
fn a_volume_goes_to_another_node_with_its_data_and_outlives_the_controller() {
    let cluster = Cluster::exclusive();
    let nodes = cluster.kubectl(["get", "nodes", "--output=name"]);
    let nodes: Vec<&str> = nodes.lines().filter_map(|line| line.strip_prefix("node/")).collect();
    let [first, second, ..] = nodes.as_slice() else { unreachable!("it takes two nodes: {nodes:?}") };
    // The files lie on a node that none of the pods runs on.
    let driver = Driver::install(&cluster, nodes.last().expect("there are some"));
    let namespace = cluster.namespace("dev-csi");
    run_on(&namespace, first);
    let volume = namespace.kubectl(["get", "pvc", "data-db-0", "--output=jsonpath={.spec.volumeName}"]);
    assert_eq!(seen(&namespace), [*first]);
    assert_eq!(driver.attached_to(), [*first]);
    assert_eq!(devices(&volume), 1);

    run_on(&namespace, second);
    assert_eq!(seen(&namespace), [*first, *second], "what was written on {first} is there on {second}");
    assert_eq!(driver.attached_to(), [*second]);

    // Another process in another mount namespace must find the device that the file has, and not make a second one.
    cluster.kubectl([
        "delete",
        "pod",
        "--namespace=seatrial-dev-csi",
        "--selector=app.kubernetes.io/component=controller",
    ]);
    driver.wait_for("seatrial-dev-csi", "deployment/dev-csi-controller");
    run_on(&namespace, first);
    assert_eq!(seen(&namespace), [*first, *second, *first]);
    assert_eq!(devices(&volume), 1);

    namespace.apply(
        r"
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: one}
spec: {source: {persistentVolumeClaimName: data-db-0}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: larger}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: dev-block
  resources: {requests: {storage: 128Mi}}
  dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: one}
---
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  restartPolicy: Never
  containers:
  - name: reader
    image: 'docker.io/library/busybox:1'
    imagePullPolicy: IfNotPresent
    command: [sh, -c, 'cat /data/seen; df -m /data | tail -n 1']
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: larger}}]
",
    );
    eventually("the restored volume is read", PATIENCE, || {
        let phase = namespace.kubectl(["get", "pod", "reader", "--output=jsonpath={.status.phase}"]);
        (phase == "Succeeded").then_some(())
    });
    let read = namespace.kubectl(["logs", "reader"]);
    assert!(read.starts_with(&format!("{first}\n{second}\n{first}\n")), "{read}");
    let megabytes = read.split_whitespace().nth(4).and_then(|size| size.parse::<u32>().ok());
    assert!(megabytes.is_some_and(|size| size > 100), "it has the size that was asked for: {read}");

    namespace.kubectl(["delete", "statefulset/db", "pod/reader"]);
    namespace.kubectl(["delete", "pvc,volumesnapshot", "--all"]);
    eventually("volumes are detached and gone", PATIENCE, || {
        let left = cluster.kubectl(["get", "pv,volumeattachments", "--output=name"]);
        (!left.contains(&volume) && driver.attached_to().is_empty()).then_some(())
    });
    assert_eq!(devices(&volume), 0);
}
