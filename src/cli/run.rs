//! `seatrial run`: an experiment from its file to its verdict.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::args;
use super::console;
use super::exit::Exit;
use super::folder::{Given, create, name_of, refuse_used};
use super::recorded::{self, JOURNAL};
use super::runtime::{block_on, interrupts};
use super::sandbox;
use super::scene::{self, Scene, Set};
use super::step_summary;
use crate::api::counted;
use crate::engine::Limits;
use crate::experiment::{Experiment, Work};
use crate::fault::Fault;
use crate::fault::network_shaping::host::obstacle;
use crate::platform::Cluster;
use crate::platform::sandbox::client::Client;
use crate::platform::sandbox::pod_spec::SetSpec;
use crate::platform::sandbox::{ClaimKind, Sandbox, state_root};
use crate::report::live::{Live, Style};
use crate::run::{Platform, RunError, Setup};
use crate::store;

mod beside;
mod repeat;
mod torn;

/// `seatrial run FILE…`
pub(super) fn run(args: &args::Run) -> Exit {
    if let Some(times) = args.repeat {
        return repeat::run(args, times);
    }
    // Before anything is started: it is the cheapest mistake to tell.
    if let Some(folder) = &args.out
        && let Err(why) = refuse_used(folder)
    {
        return console::error(why, Exit::Usage);
    }
    let (experiment, given, sandbox) = match prepare(args) {
        Ok(prepared) => prepared,
        Err(exit) => return exit,
    };
    let name = name_of(&experiment.name);
    let folder = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&name));
    let exit = match create(&folder) {
        Ok(folder) => {
            given.keep(&folder);
            experiment_in(&sandbox, experiment, name, &folder, args)
        }
        Err(why) => console::error(why, Exit::Usage),
    };
    if args.sandbox.is_none()
        && let Err(error) = sandbox.stop()
    {
        console::failure(&error, Exit::Unexpected);
    }
    exit
}

/// Reads the files and starts, or finds, the sandbox. Nothing is started until everything is valid.
fn prepare(args: &args::Run) -> Result<(Experiment, Given, Sandbox), Exit> {
    let unmet = |error| console::failure(&error, Exit::PreflightUnmet);
    if let Some(name) = &args.sandbox {
        if !args.files.images.is_empty() {
            let exit = console::error("a kept sandbox has its images already", Exit::Usage);
            console::hint("leave --image out, or give the manifest instead of --sandbox");
            return Err(exit);
        }
        let sandbox = state_root().and_then(|root| Sandbox::attach(&root, name)).map_err(unmet)?;
        let known = sandbox.dir().setup().map_err(|error| console::failure(&error, Exit::PreflightUnmet))?;
        let sets: Vec<&SetSpec> = known.sets().collect();
        let Scene { experiment, given, warnings, .. } = scene::experiment(&args.files, &sets)?;
        refuse_what_needs_a_filesystem(&experiment, known.claims)?;
        torn::refuse_there(&experiment, &sets, &known.options.forgetful)?;
        if !args.quiet {
            console::warnings(&warnings);
        }
        return Ok((experiment, given, sandbox));
    }
    let Scene { experiment, set, given, warnings } = scene::experiment(&args.files, &[])?;
    let Set::Manifest(accepted) = set else {
        let exit = console::error("the files hold an Experiment but no StatefulSet to break", Exit::Usage);
        console::hint(format_args!(
            "give the manifest as well: seatrial run {} statefulset.yaml",
            args.files.files[0].display()
        ));
        return Err(exit);
    };
    refuse_what_needs_a_filesystem(&experiment, ClaimKind::here())?;
    let forgetful = torn::claims(&experiment, &accepted.sets().collect::<Vec<_>>())?;
    if !args.quiet {
        console::warnings(&warnings);
        scene::tell_notes(&accepted);
        sandbox::tell_claims(&accepted);
        sandbox::tell_limits(&accepted);
    }
    let name = format!("run-{}", std::process::id());
    let sandbox = sandbox::start(accepted.set, accepted.others, name, false, forgetful).map_err(unmet)?;
    Ok((experiment, given, sandbox))
}

/// Says before anything is started which step this sandbox cannot have.
fn refuse_what_needs_a_filesystem(experiment: &Experiment, claims: ClaimKind) -> Result<(), Exit> {
    let (because, hint) = match claims {
        ClaimKind::Filesystem => return Ok(()),
        ClaimKind::FolderOfUser => ("which only root can mount", "run it as root, for example with sudo"),
        ClaimKind::FolderWithoutFormat => {
            ("and mkfs.ext4, which makes them, is not installed", "install it: apt install e2fsprogs")
        }
    };
    let refused = experiment.works().find(|(_, work)| matches!(work, Work::Fault(Fault::PowerLoss(_))));
    let Some((step, work)) = refused else {
        return Ok(());
    };
    let exit = console::error(
        format_args!(
            "step {} cannot be done here: {} takes a volume with a filesystem of its own, {because}",
            step.name,
            work.name()
        ),
        Exit::PreflightUnmet,
    );
    console::hint(hint);
    Err(exit)
}

