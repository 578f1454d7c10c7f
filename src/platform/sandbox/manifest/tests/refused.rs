//! Manifests that do not run, and what is said about each of their problems.

use super::*;

#[test]
fn refuses_a_typo_with_its_place_and_the_nearest_name() {
    assert_eq!(
        only_problem(&with_container("volumeMount: []")),
        "set.yaml:16:11 spec.template.spec.containers[0].volumeMount: there is no such field in Container (did you mean volumeMounts?)"
    );
}

#[test]
fn finds_typos_in_what_is_only_noted() {
    let told = only_problem(&with_pod("affinity: {podAntiAffinty: {}}"));
    assert!(told.ends_with("there is no such field in Affinity (did you mean podAntiAffinity?)"), "{told}");
}

#[test]
fn counts_lines_from_the_beginning_of_the_file() {
    let text = SET.replace("replicas: 3", "replicas: three");
    let documents = [
        Document { file: "all.yaml", first_line: 1, text: SERVICE },
        Document { file: "all.yaml", first_line: 10, text: &text },
    ];
    let problems = read(&documents, &machine).expect_err("refused");
    assert_eq!(
        told(&problems),
        [
            "all.yaml:16:13 spec.replicas: must be a whole number, is the text \"three\" (write it without quotes and without a unit)"
        ]
    );
}

#[test]
fn a_number_with_a_fraction_is_told_with_it() {
    assert_eq!(
        only_problem(&SET.replace("replicas: 3", "replicas: 3.0")),
        "set.yaml:7:13 spec.replicas: must be a whole number, is the number 3.0 (write it without a fraction)"
    );
}

#[test]
fn tells_all_problems_of_all_documents_at_once() {
    let set = with_container("env: [{name: PORT, value: 8080}]\nimagePullPolicy: []\nstdin: true")
        .replace("replicas: 3", "replica: 3")
        .replace("name: db\nspec", "name: DB_1\nspec");
    let service = SERVICE.replace("None", "10.0.0.1");
    let documents = [
        Document { file: "a.yaml", first_line: 1, text: &service },
        Document { file: "b.yaml", first_line: 1, text: &set },
        Document { file: "c.yaml", first_line: 5, text: "a: [" },
    ];
    let problems = read(&documents, &machine).expect_err("refused");
    let places: Vec<_> = problems.iter().map(|problem| (problem.path.as_str(), problem.line)).collect();
    assert_eq!(
        places,
        [
            ("spec.clusterIP", 5),
            ("metadata.name", 4),
            ("spec.replica", 7),
            ("spec.template.spec.containers[0].env[0].value", 16),
            ("spec.template.spec.containers[0].imagePullPolicy", 17),
            ("spec.template.spec.containers[0].stdin", 18),
            ("", 5),
        ],
        "{:#?}",
        told(&problems)
    );
}

#[test]
fn refuses_what_would_change_the_meaning_of_the_test() {
    for (set, path) in [
        (with_pod("hostNetwork: true"), "spec.template.spec.hostNetwork"),
        (
            with_pod("volumes: [{name: a, configMap: {name: c}}]"),
            "spec.template.spec.volumes[0].configMap.name",
        ),
        (
            with_pod("volumes: [{name: a, projected: {sources: [{serviceAccountToken: {path: t}}]}}]"),
            "spec.template.spec.volumes[0].projected.sources[0].serviceAccountToken",
        ),
        (
            with_pod("volumes: [{name: a, downwardAPI: {items: [{path: t}]}}]"),
            "spec.template.spec.volumes[0].downwardAPI.items[0]",
        ),
        (
            with_pod(
                "volumes: [{name: a, downwardAPI: {items: [{path: t, fieldRef: {fieldPath: status.podIP}}]}}]",
            ),
            "spec.template.spec.volumes[0].downwardAPI.items[0].fieldRef.fieldPath",
        ),
        (
            with_pod("volumes: [{name: a, persistentVolumeClaim: {claimName: c}}]"),
            "spec.template.spec.volumes[0].persistentVolumeClaim",
        ),
        (with_pod("volumes: [{name: a, hostPath: {path: /}}]"), "spec.template.spec.volumes[0].hostPath"),
        (
            with_pod("volumes: [{name: a, emptyDir: {}, downwardAPI: {items: []}}]"),
            "spec.template.spec.volumes[0]",
        ),
        (with_container("env: [{name: Ü, value: x}]"), "spec.template.spec.containers[0].env[0].name"),
        (with_pod("restartPolicy: Never"), "spec.template.spec.restartPolicy"),
        (
            with_container("securityContext: {privileged: true}"),
            "spec.template.spec.containers[0].securityContext.privileged",
        ),
        (
            with_container("readinessProbe: {grpc: {port: 1}}"),
            "spec.template.spec.containers[0].readinessProbe.grpc",
        ),
        (
            with_container("readinessProbe: {httpGet: {port: 1, scheme: HTTPS}}"),
            "spec.template.spec.containers[0].readinessProbe.httpGet.scheme",
        ),
        (
            with_container("env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]"),
            "spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.resource",
        ),
        (
            with_container("env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]"),
            "spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef",
        ),
        (
            with_container("envFrom: [{configMapRef: {name: c}}]"),
            "spec.template.spec.containers[0].envFrom[0].configMapRef",
        ),
        (
            with_container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.nam}}}]"),
            "spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath",
        ),
        (
            with_container("readinessProbe: {httpGet: {port: web}}"),
            "spec.template.spec.containers[0].readinessProbe.httpGet.port",
        ),
        (
            with_container("readinessProbe: {tcpSocket: {port: 80.5}}"),
            "spec.template.spec.containers[0].readinessProbe.tcpSocket.port",
        ),
        (
            with_container("livenessProbe: {tcpSocket: {port: 1}, successThreshold: 2}"),
            "spec.template.spec.containers[0].livenessProbe.successThreshold",
        ),
        (
            with_container("volumeMounts: [{name: nothing, mountPath: /a}]"),
            "spec.template.spec.containers[0].volumeMounts[0].name",
        ),
        (
            with_container("securityContext: {runAsNonRoot: true}"),
            "spec.template.spec.containers[0].securityContext.runAsNonRoot",
        ),
        (SET.replace("matchLabels: {app: db}", "matchLabels: {app: x}"), "spec.selector.matchLabels"),
        (SET.replace("serviceName: db", "serviceName: other"), "spec.serviceName"),
        (SET.replace("  serviceName: db\n", ""), "spec.serviceName"),
        (SET.replace("replicas: 3", "replicas: -1"), "spec.replicas"),
        (SET.replace("apps/v1", "apps/v1beta1"), "apiVersion"),
    ] {
        refuses(&set, path);
    }
}

