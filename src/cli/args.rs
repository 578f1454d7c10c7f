//! What can be typed.

mod compare;
#[cfg(feature = "sandbox")]
mod image;
#[cfg(feature = "kubernetes")]
mod operate;
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
mod place;
mod write;

use std::ffi::OsString;
#[cfg(feature = "sandbox")]
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::compare::{Compare, Format};
#[cfg(feature = "sandbox")]
pub use self::image::ImageArchive;
#[cfg(feature = "kubernetes")]
pub use self::operate::{
    BenchCluster, Context, Controller, Install, Operated, Preflight, Reap, SoakCluster, Uninstall,
};
#[cfg(feature = "kubernetes")]
pub use self::place::{Abort, Cluster, Consent, Status};
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
pub use self::place::{On, Place};
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
pub use self::write::Init;
pub use self::write::{Documented, Faults, Man, Schema, Slis, Stores, Validate};

/// A chaos-engineering fault injector for Kubernetes StatefulSets.
///
/// Breaks a StatefulSet as an experiment file says, proves that it was broken, puts it back whatever happens, and answers
/// with one verdict.
#[derive(Debug, Parser)]
#[command(name = "seatrial", version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  seatrial run experiments/quickstart.yaml           run the StatefulSet of that file here and break it
  seatrial init my-statefulset.yaml -o my-experiment.yaml
  seatrial run my-experiment.yaml my-statefulset.yaml
  seatrial plan experiments/etcd/leader-cut.yaml     who would be hit, when
  seatrial judge runs/NAME                           judge a recorded run again

Exit codes:
  0 pass, 1 unexpected error, 2 usage, 10 hypothesis failed, 11 inconclusive, 12 aborted, 20 invalid experiment,
  21 refused by a guard, 22 preflight unmet, 30 cluster unreachable, 40 a revert failed";

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment and answer with its verdict
    #[cfg(any(feature = "kubernetes", feature = "sandbox"))]
    Run(Run),
    /// Write a first experiment for a StatefulSet
    #[cfg(any(feature = "kubernetes", feature = "sandbox"))]
    Init(Init),
    /// Check files without running anything
    #[cfg(feature = "sandbox")]
    Validate(Validate),
    /// Show who would be hit, when, and what a guard says
    #[cfg(feature = "sandbox")]
    Plan(Plan),
    /// List the faults that an experiment can have, or explain one
    Faults(Faults),
    /// List what can be measured, or explain one of it
    Slis(Slis),
    /// List the stores that can be asked, or explain one
    Stores(Stores),
    /// Print the schema of a document, for editors and programs
    Schema(Schema),
    /// Judge a recorded run again
    #[command(after_help = "Example:\n  seatrial judge runs/quickstart-20260102-030405")]
    Judge(Recorded),
    /// Write the reports of a recorded run again
    Report(Report),
    /// Show what got worse and what got better from one recorded run to another
    Compare(Compare),
    /// Show how Experiments stand in a cluster
    #[cfg(feature = "kubernetes")]
    Status(Status),
    /// Stop a run in a cluster and wait until every fault is taken back
    #[cfg(feature = "kubernetes")]
    Abort(Abort),
    /// Take back every fault in a kept sandbox, or of a run in a cluster
    #[cfg(any(feature = "kubernetes", feature = "sandbox"))]
    Revert(Revert),
    /// Keep StatefulSets running on this machine
    #[cfg(feature = "sandbox")]
    #[command(subcommand)]
    Sandbox(Sandbox),
    /// Measure how fast this build judges and injects
    #[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
    #[command(subcommand)]
    Bench(Bench),
    /// Kill what makes faults at random moments and check that nothing is left behind
    #[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
    Soak(Soak),
    /// Print what is applied to a cluster, so that experiments can run there
    #[cfg(feature = "kubernetes")]
    Install(Install),
    /// Take every fault back and remove Seatrial from a cluster
    #[cfg(feature = "kubernetes")]
    Uninstall(Uninstall),
    /// Look at what an experiment needs of a cluster
    #[cfg(feature = "kubernetes")]
    Preflight(Preflight),
    /// Check Experiments and start their runners, as the Deployment does
    #[cfg(feature = "kubernetes")]
    #[command(hide = true)]
    Controller(Controller),
    /// Take back what nobody is left to take back, as the CronJob does
    #[cfg(feature = "kubernetes")]
    #[command(hide = true)]
    Reap(Reap),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual, or write a page for each command
    Man(Man),
    /// Break and mend the pods of one node, as a DaemonSet's pod
    #[cfg(feature = "kubernetes")]
    #[command(hide = true)]
    Agent(crate::agent::Options),
    /// Carry out one run in a cluster, as the controller starts it
    #[cfg(feature = "kubernetes")]
    #[command(hide = true)]
    Runner(Runner),
    /// The built-in store, as a member of a StatefulSet runs it
    #[cfg(feature = "refkv")]
    #[command(hide = true)]
    Refkv(refkv::Options),
}

