//! The experiment as text, with what a person has to know to change it.

use std::time::Duration;

use super::step::Parameters;
use super::{Choice, Found, claims};
use crate::experiment::duration::format;
use crate::spec::API_VERSION;

/// For how long a fault stays that does not need longer to be felt.
const LASTING: Duration = Duration::from_secs(20);
/// For how long a target may be beyond what ends the run, where nobody means it to be.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whether the group may lose its majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The guard refuses that.
    Guarded,
    /// It is what the experiment is about.
    Allowed,
}

/// The whole document.
pub(super) fn of(found: &Found, choice: &Choice<'_>, parameters: &Parameters, loss: Loss) -> String {
    let fault = choice.fault.fault();
    let lasting = if fault.must_last() { LASTING.max(fault.shortest().0 * 2) } else { Duration::ZERO };
    let Found { name: set, replicas, .. } = found;
    let (name, listed) = (&choice.name, choice.fault);
    let mut text = format!(
        "# {name}: {}.\n\
         #\n\
         # Hits {} of StatefulSet {set}, which has {replicas} replica{}.\n\
         #\n\
         # Written by `seatrial init` to be changed: each number below is a promise, and only you know which ones your users\n\
         # were given.\n\
         #\n",
        listed.summary,
        parameters.whom,
        if *replicas == 1 { "" } else { "s" },
    );
    for (command, what) in commands(fault.needs_kubernetes()) {
        text.push_str(&format!("#   {command:<46}  {what}\n"));
    }
    text.push_str(&format!(
        "#\n\
         # `seatrial faults {}` tells every parameter of the fault, `seatrial slis` what else can be claimed. With\n\
         # `seatrial schema > experiment.schema.json` an editor completes and checks this file, if it begins with\n\
         # `# yaml-language-server: $schema=experiment.schema.json`.\n\
         apiVersion: {API_VERSION}\n\
         kind: Experiment\n\
         metadata:\n\
         \x20 name: {name}\n\
         spec:\n",
        listed.name
    ));
    text.push_str(&target(found, choice));
    text.push_str(&steps(choice, parameters, lasting));
    text.push_str("  hypothesis:\n");
    text.push_str(&claims::of(found, choice, lasting, loss));
    text.push_str(&guards(found, lasting, loss));
    text
}

/// What to type next.
fn commands(needs_kubernetes: bool) -> &'static [(&'static str, &'static str)] {
    if needs_kubernetes {
        &[
            ("seatrial preflight FILE -n NAMESPACE", "what the cluster lacks, and what a guard says"),
            (
                "seatrial run FILE --on kubernetes -n NAMESPACE",
                "in a cluster: this fault needs its API server",
            ),
        ]
    } else {
        &[
            ("seatrial plan FILE MANIFEST", "who would be hit, when, and what a guard says"),
            ("seatrial run FILE MANIFEST", "on this machine, in a sandbox"),
            ("seatrial run FILE --on kubernetes -n NAMESPACE", "in a cluster"),
        ]
    }
}

fn target(found: &Found, choice: &Choice<'_>) -> String {
    let container = &choice.container.name;
    let which = match found.containers.len() {
        1 => "the only one",
        _ => "whose processes faults mean; without it those of all containers",
    };
    let mut text =
        format!("  target:\n    statefulSet: {}\n    container: {container} # {which}\n", found.name);
    let Some(guess) = &choice.store else {
        text.push_str(
            "    # No store that Seatrial can ask was found, so that only pods are watched. `seatrial stores` lists those that\n\
             \x20   # it knows: with one, reads and writes go on meanwhile, and what was acknowledged is looked for in the end.\n",
        );
        return text;
    };
    let name = guess.store.name();
    let written = serde_json::to_value(&guess.store).unwrap_or_default();
    let port = &written[name]["port"];
    text.push_str(&format!(
        "    # {name}, because {}.\n\
         \x20   # Where it wants TLS or a user: `seatrial stores {name}`.\n\
         \x20   store: {{{name}: {{port: {port}}}}}\n\
         \x20 # Clients that write below `seatrial/` only, and remove it afterwards. A rate that your store bears easily: what is\n\
         \x20 # asked here is what it does while it is broken, and not how much it can do.\n\
         \x20 workload:\n\
         \x20   clients: 8\n\
         \x20   rate: 200 # operations a second of all clients together\n",
        guess.because
    ));
    if !guess.store.votes() {
        text.push_str("    through: members # a Service may give members that do not write\n");
    }
    text
}

fn steps(choice: &Choice<'_>, parameters: &Parameters, lasting: Duration) -> String {
    let listed = choice.fault;
    let mut text = format!(
        "  # How long everything has to be well before anything is broken.\n\
         \x20 baseline: 5s\n\
         \x20 steps:\n\
         \x20   # What it does: {}.\n\
         \x20   - name: {}\n\
         \x20     at: 2s # after the baseline\n",
        listed.summary,
        crate::catalogue::step_name(listed.name)
    );
    if !lasting.is_zero() {
        text.push_str(&format!(
            "      # From the moment at which it is proven. Longer than the store's timeouts, or nothing notices.\n      for: {}\n",
            format(lasting)
        ));
    }
    text.push_str(&format!("      fault:\n        {}:\n", listed.name));
    for line in &parameters.lines {
        text.push_str(&format!("          {line}\n"));
    }
    text
}

fn guards(found: &Found, lasting: Duration, loss: Loss) -> String {
    let replicas = u64::from(found.replicas);
    let majority = 100 * (replicas / 2 + 1) / replicas;
    let patience = match loss {
        Loss::Guarded => PATIENCE,
        Loss::Allowed => PATIENCE + lasting,
    };
    let allowed = match loss {
        Loss::Guarded => String::new(),
        Loss::Allowed => {
            "    # The guard would refuse this fault: it takes more members than the store can lose. Leave this line out, and hit\n\
             \x20   # fewer, unless that is what you want to see.\n\
             \x20   allowQuorumLoss: true\n"
                .into()
        }
    };
    format!(
        "  guards:\n\
         {allowed}\
         \x20   # The run stops and takes everything back when fewer than a majority have been Ready for so long.\n\
         \x20   abortWhen: [{{sli: {{podAvailability: {{}}}}, below: {majority}%, for: {}}}]\n\
         \x20   maxDuration: 10m # whatever happens\n",
        format(patience)
    )
}
