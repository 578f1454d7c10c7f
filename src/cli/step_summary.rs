//! A summary at the end of a file in which continuous integration collects what the steps of a job have to say.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::args;
use crate::judge::judgement::Judgement;
use crate::report::command::{EXPERIMENT, MANIFESTS};
use crate::report::markdown;

/// Appends the run's summary, where a file for it is named. `place` says where it ran, as options. One that cannot be
/// written is a warning: the run's folder holds it, too.
pub(super) fn append(judgement: &Judgement, args: &args::Run, folder: &Path, place: Vec<String>) {
    let Some(file) = args.summary.as_deref().filter(|file| !file.is_empty()).map(Path::new) else {
        return;
    };
    let text = markdown::render(judgement, &command(judgement, &args.files.files, folder, place));
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

/// What a person types to repeat the run at a place: with the same files, or, where they came from standard input, with
/// those of the run's folder.
fn command(judgement: &Judgement, files: &[PathBuf], folder: &Path, place: Vec<String>) -> Vec<String> {
    let kept: Vec<PathBuf>;
    let files = if files.iter().any(|file| file == Path::new("-")) {
        kept = [EXPERIMENT, MANIFESTS]
            .map(|name| folder.join(name))
            .into_iter()
            .filter(|file| file.exists())
            .collect();
        &kept
    } else {
        files
    };
    let files = files.iter().map(|file| file.display().to_string());
    let words = ["seatrial".into(), "run".into()].into_iter().chain(files).chain(place);
    words.chain(["--seed".into(), judgement.seed.to_string()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::judgement;

    #[test]
    fn nobody_is_asked_to_type_an_experiment_into_standard_input() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let kept = folder.path().join(EXPERIMENT);
        std::fs::write(&kept, "").expect("it can be written");
        let command = |file: &str| {
            let place = vec!["--sandbox".into(), "dev".into()];
            command(&judgement(Vec::new()), &[file.into()], folder.path(), place).join(" ")
        };
        assert_eq!(command("x.yaml"), "seatrial run x.yaml --sandbox dev --seed 7");
        assert_eq!(command("-"), format!("seatrial run {} --sandbox dev --seed 7", kept.display()));
    }
}
