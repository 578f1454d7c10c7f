//! What tests of the installation share: everything of deploy/ but its pods, and people with real tokens.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::cluster_fixture::{Cluster, Namespace, PATIENCE, eventually};

/// Where install puts things.
pub const SYSTEM: &str = "seatrial-system";

/// Installs everything but what runs in pods: other tests may have started those with images of their own.
pub fn install(cluster: &Cluster) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(["install", "--agent", "none"])
        .output()
        .expect("the program starts");
    let manifests = String::from_utf8(output.stdout).expect("manifests are text");
    let still: Vec<_> = manifests
        .split("---\n")
        .filter(|document| !document.contains("kind: Deployment") && !document.contains("kind: CronJob"))
        .collect();
    cluster.apply(SYSTEM, &still.join("---\n"));
    cluster.apply(SYSTEM, include_str!("../../deploy/base/agent-rbac.yaml"));
    // Policies come into force when the API server has polled them.
    eventually("the policies are in force", PATIENCE, || {
        let refused = cluster.try_kubectl(["create", "--dry-run=server", "--filename", EMPTY_AGENT]);
        refused.err().filter(|why| why.contains("only the agent on node"))
    });
}

const EMPTY_AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cluster_rig/nodeagent.yaml");

/// Somebody with a token of their own and nothing else.
pub struct Person<'a> {
    cluster: &'a Cluster,
    kubeconfig: PathBuf,
    _folder: TempDir,
}

impl<'a> Person<'a> {
    /// A service account of a namespace; `bound` names the pod that its token is bound to.
    pub fn account(cluster: &'a Cluster, namespace: &str, account: &str, bound: Option<&str>) -> Self {
        let mut arguments = vec!["create", "token", account, "--namespace", namespace];
        if let Some(pod) = bound {
            arguments.extend(["--bound-object-kind", "Pod", "--bound-object-name", pod]);
        }
        let token = cluster.kubectl(arguments);
        let view = |path: &str| {
            let path = format!("--output=jsonpath={{.clusters[0].cluster.{path}}}");
            cluster.kubectl(["config", "view", "--raw", "--minify", &path])
        };
        let text = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{ "name": "it", "cluster": {
                "server": view("server").trim(),
                "certificate-authority-data": view("certificate-authority-data").trim(),
            } }],
            "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
            "users": [{ "name": "it", "user": { "token": token.trim() } }],
        });
        let folder = TempDir::new().expect("a temporary folder can be made");
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, text.to_string()).expect("it can be written");
        Self { cluster, kubeconfig, _folder: folder }
    }

    /// Their kubeconfig.
    pub fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }

    /// What they may do, or what they are told.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let as_them = format!("--kubeconfig={}", self.kubeconfig.display());
        self.cluster.try_kubectl([as_them.as_str()].into_iter().chain(arguments.iter().copied()))
    }

    /// The same with a document.
    pub fn create(&self, namespace: &str, document: &serde_json::Value) -> Result<String, String> {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let path = folder.path().join("document.json");
        std::fs::write(&path, document.to_string()).expect("it can be written");
        self.kubectl(&["create", "--namespace", namespace, "--filename", &path.display().to_string()])
    }
}

/// Lets a namespace be broken.
pub fn allow(namespace: &Namespace<'_>, cluster: &Cluster) {
    cluster.kubectl(["label", "namespace", namespace.name(), "seatrial.dev/allow=true"]);
}

/// An Experiment that kills one pod of `db`.
pub fn experiment(name: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": { "name": name },
        "spec": {
            "target": { "statefulSet": "db" },
            "steps": [{ "name": "kill-one", "fault": { "podKill": { "members": { "count": 1 } } } }],
            "hypothesis": [{ "name": "all come back", "sli": { "podAvailability": {} }, "after": { "min": 1 } }],
        },
    })
}

/// A pod that hangs, under an account and on a node.
pub fn pod(name: &str, account: &str, node: Option<&str>) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "serviceAccountName": account,
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "it", "image": "docker.io/library/busybox:1", "command": ["sleep", "100000"] }],
        },
    })
}

/// An Injection of `run` on the pod db-0.
pub fn injection(run: &str, node: &str, uid: &str) -> serde_json::Value {
    let name = format!("{run}.cut.0.0");
    serde_json::json!({
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "Injection",
        "metadata": { "name": name, "labels": { "seatrial.dev/run": run } },
        "spec": {
            "name": name, "run": run, "step": "cut", "occurrence": 0, "follow": false, "desired": "Injected",
            "pod": { "name": "db-0", "ordinal": 0, "uid": uid, "node": node },
            "fault": { "pause": {} },
            "deadline": { "at": "2099-01-01T00:00:00Z", "within": "1h" },
        },
    })
}

/// Somebody with all the rights that killing pods takes, and no others.
pub fn breaker_of_pods<'a>(cluster: &'a Cluster, namespace: &Namespace<'_>) -> Person<'a> {
    namespace.kubectl(["create", "serviceaccount", "author"]);
    namespace.apply(
        r"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: author}
rules:
- {apiGroups: [seatrial.dev], resources: [experiments], verbs: [create]}
- {apiGroups: [''], resources: [pods], verbs: [delete, create]}
- {apiGroups: [''], resources: [pods/exec], verbs: [create]}
",
    );
    let account = format!("--serviceaccount={}:author", namespace.name());
    namespace.kubectl(["create", "rolebinding", "author", "--role=author", &account]);
    Person::account(cluster, namespace.name(), "author", None)
}
