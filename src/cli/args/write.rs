//! What helps people write experiments.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};

use super::{Files, Format};
use crate::catalogue;
use crate::fault::CATALOGUE;

/// `seatrial validate`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial validate experiment.yaml statefulset.yaml
  seatrial validate --strict experiments/etcd/leader-cut.yaml

A warning is about what is valid and probably not meant, as a claim that
nothing can break. It ends in its name. An experiment that means it accepts it,
several with commas between them:
  metadata: {annotations: {seatrial.dev/accept: freeze-hides-fsync}}")]
pub struct Validate {
    /// The files.
    #[command(flatten)]
    pub files: Files,
    /// Exit with code 20 where there are warnings
    #[arg(long)]
    pub strict: bool,
}

/// `seatrial faults`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial faults              every fault, what it does and where it works
  seatrial faults diskLatency  its parameters, what it needs, and a step to copy
  seatrial faults -o json | jq -r '.[].name'")]
pub struct Faults {
    /// One fault, with everything that there is to know [default: a table of all]
    #[arg(value_name = "NAME", value_parser = fault_names(), hide_possible_values = true)]
    pub name: Option<String>,
    /// As what it is printed
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// `seatrial slis`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial slis                everything that can be measured
  seatrial slis commitLatency  its bounds, what it needs, and a claim to copy
  seatrial slis durability -o yaml")]
pub struct Slis {
    /// One SLI, with everything that there is to know [default: a table of all]
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::from(catalogue::sli_names()), hide_possible_values = true)]
    pub name: Option<String>,
    /// As what it is printed
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// `seatrial stores`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial stores              every store that can be asked
  seatrial stores postgres     what it needs, and a target to copy
  seatrial stores -o json | jq '.[].name'")]
pub struct Stores {
    /// One store, with everything that there is to know [default: a table of all]
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::from(catalogue::store_names()), hide_possible_values = true)]
    pub name: Option<String>,
    /// As what it is printed
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// What can be named: so a slip of the finger is told with what was meant, and shells complete it.
fn fault_names() -> PossibleValuesParser {
    CATALOGUE.iter().map(|listed| listed.name).collect::<Vec<_>>().into()
}

/// `seatrial schema`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial schema > experiment.schema.json
  seatrial schema report | jq .required

An editor with the YAML language server completes and checks an experiment that
begins with
  # yaml-language-server: $schema=experiment.schema.json")]
pub struct Schema {
    /// Of which document
    #[arg(value_name = "DOCUMENT", value_enum, default_value = "experiment")]
    pub of: Documented,
}

/// Documents that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Documented {
    /// What an experiment's file holds
    Experiment,
    /// What a run writes: report.json
    Report,
}

/// `seatrial man`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial man | man -l -
  seatrial man ~/.local/share/man/man1 && man seatrial-run")]
pub struct Man {
    /// Write a page for each command to this folder [default: print that of seatrial itself]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// `seatrial init`
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial init statefulset.yaml -o experiment.yaml
  seatrial init statefulset.yaml --fault diskLatency > experiment.yaml
  seatrial init web.yaml --container db --store postgres --fault podKill
  seatrial init --on kubernetes --namespace db etcd -o experiment.yaml

What it writes is valid and meant to be read: it says of each number what it
means. At a terminal it asks what it cannot find out; elsewhere it takes what is
usual. `seatrial faults` lists what can be broken.")]
pub struct Init {
    /// A file that holds the StatefulSet; `-` reads standard input; with `--on kubernetes` the StatefulSet's name
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// Write to this file [default: print it]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "output")]
    pub force: bool,
    /// What is broken [default: what says most about the store, by its kind]
    #[arg(long, value_name = "FAULT", value_parser = fault_names(), hide_possible_values = true)]
    pub fault: Option<String>,
    /// How members are asked; `none` where no store is known [default: found in the manifest]
    #[arg(long, value_name = "STORE", value_parser = stores_and_none())]
    pub store: Option<String>,
    /// Which StatefulSet is meant, where the file holds several [default: the first one]
    #[arg(long, value_name = "NAME")]
    pub set: Option<String>,
    /// The store's container [default: found in the manifest]
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// The experiment's name [default: STATEFULSET-FAULT]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where the StatefulSet is.
    #[command(flatten)]
    pub place: super::Place,
}

#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
fn stores_and_none() -> PossibleValuesParser {
    catalogue::store_names().into_iter().chain(["none"]).collect::<Vec<_>>().into()
}
