//! Every whole command of the pages, and how a test runs it.

/// How a command of a page is run.
pub enum How {
    /// As it is, in the folder of its page; it ends with this code.
    Run(i32),
    /// As this, which is the same and takes less time.
    As(&'static str, i32),
    /// The run that tests share was made by it.
    Recorded,
    /// Against a cluster, by `cluster_docs`.
    Cluster,
    /// By another file of tests, in which this word is an argument: it takes long, or needs what a page does not say.
    By(&'static str, &'static str),
    /// By nobody: it is another program's. What it names in the repository is looked for.
    Others,
}

use How::{As, By, Cluster, Others, Recorded, Run};

/// What a page says, to the letter.
pub const KNOWN: &[(&str, How)] = &[
    ("cargo run --release -- run experiments/quickstart.yaml", Recorded),
    ("cargo build --release && sudo target/release/seatrial run experiments/quickstart.yaml", Recorded),
    ("seatrial sandbox ls", Run(0)),
    ("seatrial faults", Run(0)),
    ("seatrial faults diskLatency", Run(0)),
    ("seatrial slis commitLatency", Run(0)),
    ("seatrial schema", Run(0)),
    ("seatrial man", Run(0)),
    ("seatrial init statefulset.yaml -o experiment.yaml", By("e2e_write.rs", "init")),
    ("seatrial bench judge", As("seatrial bench judge --operations 2000", 0)),
    ("seatrial bench inject", As("seatrial bench inject --rounds 2", 0)),
    ("seatrial bench disk", By("vm_mapped.rs", "disk")),
    ("seatrial soak", By("kill_soak.rs", "soak")),
    ("seatrial run experiment.yaml etcd.yaml secrets.yaml", By("e2e_secure.rs", "run")),
    (
        "seatrial run experiment.yaml postgres.yaml --image postgres:17=postgres.tar",
        By("sandbox_images.rs", "--image"),
    ),
    // experiments/WRITING.md, from a manifest to a verdict and its mistakes.
    (
        "kubectl get statefulset,service,configmap -o yaml",
        By("cluster_run.rs", "statefulset,service,configmap"),
    ),
    ("sed '1,/^---$/d' experiments/etcd/leader-cut.yaml > statefulset.yaml", Run(0)),
    ("seatrial sandbox up statefulset.yaml --name first", Run(0)),
    ("seatrial sandbox down first", Run(0)),
    ("seatrial validate experiment.yaml statefulset.yaml", Run(0)),
    ("seatrial plan experiment.yaml statefulset.yaml", Run(0)),
    ("seatrial run experiment.yaml statefulset.yaml --seed 7 --out first", Run(0)),
    ("seatrial judge first", Run(0)),
    (
        "seatrial run experiment.yaml statefulset.yaml --repeat 20 --out twenty",
        By("e2e_repeat.rs", "--repeat"),
    ),
    ("seatrial validate typos.yaml statefulset.yaml", Run(20)),
    ("seatrial validate unfit.yaml statefulset.yaml", Run(20)),
    ("seatrial validate two-of-three.yaml statefulset.yaml", Run(0)),
    ("seatrial plan two-of-three.yaml statefulset.yaml", Run(21)),
    (
        "sudo seatrial/target/release/seatrial run experiment.yaml statefulset.yaml --out chaos --summary \"$GITHUB_STEP_SUMMARY\"",
        By("e2e_reports.rs", "GITHUB_STEP_SUMMARY"),
    ),
    // In a cluster.
    ("seatrial install | kubectl apply --server-side -f -", Cluster),
    ("kubectl apply --server-side -k deploy/overlays/default", Cluster),
    ("kubectl label namespace databases seatrial.dev/allow=true", Cluster),
    ("seatrial preflight --namespace databases experiment.yaml", Cluster),
    ("seatrial run experiments/etcd/leader-cut.yaml --on kubernetes --namespace databases", Cluster),
    ("seatrial run experiment.yaml --on kubernetes --namespace databases", Cluster),
    ("seatrial uninstall --yes", Cluster),
    ("seatrial install --agent none", Run(0)),
    ("seatrial preflight", By("cluster_attach.rs", "preflight")),
    ("seatrial status", By("cluster_run.rs", "status")),
    ("seatrial status --namespace databases", By("cluster_run.rs", "status")),
    ("kubectl delete halt stop", By("cluster_run.rs", "halt")),
    ("seatrial uninstall", By("cluster_survival.rs", "uninstall")),
    ("seatrial bench cluster", By("cluster_soak.rs", "cluster")),
    ("seatrial bench cluster --yes", By("cluster_soak.rs", "cluster")),
    ("seatrial soak --on kubernetes", By("cluster_soak.rs", "soak")),
    ("seatrial soak --on kubernetes --yes", By("cluster_soak.rs", "soak")),
    ("kubectl get experiment", By("cluster_run_fixture.rs", "experiment")),
    ("kubectl get experiments", By("cluster_run.rs", "experiments")),
    ("kubectl get injections", By("cluster_run_fixture.rs", "injections")),
    // Of other programs.
    ("apt install gcc libc6-dev", Others),
    ("apt install etcd-server", Others),
    ("sudo apt-get install --yes etcd-server", Others),
    ("export KUBECONFIG=/var/tmp/seatrial-cluster/kubeconfig", Others),
    ("kind create cluster --config deploy/overlays/kind/cluster.yaml", Others),
    ("kind delete cluster", Others),
    ("docker save", Others),
    ("docker save postgres:17 -o postgres.tar", Others),
    ("kind load docker-image seatrial.dev/dev-csi:0.1.0", Others),
    (
        "docker build --file deploy/components/dev-csi/Dockerfile --tag seatrial.dev/dev-csi:0.1.0 tests/cluster",
        Others,
    ),
    (
        "kubectl apply --server-side -k deploy/components/snapshot-controller",
        By("cluster_deploy.rs", "snapshot-controller"),
    ),
    ("kubectl wait --for=condition=Established crd/volumesnapshotclasses.snapshot.storage.k8s.io", Others),
    ("kubectl apply --server-side -k deploy/components/dev-csi", By("cluster_deploy.rs", "dev-csi")),
    ("losetup -D", Others),
    (
        "kubectl create -f - <<< '{apiVersion: seatrial.dev/v1alpha1, kind: Halt, metadata: {name: stop}, spec: {reason: incident 42}}'",
        Others,
    ),
    (
        "kubectl create secret generic etcd-client-tls --from-file=ca.crt --from-file=tls.crt --from-file=tls.key --dry-run=client -o yaml > secrets.yaml",
        Others,
    ),
    ("kubectl drain", Others),
    ("kubectl get secret etcd-client-tls -o yaml", Others),
];
