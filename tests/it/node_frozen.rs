//! Volumes frozen by somebody else, who thaws them also when the test is killed: a frozen filesystem would outlive it, and
//! can be reached by nobody once it is unmounted.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A frozen filesystem. It thaws when this is dropped, or when the process that has it ends in any way.
pub struct Frozen(Child);

/// Freezes the filesystem at a path, unless it is frozen already: then there is nothing to thaw.
pub fn freeze(mount: &Path) -> Option<Frozen> {
    // In a session of its own, because a signal may be meant for the whole group of the tests; and without one for a pipe
    // that nobody reads any more.
    let script =
        r#"trap "" PIPE; fsfreeze --freeze "$1" && { echo frozen; read -r _; fsfreeze --unfreeze "$1"; }"#;
    let mut child = Command::new("setsid")
        .args(["sh", "-c", script, "sh"])
        .arg(mount)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("LC_ALL", "C")
        .spawn()
        .expect("installed");
    let mut said = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut said).expect("readable");
    if said.is_empty() {
        let output = child.wait_with_output().expect("ours");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains("busy"), "{complaint}");
        return None;
    }
    Some(Frozen(child))
}

/// Whether the filesystem at a path is frozen now. The only question that the kernel answers is another freeze.
pub fn is_frozen(mount: &Path) -> bool {
    freeze(mount).is_none()
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
