//! Secrets and ConfigMaps as files and variables, and what is never said of them.

use secrecy::ExposeSecret;

use super::*;
use crate::platform::sandbox::pod_spec::{
    EnvValue, FieldPath, KeyRef, KeyedKind, Shown, ShownFile, ShownVolume,
};

const SECRET: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: certs}
type: Opaque
stringData: {user: root, both: plain}
data:
  tls.key: aHVudGVyMg==
  both: ZW5jb2RlZA==
  raw: /w==
";

fn with_secret(secret: &str, set: &str) -> Result<Accepted, Vec<Problem>> {
    let documents = [
        Document { file: "secret.yaml", first_line: 1, text: secret },
        Document { file: "service.yaml", first_line: 1, text: SERVICE },
        Document { file: "set.yaml", first_line: 1, text: set },
    ];
    read(&documents, &machine)
}

fn key_ref(kind: KeyedKind, object: &str, key: &str) -> KeyRef {
    KeyRef { kind, object: object.into(), key: key.into() }
}

fn key(kind: KeyedKind, object: &str, key: &str) -> Shown {
    Shown::Key(key_ref(kind, object, key))
}

/// The only problem.
fn refused(secret: &str, set: &str) -> String {
    let told = told(&with_secret(secret, set).expect_err("refused"));
    assert_eq!(told.len(), 1, "{told:#?}");
    told[0].clone()
}

#[test]
fn reads_both_spellings_of_content_and_hides_it() {
    let accepted = with_secret(SECRET, SET).expect("accepted");
    let secret = &accepted.set.secrets[0];
    let content: Vec<_> =
        secret.keys.iter().map(|key| (key.name.as_str(), key.content.expose_secret())).collect();
    let expected: [(&str, &[u8]); 4] =
        [("both", b"plain"), ("raw", b"\xff"), ("tls.key", b"hunter2"), ("user", b"root")];
    assert_eq!(content, expected);
    let shown = format!("{accepted:?} {}", serde_json::to_string(&accepted.set).expect("JSON"));
    for hidden in ["hunter2", "aHVudGVyMg", "plain", "104, 117"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    let again: crate::platform::sandbox::pod_spec::SetSpec =
        serde_json::from_value(serde_json::to_value(&accepted.set).expect("JSON")).expect("a set");
    assert_eq!(again.secrets[0].keys.len(), 4, "the names are kept");
}

#[test]
fn shows_all_keys_or_those_that_are_named() {
    let set = with_pod(
        "volumes:\n- name: all\n  secret: {secretName: certs}\n- name: one\n  secret: {secretName: certs, defaultMode: 0400, items: [{key: tls.key, path: a/key.pem}, {key: user, path: u, mode: 0440}]}",
    );
    let accepted = with_secret(SECRET, &set).expect("accepted");
    let volumes = &accepted.set.pod.shown_volumes;
    let names: Vec<_> = volumes[0].files.iter().map(|file| (file.path.to_str(), file.mode)).collect();
    assert_eq!(names, ["both", "raw", "tls.key", "user"].map(|name| (Some(name), 0o644)));
    let file = |name, path: &str, mode| ShownFile {
        path: path.into(),
        mode,
        content: key(KeyedKind::Secret, "certs", name),
    };
    assert_eq!(volumes[1].files, [file("tls.key", "a/key.pem", 0o400), file("user", "u", 0o440)]);
}

#[test]
fn makes_variables_of_keys() {
    let container = with_container(
        "envFrom: [{secretRef: {name: users}, prefix: DB_}]\nenv: [{name: PASS, valueFrom: {secretKeyRef: {name: users, key: user}}}, {name: NOT, valueFrom: {secretKeyRef: {name: users, key: nokey, optional: true}}}]",
    );
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: users}\nstringData: {user: root}\n";
    let accepted = with_secret(secret, &container).expect("accepted");
    let env: Vec<_> =
        accepted.set.pod.containers[0].env.iter().map(|one| (one.name.as_str(), one.value.clone())).collect();
    let value = || EnvValue::Key(key_ref(KeyedKind::Secret, "users", "user"));
    assert_eq!(env, [("DB_user", value()), ("PASS", value())]);
    let note = accepted.notes.iter().find(|note| note.path.ends_with("env[1].valueFrom.secretKeyRef"));
    assert!(note.is_some_and(|note| note.message.contains("there is no key \"nokey\"")), "{note:?}");
}

