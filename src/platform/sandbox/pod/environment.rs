//! Environment and arguments of a container, by the rules of Kubernetes.
//!
//! `$(NAME)` is replaced by a variable that comes earlier in the list, `$$` is a dollar sign, and what cannot be
//! replaced stays as it is written.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

use secrecy::{ExposeSecret, SecretSlice};

use crate::platform::sandbox::pod_spec::{Container, EnvValue, FieldPath, KeyRef, SetSpec};
use crate::platform::sandbox::wanted::EnvChange;

/// What a pod knows about itself.
#[derive(Debug, Clone)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its ordinal.
    pub ordinal: u32,
    /// Its UID.
    pub uid: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its node's address.
    pub host: Ipv4Addr,
    /// Its node's name.
    pub node: String,
    /// What its template has in place of the manifest's variables.
    pub env: Vec<EnvChange>,
}

/// Arguments, and variables with their values.
pub type Resolved = (Vec<String>, Vec<(String, String)>);

/// Arguments and environment of `container`; `key` reads one of a Secret or a ConfigMap.
pub fn resolve(
    container: &Container,
    spec: &SetSpec,
    facts: &PodFacts,
    key: &dyn Fn(&KeyRef) -> io::Result<SecretSlice<u8>>,
) -> io::Result<Resolved> {
    let mut env: Vec<(String, String)> = Vec::new();
    let changes: Vec<&EnvChange> =
        facts.env.iter().filter(|change| change.container == container.name).collect();
    for variable in &container.env {
        // In its own place, so that later ones may refer to it.
        let change = changes.iter().find(|change| change.name == variable.name);
        let value = match (change, &variable.value) {
            (Some(change), _) => expand(&change.value, &env),
            (None, EnvValue::Text(text)) => expand(text, &env),
            (None, EnvValue::Field(path)) => field(path, spec, facts),
            (None, EnvValue::Key(of)) => {
                let content = key(of)?;
                let text = std::str::from_utf8(content.expose_secret());
                text.map_err(|_| io::Error::other(format!("{of} is no text")))?.to_owned()
            }
        };
        env.retain(|(name, _)| *name != variable.name);
        env.push((variable.name.clone(), value));
    }
    let is_new = |change: &&&EnvChange| container.env.iter().all(|known| known.name != change.name);
    for change in changes.iter().filter(is_new) {
        let value = expand(&change.value, &env);
        env.push((change.name.clone(), value));
    }
    let argv = container.argv.iter().map(|argument| expand(argument, &env)).collect();
    // What the image says counts less than the manifest, and is not seen by its references.
    for (name, value) in container.image.iter().flat_map(|image| &image.env) {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.clone(), value.clone()));
        }
    }
    let home = if container.run_as_user.unwrap_or(0) == 0 { "/root" } else { "/" };
    // The home of an image's user is in the image.
    let home = container.image.is_none().then_some(("HOME", home));
    let defaults = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOSTNAME", facts.name.as_str()),
    ];
    for (name, value) in defaults.into_iter().chain(home) {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok((argv, env))
}

/// What a field of the pod holds.
pub fn field(path: &FieldPath, spec: &SetSpec, facts: &PodFacts) -> String {
    match path {
        FieldPath::PodName => facts.name.clone(),
        FieldPath::Namespace => spec.namespace.clone(),
        FieldPath::PodUid => facts.uid.clone(),
        FieldPath::Label(key) => match key.as_str() {
            "statefulset.kubernetes.io/pod-name" => facts.name.clone(),
            "apps.kubernetes.io/pod-index" => facts.ordinal.to_string(),
            _ => spec.pod.labels.get(key).cloned().unwrap_or_default(),
        },
        FieldPath::Annotation(key) => spec.pod.annotations.get(key).cloned().unwrap_or_default(),
        FieldPath::Labels => {
            let mut labels = spec.pod.labels.clone();
            labels.insert("statefulset.kubernetes.io/pod-name".to_owned(), facts.name.clone());
            labels.insert("apps.kubernetes.io/pod-index".to_owned(), facts.ordinal.to_string());
            lines(&labels)
        }
        FieldPath::Annotations => lines(&spec.pod.annotations),
        FieldPath::PodIp => facts.address.to_string(),
        FieldPath::HostIp => facts.host.to_string(),
        FieldPath::NodeName => facts.node.clone(),
        FieldPath::ServiceAccount => spec.pod.service_account.clone(),
    }
}

