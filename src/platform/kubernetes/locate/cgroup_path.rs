//! Whose processes a cgroup holds, by its path: what every runtime and both cgroup drivers have in common is that the
//! pod's UID and the container's id are in it.
//!
//! ```text
//! cgroupfs:  /kubepods/burstable/podUID/ID
//! systemd:   /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_I_D.slice/cri-containerd-ID.scope
//! CRI-O:     …/crio-ID.scope, with …/container below it where crun is the runtime; …/crio-conmon-ID.scope is its monitor
//! kind:      /kubelet.slice/…/kubelet-kubepods-besteffort-podU_I_D.slice/cri-containerd-ID.scope
//! mixed:     /system.slice/kubepods-besteffort-podU_I_D.slice:cri-containerd:ID
//! ```

/// A pod's cgroup, or one of a container of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The container's id; none where the path ends with the pod, or goes on with something else.
    pub container: Option<&'a str>,
    /// The path up to the container, or where there is none up to the pod.
    pub path: &'a str,
}

/// What stands between pod and container in the mixed form.
const MIXED: &str = "cri-containerd";
/// Shorter names are not ids of containers.
const SHORTEST_ID: usize = 32;

impl<'a> Place<'a> {
    /// Where `path` is in the pod with this UID; `None` where it is not.
    pub(super) fn in_pod(path: &'a str, uid: &str) -> Option<Self> {
        let mut at = 0;
        let mut pod_end = None;
        for part in path.split(['/', ':']) {
            let end = at + part.len();
            if let Some(pod_end) = pod_end
                && part != MIXED
            {
                let id = container_id(part);
                return Some(Self { container: id, path: &path[..if id.is_some() { end } else { pod_end }] });
            }
            if is_pod(part, uid) {
                pod_end = Some(end);
            }
            at = end + 1;
        }
        pod_end.map(|end| Self { container: None, path: &path[..end] })
    }
}

fn is_pod(part: &str, uid: &str) -> bool {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    // No UID has a `p` in it.
    let Some((before, found)) = part.rsplit_once("pod") else {
        return false;
    };
    (before.is_empty() || before.ends_with('-'))
        && found.len() == uid.len()
        && found
            .chars()
            .zip(uid.chars())
            .all(|(found, wanted)| found == wanted || (found == '_' && wanted == '-'))
}

fn container_id(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    if part.starts_with("crio-conmon-") {
        return None;
    }
    // systemd's units carry the runtime's name before the id.
    let id = part.rsplit_once('-').map_or(part, |(_, id)| id);
    (id.len() >= SHORTEST_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
    const SLICE: &str = "0f8fad5b_d9cb_469f_a165_70867728950e";
    const ID: &str = "3e5f8c0d9b7a6e5d4c3b2a1908f7e6d5c4b3a29180f7e6d5c4b3a29180f7e6d5";

    #[expect(
        clippy::option_option,
        reason = "no pod, a pod without a container, and a container are three answers"
    )]
    fn container_in(path: &str) -> Option<Option<String>> {
        Place::in_pod(path, UID).map(|place| place.container.map(str::to_owned))
    }

    #[test]
    fn finds_a_container_whatever_runtime_made_it() {
        for path in [
            format!("/kubepods/burstable/pod{UID}/{ID}"),
            format!("/kubepods/pod{UID}/{ID}"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE}.slice/cri-containerd-{ID}.scope"
            ),
            format!("/kubepods.slice/kubepods-pod{SLICE}.slice/crio-{ID}.scope"),
            format!("/kubepods/besteffort/pod{UID}/crio-{ID}"),
            format!("/kubepods.slice/kubepods-pod{SLICE}.slice/docker-{ID}.scope"),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{SLICE}.slice/cri-containerd-{ID}.scope"
            ),
        ] {
            let place = Place::in_pod(&path, UID).expect(&path);
            assert_eq!(place.container, Some(ID), "{path}");
            assert_eq!(place.path, path, "nothing is below the container");
        }
        let mixed = format!(
            "/system.slice/containerd.service/kubepods-besteffort-pod{SLICE}.slice:cri-containerd:{ID}"
        );
        assert_eq!(container_in(&mixed), Some(Some(ID.to_owned())));
    }

    #[test]
    fn a_container_ends_where_its_own_cgroups_begin() {
        let scope = format!("/kubepods.slice/kubepods-pod{SLICE}.slice/crio-{ID}.scope");
        for below in ["container", "init.scope", "system.slice/db.service"] {
            let path = format!("{scope}/{below}");
            let place = Place::in_pod(&path, UID).expect("in the pod");
            assert_eq!((place.container, place.path), (Some(ID), scope.as_str()));
        }
    }

    #[test]
    fn a_monitor_is_no_container() {
        let path = format!("/kubepods.slice/kubepods-pod{SLICE}.slice/crio-conmon-{ID}.scope");
        assert_eq!(container_in(&path), Some(None));
    }

    #[test]
    fn another_pod_is_not_found() {
        for path in [
            "/".to_owned(),
            "/system.slice/kubelet.service".to_owned(),
            format!("/kubepods/burstable/pod{}/{ID}", UID.replace("0f8f", "1f8f")),
            format!("/kubepods/burstable/pod{UID}0/{ID}"),
            format!("/kubepods/burstable/xpod{UID}/{ID}"),
            format!("/kubepods/burstable/{UID}/{ID}"),
        ] {
            assert_eq!(container_in(&path), None, "{path}");
        }
    }
}
