//! Becoming the container's program.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, execve, setgid, setgroups, setsid, setuid};

use super::{ProcessPlan, named};
use crate::host::{capabilities, signals};

/// Gives up what a container must not have and executes the program; returns only with an error.
pub fn become_program(plan: &ProcessPlan) -> io::Result<i32> {
    let _ = setsid();
    fs::create_dir_all(&plan.working_dir).map_err(|error| named("cannot make the working folder", &error))?;
    become_user(plan)?;
    std::env::set_current_dir(&plan.working_dir)
        .map_err(|error| named(&format!("cannot work in {}", plan.working_dir.display()), &error))?;
    signals::restore_broken_pipe()?;
    let program = find_program(plan)?;
    let text = |text: &str| CString::new(text).map_err(io::Error::from);
    let argv = plan.argv.iter().map(|argument| text(argument)).collect::<io::Result<Vec<_>>>()?;
    let env = plan
        .env
        .iter()
        .map(|(name, value)| text(&format!("{name}={value}")))
        .collect::<io::Result<Vec<_>>>()?;
    match execve(&text(&program.to_string_lossy())?, &argv, &env) {
        Ok(never) => match never {},
        Err(errno) => Err(named(&format!("cannot execute {}", program.display()), &errno.into())),
    }
}

/// Drops capabilities and becomes the plan's user.
pub fn become_user(plan: &ProcessPlan) -> io::Result<()> {
    capabilities::drop_for_container().map_err(|error| named("cannot drop capabilities", &error))?;
    if let Some(groups) = &plan.groups {
        let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
        setgroups(&groups).map_err(|errno| named("cannot set groups", &errno.into()))?;
    }
    setgid(Gid::from_raw(plan.gid)).map_err(|errno| named("cannot become group", &errno.into()))?;
    setuid(Uid::from_raw(plan.uid)).map_err(|errno| named("cannot become user", &errno.into()))
}

/// Looks for the program as execvp(3) does, in the container's own PATH.
fn find_program(plan: &ProcessPlan) -> io::Result<PathBuf> {
    let name = plan.argv.first().map_or("", String::as_str);
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = plan.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value.as_str());
    path.split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no program named `{name}` in PATH ({path})"))
        })
}
