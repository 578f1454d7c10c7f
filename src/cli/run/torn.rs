//! Which volumes of a sandbox must be able to tear writes, and whether they can.

use std::collections::BTreeSet;

use super::super::console;
use super::super::exit::Exit;
use crate::api::{ErrorDriver, LatencyDriver};
use crate::experiment::{Experiment, Step, Work};
use crate::fault::Fault;
use crate::fault::disk_error::DiskError;
use crate::fault::disk_latency::DiskLatency;
use crate::fault::power_loss::{PowerLoss, Unsynced};
use crate::platform::sandbox::pod_spec::{ClaimTemplate, SetSpec};
use crate::platform::sandbox::{ClaimsOf, forgetful};

/// Says why a step cannot be done, and what to do.
fn refuse((step, fault): (&Step, &Fault), why: impl std::fmt::Display, hint: &str) -> Exit {
    let told = format_args!("step {} cannot be done here: {}: {why}", step.name, fault.name());
    let exit = console::error(told, Exit::PreflightUnmet);
    console::hint(hint);
    exit
}

/// The first step that tears writes with its fault, and the claim templates of all.
type Tearing<'a> = ((&'a Step, &'a Fault), BTreeSet<ClaimsOf>);

/// The first step that tears writes, and the claim templates whose volumes must be made for it; or what stands in the way
/// of any of it. `sets` are all that run here.
fn meant<'a>(experiment: &'a Experiment, sets: &[&SetSpec]) -> Result<Option<Tearing<'a>>, Exit> {
    let mut found: Option<Tearing<'_>> = None;
    let target = experiment.target.name();
    // Of each set that a step acts on: where it names none, all.
    let claims_of = |step: &Step, named: &[String]| {
        let name = experiment.other_set(step).unwrap_or(&target);
        let claims = sets.iter().filter(|set| set.name == name).flat_map(|set| &set.claims);
        let meant = claims.filter(|claim| named.is_empty() || named.contains(&claim.name));
        let of = |claim: &ClaimTemplate| ClaimsOf { set: name.to_owned(), template: claim.name.clone() };
        meant.map(of).collect::<BTreeSet<_>>()
    };
    let faults = || {
        experiment.works().filter_map(|(step, work)| match work {
            Work::Fault(fault) => Some((step, fault)),
            Work::Action(_) => None,
        })
    };
    for (step, fault) in faults() {
        if let Fault::PowerLoss(PowerLoss { claims, unsynced: Unsynced::Torn, .. }) = fault {
            let torn = claims_of(step, claims);
            found.get_or_insert_with(|| ((step, fault), BTreeSet::new())).1.extend(torn);
        }
    }
    let Some(((tearing, _), forgetful)) = &found else { return Ok(None) };
    for (step, fault) in faults() {
        let needs_a_disk = matches!(
            fault,
            Fault::DiskStall(_)
                | Fault::WriteStall(_)
                | Fault::DiskThrottle(_)
                | Fault::DiskFill(_)
                | Fault::DiskReadOnly(_)
                | Fault::DiskLatency(DiskLatency { driver: LatencyDriver::DmDelay, .. })
                | Fault::DiskError(DiskError { driver: ErrorDriver::DmError, .. })
        );
        if needs_a_disk && !claims_of(step, fault.claims()).is_disjoint(forgetful) {
            let why = format_args!(
                "it takes a volume on a disk, and step {} takes one that tears writes, which is on none",
                tearing.name
            );
            return Err(refuse(
                (step, fault),
                why,
                "make two experiments of it, or name other volumes by claims",
            ));
        }
    }
    Ok(found)
}

/// The claim templates whose volumes must be able to tear writes.
pub(super) fn claims(experiment: &Experiment, sets: &[&SetSpec]) -> Result<BTreeSet<ClaimsOf>, Exit> {
    let Some((tearing, claims)) = meant(experiment, sets)? else {
        return Ok(BTreeSet::new());
    };
    match forgetful::obstacle() {
        None => Ok(claims),
        Some(why) => {
            let why = format_args!("unsynced: torn takes a volume of FUSE, and {why}");
            Err(refuse(tearing, why, "load the kernel's module (modprobe fuse), or write unsynced: lost"))
        }
    }
}

/// Says which step a sandbox cannot have whose volumes were made before the experiment was known.
pub(super) fn refuse_there(
    experiment: &Experiment,
    sets: &[&SetSpec],
    there: &BTreeSet<ClaimsOf>,
) -> Result<(), Exit> {
    match meant(experiment, sets)? {
        Some((tearing, claims)) if !claims.is_subset(there) => {
            let why = "unsynced: torn takes volumes that are made for it, and this sandbox was made before";
            Err(refuse(tearing, why, "give the manifest instead of --sandbox"))
        }
        Some(_) | None => Ok(()),
    }
}
