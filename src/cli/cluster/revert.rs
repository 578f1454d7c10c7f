//! `seatrial revert --on kubernetes`: takes back every Injection of an Experiment, whoever injected it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{act, told};
use crate::cli::args;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::platform::kubernetes::api_faults::Site;
use crate::platform::kubernetes::nodes::Injections;
use crate::platform::kubernetes::revert::{self as back, Taken};
use crate::runner::keep;

/// How long agents may take.
const LIMIT: Duration = Duration::from_mins(1);

/// `seatrial revert NAME --on kubernetes`
pub(in crate::cli) fn revert(args: &args::Revert) -> Exit {
    act(&args.place.cluster, None, async |seat| {
        let object = seat.find(&args.name).await?;
        let Some(run) = object.status.as_ref().and_then(|status| status.run.clone()) else {
            console::data("nothing was injected\n");
            return Ok(Exit::Pass);
        };
        let client = &seat.access.client;
        let target = object.spec.written.get("target").and_then(|target| target["statefulSet"].as_str());
        let site = Site {
            client: client.clone(),
            namespace: seat.namespace.clone(),
            set: target.map(str::to_owned),
            others: other_sets(&object.spec.written),
            allow_quorum_loss: true,
            own_pod: None,
            owner: None,
            over_by: jiff::Timestamp::now(),
        };
        let injections =
            Injections::of(client, &seat.namespace, &run, keep::owner(&object)).with_api_faults(site);
        let taken = back::revert(client, &seat.namespace, &injections, LIMIT).await;
        let taken = taken.map_err(|error| told(&error))?;
        let mut open = 0;
        for (spec, taken) in &taken {
            match taken {
                Taken::Back(_) => console::data(format_args!("{} reverted, verified\n", spec.name)),
                Taken::Gone(why) => console::data(format_args!("{} reverted: {why}\n", spec.name)),
                Taken::Not(why) => {
                    open += 1;
                    console::say(format_args!("{} NOT reverted: {why}", spec.name));
                }
            }
        }
        if taken.is_empty() {
            console::data("nothing was injected\n");
        }
        Ok(if open == 0 {
            Exit::Pass
        } else {
            console::error(
                format_args!("{open} not reverted within {} s", LIMIT.as_secs()),
                Exit::RevertFailed,
            )
        })
    })
}

/// The StatefulSets that steps name: whoever takes back goes by what is written, be it valid still or not.
fn other_sets(written: &Map<String, Value>) -> BTreeSet<String> {
    let steps = written.get("steps").and_then(Value::as_array).into_iter().flatten();
    steps.filter_map(|step| step["target"]["statefulSet"].as_str()).map(str::to_owned).collect()
}
