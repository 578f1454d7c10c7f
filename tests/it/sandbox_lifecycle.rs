//! Pods come, serve, die and come back as in Kubernetes.

use seatrial::platform::sandbox::pod_spec::ProbeCheck;

use crate::sandbox_fixture::{Fixture, probe, shell_set};

#[test]
fn runs_replicas_that_resolve_and_reach_each_other() {
    let mut spec = shell_set(
        3,
        "echo host $(hostname) $(hostname -f); mkdir -p /srv/www; hostname > /srv/www/index.html; \
         exec busybox httpd -f -p 8080 -h /srv/www",
    );
    spec.pod.containers[0].readiness = Some(probe(ProbeCheck::Tcp {
        host: None,
        port: 8080,
    }));
    let started = std::time::Instant::now();
    let fixture = Fixture::up("reach", spec);
    fixture.wait_ready();
    eprintln!("ready after {:?}", started.elapsed());
    fixture.wait_log("web-1", "main", "host web-1 web-1.web.default.svc.cluster.local");
}

#[test]
fn tmp_etcd() {
    use seatrial::platform::sandbox::pod_spec::*;
    let mut spec = crate::sandbox_fixture::with_claim(shell_set(3, ""));
    spec.name = "etcd".into();
    spec.service = "etcd".into();
    spec.publish_not_ready = true;
    let c = &mut spec.pod.containers[0];
    c.name = "etcd".into();
    c.env = vec![
        EnvVar {
            name: "POD_NAME".into(),
            value: EnvValue::Field(FieldPath::PodName),
        },
        EnvVar {
            name: "PEER".into(),
            value: EnvValue::Text("http://$(POD_NAME).etcd.default.svc.cluster.local:2380".into()),
        },
    ];
    c.argv = ["etcd", "--name=$(POD_NAME)", "--data-dir=/data/etcd", "--listen-peer-urls=http://0.0.0.0:2380",
        "--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://$(POD_NAME).etcd:2379",
        "--initial-advertise-peer-urls=$(PEER)",
        "--initial-cluster=etcd-0=http://etcd-0.etcd.default.svc.cluster.local:2380,etcd-1=http://etcd-1.etcd.default.svc.cluster.local:2380,etcd-2=http://etcd-2.etcd.default.svc.cluster.local:2380"]
        .iter().map(|s| s.to_string()).collect();
    c.readiness = Some(probe(ProbeCheck::Http {
        host: None,
        port: 2379,
        path: "/health".into(),
        headers: vec![],
    }));
    let started = std::time::Instant::now();
    let fixture = Fixture::up("etcd", spec);
    fixture.wait_ready();
    eprintln!("ready after {:?}", started.elapsed());
    let ip = fixture.pod(0).ip.unwrap();
    eprintln!(
        "{:?}",
        fixture.in_network(&[
            "etcdctl",
            &format!("--endpoints=http://{ip}:2379"),
            "put",
            "a",
            "b"
        ])
    );
    eprintln!(
        "{:?}",
        fixture.in_network(&[
            "sh",
            "-c",
            "mount | grep volumes; losetup -a; ip addr; cat /proc/net/dev"
        ])
    );
    eprintln!(
        "{:#?}",
        fixture
            .runtime
            .block_on(seatrial::node::Locate::pod(&fixture.client, 1))
    );
    eprintln!("{}", std::process::Command::new("sh").arg("-c").arg("losetup -a; find /sys/fs/cgroup/unified/seatrial -name cgroup.procs | xargs grep -H .; ps axf | tail -30").output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap());
    eprintln!(
        "{}",
        std::fs::read_to_string(fixture.sandbox().dir().diary()).unwrap()
    );
}
