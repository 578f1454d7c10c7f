//! What a pod's containers do, as everybody may see it.

use std::path::Path;
use std::{fs, io};

use super::PodSandbox;
use super::supervise::Place;
use crate::node::LocatedContainer;
use crate::platform::sandbox::holder::Running;
use crate::platform::sandbox::pod_spec::Container;

impl PodSandbox<'_> {
    /// A container, or all that do not run yet where it is an init container, waits.
    pub(super) fn show_waiting(&self, place: Place, reason: &str) {
        self.set.board.update(self.facts.ordinal, |entry| {
            for (index, status) in entry.pod.containers.iter_mut().enumerate() {
                if (matches!(place, Place::Init(_)) && !status.running) || place == Place::Main(index) {
                    status.waiting = Some(reason.to_owned());
                }
            }
        });
    }

    /// A container runs.
    pub(super) fn show_running(&self, container: &Container, place: Place, running: &Running, starts: u32) {
        let pid = pid_outside(self.holder.pid().as_raw(), running.pid_in_pod);
        self.set.board.update(self.facts.ordinal, |entry| {
            if let (Some(located), Ok(pid)) = (&mut entry.located, pid) {
                located.containers.push(LocatedContainer {
                    name: container.name.clone(),
                    pid,
                    cgroup: self.set.world.container_cgroup(&self.facts.uid, &container.name),
                    throttle: self.set.world.container_throttle(&self.facts.uid, &container.name),
                });
            }
            match place {
                Place::Init(_) => {
                    for status in entry.pod.containers.iter_mut().filter(|status| !status.running) {
                        status.waiting = Some(format!("PodInitializing ({})", container.name));
                    }
                }
                Place::Main(index) => {
                    entry.started.insert(index);
                    let status = &mut entry.pod.containers[index];
                    status.running = true;
                    status.ready = is_ready_at_once(container) && container.post_start.is_none();
                    status.restarts = starts - 1;
                    status.waiting = None;
                }
            }
        });
        if container.startup.is_none() && container.post_start.is_none() {
            self.has_started.send_replace(true);
        }
    }

    /// The hook after a container's start is done.
    pub(super) fn show_hooked(&self, container: &Container, place: Place) {
        if container.startup.is_none() {
            self.has_started.send_replace(true);
        }
        if is_ready_at_once(container) {
            self.show_ready(place, true);
        }
    }

    /// A container's readiness changed.
    pub(super) fn show_ready(&self, place: Place, is_ready: bool) {
        self.set.board.update(self.facts.ordinal, |entry| {
            if let Place::Main(index) = place {
                entry.pod.containers[index].ready = is_ready;
            }
        });
    }

    /// A container does not run any more, for this reason, or because its whole pod has ended.
    pub(super) fn show_ended(&self, container: &Container, place: Place, why: Option<&str>) {
        self.set.board.update(self.facts.ordinal, |entry| {
            if let Some(located) = &mut entry.located {
                located.containers.retain(|known| known.name != container.name);
            }
            if let Place::Main(index) = place {
                let status = &mut entry.pod.containers[index];
                status.running = false;
                status.ready = false;
                status.waiting = why.map(|why| format!("Terminated ({why})"));
            }
        });
    }
}

/// Whether no probe has to succeed first.
fn is_ready_at_once(container: &Container) -> bool {
    container.readiness.is_none() && container.startup.is_none()
}

/// The pid in our own namespace of a holder's child that has `pid_in_pod` in the holder's.
fn pid_outside(holder: i32, pid_in_pod: i32) -> io::Result<i32> {
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let pid = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && is_child(&path, holder, pid_in_pod)
        {
            return Ok(pid);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the process has ended already"))
}

/// By the fields `PPid` and `NSpid` of proc_pid_status(5); the second number of the latter is the pid in the namespace
/// below ours, which is the pod's.
fn is_child(process: &Path, holder: i32, pid_in_pod: i32) -> bool {
    let Ok(status) = fs::read_to_string(process.join("status")) else {
        return false;
    };
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i32>().ok());
    number(Some(field("PPid:").trim())) == Some(holder)
        && number(field("NSpid:").split_whitespace().nth(1)) == Some(pid_in_pod)
}
