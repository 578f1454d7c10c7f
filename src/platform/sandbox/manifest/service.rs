//! The governing Service of the set.

use k8s_openapi::api::core::v1::{Service, ServicePort as Port};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::{LABEL_HINT, refuse_label};
use super::report::Report;
use super::set::Set;
use super::tree::shortened;
use crate::platform::sandbox::pod_spec::{Protocol, ServicePort};

/// What the sandbox needs to know of it.
#[derive(Debug, Default)]
pub(super) struct Governing {
    pub publish_not_ready: bool,
    pub ports: Vec<ServicePort>,
}

/// Reads the Service that governs `set`.
pub(super) fn read(service: &Service, set: &Set, report: &mut Report<'_>) -> Governing {
    let Some(spec) = &service.spec else {
        report.refuse("spec", "a Service needs a spec", "write clusterIP: None and a selector");
        return Governing::default();
    };
    if spec.cluster_ip.is_none() {
        report.refuse(
            "spec",
            "the governing Service of a StatefulSet must be headless",
            "write clusterIP: None, so that its name stands for the pods themselves",
        );
    }
    read_families(spec.ip_families.as_deref().unwrap_or_default(), report);
    let selector = spec.selector.clone().unwrap_or_default();
    if selector.is_empty() {
        report.refuse("spec.selector", "the Service selects no pods", "write the labels of the set's pods");
    }
    for (key, value) in &selector {
        if set.pod.labels.get(key) != Some(value) {
            report.refuse(
                "spec.selector",
                format!("wants {key}={value}, which the pods of {} do not have", set.name),
                "write the labels of the set's spec.template.metadata.labels",
            );
        }
    }
    let all = spec.ports.as_deref().unwrap_or_default();
    let mut ports: Vec<ServicePort> = Vec::new();
    for (index, port) in all.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        if let Some(read) = read_port(port, all.len(), &path, set, report) {
            if read.name.is_some() && ports.iter().any(|other| other.name == read.name) {
                report.refuse(&format!("{path}.name"), "another port has this name", "give it another name");
            }
            ports.push(read);
        }
    }
    Governing { publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false), ports }
}

/// Clients of both families reach a pod by IPv4 as well; without it they would reach none.
fn read_families(families: &[String], report: &mut Report<'_>) {
    for (index, family) in families.iter().enumerate() {
        if !["IPv4", "IPv6"].contains(&family.as_str()) {
            let message = format!("{:?} is no family of addresses", shortened(family));
            report.refuse(&format!("spec.ipFamilies[{index}]"), message, "write IPv4");
        }
    }
    if families.iter().any(|family| family == "IPv6") && !families.iter().any(|family| family == "IPv4") {
        let message = "pods of the sandbox have IPv4 addresses only";
        report.refuse("spec.ipFamilies", message, "add IPv4 or leave it out");
    }
}

fn read_port(
    port: &Port,
    count: usize,
    path: &str,
    set: &Set,
    report: &mut Report<'_>,
) -> Option<ServicePort> {
    let name_path = format!("{path}.name");
    match &port.name {
        Some(name) => {
            if let Some(message) = refuse_label(name, 63) {
                report.refuse(&name_path, message, LABEL_HINT);
            }
        }
        None if count > 1 => {
            report.refuse(&name_path, "each of several ports needs a name", "write name: NAME");
        }
        None => {}
    }
    let own = port_number(&format!("{path}.port"), port.port, report)?;
    let target_path = format!("{path}.targetPort");
    let target = match &port.target_port {
        None => own,
        Some(IntOrString::Int(number)) => port_number(&target_path, *number, report)?,
        Some(IntOrString::String(name)) => {
            let named = set.pod.lasting().find_map(|container| container.ports.get(name));
            if named.is_none() {
                report.refuse(
                    &target_path,
                    format!("no container of {} has a port named {name:?}", set.name),
                    "write the number, or name a container's port",
                );
            }
            *named?
        }
    };
    if target != own {
        report.note(
            &format!("{path}.port"),
            format!("a headless Service translates no ports: clients reach a pod on {target}, not on {own}"),
        );
    }
    let protocol = match port.protocol.as_deref() {
        Some("UDP") => Protocol::Udp,
        Some(_) | None => Protocol::Tcp,
    };
    Some(ServicePort { name: port.name.clone(), protocol, target })
}

/// A port from 1 to 65535.
pub(super) fn port_number(path: &str, number: i32, report: &mut Report<'_>) -> Option<u16> {
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    if port.is_none() {
        report.refuse(path, format!("{number} is no port"), "ports are 1 to 65535");
    }
    port
}