/// Experiment and manifest files.
#[derive(Debug, Args)]
pub struct Files {
    /// YAML files: one Experiment, the StatefulSet and Service that it breaks, and those beside them; `-` reads standard
    /// input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Run the containers with the image NAME from this archive, as `docker save` or `skopeo copy` makes one, and not with
    /// programs of this machine; may be given for each image
    #[cfg(feature = "sandbox")]
    #[arg(long = "image", value_name = "NAME=FILE")]
    pub images: Vec<ImageArchive>,
}

/// `seatrial run`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial run experiments/quickstart.yaml
  seatrial run experiment.yaml statefulset.yaml --seed 7 --out runs/try-7
  seatrial run experiment.yaml statefulset.yaml --seed 1 --repeat 20 --out runs/twenty
  seatrial sandbox up statefulset.yaml --name dev && seatrial run experiment.yaml --sandbox dev
  docker save postgres:17 -o postgres.tar && seatrial run experiment.yaml statefulset.yaml --image postgres:17=postgres.tar
  seatrial run experiment.yaml --on kubernetes --context staging --namespace db")]
pub struct Run {
    /// The files.
    #[command(flatten)]
    pub files: Files,
    /// Repeat every random choice of a run that had this seed
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Write journal, reports and logs to this new folder [default: runs/NAME-TIME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the verdict only
    #[arg(long, short)]
    pub quiet: bool,
    /// Append a summary in Markdown to this file, as GitHub Actions shows it
    #[arg(long, value_name = "FILE", env = "GITHUB_STEP_SUMMARY", hide_env_values = true)]
    pub summary: Option<OsString>,
    /// Run in this kept sandbox instead of a new one
    #[cfg(feature = "sandbox")]
    #[arg(long, value_name = "NAME")]
    pub sandbox: Option<String>,
    /// Run it so many times in a sandbox, with one seed after the other, each in a numbered folder below --out, and tell
    /// in the end how often each claim held
    #[cfg(feature = "sandbox")]
    #[arg(long, value_name = "TIMES")]
    pub repeat: Option<NonZeroU32>,
    /// Where it runs.
    #[cfg(any(feature = "kubernetes", feature = "sandbox"))]
    #[command(flatten)]
    pub place: Place,
    /// What has to be agreed to.
    #[cfg(feature = "kubernetes")]
    #[command(flatten)]
    pub consent: Consent,
}

/// `seatrial plan`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  seatrial plan experiments/etcd/leader-cut.yaml --seed 7")]
pub struct Plan {
    /// The files.
    #[command(flatten)]
    pub files: Files,
    /// The seed of the choices [default: 0]
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    pub seed: u64,
    /// As what it is printed
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// A recorded run.
#[derive(Debug, Args)]
pub struct Recorded {
    /// The run's folder, or its journal; with `--on kubernetes` the Experiment
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Where its journal is.
    #[cfg(any(feature = "kubernetes", feature = "sandbox"))]
    #[command(flatten)]
    pub place: Place,
    /// Print the verdict only
    #[arg(long, short)]
    pub quiet: bool,
}

/// `seatrial report`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  seatrial report runs/quickstart-20260102-030405")]
pub struct Report {
    /// Of what.
    #[command(flatten)]
    pub recorded: Recorded,
    /// Write the reports to this folder [default: the run's own]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `seatrial revert`
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial revert dev
  seatrial revert --on kubernetes -n db etcd-leader-cut-20260102-030405")]
pub struct Revert {
    /// The sandbox, as `seatrial sandbox ls` shows it; with `--on kubernetes` the Experiment
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where it is.
    #[command(flatten)]
    pub place: Place,
}

/// A kept sandbox.
#[derive(Debug, Args)]
pub struct Named {
    /// The sandbox's name, as `seatrial sandbox ls` shows it
    #[arg(value_name = "SANDBOX")]
    pub name: String,
}

/// `seatrial sandbox`
#[derive(Debug, Subcommand)]
pub enum Sandbox {
    /// Start StatefulSets here and keep them running
    #[command(after_help = "Example:\n  seatrial sandbox up statefulset.yaml --name dev")]
    Up {
        /// The files.
        #[command(flatten)]
        files: Files,
        /// Its name [default: that of the first StatefulSet]
        #[arg(long)]
        name: Option<String>,
    },
    /// Stop a kept sandbox and remove all of it, its volumes too
    Down(Named),
    /// List kept sandboxes
    Ls,
}

/// `seatrial bench`
#[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Parse and judge a history
    Judge {
        /// How many operations
        #[arg(long, default_value_t = 1_000_000)]
        operations: u64,
    },
    /// Inject and revert partitions and pauses in a sandbox of the built-in store
    #[cfg(all(feature = "sandbox", feature = "refkv"))]
    Inject {
        /// How often each
        #[arg(long, default_value_t = 200)]
        rounds: u32,
    },
    /// Slow disks down, and see how exactly, and what that costs calls and a store that are not (root)
    #[cfg(all(feature = "sandbox", feature = "refkv"))]
    Disk(BenchDisk),
    /// Inject and revert in a cluster, and see how much memory what is installed there takes
    #[cfg(feature = "kubernetes")]
    Cluster(BenchCluster),
}

/// `seatrial bench disk`
#[cfg(all(feature = "sandbox", feature = "refkv"))]
#[derive(Debug, Args)]
pub struct BenchDisk {
    /// For how many seconds each line is measured
    #[arg(long, default_value_t = 3)]
    pub seconds: u32,
    /// Where a folder is made and removed again: in memory, no disk's own time is mixed into what is measured
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub folder: PathBuf,
}

/// `seatrial soak`
#[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seatrial soak --rounds 200 --seed 1
  seatrial soak --on kubernetes --context kind-dev --yes       kill the agents and controllers of a cluster")]
pub struct Soak {
    /// How many runs are killed; in a cluster, over how many Injections an agent is [default: 200, in a cluster 100]
    #[arg(long)]
    pub rounds: Option<u32>,
    /// The seed of the moments
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where faults are made
    #[arg(long, value_name = "WHERE", default_value_t = On::DEFAULT, value_enum)]
    pub on: On,
    /// What only a cluster has.
    #[cfg(feature = "kubernetes")]
    #[command(flatten)]
    pub cluster: SoakCluster,
}

/// `seatrial runner`
#[cfg(feature = "kubernetes")]
#[derive(Debug, Args)]
pub struct Runner {
    /// The Experiment's namespace
    #[arg(long)]
    pub namespace: String,
    /// The Experiment
    #[arg(long)]
    pub experiment: String,
    /// The run's name
    #[arg(long)]
    pub run: String,
    /// The journal; its folder has to survive a restart of the container
    #[arg(long, value_name = "FILE", default_value = "/journal/journal.jsonl")]
    pub journal: PathBuf,
    /// The Secrets that the Experiment names: a folder for each, a file for each of its keys
    #[arg(long, value_name = "FOLDER", default_value = "/secrets")]
    pub secrets: PathBuf,
}
