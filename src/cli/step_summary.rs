//! A summary at the end of a file in which continuous integration collects what the steps of a job have to say.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::args;
#[cfg(feature = "kubernetes")]
use super::args::On;
use crate::judge::judgement::Judgement;
use crate::report::markdown;

/// Appends the run's summary, where a file for it is named. One that cannot be written is a warning: the run's folder
/// holds it, too.
pub(super) fn append(judgement: &Judgement, args: &args::Run) {
    let Some(file) = args.summary.as_deref().filter(|file| !file.is_empty()).map(Path::new) else {
        return;
    };
    let text = markdown::render(judgement, &command(judgement, args));
    if let Err(error) = write(file, &text) {
        tracing::warn!("{} was not written: {error}", file.display());
    }
}

/// At once, so that steps which end together do not mix; apart from what was there before.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    let apart = if file.metadata()?.len() > 0 { "\n\n" } else { "" };
    file.write_all(format!("{apart}{text}").as_bytes())
}

/// What a person types to repeat the run.
fn command(judgement: &Judgement, args: &args::Run) -> Vec<String> {
    let mut command: Vec<String> = vec!["seatrial".into(), "run".into()];
    command.extend(args.files.files.iter().map(|file| file.display().to_string()));
    #[cfg(feature = "sandbox")]
    for image in &args.files.images {
        command.extend(["--image".into(), image.to_argument().to_string_lossy().into_owned()]);
    }
    #[cfg(feature = "sandbox")]
    if let Some(sandbox) = &args.sandbox {
        command.extend(["--sandbox".into(), sandbox.clone()]);
    }
    #[cfg(feature = "kubernetes")]
    if args.place.on == On::Kubernetes {
        command.extend(["--on".into(), "kubernetes".into()]);
        for (option, given) in
            [("--context", &args.place.cluster.context), ("--namespace", &args.place.cluster.namespace)]
        {
            command.extend(given.iter().flat_map(|given| [option.to_owned(), given.clone()]));
        }
    }
    command.extend(["--seed".into(), judgement.seed.to_string()]);
    command
}
