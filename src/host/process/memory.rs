//! How much memory a process takes, as the kernel counts it (proc_pid_smaps(5)).

use std::fs;
use std::io;

use super::{ProcessId, is_gone};

/// In bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory {
    /// Everything that is resident: what follows, and pages of files, which processes of the same program share.
    pub resident: u64,
    /// Its own alone: heap and stacks.
    pub anonymous: u64,
}

impl ProcessId {
    /// How much memory it takes now; `None` where it is gone.
    pub fn memory(&self) -> io::Result<Option<Memory>> {
        let text = match fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)) {
            Ok(text) => text,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Read first, so that it was this process if it still is.
        if self.is_alive()? { parse(&text).map(Some) } else { Ok(None) }
    }
}

fn parse(text: &str) -> io::Result<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    let malformed =
        || io::Error::new(io::ErrorKind::InvalidData, format!("unreadable /proc/PID/smaps_rollup: {text}"));
    Ok(Memory {
        resident: field("Rss:").ok_or_else(malformed)?,
        anonymous: field("Anonymous:").ok_or_else(malformed)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own() {
        let own = ProcessId::of(std::process::id().cast_signed()).expect("readable").expect("alive");
        let before = own.memory().expect("readable").expect("alive");
        let taken = vec![1_u8; 32 << 20];
        let after = own.memory().expect("readable").expect("alive");
        assert!(after.anonymous >= before.anonymous + (taken.len() as u64) / 2, "{before:?} {after:?}");
        assert!(after.resident > after.anonymous, "a program has pages of files: {after:?}");
    }
}
