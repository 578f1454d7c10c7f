//! How much a container may take, and references to that.

use k8s_openapi::api::core::v1::{Container, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::experiment::quantity::{self, NoBytes};
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::Limits;

/// The limits of `container`, which is at `path`.
pub(super) fn limits(container: &Container, path: &str, report: &mut Report<'_>) -> Limits {
    let mut limits = Limits::default();
    let given = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    for (name, value) in given.into_iter().flatten() {
        let path = format!("{path}.resources.limits.{name}");
        let (count, example): (Count, _) = match name.as_str() {
            "memory" => (quantity::bytes, "write for example 512Mi"),
            "cpu" => (quantity::thousandths, "write for example 500m"),
            _ => {
                report.note(&path, "not enforced in the sandbox");
                continue;
            }
        };
        let amount = match count(&value.0) {
            Ok(0) => {
                report.refuse(&path, "nothing runs with none", example);
                None
            }
            Ok(amount) => Some(amount),
            Err(error) => {
                report.refuse(&path, format!("{:?} {error}", shortened(&value.0)), example);
                None
            }
        };
        match name.as_str() {
            "memory" => limits.memory = amount,
            _ => limits.cpu = amount,
        }
    }
    limits
}

type Count = fn(&str) -> Result<u64, NoBytes>;

/// What a reference to a limit or a request says; `own` is the container that it stands in, of `all`. `path` is that of the
/// `resourceFieldRef`.
pub(super) fn field(
    of: &ResourceFieldSelector,
    own: Option<&Container>,
    all: &[&Container],
    path: &str,
    report: &mut Report<'_>,
) -> Option<String> {
    let named = of.container_name.as_deref().filter(|name| !name.is_empty());
    let container = match named {
        None => own,
        Some(name) => all.iter().copied().find(|container| container.name == name),
    };
    let Some(container) = container else {
        let message = named.map_or_else(
            || "does not say of which container".to_owned(),
            |name| format!("there is no container {:?}", shortened(name)),
        );
        report.refuse(
            &format!("{path}.containerName"),
            message,
            "write the name of one of the pod's containers",
        );
        return None;
    };
    let count: Count = match of.resource.as_str() {
        "limits.memory" | "requests.memory" => quantity::bytes,
        "limits.cpu" | "requests.cpu" => quantity::thousandths,
        other => {
            let message = format!("the sandbox does not know the resource {:?}", shortened(other));
            let hint = "it knows limits.cpu, limits.memory, requests.cpu and requests.memory";
            report.refuse(&format!("{path}.resource"), message, hint);
            return None;
        }
    };
    let (list, name) = of.resource.split_once('.')?;
    let resources = container.resources.as_ref();
    let of_list = |list: &str| {
        let (limits, requests) = (
            resources.and_then(|resources| resources.limits.as_ref()),
            resources.and_then(|resources| resources.requests.as_ref()),
        );
        (if list == "limits" { limits } else { requests })?.get(name)
    };
    // What is not requested is what is allowed, as in a cluster.
    let value = of_list(list).or_else(|| of_list("limits"));
    if value.is_none() && list == "limits" {
        let message = format!("container {} has no limit of {name}", container.name);
        report.refuse(
            &format!("{path}.resource"),
            message,
            format!("write resources: {{limits: {{{name}: …}}}}"),
        );
        return None;
    }
    // What is wrong with the value itself is said where it stands.
    let amount = value.map_or(Some(0), |value| count(&value.0).ok())?;
    let divisor = match &of.divisor {
        None => count("1").ok()?,
        Some(Quantity(text)) if text.is_empty() || text == "0" => count("1").ok()?,
        Some(Quantity(text)) => match count(text) {
            Ok(divisor) if divisor > 0 => divisor,
            Ok(_) | Err(_) => {
                let message = format!("{:?} divides nothing", shortened(text));
                report.refuse(&format!("{path}.divisor"), message, "write for example 1Mi or 1m");
                return None;
            }
        },
    };
    Some(amount.div_ceil(divisor).to_string())
}
