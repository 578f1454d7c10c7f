//! An ordinary user gets a sandbox as well, as far as the kernel lets them.

use std::os::unix::fs::chown;
use std::process::Command;

use nix::unistd::geteuid;
use seatrial::platform::Cluster;
use seatrial::platform::sandbox::pod_spec::ProbeCheck;
use seatrial::platform::sandbox::{Sandbox, SandboxError};
use tempfile::TempDir;

use crate::again::{alone, passed};
use crate::sandbox_fixture::{Fixture, PROGRAM, options, probe, shell_set, with_claim};

const NOBODY: u32 = 65534;

/// Runs a test's body as an ordinary user: here where we are one, in a process of its own otherwise.
fn as_ordinary_user(test: &str, body: fn()) {
    if !geteuid().is_root() {
        return body();
    }
    let state = TempDir::new().expect("a temporary folder can be made");
    chown(state.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    // Where the tests were built, an ordinary user may not be let in.
    let program = state.path().join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_seatrial"), &program).expect("the program can be read");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(std::env::current_exe().expect("this is a program"))
        .args(alone(test))
        .env("TMPDIR", state.path())
        .env(PROGRAM, &program)
        .output()
        .expect("setpriv is installed");
    passed(&output);
}

#[test]
fn pods_of_an_ordinary_user_serve_probe_and_come_back() {
    as_ordinary_user("sandbox_unprivileged::pods_of_an_ordinary_user_serve_probe_and_come_back", serve);
}

fn serve() {
    let script = "echo x >> /data/starts; wc -l < /data/starts; id -u; hostname -f; mkdir /srv/www; \
                  exec busybox httpd -f -p 80 -h /srv/www";
    let mut spec = with_claim(shell_set(3, script));
    spec.pod.containers[0].readiness = Some(probe(ProbeCheck::Tcp { host: None, port: 80 }));
    spec.pod.containers[0].liveness =
        Some(probe(ProbeCheck::Exec { argv: ["test", "-d", "/srv/www"].map(str::to_owned).to_vec() }));
    let fixture = Fixture::up("user", spec);
    fixture.wait_ready();
    fixture.wait_log("web-2", "main", "1\n0\nweb-2.web.default.svc.cluster.local\n");
    let located = fixture.locate(2);
    assert_eq!(located.volumes[0].device, None);
    let uid = fixture.pod(2).uid;
    fixture.runtime.block_on(fixture.client.delete_pod(2, None)).expect("there is such a pod");
    fixture.wait_for("another pod", |now| now.pod(2).is_some_and(|pod| pod.uid != uid && pod.ready));
    fixture.wait_log("web-2", "main", "\n2\n0\n");
    assert_eq!(fixture.pod(2).containers[0].restarts, 0);
}

#[test]
fn another_user_is_refused_with_what_to_do() {
    as_ordinary_user("sandbox_unprivileged::another_user_is_refused_with_what_to_do", || {
        let state = TempDir::new().expect("a temporary folder can be made");
        let mut spec = shell_set(1, "exec sleep 1");
        spec.pod.containers[0].run_as_user = Some(1000);
        let refused =
            Sandbox::up(spec, Vec::new(), options("user", state.path())).expect_err("nobody can become 1000");
        assert!(matches!(refused, SandboxError::RunAs { id: 1000, .. }));
        assert!(refused.to_string().contains("sudo"), "{refused}");
        assert!(!state.path().join("sandboxes/user").exists());
    });
}
