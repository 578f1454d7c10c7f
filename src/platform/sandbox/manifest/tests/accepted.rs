//! Manifests that run, and what is said about them.

use std::time::Duration;

use super::*;
use crate::platform::sandbox::pod_spec::{
    EnvValue, FieldPath, ProbeCheck, Protocol, ServicePort, StartOrder,
};

fn accepted(set: &str) -> Accepted {
    read_set(set).unwrap_or_else(|problems| unreachable!("{:#?}", told(&problems)))
}

/// `path: message` of each note.
fn notes(set: &str) -> Vec<String> {
    accepted(set).notes.iter().map(|note| format!("{}: {}", note.path, note.message)).collect()
}

#[test]
fn gives_the_defaults_of_kubernetes() {
    let set = accepted(SET).set;
    assert_eq!((set.name.as_str(), set.namespace.as_str(), set.service.as_str()), ("db", "default", "db"));
    assert_eq!((set.replicas, set.first_ordinal, set.start), (3, 0, StartOrder::Ordered));
    assert_eq!(set.pod.grace, Duration::from_secs(30));
    assert_eq!(set.pod.service_account, "default");
    assert!(!set.publish_not_ready);
    let port = |name: &str, target| ServicePort { name: Some(name.into()), protocol: Protocol::Tcp, target };
    assert_eq!(set.service_ports, [port("client", 2379), port("peer", 2380)]);
    assert_eq!(set.pod.containers[0].argv, ["/usr/bin/etcd"]);
}

#[test]
fn gives_the_defaults_of_probes() {
    let set = accepted(&with_container(
        "ports: [{name: http, containerPort: 8080}]\nreadinessProbe: {httpGet: {port: http}}\nlivenessProbe: {tcpSocket: {port: 8080}, failureThreshold: 5, timeoutSeconds: 2}",
    ))
    .set;
    let container = &set.pod.containers[0];
    let readiness = container.readiness.as_ref().expect("given");
    let http = ProbeCheck::Http { host: None, port: 8080, path: "/".into(), headers: Vec::new() };
    assert_eq!(readiness.check, http);
    assert_eq!((readiness.period, readiness.timeout), (Duration::from_secs(10), Duration::from_secs(1)));
    assert_eq!((readiness.success_threshold, readiness.failure_threshold), (1, 3));
    let liveness = container.liveness.as_ref().expect("given");
    assert_eq!((liveness.failure_threshold, liveness.timeout), (5, Duration::from_secs(2)));
}

#[test]
fn says_which_program_stands_for_the_image() {
    assert_eq!(
        notes(SET),
        [
            "spec.template.spec.containers[0].image: image quay.io/coreos/etcd:v3.5 is not unpacked; /usr/bin/etcd of this machine is used"
        ]
    );
}

#[test]
fn takes_the_images_name_for_its_program_where_there_is_no_command() {
    let set = SET.replace("          command: [etcd]\n", "          args: [--name, $(POD)]\n");
    assert_eq!(accepted(&set).set.pod.containers[0].argv, ["/usr/bin/etcd", "--name", "$(POD)"]);
}

#[test]
fn runs_seatrial_itself_for_refkv() {
    let set = SET
        .replace("quay.io/coreos/etcd:v3.5", "seatrial.dev/refkv:1")
        .replace("command: [etcd]", "args: [--data, /data]");
    let accepted = accepted(&set);
    assert_eq!(accepted.set.pod.containers[0].argv, ["/usr/local/bin/seatrial", "refkv", "--data", "/data"]);
    assert_eq!(accepted.notes, []);
}

#[test]
fn says_so_where_a_path_of_the_image_is_another_one_here() {
    let set = SET.replace("[etcd]", "[/usr/local/bin/etcd]");
    assert!(notes(&set).contains(
        &"spec.template.spec.containers[0].command[0]: there is no /usr/local/bin/etcd here; /usr/bin/etcd is used"
            .to_owned()
    ));
}

