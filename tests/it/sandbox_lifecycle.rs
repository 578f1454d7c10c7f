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
