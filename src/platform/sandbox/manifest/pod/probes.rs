//! Probes, with the defaults that Kubernetes documents.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, Probe as Given};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::platform::sandbox::manifest::program::{self, probe_argv};
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::service::port_number;
use crate::platform::sandbox::manifest::set::seconds;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::{Probe, ProbeCheck};

/// Where a probe or a hook stands.
pub(super) struct Place<'a> {
    pub path: String,
    /// The container's named ports.
    pub ports: &'a BTreeMap<String, u16>,
    pub container: &'a Container,
    /// Where its programs are.
    pub programs: program::Where<'a>,
}

/// Reads one probe; `None` where it has been refused.
pub(super) fn read(given: &Given, at: &Place<'_>, report: &mut Report<'_>) -> Option<Probe> {
    let path = &at.path;
    let mut time = |field: &str, value: Option<i32>, default: i64, lowest| {
        seconds(&format!("{path}.{field}"), value.map_or(default, i64::from), lowest, report)
    };
    let initial_delay = time("initialDelaySeconds", given.initial_delay_seconds, 0, 0);
    let period = time("periodSeconds", given.period_seconds, 10, 1);
    let timeout = time("timeoutSeconds", given.timeout_seconds, 1, 1);
    let success_threshold =
        threshold(&format!("{path}.successThreshold"), given.success_threshold.unwrap_or(1), report);
    let failure_threshold =
        threshold(&format!("{path}.failureThreshold"), given.failure_threshold.unwrap_or(3), report);
    let check = check(given, at, report)?;
    Some(Probe { check, initial_delay, period, timeout, success_threshold, failure_threshold })
}

fn threshold(path: &str, value: i32, report: &mut Report<'_>) -> u32 {
    u32::try_from(value).ok().filter(|value| *value > 0).unwrap_or_else(|| {
        report.refuse(path, format!("is {value}"), "write a number from 1");
        1
    })
}

fn check(given: &Given, at: &Place<'_>, report: &mut Report<'_>) -> Option<ProbeCheck> {
    let path = &at.path;
    let kinds =
        [given.exec.is_some(), given.http_get.is_some(), given.tcp_socket.is_some(), given.grpc.is_some()];
    if kinds.into_iter().filter(|is_there| *is_there).count() != 1 {
        report.refuse(path, "must do exactly one thing", "write one of httpGet, tcpSocket and exec");
        return None;
    }
    if let Some(action) = &given.exec {
        return exec(action, at, report);
    }
    if let Some(socket) = &given.tcp_socket {
        let port = port(&socket.port, &format!("{path}.tcpSocket.port"), at, report)?;
        return Some(ProbeCheck::Tcp { host: given_host(socket.host.as_ref()), port });
    }
    // A gRPC probe is refused by the table.
    http(given.http_get.as_ref()?, at, report)
}

/// A program to run in the container.
pub(super) fn exec(action: &ExecAction, at: &Place<'_>, report: &mut Report<'_>) -> Option<ProbeCheck> {
    let command = action.command.as_deref().unwrap_or_default();
    let working_dir = at.container.working_dir.as_deref();
    let argv = probe_argv(command, working_dir, &format!("{}.exec.command", at.path), at.programs, report)?;
    Some(ProbeCheck::Exec { argv })
}

/// A page to get.
pub(super) fn http(get: &HTTPGetAction, at: &Place<'_>, report: &mut Report<'_>) -> Option<ProbeCheck> {
    let path = format!("{}.httpGet", at.path);
    let port = port(&get.port, &format!("{path}.port"), at, report)?;
    let target = get.path.as_deref().filter(|target| !target.is_empty()).unwrap_or("/");
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    if target.parse::<hyper::http::uri::PathAndQuery>().is_err() {
        let message = format!("{:?} is no path of HTTP", shortened(&target));
        report.refuse(&format!("{path}.path"), message, "write it with % codes");
    }
    let mut headers = Vec::new();
    for (index, header) in get.http_headers.iter().flatten().enumerate() {
        let is_name = header.name.parse::<hyper::header::HeaderName>().is_ok();
        if !is_name || header.value.parse::<hyper::header::HeaderValue>().is_err() {
            let message = format!("{:?} is no header of HTTP", shortened(&header.name));
            report.refuse(&format!("{path}.httpHeaders[{index}]"), message, "write name and value");
        }
        headers.push((header.name.clone(), header.value.clone()));
    }
    Some(ProbeCheck::Http { host: given_host(get.host.as_ref()), port, path: target, headers })
}

fn given_host(host: Option<&String>) -> Option<String> {
    host.filter(|host| !host.is_empty()).cloned()
}

fn port(given: &IntOrString, path: &str, at: &Place<'_>, report: &mut Report<'_>) -> Option<u16> {
    match given {
        IntOrString::Int(number) => port_number(path, *number, report),
        IntOrString::String(name) => {
            let port = at.ports.get(name).copied();
            if port.is_none() {
                let message = format!("the container has no port named {:?}", shortened(name));
                report.refuse(path, message, "write the number, or name one of the container's ports");
            }
            port
        }
    }
}