#[test]
fn reads_variables_in_order() {
    let set = accepted(&with_container(
        "env:\n- {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n- {name: URL, value: 'http://$(POD)'}\n- {name: INDEX, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['apps.kubernetes.io/pod-index']\"}}}\n- {name: PASS, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}",
    ));
    let values: Vec<_> =
        set.set.pod.containers[0].env.iter().map(|variable| variable.value.clone()).collect();
    assert_eq!(
        values,
        [
            EnvValue::Field(FieldPath::PodName),
            EnvValue::Text("http://$(POD)".into()),
            EnvValue::Field(FieldPath::Label("apps.kubernetes.io/pod-index".into())),
        ]
    );
    let paths: Vec<_> = set.notes.iter().map(|note| note.path.as_str()).collect();
    assert!(paths.contains(&"spec.template.spec.containers[0].env[3].valueFrom.secretKeyRef"));
}

#[test]
fn reads_claims_volumes_users_and_mounts() {
    let set = format!(
        "{}{}",
        with_container(
            "volumeMounts: [{name: data, mountPath: /data, subPath: a/b}, {name: tmp, mountPath: /tmp, readOnly: true}]\nsecurityContext: {runAsUser: 1000}"
        ),
        "      securityContext: {runAsUser: 1, runAsGroup: 2, fsGroup: 3, runAsNonRoot: true}
      volumes: [{name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 1.5Gi}}
"
    );
    let accepted = accepted(&set);
    let pod = &accepted.set.pod;
    assert_eq!(accepted.set.claims[0].size, 3 << 29);
    assert_eq!((pod.empty_dirs[0].in_memory, pod.empty_dirs[0].size), (true, Some(64 << 20)));
    assert_eq!(pod.fs_group, Some(3));
    let container = &pod.containers[0];
    assert_eq!((container.run_as_user, container.run_as_group), (Some(1000), Some(2)));
    assert_eq!(container.mounts[0].sub_path, Some("a/b".into()));
    assert!(container.mounts[1].read_only);
    assert_eq!(accepted.notes.len(), 1, "{:#?}", accepted.notes);
}

#[test]
fn a_claim_template_takes_the_place_of_a_volume_of_its_name() {
    let set = format!(
        "{}{}",
        with_container("volumeMounts: [{name: datadir, mountPath: /data}]"),
        "      volumes: [{name: datadir, persistentVolumeClaim: {claimName: datadir}}]
  volumeClaimTemplates:
    - metadata: {name: datadir}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"
    );
    let accepted = accepted(&set);
    assert_eq!(accepted.set.claims.len(), 1);
    assert_eq!((accepted.set.pod.empty_dirs.len(), accepted.set.pod.shown_volumes.len()), (0, 0));
    let said = "the claim template of the same name takes its place, as in a cluster";
    assert!(accepted.notes.iter().any(|note| note.message == said), "{:#?}", accepted.notes);
}

#[test]
fn notes_what_is_left_out_with_its_place() {
    let set = with_container("resources: {requests: {cpu: 1, memory: 1Gi}}\nimagePullPolicy: Always");
    let accepted = accepted(&set);
    let note = accepted.notes.iter().find(|note| note.path.ends_with("requests")).expect("noted");
    assert_eq!((note.file.as_str(), note.line, note.column), ("set.yaml", 16, 23));
    assert_eq!(note.path, "spec.template.spec.containers[0].resources.requests");
    assert_eq!(note.message, "nothing is scheduled in the sandbox, so nothing is reserved");
    assert!(accepted.notes.iter().any(|note| note.path.ends_with("imagePullPolicy")));
}

#[test]
fn says_nothing_about_values_that_change_nothing() {
    let set = with_pod(
        "hostNetwork: false\ndnsPolicy: ClusterFirst\nrestartPolicy: Always\naffinity: {}\ntolerations: []",
    );
    assert_eq!(notes(&set).len(), 1);
}

#[test]
fn notes_other_services_and_harmless_kinds() {
    let other =
        SERVICE.replace("name: db", "name: db-client").replace("clusterIP: None", "type: LoadBalancer");
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: x}\n";
    let rule = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: x}\n";
    let documents = [SET, other.as_str(), "# nothing\n", SERVICE, budget, rule].map(document);
    let notes = read(&documents, &machine).expect("accepted").notes;
    let messages: Vec<_> = notes.iter().map(|note| note.message.as_str()).collect();
    assert!(messages.contains(&"Service db-client is left out: only the governing Service has a name"));
    assert!(messages.contains(&"PodDisruptionBudget is left out: the sandbox evicts nobody"));
    assert!(messages.contains(&"PrometheusRule is left out: the sandbox has no Prometheus"));
}

