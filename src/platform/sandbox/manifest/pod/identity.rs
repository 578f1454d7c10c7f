//! As whom a container runs.

use k8s_openapi::api::core::v1::{Container, PodSecurityContext};

use crate::platform::sandbox::manifest::report::Report;

/// A user or group of the manifest, which must fit the kernel's 32 bits.
pub(super) fn id(value: i64, path: &str, report: &mut Report<'_>) -> Option<u32> {
    // The kernel keeps the largest number for "no change" (man 2 setresuid).
    let id = u32::try_from(value).ok().filter(|id| *id != u32::MAX);
    if id.is_none() {
        report.refuse(path, format!("{value} is no user or group"), "write a number from 0 to 4294967294");
    }
    id
}

/// The user and the group of `container` at `path`: its own, or else the pod's.
pub(super) fn user_and_group(
    container: &Container,
    path: &str,
    pod: Option<&PodSecurityContext>,
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
    if must_not_be_root && matches!(user, None | Some(0)) {
        let at = if own_wish.is_some() { own_path.as_str() } else { pod_path };
        report.refuse(
            &format!("{at}.runAsNonRoot"),
            "the container would run as root: there is no image to say another user",
            "write runAsUser",
        );
    }
    (user, group)
}