/// `KEY="VALUE"` in the order of keys, as a kubelet writes labels and annotations.
fn lines(of: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = of.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}

fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|open| open.split_once(')')) {
            match env.iter().find(|(known, _)| known == name) {
                Some((_, value)) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::Ipv4Addr;

    use super::{KeyRef, PodFacts, expand, resolve};
    use crate::platform::sandbox::image::{Digest, Given, RunConfig};
    use crate::platform::sandbox::manifest::{Document, Programs, read_with};
    use crate::platform::sandbox::wanted::EnvChange;

    fn env() -> Vec<(String, String)> {
        vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "two".to_owned())]
    }

    const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None, selector: {app: a}, ports: [{port: 1}]}}";
    const SET: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a}
spec:
  serviceName: a
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers:
        - name: main
          image: shop/web:1
          env: [{name: A, value: '1'}, {name: B, value: $(A)}]
";

    /// Arguments and environment of a pod's container with `more` in it, after these changes.
    fn resolved(more: &str, env: Vec<EnvChange>) -> super::Resolved {
        let list = |texts: &[&str]| texts.iter().copied().map(str::to_owned).collect();
        let config = RunConfig {
            entrypoint: list(&["sh", "-c", "echo $$ $(A) $HOME"]),
            env: list(&["A=of the image", "PATH=/own"]),
            ..RunConfig::default()
        };
        let images = [Given { name: "shop/web:1".into(), file: "x".into(), id: Digest::of(b"x"), config }];
        let set = format!("{SET}{more}");
        let documents = [SERVICE, &set].map(|text| Document { file: "all.yaml", first_line: 1, text });
        let programs = Programs { images: &images, find: &|_: &str| None };
        let set = read_with(&documents, &programs).expect("accepted").set;
        let facts = PodFacts {
            name: "a-0".into(),
            ordinal: 0,
            uid: "0".into(),
            address: Ipv4Addr::LOCALHOST,
            host: Ipv4Addr::LOCALHOST,
            node: "node".into(),
            env,
        };
        let none = |_: &KeyRef| Err(io::Error::other("there is no key"));
        resolve(&set.pod.containers[0], &set, &facts, &none).expect("nothing is missing")
    }

    #[test]
    fn what_an_image_says_is_not_expanded() {
        assert_eq!(resolved("", Vec::new()).0, ["sh", "-c", "echo $$ $(A) $HOME"]);
        let (argv, env) = resolved("          args: [$$ $(A) $(PATH)]\n", Vec::new());
        assert_eq!(argv[3], "$ 1 $(PATH)");
        assert!(env.contains(&("PATH".to_owned(), "/own".to_owned())), "{env:?}");
    }

    #[test]
    fn what_refers_to_a_changed_variable_changes_with_it() {
        let change =
            |name: &str| EnvChange { container: "main".into(), name: name.into(), value: "2".into() };
        let value = |changed: &str, name: &str| {
            let (_, env) = resolved("", vec![change(changed)]);
            env.into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
        };
        let two = || Some("2".to_owned());
        assert_eq!((value("A", "A"), value("A", "B"), value("C", "C")), (two(), two(), two()));
        assert_eq!(value("C", "B"), Some("1".to_owned()));
    }

    #[test]
    fn expands_as_kubernetes_documents_it() {
        let cases = [
            ("$(A)-$(B)", "1-two"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(MISSING)", "$(MISSING)"),
            ("$(A", "$(A"),
            ("$A costs 5$", "$A costs 5$"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env()), expected, "{text}");
        }
    }
}
