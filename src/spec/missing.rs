//! What to write for a field that has to be there and is not.

use crate::fault::CATALOGUE;
use crate::yaml::tree::Segment;

/// Fields that have to be there, by the last key on the way to what they belong to. Those of faults are in their examples.
const FIELDS: &[(&str, &str)] = &[
    ("", "metadata: {name: leader-cut}"),
    ("", "spec: {target: {statefulSet: etcd}, steps: […], hypothesis: […]}"),
    ("abortWhen", "sli: {podAvailability: {}}"),
    ("auth", "secret: etcd-root"),
    ("hypothesis", "name: a majority keeps one leader"),
    ("hypothesis", "sli: {quorum: {}}"),
    ("metadata", "name: leader-cut"),
    ("normal", "deviation: 5ms"),
    ("normal", "mean: 20ms"),
    ("pod", "is: NotReady"),
    ("pods", "selector: {matchLabels: {app: etcd}}"),
    ("restoreSnapshot", "from: take-snapshot"),
    ("role", "is: leader"),
    ("role", "ordinal: 0"),
    ("scale", "replicas: 5"),
    ("selector", "matchLabels: {app: etcd}"),
    ("setEnv", "container: etcd"),
    ("setEnv", "name: GOMAXPROCS"),
    ("setEnv", "value: \"1\""),
    ("setImage", "container: etcd"),
    ("setImage", "image: registry.k8s.io/etcd:3.6.4-0"),
    ("spec", "hypothesis: [{name: a majority keeps one leader, sli: {quorum: {}}}]"),
    ("spec", "steps: [{name: kill-one, fault: {podKill: {members: {count: 1}}}}]"),
    ("spec", "target: {statefulSet: etcd}"),
    ("steps", "name: cut-leader"),
    ("tls", "secret: etcd-client-tls"),
    ("uniform", "max: 50ms"),
    ("uniform", "min: 10ms"),
];

/// How `field`, which the mapping at `path` lacks, could be written.
pub(super) fn example(path: &[Segment], field: &str) -> Option<&'static str> {
    let names = |example: &str| example.split_once(": ").is_some_and(|(name, _)| name == field);
    if let [.., Segment::Key(kind), Segment::Key(fault)] = path
        && kind == "fault"
    {
        let listed = CATALOGUE.iter().find(|listed| listed.name == fault)?;
        return listed.example.lines().find(|line| names(line));
    }
    let within = path.iter().rev().find_map(|segment| match segment {
        Segment::Key(key) => Some(key.as_str()),
        Segment::Item(_) => None,
    });
    let mut fields = FIELDS.iter().filter(|(above, _)| *above == within.unwrap_or_default());
    fields.find(|(_, example)| names(example)).map(|(_, example)| *example)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::spec::schema;

    /// The names in `required` of an object of the schema.
    fn required(object: &Value) -> impl Iterator<Item = &str> {
        object["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    fn keys(path: &[&str]) -> Vec<Segment> {
        path.iter().map(|key| Segment::Key((*key).into())).collect()
    }

    #[test]
    fn every_field_that_a_fault_needs_has_an_example() {
        let schema = schema::experiment();
        let mut seen = 0;
        for listed in CATALOGUE {
            let definition = listed.name[..1].to_uppercase() + &listed.name[1..];
            for field in required(&schema["definitions"][definition]) {
                let example = example(&keys(&["spec", "steps", "fault", listed.name]), field);
                assert!(example.is_some(), "{}.{field}", listed.name);
                seen += 1;
            }
        }
        assert!(seen > 25, "{seen}");
    }

    #[test]
    fn every_other_field_that_is_needed_has_an_example() {
        let schema = schema::experiment();
        let definitions = &schema["definitions"];
        let mut needed: Vec<(&str, &str)> = required(&schema).map(|field| ("", field)).collect();
        for (within, definition) in [
            ("abortWhen", "AbortCondition"),
            ("auth", "Auth"),
            ("hypothesis", "Hypothesis"),
            ("metadata", "Metadata"),
            ("pod", "PodIs"),
            ("pods", "Pods"),
            ("role", "RoleIs"),
            ("selector", "Selector"),
            ("spec", "Experiment"),
            ("steps", "Step"),
            ("tls", "Tls"),
        ] {
            needed.extend(required(&definitions[definition]).map(|field| (within, field)));
        }
        for forms in ["Change", "Delay"] {
            for form in definitions[forms]["oneOf"].as_array().expect("forms") {
                for (within, object) in form["properties"].as_object().expect("a form has its name") {
                    needed.extend(required(object).map(|field| (within.as_str(), field)));
                }
            }
        }
        assert!(needed.len() > 25, "{needed:?}");
        for (within, field) in needed {
            // Of a document without these nobody knows that it is an Experiment.
            if !["apiVersion", "kind"].contains(&field) {
                assert!(example(&keys(&[within]), field).is_some(), "{within}.{field}");
            }
        }
    }
}
