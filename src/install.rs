//! What is installed in a cluster: the files of deploy/, with names as asked for.
//!
//! Nothing is sent to a cluster from here. The text is complete: applied as it is, it needs no kustomize.

/// Where controller and agents run unless somebody says otherwise.
pub const NAMESPACE: &str = "seatrial-system";
/// The image of this version.
pub const IMAGE: &str = concat!("seatrial.dev/seatrial:", env!("CARGO_PKG_VERSION"));

/// When agents run on nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AgentMode {
    /// Always, on every node
    Resident,
    /// Only while an experiment needs them: the controller starts them
    OnDemand,
    /// Never: faults through the API server only
    None,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where controller and agents run.
    pub namespace: String,
    /// The image of everything.
    pub image: String,
    /// When agents run.
    pub agent: AgentMode,
}

impl Default for Settings {
    fn default() -> Self {
        Self { namespace: NAMESPACE.into(), image: IMAGE.into(), agent: AgentMode::Resident }
    }
}

/// The files of deploy/base in the order in which they are applied.
const BASE: &[&str] = &[
    include_str!("../deploy/base/namespace.yaml"),
    include_str!("../deploy/base/accounts.yaml"),
    include_str!("../deploy/base/rbac-controller.yaml"),
    include_str!("../deploy/base/rbac-reaper.yaml"),
    include_str!("../deploy/base/rbac-runner.yaml"),
    include_str!("../deploy/base/rbac-people.yaml"),
    include_str!("../deploy/base/policies.yaml"),
    include_str!("../deploy/base/controller.yaml"),
    include_str!("../deploy/base/reaper.yaml"),
    include_str!("../deploy/base/network-policy.yaml"),
];

/// What agents are, left out where there shall be none.
const AGENT: &[&str] =
    &[include_str!("../deploy/base/agent-rbac.yaml"), include_str!("../deploy/base/agent.yaml")];
/// The line of the DaemonSet that says on which nodes it runs, and the one that keeps it from all of them until the
/// controller takes the label's requirement away.
const EVERYWHERE: &str = "nodeSelector: {kubernetes.io/os: linux}";
const NOWHERE: &str = "nodeSelector: {kubernetes.io/os: linux, seatrial.dev/agents: asleep}";

/// One file per definition, as they lie in deploy/crds: file name and text.
pub fn definition_files() -> Vec<(String, String)> {
    crate::resource::definitions()
        .iter()
        .map(|definition| {
            let text = serde_yaml::to_string(definition).expect("a definition is YAML");
            (format!("{}.yaml", definition.spec.names.plural), text)
        })
        .collect()
}

/// The CustomResourceDefinitions as one text.
pub fn definitions() -> String {
    definition_files().iter().flat_map(|(_, text)| ["---\n", text.as_str()]).collect()
}

/// Everything as one text.
pub fn manifests(settings: &Settings) -> String {
    let mut text = definitions();
    let agent = match settings.agent {
        AgentMode::Resident | AgentMode::OnDemand => AGENT,
        AgentMode::None => &[],
    };
    for file in BASE.iter().chain(agent) {
        let file = named(file, settings);
        text.push_str("---\n");
        text.push_str(&match settings.agent {
            AgentMode::Resident | AgentMode::None => file,
            AgentMode::OnDemand => file.replace(EVERYWHERE, NOWHERE),
        });
    }
    text
}

/// A file with the names that are asked for. Both names are long enough to stand nowhere by accident.
fn named(file: &str, settings: &Settings) -> String {
    file.replace(NAMESPACE, &settings.namespace).replace(IMAGE, &settings.image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `SEATRIAL_BLESS=1` the files are written instead.
    #[test]
    fn checked_in_definitions_are_those_of_the_types() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds");
        let bless = std::env::var_os("SEATRIAL_BLESS").is_some();
        for (name, text) in definition_files() {
            let path = folder.join(&name);
            if bless {
                std::fs::write(&path, &text).expect("the file can be written");
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "deploy/crds/{name} differs from the types: SEATRIAL_BLESS=1 cargo test --lib install::"
            );
        }
    }

    #[test]
    fn every_file_of_the_base_is_installed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base");
        let all = manifests(&Settings::default());
        for entry in std::fs::read_dir(folder).expect("deploy/base is there") {
            let path = entry.expect("an entry can be read").path();
            if path.file_name().is_some_and(|name| name != "kustomization.yaml") {
                let text = std::fs::read_to_string(&path).expect("a manifest is text");
                assert!(all.contains(&text), "{} is not installed", path.display());
            }
        }
    }

    #[test]
    fn agents_are_where_they_are_asked_for() {
        let with = |agent| manifests(&Settings { agent, ..Settings::default() });
        assert!(with(AgentMode::Resident).contains(EVERYWHERE));
        assert!(with(AgentMode::OnDemand).contains(NOWHERE));
        assert!(!with(AgentMode::None).contains("kind: DaemonSet"));
    }

    #[test]
    fn names_are_as_asked_for_everywhere() {
        let settings =
            Settings { namespace: "chaos".into(), image: "example/seatrial:7".into(), ..Settings::default() };
        let text = manifests(&settings);
        assert!(!text.contains(NAMESPACE) && !text.contains(IMAGE));
        assert!(text.contains("system:serviceaccount:chaos:seatrial-controller"));
    }
}
