//! As whom a container runs, and with which rights.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Capabilities, Container, PodSecurityContext};

use crate::host::capabilities;
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::Rights;

/// A user or group of the manifest, which must fit the kernel's 32 bits.
pub(super) fn id(value: i64, path: &str, report: &mut Report<'_>) -> Option<u32> {
    // The kernel keeps the largest number for "no change" (man 2 setresuid).
    let id = u32::try_from(value).ok().filter(|id| *id != u32::MAX);
    if id.is_none() {
        report.refuse(path, format!("{value} is no user or group"), "write a number from 0 to 4294967294");
    }
    id
}

/// What the processes of `container` at `path` may do.
pub(super) fn rights(container: &Container, path: &str, report: &mut Report<'_>) -> Rights {
    let Some(own) = &container.security_context else {
        return Rights::default();
    };
    Rights {
        read_only_root: own.read_only_root_filesystem.unwrap_or(false),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        capabilities: own
            .capabilities
            .as_ref()
            .map(|given| kept(given, &format!("{path}.securityContext.capabilities"), report)),
    }
}

/// The capabilities of a container: what is added counts more than what is dropped, as with other runtimes.
fn kept(given: &Capabilities, path: &str, report: &mut Report<'_>) -> BTreeSet<u8> {
    let mut kept = capabilities::usual();
    for name in given.drop.iter().flatten() {
        if name.eq_ignore_ascii_case("ALL") {
            kept.clear();
        } else if let Some(number) = capabilities::grantable(name) {
            kept.remove(&number);
        }
        // Any other one is not there to be dropped.
    }
    for (index, name) in given.add.iter().flatten().enumerate() {
        match capabilities::grantable(name) {
            Some(number) => {
                kept.insert(number);
            }
            None => report.refuse(
                &format!("{path}.add[{index}]"),
                format!(
                    "{:?} is a right over this machine, which the sandbox does not give",
                    shortened(name)
                ),
                "leave it out in the sandbox",
            ),
        }
    }
    kept
}

/// The user and the group of `container` at `path`: its own, or else the pod's. `image` is what its image says where it has
/// one.
pub(super) fn user_and_group(
    container: &Container,
    path: &str,
    pod: Option<&PodSecurityContext>,
    image: Option<&str>,
    report: &mut Report<'_>,
) -> (Option<u32>, Option<u32>) {
    let own = container.security_context.as_ref();
    let pod_path = "spec.template.spec.securityContext";
    let own_path = format!("{path}.securityContext");
    let mut chosen = |own: Option<i64>, pod: Option<i64>, field: &str| match (own, pod) {
        (Some(value), _) => id(value, &format!("{own_path}.{field}"), report),
        (None, Some(value)) => id(value, &format!("{pod_path}.{field}"), report),
        (None, None) => None,
    };
    let user = chosen(own.and_then(|own| own.run_as_user), pod.and_then(|pod| pod.run_as_user), "runAsUser");
    let group =
        chosen(own.and_then(|own| own.run_as_group), pod.and_then(|pod| pod.run_as_group), "runAsGroup");
    let own_wish = own.and_then(|own| own.run_as_non_root);
    let must_not_be_root = own_wish.or(pod.and_then(|pod| pod.run_as_non_root)).unwrap_or(false);
    // A name may stand for any number, so that a cluster does not take one either.
    let of_image = image.map(|user| user.split(':').next().unwrap_or_default());
    let is_root = match (user, of_image) {
        (Some(user), _) => user == 0,
        (None, None) => true,
        (None, Some(named)) => named.parse::<u32>().map_or(true, |user| user == 0),
    };
    if must_not_be_root && is_root {
        let at = if own_wish.is_some() { own_path.as_str() } else { pod_path };
        let why = match of_image {
            None => "the container would run as root: there is no image to say another user".to_owned(),
            Some("") => "the container would run as root, as its image does".to_owned(),
            Some(named) => format!("the image's user {:?} may be root", shortened(named)),
        };
        report.refuse(&format!("{at}.runAsNonRoot"), why, "write runAsUser");
    }
    (user, group)
}
