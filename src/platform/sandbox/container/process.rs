//! Becoming the container's program.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::prctl::set_no_new_privs;
use nix::unistd::{Gid, Uid, execve, setgid, setgroups, setsid, setuid};

use super::{ProcessPlan, named, user};
use crate::host::{capabilities, signals};

/// Gives up what a container must not have and executes the program; returns only with an error.
pub fn become_program(plan: &ProcessPlan) -> io::Result<i32> {
    let _ = setsid();
    fs::create_dir_all(&plan.working_dir).map_err(|error| named("cannot make the working folder", &error))?;
    let home = become_user(plan)?;
    std::env::set_current_dir(&plan.working_dir)
        .map_err(|error| named(&format!("cannot work in {}", plan.working_dir.display()), &error))?;
    signals::restore_broken_pipe()?;
    let program = find_program(plan)?;
    let text = |text: &str| CString::new(text).map_err(io::Error::from);
    let argv = plan.argv.iter().map(|argument| text(argument)).collect::<io::Result<Vec<_>>>()?;
    let env = with_home(&plan.env, home)
        .iter()
        .map(|(name, value)| text(&format!("{name}={value}")))
        .collect::<io::Result<Vec<_>>>()?;
    match execve(&text(&program.to_string_lossy())?, &argv, &env) {
        Ok(never) => match never {},
        Err(errno) => Err(named(&format!("cannot execute {}", program.display()), &errno.into())),
    }
}

/// The environment with its user's home, unless it has one.
pub fn with_home(env: &[(String, String)], home: Option<String>) -> Vec<(String, String)> {
    let mut env = env.to_vec();
    if !env.iter().any(|(name, _)| name == "HOME") {
        env.push(("HOME".to_owned(), home.unwrap_or_else(|| "/".to_owned())));
    }
    env
}

/// Drops capabilities and becomes the plan's user, whose home is the result where it is known.
pub fn become_user(plan: &ProcessPlan) -> io::Result<Option<String>> {
    let identity = user::of(plan)?;
    capabilities::drop_for_container(&plan.capabilities)
        .map_err(|error| named("cannot drop capabilities", &error))?;
    if let Some(groups) = &plan.groups {
        let of_image = identity.groups.iter().filter(|_| plan.merges_groups);
        let groups: Vec<Gid> = groups.iter().chain(of_image).copied().map(Gid::from_raw).collect();
        setgroups(&groups).map_err(|errno| named("cannot set groups", &errno.into()))?;
    }
    setgid(Gid::from_raw(identity.gid)).map_err(|errno| named("cannot become group", &errno.into()))?;
    setuid(Uid::from_raw(identity.uid)).map_err(|errno| named("cannot become user", &errno.into()))?;
    if plan.no_new_privileges {
        set_no_new_privs().map_err(|errno| named("cannot keep others' rights away", &errno.into()))?;
    }
    Ok(identity.home)
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