#[test]
fn refuses_what_is_not_there_by_its_place() {
    let volume = |source: &str| with_pod(&format!("volumes: [{{name: v, secret: {{{source}}}}}]"));
    let told = refused(SECRET, &volume("secretName: passwords"));
    assert!(
        told.contains("volumes[0].secret.secretName: there is no Secret \"passwords\" in the files"),
        "{told}"
    );
    assert!(told.contains("kubectl get secret"), "{told}");
    let told = refused(SECRET, &volume("secretName: certs, items: [{key: nokey, path: a}]"));
    assert!(told.contains("items[0].key: there is no key \"nokey\" in Secret certs"), "{told}");
    let told = refused(SECRET, &volume("secretName: certs, items: [{key: tls.keys, path: a}]"));
    assert!(told.contains("(did you mean tls.key?)"), "{told}");
    let told = refused(SECRET, &volume("secretName: certs, items: [{key: user, path: ../a}]"));
    assert!(told.contains("items[0].path: is no path in the volume"), "{told}");
    let elsewhere = SECRET.replace("{name: certs}", "{name: certs, namespace: other}");
    let told = refused(&elsewhere, &volume("secretName: certs"));
    assert!(told.contains("there is no Secret"), "{told}");
    let optional = with_secret(SECRET, &volume("secretName: cert, optional: true")).expect("accepted");
    assert_eq!(optional.set.pod.shown_volumes[0].files, []);
}

#[test]
fn refuses_what_is_no_secret_without_repeating_it() {
    for (from, to, words) in [
        ("aHVudGVyMg==", "hunter2!", "data.tls.key: is not base64 (write it under stringData"),
        ("aHVudGVyMg==", "4711", "data.tls.key: must be a text in base64"),
        ("user: root", "user: 4711", "stringData.user: must be a text (put it in quotes)"),
        ("user: root", "../user: 4711", "is no key of a Secret"),
        ("{name: certs}", "{name: ../certs}", "is no name of a Secret"),
        ("type: Opaque", "typ: Opaque", "the sandbox does not know this field"),
    ] {
        let told = refused(&SECRET.replace(from, to), SET);
        assert!(told.starts_with("secret.yaml:") && told.contains(words), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("4711"), "{told}");
    }
    let twice = [SECRET, SECRET, SERVICE, SET].map(document);
    let told = told(&read(&twice, &machine).expect_err("two of them"));
    assert!(told[0].contains("is the second Secret certs"), "{told:#?}");
    let binary = with_container("env: [{name: A, valueFrom: {secretKeyRef: {name: certs, key: raw}}}]");
    assert!(refused(SECRET, &binary).contains("\"raw\" of Secret certs is no text (mount it as a file)"));
}

const CONFIG: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {MODE: $(POD), app.conf: listen = 80}
binaryData: {logo: /w==}
";

#[test]
fn config_maps_are_variables_as_they_are_and_files() {
    let set = format!(
        "{}{}",
        with_container(
            "envFrom: [{configMapRef: {name: settings}}, {configMapRef: {name: none, optional: true}}]\nenv: [{name: MODE, valueFrom: {configMapKeyRef: {name: config, key: MODE}}}]",
        ),
        "      volumes: [{name: c, configMap: {name: config, defaultMode: 0400}}]\n"
    );
    let config = format!(
        "{CONFIG}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{A: b}}\n"
    );
    let documents: Vec<_> = config.split("---\n").chain([SERVICE, set.as_str()]).map(document).collect();
    let accepted =
        read(&documents, &machine).unwrap_or_else(|problems| unreachable!("{:#?}", told(&problems)));
    let env: Vec<_> =
        accepted.set.pod.containers[0].env.iter().map(|one| (one.name.as_str(), one.value.clone())).collect();
    let value = |object, key| EnvValue::Key(key_ref(KeyedKind::ConfigMap, object, key));
    assert_eq!(env, [("A", value("settings", "A")), ("MODE", value("config", "MODE"))]);
    let files = ["MODE", "app.conf", "logo"].map(|name| ShownFile {
        path: name.into(),
        mode: 0o400,
        content: key(KeyedKind::ConfigMap, "config", name),
    });
    assert_eq!(accepted.set.pod.shown_volumes, [ShownVolume { name: "c".into(), files: files.to_vec() }]);
    assert!(accepted.notes.iter().any(|note| note.message.contains("there is no ConfigMap \"none\"")));
}

