//! The program as a person runs it: in a folder of its own and with a state of its own, so that tests do not meet.
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a run may take before it counts as hung; far more than any does.
pub const LIMIT: Duration = Duration::from_mins(5);

/// How many experiments run at once: elections are timed, and continuous integration has two CPUs.
const SEATS: u32 = 2;

static TAKEN: Mutex<u32> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to run an experiment now.
pub struct Seat(());

impl Seat {
    /// Waits for one.
    pub fn take() -> Self {
        let mut taken: MutexGuard<'_, u32> = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= SEATS {
            taken = FREED.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        Self(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

/// Where a person sits: the current folder of the program and its state. Kept sandboxes are removed at the end.
pub struct Desk {
    folder: TempDir,
    state: TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let make = || TempDir::new().expect("a temporary folder can be made");
        Self { folder: make(), state: make() }
    }

    /// A file or folder here.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the program keeps its sandboxes.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Writes a file here.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).expect("a temporary folder can be written");
    }

    /// The program with these arguments, not started yet.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("SEATRIAL_STATE", self.state.path())
            .env_remove("RUST_LOG")
            .env_remove("GITHUB_STEP_SUMMARY")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Done {
        let output = self.command(arguments).output().expect("the program starts");
        Done::of(output)
    }

    /// Starts the program and lets it go on; its journal is in the folder `out`.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let kept = std::fs::read_dir(self.state.path().join("sandboxes"));
        for entry in kept.into_iter().flatten().flatten() {
            let _ = self
                .command(&[OsStr::new("sandbox"), OsStr::new("down"), entry.file_name().as_os_str()])
                .output();
        }
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Fails unless it ended with this code; shows all that it said.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n== stdout\n{}\n== stderr\n{}", self.out, self.err);
        self
    }

    /// Fails unless standard output or standard error say so.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(
            self.out.contains(words) || self.err.contains(words),
            "nothing says `{words}`\n== stdout\n{}\n== stderr\n{}",
            self.out,
            self.err
        );
        self
    }
}

/// A file of the repository.
pub fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The path of a file within the repository.
pub fn inside(file: &Path) -> String {
    let path = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("it is in the repository");
    path.to_str().expect("a plain name").to_owned()
}

/// Its text.
pub fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every `.yaml` file below a folder of the repository, in order; none where there is no such folder.
pub fn experiments_in(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![shipped(folder)];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The quickstart with one piece of its text replaced.
pub fn quickstart_with(changes: &[(&str, &str)]) -> String {
    let mut text = text_of(&shipped("experiments/quickstart.yaml"));
    for (from, to) in changes {
        assert!(text.contains(from), "the quickstart has no `{from}`");
        text = text.replacen(from, to, 1);
    }
    text
}

/// The quickstart with these changes and without a bound for the latency of commits, for tests of something else: a busy
/// machine is slow.
pub fn patient_quickstart_with(changes: &[(&str, &str)]) -> String {
    quickstart_with(&[changes, &[("after: {maxIncrease: 10x}", "after: {max: 1m}")]].concat())
}

/// Waits until a file says so; the whole text then.
pub fn wait_for_text(file: &Path, words: &str) -> String {
    let deadline = Instant::now() + LIMIT;
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.contains(words) {
            return text;
        }
        assert!(Instant::now() < deadline, "no `{words}` in {}: {text}", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}
