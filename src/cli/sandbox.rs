//! `seatrial sandbox`: StatefulSets that keep running on this machine; and the node process of every sandbox.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::args;
use super::console;
use super::exit::Exit;
use super::internal::NODE;
use super::runtime::block_on;
use super::scene;
use crate::host::cgroup::limits::Available;
use crate::host::user_namespace::is_root_of_machine;
use crate::node;
use crate::platform::sandbox::client::Client;
use crate::platform::sandbox::manifest::Accepted;
use crate::platform::sandbox::pod_spec::SetSpec;
use crate::platform::sandbox::{ClaimKind, ClaimsOf, Options, Sandbox, SandboxError, StateDir, state_root};
use crate::undo::guardian::Launch;

/// How long pods may take to be Ready before `up` says that they are not.
pub(super) const READY_LIMIT: Duration = Duration::from_mins(2);

/// How long a node that was started again waits to hear of the faults that it found in force. Init answers at once.
const ADOPT_WITHIN: Duration = Duration::from_secs(2);

/// `seatrial sandbox …`
pub(super) fn main(command: args::Sandbox) -> Exit {
    let done = match command {
        args::Sandbox::Up { files, name } => up(&files, name),
        args::Sandbox::Down(named) => down(&named.name),
        args::Sandbox::Ls => ls(),
    };
    match done {
        Ok(exit) => exit,
        Err(error) => console::failure(&error, Exit::PreflightUnmet),
    }
}

/// Starts a sandbox with a node in it, in which the volumes of some claim templates are forgetful ones.
pub(super) fn start(
    set: SetSpec,
    others: Vec<SetSpec>,
    name: String,
    keep: bool,
    forgetful: BTreeSet<ClaimsOf>,
) -> Result<Sandbox, SandboxError> {
    let state_root = state_root()?;
    let folder = StateDir::of(&state_root, &name)?.path().to_owned();
    let node = vec![NODE.to_owned(), folder.display().to_string()];
    let program = PathBuf::from("/proc/self/exe");
    Sandbox::up(set, others, Options { name, state_root, keep, program, node: Some(node), forgetful })
}

/// Says when volumes, and the groups that may use them, are less than root could expect.
pub(super) fn tell_claims(accepted: &Accepted) {
    match ClaimKind::here() {
        ClaimKind::FolderWithoutFormat if accepted.sets().any(|set| !set.claims.is_empty()) => console::say(
            "note: volumes are folders, and powerLoss cannot be done, because mkfs.ext4 is not installed (apt install \
             e2fsprogs)",
        ),
        ClaimKind::Filesystem | ClaimKind::FolderOfUser | ClaimKind::FolderWithoutFormat => {}
    }
    let has_groups =
        accepted.sets().any(|set| set.pod.fs_group.is_some() || !set.pod.supplemental_groups.is_empty());
    if has_groups && !is_root_of_machine() {
        console::say("note: fsGroup and supplementalGroups are left out: only root can set groups");
    }
}

/// Says which limits of containers nothing enforces here.
pub(super) fn tell_limits(accepted: &Accepted) {
    let available = Available::here();
    let pods = accepted.sets().map(|set| &set.pod);
    let containers: Vec<_> = pods.flat_map(|pod| pod.init_containers.iter().chain(&pod.containers)).collect();
    for (what, is_asked, is_there) in [
        ("memory", containers.iter().any(|container| container.limits.memory.is_some()), available.memory),
        ("cpu", containers.iter().any(|container| container.limits.cpu.is_some()), available.cpu),
    ] {
        if is_asked && !is_there {
            let why = if is_root_of_machine() {
                "this machine's cgroups have no controller for them"
            } else {
                "only root can set them"
            };
            console::say(format_args!("note: limits of {what} are not enforced: {why}"));
        }
    }
}

fn up(files: &args::Files, name: Option<String>) -> Result<Exit, SandboxError> {
    let accepted = match scene::manifest(files) {
        Ok(accepted) => accepted,
        Err(exit) => return Ok(exit),
    };
    scene::tell_notes(&accepted);
    tell_claims(&accepted);
    tell_limits(&accepted);
    let name = name.unwrap_or_else(|| accepted.set.name.clone());
    let sandbox = start(accepted.set, accepted.others, name, true, BTreeSet::new())?;
    let waited = block_on(async {
        let client = Client::connect(sandbox.dir()).await.map_err(|error| error.to_string())?;
        client.wait_ready(READY_LIMIT).await.map_err(|error| error.to_string())
    });
    let name = sandbox.name();
    match waited {
        Ok(()) => console::data(format_args!("{name}\n")),
        Err(why) => {
            let exit =
                console::error(format_args!("sandbox `{name}` is up, but {why}"), Exit::PreflightUnmet);
            console::hint(format_args!(
                "its logs are in {}; seatrial sandbox down {name} removes it",
                sandbox.logs_dir().display()
            ));
            return Ok(exit);
        }
    }
    console::hint(format_args!(
        "seatrial run EXPERIMENT --sandbox {name}; seatrial sandbox down {name} removes it"
    ));
    Ok(Exit::Pass)
}

fn down(name: &str) -> Result<Exit, SandboxError> {
    Sandbox::down(&state_root()?, name)?;
    Ok(Exit::Pass)
}

fn ls() -> Result<Exit, SandboxError> {
    let sandboxes = Sandbox::list(&state_root()?);
    let widest = sandboxes.iter().map(|listed| listed.name.len()).max().unwrap_or(0).max(4);
    console::data(format_args!("{:<widest$}  {:<7}  STATEFULSET\n", "NAME", "STATE"));
    for listed in sandboxes {
        let state = if listed.is_alive { "running" } else { "dead" };
        console::data(format_args!(
            "{:<widest$}  {state:<7}  {}\n",
            listed.name,
            listed.stateful_sets.join(", ")
        ));
    }
    Ok(Exit::Pass)
}

/// The node process of the sandbox whose folder this is. Ends when init is gone.
pub(super) fn node(folder: PathBuf) -> Exit {
    let dir = StateDir::at(folder);
    let served = block_on(async {
        let client = Client::connect(&dir).await.map_err(|error| error.to_string())?;
        let cgroup = dir.setup().map_err(|error| error.to_string())?.guardian_cgroup();
        let guardian = Launch::Beside { program: PathBuf::from("/proc/self/exe"), cgroup };
        let options = node::Options { undo_dir: dir.undo(), guardian, adopt_within: ADOPT_WITHIN };
        node::serve(client.clone(), client, options).await.map_err(|error| error.to_string())
    });
    match served {
        Ok(()) => Exit::Pass,
        Err(why) => console::error(why, Exit::Unexpected),
    }
}
