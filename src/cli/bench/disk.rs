//! `seatrial bench disk`: how exactly disks are slowed down, and what that costs calls and a store that are not.
//!
//! Needs no volume: files of a folder on this machine are slowed down, for a process that is started for that. Only device mapper
//! holds the requests of everybody, so the folder must be where a volume of its own is mounted then. A driver that is added to
//! [`driver`] is in every table.

mod accuracy;
mod caller;
mod driver;
mod fio;
mod overhead;
mod store;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::args;
use super::super::console;
use super::super::exit::Exit;
use super::super::runtime::{block_on, interrupts};
use super::table;
use driver::Driver;

pub(in crate::cli) use caller::{SUBCOMMAND, main};

pub(super) fn disk(args: &args::BenchDisk) -> Exit {
    if args.seconds == 0 {
        return console::error("nothing can be measured in 0 s", Exit::Usage);
    }
    let folder = match Folder::new(&args.folder) {
        Ok(folder) => folder,
        Err(why) => return console::error(why, Exit::PreflightUnmet),
    };
    let lasting = Duration::from_secs(u64::from(args.seconds));
    let done = block_on(async {
        let mut interrupts = interrupts();
        tokio::select! {
            done = measure(&folder.0, lasting) => done,
            Some(_) = interrupts.recv() => Err("interrupted".into()),
        }
    });
    match done {
        Ok(()) => Exit::Pass,
        Err(why) => console::error(why, Exit::Unexpected),
    }
}

async fn measure(folder: &Path, lasting: Duration) -> Result<(), String> {
    let drivers = Driver::of(folder)?;
    let (held, by) = (folder.to_owned(), drivers.clone());
    let blocking = tokio::task::spawn_blocking(move || {
        console::say("holding calls, each for as long as asked");
        console::data(table::render(&accuracy::measure(&by, &held, lasting)?));
        console::say("making calls that are not held");
        console::data(format_args!("\n{}", table::render(&overhead::measure(&by, &held)?)));
        Ok::<(), String>(())
    });
    blocking.await.map_err(|error| error.to_string())??;
    console::say("writing to a store");
    console::data(format_args!("\n{}", table::render(&store::measure(&drivers, folder, lasting).await?)));
    Ok(())
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(within: &Path) -> Result<Self, String> {
        let path = within.join(format!("seatrial-bench-{}", std::process::id()));
        std::fs::create_dir(&path)
            .map_err(|error| format!("cannot make a folder in {}: {error}", within.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            console::say(format_args!("{} is left: {error}", self.0.display()));
        }
    }
}

/// How long calls took.
struct Times(Vec<Duration>);

impl Times {
    fn of(mut times: Vec<Duration>) -> Result<Self, String> {
        if times.is_empty() {
            return Err("no call was made".into());
        }
        times.sort_unstable();
        Ok(Self(times))
    }

    fn percentile(&self, percent: u32) -> Duration {
        super::latency::percentile(&self.0, percent)
    }

    fn figures(&self) -> Figures {
        Figures { calls: self.0.len(), median: self.percentile(50), slowest: self.percentile(99) }
    }

    fn mean(&self) -> Duration {
        self.0.iter().sum::<Duration>() / u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

/// What is told of how long calls took.
struct Figures {
    calls: usize,
    median: Duration,
    /// The slowest of a hundred.
    slowest: Duration,
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