#[test]
fn refuses_rights_and_limits_that_there_are_not() {
    for (set, path) in [
        (
            with_container("securityContext: {capabilities: {add: [CHOWN, SYS_ADMIN]}}"),
            "spec.template.spec.containers[0].securityContext.capabilities.add[1]",
        ),
        (
            with_pod("securityContext: {fsGroupChangePolicy: Never}"),
            "spec.template.spec.securityContext.fsGroupChangePolicy",
        ),
        (
            with_container("resources: {limits: {memory: 1GiB}}"),
            "spec.template.spec.containers[0].resources.limits.memory",
        ),
        (
            with_container("resources: {limits: {cpu: 0}}"),
            "spec.template.spec.containers[0].resources.limits.cpu",
        ),
        (
            with_container("resources: {claims: [{name: gpu}]}"),
            "spec.template.spec.containers[0].resources.claims",
        ),
    ] {
        refuses(&set, path);
    }
}

/// One problem, which is there; of another version of the set also others.
#[track_caller]
fn refuses(set: &str, path: &str) {
    let problems = read_set(set).expect_err("refused");
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert!(paths.contains(&path), "{path} is not among {:#?}", told(&problems));
    assert!(problems.iter().all(|problem| problem.line > 0 && !problem.message.is_empty()));
    if set.contains("apps/v1\n") {
        assert_eq!(paths.len(), 1, "{:#?}", told(&problems));
    }
}

#[test]
fn refuses_a_program_that_is_not_there_with_its_package() {
    let set =
        SET.replace("quay.io/coreos/etcd:v3.5", "redis:7@sha256:00").replace("command: [etcd]", "args: []");
    let told = only_problem(&set);
    assert!(told.contains("there is no program redis on this machine"), "{told}");
    assert!(
        told.contains("(install the Debian package redis-server and set command: [redis-server], or give its archive: --image NAME=FILE)"),
        "{told}"
    );
    let told = only_problem(&SET.replace("[etcd]", "[postgres]"));
    assert!(told.starts_with("set.yaml:15:"), "{told}");
    assert!(
        told.contains("(install the Debian package postgresql, set command to another program, or give the archive of the container's image: --image NAME=FILE)"),
        "{told}"
    );
}

#[test]
fn refuses_kinds_that_the_pods_would_need() {
    for (kind, words) in [
        ("Configmap", "did you mean ConfigMap?"),
        ("Deployment", "Deployment is not run in the sandbox"),
        ("Statefulset", "did you mean StatefulSet?"),
        ("StatefulSet", "write apiVersion: apps/v1"),
    ] {
        let other = format!("apiVersion: v1\nkind: {kind}\n");
        let problems = read(&[document(SET), document(SERVICE), document(&other)], &machine).expect_err(kind);
        let told = told(&problems);
        assert!(told.len() == 1 && told[0].contains(words), "{told:#?}");
    }
}

#[test]
fn refuses_a_manifest_without_a_set() {
    let problems = read(&[document(SERVICE)], &machine).expect_err("no set");
    assert_eq!(problems[0].message, "there is no StatefulSet to run");
    let problems = read(&[], &machine).expect_err("nothing");
    assert_eq!(problems[0].message, "there is no StatefulSet to run");
}

#[test]
fn refuses_a_service_that_is_not_headless_or_selects_others() {
    for (service, path) in [
        (SERVICE.replace("  clusterIP: None\n", ""), "spec"),
        (SERVICE.replace("clusterIP: None", "type: NodePort\n  clusterIP: None"), "spec.type"),
        (SERVICE.replace("clusterIP: None", "clusterIP: None\n  ipFamilies: [IPv6]"), "spec.ipFamilies"),
        (SERVICE.replace("clusterIP: None", "clusterIP: None\n  ipFamilies: [ipv4]"), "spec.ipFamilies[0]"),
        (SERVICE.replace("app: db", "app: other"), "spec.selector"),
        (SERVICE.replace("name: peer, ", ""), "spec.ports[1].name"),
        (SERVICE.replace("2380", "0"), "spec.ports[1].port"),
        (SERVICE.replace("port: 2380", "port: 2380, targetPort: x"), "spec.ports[1].targetPort"),
    ] {
        let problems = read(&[document(SET), document(&service)], &machine).expect_err(path);
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, [path], "{:#?}", told(&problems));
    }
}
