//! What is accepted, noted and refused, with the words that a user sees.

use std::path::PathBuf;

use super::*;

mod accepted;
mod hooks;
mod hostile;
mod keyed;
mod refused;
mod resources;
mod several;

/// A machine that has a few programs, whatever this one has.
pub(super) fn machine(program: &str) -> Option<PathBuf> {
    let name = program.strip_prefix("/usr/bin/").unwrap_or(program);
    ["etcd", "sh", "busybox"].contains(&name).then(|| PathBuf::from("/usr/bin").join(name))
}

pub(super) const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  clusterIP: None
  selector: {app: db}
  ports: [{name: client, port: 2379}, {name: peer, port: 2380}]
";

pub(super) const SET: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
        - name: db
          image: quay.io/coreos/etcd:v3.5
          command: [etcd]
";

/// A document of a file that holds them all.
pub(super) fn document(text: &str) -> Document<'_> {
    Document { file: "all.yaml", first_line: 1, text }
}

/// Reads a set and its Service from two files.
pub(super) fn read_set(set: &str) -> Result<Accepted, Vec<Problem>> {
    let documents = [
        Document { file: "service.yaml", first_line: 1, text: SERVICE },
        Document { file: "set.yaml", first_line: 1, text: set },
    ];
    read(&documents, &machine)
}

/// The usual set with `lines` in its container.
pub(super) fn with_container(lines: &str) -> String {
    format!("{SET}{}", indented(lines, 10))
}

/// The usual set with `lines` in its pod.
pub(super) fn with_pod(lines: &str) -> String {
    format!("{SET}{}", indented(lines, 6))
}

fn indented(lines: &str, by: usize) -> String {
    let lines: Vec<_> = lines.lines().map(|line| format!("{:by$}{line}", "")).collect();
    lines.join("\n") + "\n"
}

/// `file:line:column path: message (hint)` of each problem.
pub(super) fn told(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| {
            let Problem { file, line, column, path, message, hint } = problem;
            format!("{file}:{line}:{column} {path}: {message} ({})", hint.as_deref().unwrap_or("-"))
        })
        .collect()
}

/// The only problem of a set.
pub(super) fn only_problem(set: &str) -> String {
    let problems = read_set(set).expect_err("refused");
    let told = told(&problems);
    assert_eq!(told.len(), 1, "{told:#?}");
    told[0].clone()
}
