//! A StatefulSet that nobody had in mind when the sandbox was written.

use crate::e2e_fixture::{Desk, Seat};
use crate::e2e_recorded::{claim, report_in};

/// Five replicas of a web server and a sidecar that writes what it serves, two claims, an ordinary user.
const MANIFEST: &str = r#"
apiVersion: v1
kind: Service
metadata:
  name: pages
spec:
  clusterIP: None
  selector: {app: pages}
  ports:
    - {name: web, port: 8080}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: pages
  labels: {app: pages}
spec:
  serviceName: pages
  replicas: 5
  podManagementPolicy: Parallel
  selector:
    matchLabels: {app: pages}
  template:
    metadata:
      labels: {app: pages}
    spec:
      terminationGracePeriodSeconds: 2
      securityContext: {fsGroup: 3000}
      containers:
        - name: server
          image: busybox
          command: [busybox, httpd, -f, -p, "8080", -h, /srv/shared]
          securityContext: {runAsUser: 1000, runAsGroup: 3000}
          ports:
            - {name: web, containerPort: 8080}
          readinessProbe:
            httpGet: {path: /name, port: web}
            periodSeconds: 1
          livenessProbe:
            tcpSocket: {port: web}
            periodSeconds: 2
          volumeMounts:
            - {name: shared, mountPath: /srv/shared}
            - {name: pages, mountPath: /srv/pages}
        - name: writer
          image: busybox
          command: [sh, -c]
          args:
            - |
              trap 'exit 0' TERM
              echo "$MY_NAME started" >> /log/starts
              echo "$MY_NAME" > /srv/shared/name
              while :; do date > /log/beat; sleep 1 & wait $!; done
          env:
            - name: MY_NAME
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
          readinessProbe:
            exec: {command: [test, -s, /log/beat]}
            periodSeconds: 1
          volumeMounts:
            - {name: shared, mountPath: /srv/shared}
            - {name: log, mountPath: /log}
      volumes:
        - {name: shared, emptyDir: {}}
  volumeClaimTemplates:
    - metadata: {name: pages}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 32Mi}}
    - metadata: {name: log}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 32Mi}}
"#;

/// No store, no clients: only pods are watched.
const EXPERIMENT: &str = "
apiVersion: seatrial.dev/v1alpha1
kind: Experiment
metadata:
  name: pages-come-back
spec:
  target:
    statefulSet: pages
    container: server
  steps:
    - name: keep-killing
      at: 1s
      for: 4s
      follow: true
      fault: {podKill: {members: {ordinals: [1, '3..4']}, mode: force}}
    - name: pause
      after: keep-killing
      for: 3s
      fault: {processPause: {members: {count: 20%}}}
  hypothesis:
    - name: the others stay
      sli: {podAvailability: {}}
      always: {min: 0.3}
      after: {min: 100%}
      recoverWithin: 30s
  guards:
    allowQuorumLoss: true # three of five pods: there is no store that could mind
";

#[test]
fn an_unseen_manifest_runs() {
    let _seat = Seat::take();
    let desk = Desk::new();
    desk.write("manifest.yaml", MANIFEST);
    desk.write("experiment.yaml", EXPERIMENT);
    desk.run(&["plan", "experiment.yaml", "manifest.yaml"]).exits(0).says("pages-1");
    desk.run(&["run", "experiment.yaml", "manifest.yaml", "--seed", "7", "--out", "out"]).exits(0);
    let report = report_in(&desk.path("out"));
    assert_eq!(report["replicas"], 5);
    assert_eq!(report["steps"][0]["members"], serde_json::json!([1, 3, 4]));
    assert_eq!(claim(&report, "podAvailability")["verdict"], "Pass");
    for ordinal in 0..5 {
        for container in ["server", "writer"] {
            let log = desk.path(&format!("out/logs/pages-{ordinal}/{container}.log"));
            assert!(log.is_file(), "{}", log.display());
        }
    }
}