#[test]
fn notes_what_a_service_says_of_families_of_addresses_that_pods_do_not_have() {
    let said = |lines: &str| {
        let service = SERVICE.replace("clusterIP: None", &format!("clusterIP: None\n  {lines}"));
        let accepted = read(&[document(&service), document(SET)], &machine).expect("accepted");
        let notes = accepted.notes.into_iter().filter(|note| note.path.starts_with("spec.ip"));
        notes.map(|note| note.path).collect::<Vec<_>>()
    };
    // As a cluster with one family prints it, and as charts write it.
    assert!(said("clusterIPs: [None]\n  ipFamilies: [IPv4]\n  ipFamilyPolicy: SingleStack").is_empty());
    assert!(said("ipFamilyPolicy: PreferDualStack").is_empty());
    let both = said("clusterIPs: [None]\n  ipFamilies: [IPv4, IPv6]\n  ipFamilyPolicy: PreferDualStack");
    assert_eq!(both, ["spec.ipFamilies"]);
    let required = said("ipFamilies: [IPv6, IPv4]\n  ipFamilyPolicy: RequireDualStack");
    assert_eq!(required, ["spec.ipFamilies", "spec.ipFamilyPolicy"]);
}

#[test]
fn resolves_target_ports_by_name_and_says_that_nothing_is_translated() {
    let service = SERVICE.replace("port: 2379}", "port: 80, targetPort: api}");
    let set = with_container("ports: [{name: api, containerPort: 2379}]");
    let accepted = read(&[document(&service), document(&set)], &machine).expect("accepted");
    assert_eq!(accepted.set.service_ports[0].target, 2379);
    assert!(accepted.notes.iter().any(|note| note.path == "spec.ports[0].port"));
}

#[test]
fn finds_real_programs_of_this_machine() {
    assert_eq!(on_this_machine("/bin/sh"), Some(PathBuf::from("/bin/sh")));
    assert!(on_this_machine("sh").is_some_and(|found| found.is_absolute()));
    for nothing in ["", "no-such-program", "/etc/passwd", "/bin", "./sh"] {
        assert_eq!(on_this_machine(nothing), None, "{nothing}");
    }
}

#[test]
fn reads_five_replicas_with_two_containers_and_two_claims() {
    let set = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: queue, namespace: shop}
spec:
  serviceName: db
  replicas: 5
  ordinals: {start: 2}
  podManagementPolicy: Parallel
  minReadySeconds: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db, tier: &tier back}, annotations: {tier: *tier}}
    spec:
      terminationGracePeriodSeconds: 5
      initContainers:
        - {name: prepare, image: busybox, args: [mkdir, -p, /data/log]}
      containers:
        - name: queue
          image: etcd
          volumeMounts: [{name: data, mountPath: /data}, {name: log, mountPath: /log}]
        - name: metrics
          image: example.org:5000/metrics@sha256:00
          command: [/bin/sh, -c]
          args: ['sleep 1000']
          volumeMounts: [{name: log, mountPath: /log, readOnly: true}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: &claim {accessModes: [ReadWriteOnce], resources: {requests: {storage: 64Mi}}}
    - metadata: {name: log}
      spec: *claim
";
    let service = SERVICE.replace("name: db}", "name: db, namespace: shop}");
    let set = read(&[document(set), document(&service)], &machine).expect("accepted").set;
    assert_eq!((set.replicas, set.first_ordinal, set.start), (5, 2, StartOrder::Parallel));
    assert_eq!((set.min_ready, set.pod.grace), (Duration::from_secs(3), Duration::from_secs(5)));
    assert_eq!(set.pod.init_containers[0].argv, ["/usr/bin/busybox", "mkdir", "-p", "/data/log"]);
    let names: Vec<_> = set.pod.containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["queue", "metrics"]);
    assert_eq!(set.pod.containers[1].argv, ["/usr/bin/sh", "-c", "sleep 1000"]);
    assert_eq!(set.pod.annotations["tier"], "back");
    let sizes: Vec<_> = set.claims.iter().map(|claim| claim.size).collect();
    assert_eq!(sizes, [64 << 20, 64 << 20]);
}
