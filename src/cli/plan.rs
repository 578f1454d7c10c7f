//! `seatrial validate` and `seatrial plan`: what would happen, without anything happening.

use super::args;
use super::console;
use super::exit::Exit;
use super::scene::{self, Scene, Set};
use crate::api::Snapshot;
use crate::platform::sandbox::pod_spec::SetSpec;

/// `seatrial validate FILE…`
pub(super) fn validate(args: &args::Validate) -> Exit {
    match scene::experiment(&args.files, &[]) {
        Ok(Scene { experiment, set, warnings, .. }) => {
            let beside = match &set {
                Set::Manifest(accepted) => {
                    scene::tell_notes(accepted);
                    let others: Vec<&str> = accepted.others.iter().map(|other| other.name.as_str()).collect();
                    let beside = if others.is_empty() {
                        String::new()
                    } else {
                        format!(", beside {}", others.join(", "))
                    };
                    format!(" against StatefulSet {}{beside}", accepted.set.name)
                }
                Set::Absent => String::new(),
            };
            console::warnings(&warnings);
            if args.strict && !warnings.is_empty() {
                return console::error("warnings are not allowed here", Exit::Invalid);
            }
            console::data(format_args!("{} is valid{beside}\n", experiment.name));
            Exit::Pass
        }
        Err(exit) => exit,
    }
}

/// `seatrial plan FILE…`
pub(super) fn plan(args: &args::Plan) -> Exit {
    let Scene { experiment, set, warnings, .. } = match scene::experiment(&args.files, &[]) {
        Ok(scene) => scene,
        Err(exit) => return exit,
    };
    let Set::Manifest(accepted) = set else {
        let exit = console::error("the files hold no StatefulSet to plan against", Exit::Usage);
        console::hint("give the manifest as well: seatrial plan experiment.yaml statefulset.yaml");
        return exit;
    };
    console::warnings(&warnings);
    let others: Vec<_> = accepted.others.iter().map(target).collect();
    let plan = crate::plan::preview(&experiment, &target(&accepted.set), &others, None, args.seed);
    if let Err(exit) = console::formatted(&plan, args.output) {
        return exit;
    }
    if plan.refusals.is_empty() { Exit::Pass } else { Exit::Refused }
}

/// The StatefulSet before any of its pods is there.
fn target(set: &SetSpec) -> Snapshot {
    Snapshot {
        name: set.name.clone(),
        namespace: set.namespace.clone(),
        replicas: set.replicas,
        first_ordinal: set.first_ordinal,
        numbered: None,
        rollout: None,
        pods: Vec::new(),
        ..Snapshot::default()
    }
}
