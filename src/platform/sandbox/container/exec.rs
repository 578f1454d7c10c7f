//! Running another program in a container that runs, as an exec probe does.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use nix::sched::CloneFlags;

use super::{ExecPlan, process, with_plan};
use crate::host::cgroup;
use crate::host::namespace::enter;
use crate::host::process::PidFd;

/// `seatrial __sandbox-exec`: enters the container, runs the program and ends as it does.
pub fn exec_main() -> i32 {
    with_plan(|plan: ExecPlan, report| {
        let ended = || io::Error::new(io::ErrorKind::NotFound, "the container has ended");
        let container = PidFd::open(plan.container)?.ok_or_else(ended)?;
        for cgroup in &plan.process.cgroups {
            cgroup::join(cgroup)?;
        }
        let null: OwnedFd = std::fs::File::open("/dev/null")?.into();
        enter(&container, CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)?;
        let home = process::become_user(&plan.process)?;
        let Some((program, arguments)) = plan.process.argv.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no program to run"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(process::with_home(&plan.process.env, home))
            .current_dir(&plan.process.working_dir)
            .stdin(Stdio::from(null))
            .spawn()?;
        drop(report.take());
        Ok(exit_code(child.wait()?))
    })
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
