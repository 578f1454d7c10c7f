//! What README.md and deploy/README.md have a reader type against a cluster, typed as it stands there.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::cluster_fixture::{Held, PATIENCE, eventually};
use crate::cluster_installation::make_image;
use crate::cluster_rig::SYSTEM;
use crate::cluster_run_fixture::{LEADER_CUT, Scene};
use crate::e2e_fixture::{Desk, Done, shipped, text_of};

/// All that is typed otherwise than a page has it: nobody answers here when a command asks whether it may.
const INSTEAD: [(&str, &str); 1] = [(" --on kubernetes", " --on kubernetes --yes")];

/// Where the pages' stores are.
const NAMESPACE: &str = "databases";

/// A reader with a terminal: in the repository's folder, as far as the pages name files of it, with an experiment of their own.
struct Reader<'a> {
    cluster: &'a Held,
    desk: Desk,
}

impl<'a> Reader<'a> {
    /// What the pages take for granted: the image in the cluster, and a namespace with a store that runs.
    fn with_a_store(cluster: &'a Held) -> Self {
        make_image(cluster, seatrial::install::IMAGE, env!("CARGO_BIN_EXE_seatrial"));
        cluster.kubectl(["delete", "namespace", NAMESPACE, "--ignore-not-found"]);
        cluster.kubectl(["create", "namespace", NAMESPACE]);
        let text = text_of(&shipped(LEADER_CUT));
        let (_, manifests) = text.split_once("\n---\n").expect("the experiment is the first document");
        cluster.apply(NAMESPACE, manifests);
        let patience = format!("--timeout={}s", PATIENCE.as_secs());
        cluster.kubectl(["rollout", "status", "statefulset/etcd", "--namespace", NAMESPACE, &patience]);
        let desk = Desk::new();
        for (name, there) in [
            ("experiments", shipped("experiments")),
            ("deploy", shipped("deploy")),
            ("seatrial", env!("CARGO_BIN_EXE_seatrial").into()),
        ] {
            symlink(there, desk.path(name)).expect("a folder of our own");
        }
        if let Some(kubectl) = cluster.program("kubectl") {
            symlink(kubectl, desk.path("kubectl")).expect("a folder of our own");
        }
        desk.write("experiment.yaml", Scene::experiment("own", LEADER_CUT, &[]));
        Self { cluster, desk }
    }

    /// Types every line. After an installation they look whether it runs.
    fn types(&self, lines: &[String]) {
        for line in lines {
            let line = INSTEAD.iter().fold(line.clone(), |line, (is, becomes)| line.replace(is, becomes));
            let path = std::env::var("PATH").unwrap_or_default();
            let output = Command::new("sh")
                .args(["-ec", &line])
                .current_dir(self.desk.path(""))
                .env("PATH", format!("{}:{path}", self.desk.path("").display()))
                .env("KUBECONFIG", self.cluster.kubeconfig())
                .env("SEATRIAL_STATE", self.desk.state())
                .output()
                .expect("there is a shell");
            let done = Done::of(output);
            assert_eq!(done.code, Some(0), "`{line}`\n{}{}", done.out, done.err);
            if line.contains("kubectl apply") {
                self.sees_it_run();
            }
            if line.starts_with("seatrial run ") {
                assert!(done.out.starts_with("PASS"), "{}", done.out);
            }
        }
    }

    /// Agents get room for copies of a program that is not optimised, which is several times as large as the one that is shipped.
    fn sees_it_run(&self) {
        let room =
            ["set", "resources", "daemonset/seatrial-agent", "--limits=memory=512Mi", "--namespace", SYSTEM];
        self.cluster.kubectl(room);
        for what in ["deployment/seatrial-controller", "daemonset/seatrial-agent"] {
            self.cluster.kubectl(["rollout", "status", what, "--namespace", SYSTEM, "--timeout=2m"]);
        }
        eventually("every node tells what its agent can do", PATIENCE, || {
            let told = self.cluster.kubectl(["get", "nodeagents", "--output=name"]).lines().count();
            let nodes = self.cluster.kubectl(["get", "nodes", "--output=name"]).lines().count();
            (told >= nodes).then_some(())
        });
    }
}

/// What takes longer than continuous integration has: `make test-cluster`.
mod long {
    use super::*;
    use crate::cluster_fixture::Cluster;
    use crate::cluster_installation::{begin, rest};
    use crate::docs::commands::against_a_cluster;

    #[test]
    fn the_pages_lead_from_nothing_to_a_verdict_and_back_and_there_again() {
        let cluster = Cluster::installed_alone();
        rest(&cluster);
        let [readme, deploy] = against_a_cluster();
        let reader = Reader::with_a_store(&cluster);
        assert!(deploy.last().is_some_and(|last| last.starts_with("seatrial uninstall")), "{deploy:?}");
        reader.types(&deploy);
        eventually("nothing is installed", PATIENCE, || {
            cluster.try_kubectl(["get", "namespace", SYSTEM]).is_err().then_some(())
        });
        reader.types(&readme);
        cluster.kubectl(["delete", "namespace", NAMESPACE]);
        begin(&cluster);
    }
}