#[test]
fn variables_are_made_of_data_alone_and_have_names() {
    let from = |prefix: &str| {
        with_container(&format!("envFrom: [{{configMapRef: {{name: config}}, prefix: '{prefix}'}}]"))
    };
    let text = CONFIG.replace("/w==", "dGV4dA==");
    let accepted = with_secret(&text, &from("A_")).expect("accepted");
    let env = &accepted.set.pod.containers[0].env;
    let names: Vec<_> = env.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["A_MODE", "A_app.conf"]);
    let told = refused(&text, &from("A="));
    assert!(told.contains("envFrom[0].prefix: \"A=\" is no name of a variable (use letters"), "{told}");
    let one = with_container("env: [{name: A, valueFrom: {configMapKeyRef: {name: config, key: logo}}}]");
    assert!(refused(&text, &one).contains("\"logo\" of ConfigMap config is no text (mount it as a file)"));
}

#[test]
fn refuses_what_is_wrong_with_a_config_map_with_what_to_write() {
    let from = |source: &str| {
        with_container(&format!("env: [{{name: A, valueFrom: {{configMapKeyRef: {{{source}}}}}}}]"))
    };
    for (config, set, words) in [
        (
            CONFIG,
            from("name: confg, key: MODE"),
            "there is no ConfigMap \"confg\" in the files (did you mean config?)",
        ),
        (
            CONFIG,
            from("name: other, key: MODE"),
            "(add the ConfigMap as a document, for example from `kubectl get configmap NAME -o yaml`, or write optional: true where it can be missing)",
        ),
        (
            CONFIG,
            from("name: config, key: logo"),
            "\"logo\" of ConfigMap config is no text (mount it as a file)",
        ),
        (&CONFIG.replace("logo: /w==", "MODE: /w=="), SET.to_owned(), "binaryData.MODE: is in data as well"),
        (
            &CONFIG.replace("logo: /w==", "logo: '?'"),
            SET.to_owned(),
            "binaryData.logo: is not base64 (encode it",
        ),
        (&CONFIG.replace("$(POD)", "80"), SET.to_owned(), "data.MODE: must be a text (put it in quotes)"),
    ] {
        let told = refused(config, &set);
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn one_volume_has_files_of_several_sources() {
    let volume = |sources: &str| {
        with_pod(&format!("volumes: [{{name: all, projected: {{defaultMode: 0440, sources: [{sources}]}}}}]"))
    };
    let set = volume(
        "{secret: {name: certs, items: [{key: user, path: s/user}]}}, {secret: {name: none, optional: true}}, {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: me, mode: 0400, fieldRef: {fieldPath: metadata.name}}]}}",
    );
    let accepted = with_secret(SECRET, &set).expect("accepted");
    let file = |path: &str, mode, content| ShownFile { path: path.into(), mode, content };
    assert_eq!(
        accepted.set.pod.shown_volumes[0].files,
        [
            file("s/user", 0o440, key(KeyedKind::Secret, "certs", "user")),
            file("labels", 0o440, Shown::Field(FieldPath::Labels)),
            file("me", 0o400, Shown::Field(FieldPath::PodName)),
        ]
    );
    let twice = volume(
        "{secret: {name: certs}}, {downwardAPI: {items: [{path: user, fieldRef: {fieldPath: metadata.name}}]}}",
    );
    let told = refused(SECRET, &twice);
    assert!(
        told.contains("sources[1].downwardAPI.items[0].path: another file of the volume is at user"),
        "{told}"
    );
}
