//! Hooks at the start and the end of a container.

use k8s_openapi::api::core::v1::{Lifecycle, LifecycleHandler};

use super::probes::{self, Place};
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::set::seconds;
use crate::platform::sandbox::manifest::signal;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::Hook;

/// What a container's `lifecycle` says.
#[derive(Default)]
pub(super) struct Hooks {
    pub post_start: Option<Hook>,
    pub pre_stop: Option<Hook>,
    pub stop_signal: Option<i32>,
}

/// Reads `lifecycle`, which is at the path of `at`.
pub(super) fn read(given: &Lifecycle, at: &Place<'_>, report: &mut Report<'_>) -> Hooks {
    let mut hook = |field: &str, given: Option<&LifecycleHandler>| {
        let at = Place { path: format!("{}.{field}", at.path), ..*at };
        one(given?, &at, report)
    };
    let post_start = hook("postStart", given.post_start.as_ref());
    let pre_stop = hook("preStop", given.pre_stop.as_ref());
    let stop_signal = given.stop_signal.as_ref().and_then(|name| {
        let number = signal::number(name);
        if number.is_none() {
            let message = format!("{:?} is no signal that the sandbox sends", shortened(name));
            report.refuse(&format!("{}.stopSignal", at.path), message, "write for example SIGTERM");
        }
        number
    });
    Hooks { post_start, pre_stop, stop_signal }
}

fn one(given: &LifecycleHandler, at: &Place<'_>, report: &mut Report<'_>) -> Option<Hook> {
    let path = &at.path;
    let kinds =
        [given.exec.is_some(), given.http_get.is_some(), given.sleep.is_some(), given.tcp_socket.is_some()];
    if kinds.into_iter().filter(|is_there| *is_there).count() != 1 {
        report.refuse(path, "must do exactly one thing", "write one of exec, httpGet and sleep");
        return None;
    }
    if let Some(action) = &given.exec {
        return probes::exec(action, at, report).map(Hook::Check);
    }
    if let Some(sleep) = &given.sleep {
        return Some(Hook::Sleep(seconds(&format!("{path}.sleep.seconds"), sleep.seconds, 0, report)));
    }
    // One over TCP is refused by the table.
    probes::http(given.http_get.as_ref()?, at, report).map(Hook::Check)
}
