//! `seatrial status`: how Experiments stand, and what their agents say.

use kube::ResourceExt;
use kube::api::ListParams;

use super::announce::age;
use super::{Seat, act, told};
use crate::cli::args;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::platform::kubernetes::failure::insist;
use crate::platform::kubernetes::nodes::Injections;
use crate::resource::{Experiment, Injection};

/// `seatrial status [NAME]`
pub(in crate::cli) fn status(args: &args::Status) -> Exit {
    act(&args.cluster, None, async |seat| match &args.name {
        Some(name) => one(&seat, name).await,
        None => all(&seat).await,
    })
}

async fn all(seat: &Seat) -> Result<Exit, Exit> {
    let (objects, everything) = (seat.experiments(), ListParams::default());
    let mut found = insist(|| objects.list(&everything)).await.map_err(|error| told(&error))?.items;
    if found.is_empty() {
        console::say(format_args!("namespace `{}` has no Experiments", seat.namespace));
        return Ok(Exit::Pass);
    }
    found.sort_by_key(|object| object.creation_timestamp().map(|time| time.0));
    let header = ["NAME", "TARGET", "PHASE", "VERDICT", "FAULT", "AGE"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(found.iter().map(row)).collect();
    console::data(table(&rows));
    Ok(Exit::Pass)
}

fn row(object: &Experiment) -> [String; 6] {
    let status = object.status.clone().unwrap_or_default();
    let target = object.spec.written.get("target").and_then(|target| target["statefulSet"].as_str());
    [
        object.name_any(),
        target.unwrap_or("–").to_owned(),
        status.phase.map_or_else(|| "–".into(), |phase| format!("{phase:?}")),
        status.verdict.map_or_else(|| "–".into(), |verdict| verdict.to_string()),
        status.fault.unwrap_or_else(|| "–".into()),
        age(object.creation_timestamp().map(|time| time.0)),
    ]
}

fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

async fn one(seat: &Seat, name: &str) -> Result<Exit, Exit> {
    let object = seat.find(name).await?;
    let status = object.status.clone().unwrap_or_default();
    let [name, target, phase, verdict, fault, age] = row(&object);
    let mut lines = vec![format!("{name}: {phase}, verdict {verdict}, {age} old")];
    lines.push(format!("  target   {}/{target}", seat.namespace));
    lines.extend(status.message.map(|message| format!("  message  {message}")));
    lines.push(format!("  fault    {fault}"));
    lines.extend(status.runner.map(|runner| format!("  runner   pod {runner}")));
    if status.revert_failed {
        lines.push("  REVERT FAILED: a fault could not be taken back".into());
    }
    for outcome in &status.outcomes {
        lines.push(format!("  {:<13} {}: {}", outcome.verdict, outcome.name, outcome.message));
    }
    if let Some(run) = status.run {
        let injections = Injections::of(&seat.access.client, &seat.namespace, &run, None);
        let found = injections.list().await.map_err(|error| told(&error))?;
        lines.extend(found.iter().map(standing));
    }
    if let Some(place) = status.journal {
        lines.push(format!(
            "  journal  {} bytes in ConfigMaps {}",
            place.bytes,
            place.config_maps.join(", ")
        ));
    }
    console::data(format_args!("{}\n", lines.join("\n")));
    Ok(Exit::Pass)
}

/// `  injection x on etcd-0 (n1): Injected, frozen …`
fn standing(found: &Injection) -> String {
    let spec = &found.spec.injection;
    let said = found.status.as_ref().map_or_else(
        || "its agent says nothing".into(),
        |status| {
            let why = status
                .error
                .clone()
                .or_else(|| status.proof.as_ref().map(|proof| proof.observed.clone()))
                .unwrap_or_default();
            format!("{:?} {why}", status.state)
        },
    );
    format!("  injection {} on {} ({}): {said}", spec.name, spec.pod.name, spec.pod.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["NAME", "AGE"], ["a-long-name", "1s"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "NAME         AGE\na-long-name  1s\n");
    }
}
