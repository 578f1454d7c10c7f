//! The command that repeats a run, for a shell.
//!
//! Guarantee: it is made from the judgement alone, and works in the run's folder, which holds the files that it names.

use crate::judge::judgement::Judgement;

/// The Experiment, as it was given.
pub const EXPERIMENT: &str = "experiment.yaml";
/// The StatefulSet and whatever was given with it.
pub const MANIFESTS: &str = "statefulset.yaml";

/// How a run is repeated, word by word. No record says what a person's kubeconfig calls a cluster: `CONTEXT` stands for
/// that.
pub fn of(judgement: &Judgement) -> Vec<String> {
    let place = judgement.environment.split(", ").next().unwrap_or_default();
    let namespace = judgement.target.split_once('/').map_or("default", |(namespace, _)| namespace);
    let mut command = vec!["seatrial", "run", EXPERIMENT];
    match (place, place.strip_prefix("sandbox ")) {
        ("sandbox", _) => command.push(MANIFESTS),
        (_, Some(kept)) => command.extend(["--sandbox", kept]),
        (_, None) => {
            command.extend(["--on", "kubernetes", "--context", "CONTEXT", "--namespace", namespace]);
        }
    }
    let seed = judgement.seed.to_string();
    command.extend(["--seed", &seed]);
    command.into_iter().map(str::to_owned).collect()
}

/// Words for a shell, each quoted where it has to be.
pub fn shell(command: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let words = command.iter().map(|word| {
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::judgement;

    #[test]
    fn a_run_is_repeated_where_it_was() {
        let mut run = judgement(Vec::new());
        assert_eq!(shell(&of(&run)), "seatrial run experiment.yaml statefulset.yaml --seed 7");
        run.environment = "sandbox dev, Linux 6.1.0, 2 CPUs, as root".into();
        assert_eq!(shell(&of(&run)), "seatrial run experiment.yaml --sandbox dev --seed 7");
        run.environment = "Kubernetes v1.33.0, namespace db".into();
        run.target = "db/etcd".into();
        let expected =
            "seatrial run experiment.yaml --on kubernetes --context CONTEXT --namespace db --seed 7";
        assert_eq!(shell(&of(&run)), expected);
    }

    #[test]
    fn it_can_be_pasted_whatever_its_files_are_called() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let command = words(&["seatrial", "run", "a b'c.yaml", "$(x).yaml", "```\n`````.yaml", ""]);
        assert_eq!(shell(&command), "seatrial run 'a b'\\''c.yaml' '$(x).yaml' '```\n`````.yaml' ''");
    }
}