/// Says which step this kernel cannot do. Inside a sandbox, because there an ordinary user may try it out.
fn refuse_what_the_kernel_lacks(experiment: &Experiment) -> Result<(), Exit> {
    for (step, work) in experiment.works() {
        if let Some(why) = obstacle(work.name()) {
            let (step, fault) = (&step.name, work.name());
            let told = format_args!("step {step} cannot be done here: {fault}: {why}");
            return Err(console::error(told, Exit::PreflightUnmet));
        }
    }
    Ok(())
}

/// Runs in a sandbox that is there, judges the journal, writes the reports.
fn experiment_in(
    sandbox: &Sandbox,
    experiment: Experiment,
    name: String,
    folder: &Path,
    args: &args::Run,
) -> Exit {
    // Inside, an ordinary user looks like root.
    let environment = environment(args.sandbox.as_deref());
    if let Err(error) = sandbox.enter() {
        return console::failure(&error, Exit::PreflightUnmet);
    }
    if let Err(exit) = refuse_what_the_kernel_lacks(&experiment) {
        return exit;
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let view = Live::new(&experiment.name, Style::detect(args.quiet));
    let journal = folder.join(JOURNAL);
    let done = block_on(async {
        let set = experiment.target.name();
        let client = Client::connect_to(sandbox.dir(), &set).await.map_err(|error| error.to_string())?;
        let client = Arc::new(client);
        let mut others = match beside::ready(sandbox.dir(), &set, args.quiet).await {
            Ok(others) => others,
            Err(why) => return Ok(Err(why)),
        };
        let acted_on = experiment.other_sets();
        others.retain(|name, _| acted_on.contains(name.as_str()));
        let named = experiment.target.store.as_ref();
        let opened =
            named.map(|named| store::open(named, Arc::clone(&client) as _, &sandbox.dir().secrets()));
        let store = match opened.transpose() {
            Ok(store) => store,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let target = client.snapshots().borrow().clone();
        if let Err(why) = crate::run::lets_in(&experiment, store.as_deref(), &target).await {
            return Ok(Err(why));
        }
        let platform = Platform { cluster: Arc::clone(&client) as _, others, nodes: client, store };
        let setup = Setup {
            experiment,
            run: name,
            seed,
            journal: journal.clone(),
            environment,
            platform,
            limits: Limits::default(),
        };
        Ok(Ok(crate::run::run(setup, interrupts(), view).await))
    });
    if args.sandbox.is_none()
        && let Err(error) = copy_folder(&sandbox.logs_dir(), &folder.join("logs"))
    {
        tracing::warn!("the containers' logs were not kept: {error}");
    }
    match done {
        Err(why) => return console::error(why, Exit::Unexpected),
        Ok(Err(why)) => return console::error(why, Exit::PreflightUnmet),
        Ok(Ok(Err(ref error @ RunError::Journal { ref left, .. }))) if !left.is_empty() => {
            return console::failure(error, Exit::RevertFailed);
        }
        Ok(Ok(Err(error))) => return console::failure(&error, Exit::Unexpected),
        Ok(Ok(Ok(()))) => {}
    }
    match recorded::read(&journal) {
        Ok((journal, judgement)) => {
            recorded::write(&journal, &judgement, folder);
            let images = args.files.images.iter().map(|image| ("--image", image.to_argument()));
            let kept = args.sandbox.iter().map(|name| ("--sandbox", name.into()));
            let place = images
                .chain(kept)
                .flat_map(|(option, value)| [option.to_owned(), value.to_string_lossy().into_owned()]);
            let place = place.collect();
            step_summary::append(&judgement, args, folder, place);
            recorded::tell(&judgement, args.quiet);
            if !args.quiet {
                let there = folder.display();
                console::hint(if args.sandbox.is_none() {
                    format!("journal, reports and logs are in {there}")
                } else {
                    let logs = sandbox.logs_dir();
                    format!("journal and reports are in {there}; logs stay in {}", logs.display())
                });
                recorded::hint_page(folder);
            }
            recorded::exit_of(&judgement)
        }
        Err(exit) => exit,
    }
}

/// Where a run happens, for a person: in a kept sandbox, or in one of its own.
fn environment(kept: Option<&str>) -> String {
    let sandbox = kept.map_or_else(|| "sandbox".into(), |name| format!("sandbox {name}"));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let user = if nix::unistd::geteuid().is_root() { "root" } else { "an ordinary user" };
    format!("{sandbox}, Linux {}, {}, as {user}", kernel.trim(), counted(cpus, "CPU"))
}

/// Copies files and folders; links and special files are left out.
pub(super) fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
