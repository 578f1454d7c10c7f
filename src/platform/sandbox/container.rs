//! From a holder's child to a container: its cgroup, its root, its user, its program.
//!
//! The child reads a plan from one descriptor and says on another one why it failed; that one is closed by a successful
//! exec. Everything here runs in a process with one thread, in the container's own pid and mount namespaces.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::host::cgroup;
use crate::host::namespace::inherited;

mod bind;
mod exec;
mod image_root;
mod process;
mod root;
mod stage;
mod user;

pub use exec::exec_main;

/// The descriptor with the plan.
pub const PLAN_DESCRIPTOR: i32 = 3;
/// The descriptor for the reason of a failure.
pub const REPORT_DESCRIPTOR: i32 = 4;

/// How the line begins that is written to a log before what a start of the container writes.
pub const HEADLINE: &str = "--- start ";

/// A container, with everything decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerPlan {
    /// What is written to the log before its own output.
    pub headline: String,
    /// Its log; appended to.
    pub log: PathBuf,
    /// What is its root made of.
    pub root: RootPlan,
    /// What runs in it.
    pub process: ProcessPlan,
}

/// The root of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootPlan {
    /// An empty folder; the root is mounted there before it becomes the root.
    pub scratch: PathBuf,
    /// The files of an image; without one the root is made of the host's.
    pub image: Option<PathBuf>,
    /// Folders of the host that are hidden.
    pub hidden: Vec<PathBuf>,
    /// Files with their content.
    pub files: Vec<(PathBuf, String)>,
    /// Volumes and the program, in the order in which they are mounted.
    pub binds: Vec<Bind>,
    /// Whether only what is bound can be written to.
    pub read_only: bool,
    /// Whether root outside is root inside.
    pub is_root: bool,
}

/// Something of init's mount namespace, shown in the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bind {
    /// Where it is.
    pub source: PathBuf,
    /// Which part of it is shown, where that is not all: no link leads out of it.
    pub sub_path: Option<PathBuf>,
    /// Where it is shown.
    pub target: PathBuf,
    /// Whether it may only be read.
    pub read_only: bool,
}

/// The process of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// Its cgroups, one in each hierarchy that has one.
    pub cgroups: Vec<PathBuf>,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its working folder.
    pub working_dir: PathBuf,
    /// Its user, and its group behind a colon, where that is to be looked up in the root.
    pub user: Option<String>,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Whether it is in the groups that list its user in the root, too.
    pub merges_groups: bool,
    /// Its other groups; none can be set by an ordinary user.
    pub groups: Option<Vec<u32>>,
    /// The capabilities that root has, by number.
    pub capabilities: BTreeSet<u8>,
    /// Whether no program that it starts gets more rights than it has.
    pub no_new_privileges: bool,
}

/// A program to run in a container that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecPlan {
    /// The pid of the container's first process, in the pod's pid namespace; filled in by the holder.
    pub container: i32,
    /// What runs.
    pub process: ProcessPlan,
}

/// `seatrial __sandbox-container`, as process 1 of the container.
pub fn container_main() -> i32 {
    with_plan(|plan: ContainerPlan, _report| {
        for cgroup in &plan.process.cgroups {
            cgroup::join(cgroup).map_err(|error| named("cannot join the container's cgroup", &error))?;
        }
        redirect_output(&plan)?;
        root::enter(&plan.root, &plan.process.working_dir)
            .map_err(|error| named("cannot make the container's root", &error))?;
        process::become_program(&plan.process)
    })
}

fn redirect_output(plan: &ContainerPlan) -> io::Result<()> {
    let mut log = OpenOptions::new().create(true).append(true).open(&plan.log)?;
    writeln!(log, "{}", plan.headline)?;
    dup2_stdin(OpenOptions::new().read(true).open("/dev/null")?)?;
    dup2_stdout(&log)?;
    Ok(dup2_stderr(&log)?)
}

/// Where a failure is said; closing it means that the program runs.
type Report = Option<File>;

/// Reads the plan and carries it out; the result is the exit code. A failure is said on the report.
fn with_plan<P: DeserializeOwned>(carry_out: impl FnOnce(P, &mut Report) -> io::Result<i32>) -> i32 {
    let (plan, report) = match (inherited(PLAN_DESCRIPTOR), inherited(REPORT_DESCRIPTOR)) {
        (Ok(plan), Ok(report)) => (plan, report),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("seatrial: this is started by a sandbox only: {error}");
            return 2;
        }
    };
    let mut report = Some(File::from(report));
    let read = || {
        let mut text = Vec::new();
        File::from(plan).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    };
    match read().and_then(|plan| carry_out(plan, &mut report)) {
        Ok(code) => code,
        Err(error) => {
            if let Some(mut report) = report {
                let _ = write!(report, "{error}");
            }
            127
        }
    }
}

fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
