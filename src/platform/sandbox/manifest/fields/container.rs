//! Containers and init containers, without their probes.

use super::pod::NO_CONFINEMENT;
use super::{Section, Treatment};
use Treatment::{Honoured, Noted, Only, Refused, Usual, Within};

pub(super) const SECTIONS: &[Section] = &[
    Section {
        at: &["spec.template.spec.containers[]", "spec.template.spec.initContainers[]"],
        fields: &[
            ("args", Honoured),
            ("command", Honoured),
            ("env", Within),
            ("envFrom", Within),
            ("image", Honoured),
            ("imagePullPolicy", Noted("no image is pulled")),
            ("lifecycle", Within),
            ("livenessProbe", Within),
            ("name", Honoured),
            ("ports", Within),
            ("readinessProbe", Within),
            ("resizePolicy", Noted("limits do not change in the sandbox")),
            ("resources", Within),
            ("securityContext", Within),
            ("startupProbe", Within),
            ("stdin", NO_TERMINAL),
            ("stdinOnce", NO_TERMINAL),
            ("tty", NO_TERMINAL),
            ("terminationMessagePath", NO_LAST_WORDS),
            ("terminationMessagePolicy", NO_LAST_WORDS),
            (
                "volumeDevices",
                Refused {
                    why: "the sandbox has no block devices for pods",
                    hint: "use volumeMounts with a file system",
                },
            ),
            ("volumeMounts", Within),
            ("workingDir", Honoured),
        ],
    },
    Section {
        at: &["spec.template.spec.containers[]"],
        fields: &[(
            "restartPolicy",
            Only { values: &["Always"], hint: "a StatefulSet restarts its containers always" },
        )],
    },
    Section {
        at: &["spec.template.spec.initContainers[]"],
        fields: &[(
            "restartPolicy",
            Only { values: &["Always"], hint: "write Always, which makes it a sidecar, or leave it out" },
        )],
    },
    Section {
        at: &["spec.template.spec.containers[].resources", "spec.template.spec.initContainers[].resources"],
        fields: &[
            ("claims", Refused { why: "the sandbox has no devices to give", hint: "leave it out" }),
            ("limits", Honoured),
            ("requests", Noted("nothing is scheduled in the sandbox, so nothing is reserved")),
        ],
    },
    Section {
        at: &["spec.template.spec.containers[].env[]", "spec.template.spec.initContainers[].env[]"],
        fields: &[("name", Honoured), ("value", Honoured), ("valueFrom", Within)],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].env[].valueFrom",
            "spec.template.spec.initContainers[].env[].valueFrom",
        ],
        fields: &[
            ("configMapKeyRef", Within),
            ("secretKeyRef", Within),
            ("fieldRef", Within),
            ("resourceFieldRef", Within),
        ],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].env[].valueFrom.configMapKeyRef",
            "spec.template.spec.containers[].env[].valueFrom.secretKeyRef",
            "spec.template.spec.initContainers[].env[].valueFrom.configMapKeyRef",
            "spec.template.spec.initContainers[].env[].valueFrom.secretKeyRef",
        ],
        fields: &[("key", Honoured), ("name", Honoured), ("optional", Honoured)],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].env[].valueFrom.fieldRef",
            "spec.template.spec.initContainers[].env[].valueFrom.fieldRef",
        ],
        fields: &[("apiVersion", Only { values: &["v1"], hint: "leave it out" }), ("fieldPath", Honoured)],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].env[].valueFrom.resourceFieldRef",
            "spec.template.spec.initContainers[].env[].valueFrom.resourceFieldRef",
            "spec.template.spec.volumes[].downwardAPI.items[].resourceFieldRef",
            "spec.template.spec.volumes[].projected.sources[].downwardAPI.items[].resourceFieldRef",
        ],
        fields: &[("containerName", Honoured), ("divisor", Honoured), ("resource", Honoured)],
    },
    Section {
        at: &["spec.template.spec.containers[].envFrom[]", "spec.template.spec.initContainers[].envFrom[]"],
        fields: &[("configMapRef", Within), ("secretRef", Within), ("prefix", Honoured)],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].envFrom[].configMapRef",
            "spec.template.spec.containers[].envFrom[].secretRef",
            "spec.template.spec.initContainers[].envFrom[].configMapRef",
            "spec.template.spec.initContainers[].envFrom[].secretRef",
        ],
        fields: &[("name", Honoured), ("optional", Honoured)],
    },
    Section {
        at: &["spec.template.spec.containers[].ports[]", "spec.template.spec.initContainers[].ports[]"],
        fields: &[
            ("containerPort", Honoured),
            ("hostIP", NO_HOST_PORT),
            ("hostPort", NO_HOST_PORT),
            ("name", Honoured),
            ("protocol", Only { values: &["TCP", "UDP"], hint: "write TCP or UDP" }),
        ],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].volumeMounts[]",
            "spec.template.spec.initContainers[].volumeMounts[]",
        ],
        fields: &[
            ("mountPath", Honoured),
            (
                "mountPropagation",
                Only { values: &["None"], hint: "mounts of a pod stay its own in the sandbox: leave it out" },
            ),
            ("name", Honoured),
            ("readOnly", Honoured),
            (
                "recursiveReadOnly",
                Usual {
                    values: &["Disabled", "IfPossible"],
                    note: "volumes of the sandbox hold no mounts of their own",
                },
            ),
            ("subPath", Honoured),
            (
                "subPathExpr",
                Refused {
                    why: "not supported in the sandbox yet",
                    hint: "each pod has volumes of its own: use subPath",
                },
            ),
        ],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].securityContext",
            "spec.template.spec.initContainers[].securityContext",
        ],
        fields: &[
            ("allowPrivilegeEscalation", Honoured),
            ("appArmorProfile", NO_CONFINEMENT),
            ("capabilities", Within),
            (
                "privileged",
                Only {
                    values: &["false"],
                    hint: "the sandbox gives no rights over this machine: leave it out, or the init container that only sets up its node",
                },
            ),
            ("procMount", Usual { values: &["Default"], note: "/proc is mounted as usual" }),
            ("readOnlyRootFilesystem", Honoured),
            ("runAsGroup", Honoured),
            ("runAsNonRoot", Honoured),
            ("runAsUser", Honoured),
            ("seLinuxOptions", NO_CONFINEMENT),
            ("seccompProfile", NO_CONFINEMENT),
            ("windowsOptions", Refused { why: "the sandbox runs Linux programs", hint: "leave it out" }),
        ],
    },
];

/// Of each container's `securityContext`.
pub(super) const CAPABILITIES: &[Section] = &[Section {
    at: &[
        "spec.template.spec.containers[].securityContext.capabilities",
        "spec.template.spec.initContainers[].securityContext.capabilities",
    ],
    fields: &[("add", Honoured), ("drop", Honoured)],
}];

const NO_TERMINAL: Treatment =
    Only { values: &["false"], hint: "processes of the sandbox have no input and no terminal: leave it out" };

const NO_LAST_WORDS: Treatment = Noted("the pod's log is kept instead");

const NO_HOST_PORT: Treatment = Refused {
    why: "pods of the sandbox have addresses of their own, and no port of this machine",
    hint: "leave it out",
};
