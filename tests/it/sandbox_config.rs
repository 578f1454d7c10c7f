//! What pods are told by the documents beside their StatefulSet: ConfigMaps, Secrets and fields of their own.

use seatrial::platform::sandbox::Sandbox;

use crate::sandbox_fixture::{Fixture, options};
use crate::sandbox_manifest::accepted;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {clusterIP: None, selector: {app: app}, ports: [{name: web, port: 80}]}
";

const CONFIG: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  MODE: $(NAME) costs 5$
  app.conf: |
    listen = 80
binaryData: {blob: /v7+/g==}
";

const SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: access}
stringData: {PASSWORD: correct-horse}
data: {tls.key: YmF0dGVyeQ==}
";

const SET: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: app}
spec:
  replicas: 2
  serviceName: app
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}, annotations: {team: "the \"blue\" one"}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {fsGroup: 4242}
      containers:
        - name: app
          image: busybox
          command: [sh, -c]
          args:
            - |
              echo "mode <$MODE> prefixed <$CFG_MODE> password <$PASSWORD>"
              cat /config/app.conf; stat -c '%a %g %n' /config/app.conf /access/tls.key
              od -An -tx1 /config/blob; cat /access/tls.key; echo
              cat /etc/app/main.conf; ls /etc/app; cat /all/pod/labels; echo; cat /all/pod/annotations; echo
              cat /all/me /all/password; echo; cat /down/ns; echo; ls /none | wc -l
              touch /config/new; touch /all/new
              exec sleep 1000
          env:
            - {name: NAME, value: other}
            - {name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: MODE}}}
            - {name: PASSWORD, valueFrom: {secretKeyRef: {name: access, key: PASSWORD}}}
          envFrom:
            - {prefix: CFG_, configMapRef: {name: plain}}
            - {configMapRef: {name: missing, optional: true}}
          volumeMounts:
            - {name: config, mountPath: /config}
            - {name: access, mountPath: /access}
            - {name: config, mountPath: /etc/app/main.conf, subPath: app.conf}
            - {name: all, mountPath: /all}
            - {name: down, mountPath: /down}
            - {name: none, mountPath: /none}
      volumes:
        - name: config
          configMap: {name: settings, defaultMode: 0640}
        - name: access
          secret: {secretName: access, items: [{key: tls.key, path: tls.key, mode: 0400}]}
        - name: none
          configMap: {name: missing, optional: true}
        - name: down
          downwardAPI: {items: [{path: ns, fieldRef: {fieldPath: metadata.namespace}}]}
        - name: all
          projected:
            sources:
              - secret: {name: access, items: [{key: PASSWORD, path: password}]}
              - configMap: {name: settings, items: [{key: app.conf, path: conf/app.conf}]}
              - downwardAPI:
                  items:
                    - {path: pod/labels, fieldRef: {fieldPath: metadata.labels}}
                    - {path: pod/annotations, fieldRef: {fieldPath: metadata.annotations}}
                    - {path: me, fieldRef: {fieldPath: metadata.name}}
"#;

const PLAIN: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: plain}
data: {MODE: fast}
";

#[test]
fn config_maps_secrets_and_fields_are_variables_and_files() {
    let set = accepted(&[SERVICE, CONFIG, SECRET, PLAIN, SET]);
    let fixture = Fixture::up("config", set);
    fixture.wait_ready();
    for expected in [
        // What a ConfigMap holds is not expanded.
        "mode <$(NAME) costs 5$> prefixed <fast> password <correct-horse>\nlisten = 80\n",
        "440 4242 /access/tls.key\n",
        "640 4242 /config/app.conf\n",
        " fe fe fe fe\nbattery\nlisten = 80\nmain.conf\n",
        "app=\"app\"\napps.kubernetes.io/pod-index=\"1\"\nstatefulset.kubernetes.io/pod-name=\"app-1\"\n",
        "team=\"the \\\"blue\\\" one\"\napp-1correct-horse\ndefault\n0\n",
        "cannot touch '/config/new': Read-only file system",
        "cannot touch '/all/new': Read-only file system",
    ] {
        fixture.wait_log("app-1", "app", expected);
    }
    let setup = std::fs::read_to_string(fixture.sandbox().dir().path().join("setup.json")).expect("readable");
    assert!(!setup.contains("correct-horse") && !setup.contains("YmF0dGVyeQ"), "{setup}");
    let diary =
        std::fs::read_to_string(fixture.sandbox().dir().path().join("sandbox.log")).expect("readable");
    assert!(!diary.contains("correct-horse"), "{diary}");
}

#[test]
fn files_of_a_pod_are_for_its_owner_alone_on_the_host_and_go_with_it() {
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::TempDir::new().expect("a temporary folder can be made");
    let options = options("config-end", state.path());
    let sandbox = Sandbox::up(accepted(&[SERVICE, CONFIG, SECRET, PLAIN, SET]), Vec::new(), options)
        .expect("the sandbox starts");
    let folder = sandbox.dir().path().to_owned();
    let mode = std::fs::metadata(&folder).expect("there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    sandbox.stop().expect("it can be stopped");
    assert!(!folder.exists());
}
