//! What a container finds around itself, and how it is probed.

use std::time::Duration;

use seatrial::platform::sandbox::pod_spec::{EmptyDir, EnvValue, EnvVar, FieldPath, ProbeCheck};

use crate::sandbox_fixture::{Fixture, mount, probe, shell, shell_set};

fn exec(script: &str) -> ProbeCheck {
    ProbeCheck::Exec { argv: ["sh", "-c", script].map(str::to_owned).to_vec() }
}

#[test]
fn container_has_its_own_root_and_cannot_change_the_hosts() {
    let script = "set -e; cd /etc; echo x > seatrial-was-here; echo $$$$ is my pid; id -u; ls /proc/1/exe; \
                  test -w /sys/kernel || echo sys is read-only; command -v seatrial; cat /etc/resolv.conf; \
                  echo > /dev/null; ls /sys/class/net; exec sleep 1000";
    let mut spec = shell_set(1, script);
    spec.pod.containers[0].run_as_user = Some(1234);
    spec.pod.containers[0].run_as_group = Some(2345);
    let fixture = Fixture::up("root", spec.clone());
    fixture.wait_log("web-0", "main", "Permission denied");
    drop(fixture);
    spec.pod.containers[0].run_as_user = None;
    let fixture = Fixture::up("root", spec);
    for expected in ["1 is my pid\n0\n", "/usr/local/bin/seatrial", "nameserver 10.244.0.1", "eth0\nlo\n"] {
        fixture.wait_log("web-0", "main", expected);
    }
    assert!(!std::path::Path::new("/etc/seatrial-was-here").exists());
}

#[test]
fn runs_as_the_user_and_group_that_are_asked_for() {
    let mut spec = shell_set(1, "id; echo > /scratch/mine; ls -ln /scratch; exec sleep 1000");
    spec.pod.containers[0].run_as_user = Some(1234);
    spec.pod.containers[0].run_as_group = Some(2345);
    spec.pod.fs_group = Some(3456);
    spec.pod.empty_dirs = vec![EmptyDir { name: "scratch".to_owned(), in_memory: true, size: Some(1 << 20) }];
    spec.pod.containers[0].mounts = vec![mount("scratch", "/scratch")];
    let fixture = Fixture::up("user", spec);
    fixture.wait_log("web-0", "main", "uid=1234 gid=2345 groups=2345,3456");
    fixture.wait_log("web-0", "main", "1234 3456");
}

#[test]
fn environment_has_field_references_and_expansion() {
    let mut spec = shell_set(1, "echo $ADDRESS $0 $1; exec sleep 1000");
    spec.pod.labels.insert("app".to_owned(), "shop".to_owned());
    let container = &mut spec.pod.containers[0];
    container.argv.extend(["$(NAME)".to_owned(), "$$(NAME)".to_owned()]);
    let variable = |name: &str, value| EnvVar { name: name.to_owned(), value };
    container.env = vec![
        variable("NAME", EnvValue::Field(FieldPath::PodName)),
        variable("APP", EnvValue::Field(FieldPath::Label("app".to_owned()))),
        variable("IP", EnvValue::Field(FieldPath::PodIp)),
        variable("ADDRESS", EnvValue::Text("$(APP)://$(IP):$(PORT)".to_owned())),
    ];
    let fixture = Fixture::up("env", spec);
    fixture.wait_ready();
    let ip = fixture.pod(0).ip.expect("it is ready");
    fixture.wait_log("web-0", "main", &format!("shop://{ip}:$(PORT) web-0 $(NAME)"));
}

#[test]
fn init_containers_run_in_order_before_the_others_and_share_volumes() {
    let mut spec = shell_set(1, "cat /in/order; echo third >> /in/order; exec sleep 1000");
    spec.pod.empty_dirs = vec![EmptyDir { name: "shared".to_owned(), in_memory: false, size: None }];
    let mut first = shell("first", "sleep 0.2; echo first >> /shared/order");
    first.mounts = vec![mount("shared", "/shared")];
    let mut second = shell("second", "echo second >> /shared/order");
    second.mounts = vec![mount("shared", "/shared")];
    spec.pod.init_containers = vec![first, second];
    spec.pod.containers[0].mounts = vec![mount("shared", "/in")];
    let mut side =
        shell("side", "until grep third /ro/order; do sleep 0.05; done; touch /ro/x; exec sleep 1000");
    side.mounts = vec![mount("shared", "/ro")];
    side.mounts[0].read_only = true;
    spec.pod.containers.push(side);
    let fixture = Fixture::up("initial", spec);
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "first\nsecond\n");
    fixture.wait_log("web-0", "side", "third");
    fixture.wait_log("web-0", "side", "Read-only file system");
}

#[test]
fn exec_probe_runs_inside_the_container() {
    let mut spec = shell_set(1, "sleep 0.3; touch /tmp/ready; exec sleep 1000");
    spec.pod.containers[0].readiness = Some(probe(exec("test -e /tmp/ready && test $(hostname) = web-0")));
    let fixture = Fixture::up("exec", spec);
    fixture.wait_ready();
    assert!(!std::path::Path::new("/tmp/ready").exists());
}

#[test]
fn hanging_exec_probe_is_ended_by_its_timeout_and_is_no_success() {
    let mut spec = shell_set(1, "exec sleep 1000");
    let mut hanging = probe(exec("echo hangs >> /proc/1/fd/1; sleep 1000"));
    // By then it has said so.
    hanging.timeout = Duration::from_secs(3);
    hanging.failure_threshold = 2;
    spec.pod.containers[0].liveness = Some(hanging);
    spec.pod.grace = Duration::from_millis(100);
    let fixture = Fixture::up("hang", spec);
    let seen =
        fixture.wait_for("a restart", |now| now.pod(0).is_some_and(|pod| pod.containers[0].restarts == 1));
    assert!(seen.pod(0).is_some());
    assert!(fixture.log("web-0", "main").matches("hangs").count() >= 2);
}

#[test]
fn container_that_stops_serving_is_taken_out_and_restarted() {
    let mut spec = shell_set(1, "touch /tmp/fine; mkdir /www; exec busybox httpd -f -p 80 -h /www");
    spec.pod.containers[0].readiness = Some(probe(exec("test -e /tmp/fine")));
    spec.pod.containers[0].liveness = Some(probe(exec("test -e /tmp/fine")));
    if let Some(readiness) = &mut spec.pod.containers[0].readiness {
        readiness.failure_threshold = 1;
    }
    let fixture = Fixture::up("unready", spec);
    fixture.wait_ready();
    let process = fixture.pid_outside(fixture.locate(0).containers[0].pid);
    std::fs::remove_file(format!("/proc/{process}/root/tmp/fine")).expect("root may");
    fixture.wait_for("unready", |now| now.pod(0).is_some_and(|pod| pod.containers[0].running && !pod.ready));
    fixture.wait_for("restarted", |now| {
        now.pod(0).is_some_and(|pod| pod.containers[0].restarts == 1 && pod.ready)
    });
}
