//! An experiment of a file becomes an Experiment of a cluster, after whoever runs it agreed to that.

use std::io::{BufRead, IsTerminal};

use jiff::Timestamp;
use kube::Resource;
use kube::api::{ListParams, PostParams};
use serde_json::{Map, Value};

use super::{Seat, told};
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::platform::kubernetes::cluster::{Cluster, FollowError};
use crate::platform::kubernetes::failure::{insist, is_absent};
use crate::resource::{Experiment, ExperimentSpec, SEED_ANNOTATION};
use crate::spec::document::Document;
use crate::{experiment, spec};

/// What the cluster has to have before anybody is asked.
pub(super) async fn look(
    seat: &Seat,
    document: &Document,
    experiment: &experiment::Experiment,
) -> Result<(), Exit> {
    let objects = seat.experiments();
    let one = ListParams::default().limit(1);
    if objects.list(&one).await.is_err_and(|error| is_absent(&error)) {
        let exit = console::error("this cluster does not know Experiments", Exit::PreflightUnmet);
        console::hint("seatrial install | kubectl apply --server-side -f -");
        return Err(exit);
    }
    let followed =
        Cluster::follow(&seat.access.client, &seat.namespace, &experiment.target.group, None).await;
    let others = Cluster::others_of(&seat.access.client, &seat.namespace, experiment).await;
    let others = others.map_err(|error| told(&error))?;
    let cluster = followed.map_err(|error| match error {
        FollowError::Platform(error) => told(&error),
        FollowError::Absent { .. } | FollowError::NoPods { .. } | FollowError::Selector { .. } => {
            let exit = console::failure(&error, Exit::PreflightUnmet);
            console::hint("name another --namespace, or give its manifest along with --apply");
            exit
        }
    })?;
    spec::against_target(document, experiment, cluster.facts(), Some(&others))
        .map_err(|problems| console::problems(&problems))?;
    console::warnings(&spec::lint(document, experiment, Some(cluster.facts())));
    Ok(())
}

/// Whether a person agrees, or has agreed by `--yes`.
pub(super) fn agree(seat: &Seat, experiment: &experiment::Experiment, has_agreed: bool) -> Result<(), Exit> {
    let Seat { access, namespace } = seat;
    let what = format!(
        "break {} of namespace `{namespace}` in context `{}` ({})",
        experiment.breaks(),
        access.context,
        access.server
    );
    for warning in experiment.warnings() {
        console::say(format_args!("warning: {warning}"));
    }
    if has_agreed {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let exit = console::error(format_args!("nobody can be asked whether to {what}"), Exit::Usage);
        console::hint("--yes says so");
        return Err(exit);
    }
    console::say(format_args!("This will {what}. Type yes to go on:"));
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if answer.trim().eq_ignore_ascii_case("yes") {
        Ok(())
    } else {
        Err(console::error("nothing was done", Exit::Usage))
    }
}

/// Creates it under a name of its own.
pub(super) async fn create(
    seat: &Seat,
    name: &str,
    document: &Document,
    seed: Option<u64>,
) -> Result<Experiment, Exit> {
    let mut object = Experiment::new(name, ExperimentSpec { written: written(document)? });
    let annotations = object.meta_mut().annotations.get_or_insert_default();
    annotations.extend(seed.map(|seed| (SEED_ANNOTATION.to_owned(), seed.to_string())));
    let (objects, parameters) = (seat.experiments(), PostParams::default());
    insist(|| objects.create(&parameters, &object)).await.map_err(|error| told(&error))
}

/// `spec`, as it is in the file.
fn written(document: &Document) -> Result<Map<String, Value>, Exit> {
    let read: Result<Map<String, Value>, _> = serde_saphyr::from_str(&document.text);
    match read.map(|mut whole| whole.remove("spec")) {
        Ok(Some(Value::Object(spec))) => Ok(spec),
        Ok(_) => Err(console::error(format_args!("{}: spec is no mapping", document.file), Exit::Invalid)),
        Err(error) => Err(console::error(format_args!("{}: {error}", document.file), Exit::Invalid)),
    }
}

/// The namespace that the file names, if it names one.
pub(super) fn namespace_of(document: &Document) -> Option<String> {
    let whole: Value = serde_saphyr::from_str(&document.text).ok()?;
    whole["metadata"]["namespace"].as_str().map(str::to_owned)
}

/// How old something is: `4m`, `2h`.
pub(super) fn age(since: Option<Timestamp>) -> String {
    let Some(since) = since else {
        return "–".into();
    };
    let seconds = Timestamp::now().duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
