//! The pod's own fields and its volumes.

use super::{Section, Treatment};
use Treatment::{Honoured, Noted, Only, Refused, Usual, Within};

pub(super) const SECTIONS: &[Section] = &[
    Section {
        at: &["spec.template.spec"],
        fields: &[
            (
                "activeDeadlineSeconds",
                Refused { why: "pods of a StatefulSet run for ever", hint: "leave it out" },
            ),
            ("affinity", NO_SCHEDULER),
            (
                "automountServiceAccountToken",
                Usual { values: &["false"], note: "there is no token to mount" },
            ),
            ("containers", Within),
            ("dnsConfig", Within),
            (
                "dnsPolicy",
                Only {
                    values: &["ClusterFirst", "ClusterFirstWithHostNet"],
                    hint: "pods of the sandbox have only the names of the cluster: use ClusterFirst",
                },
            ),
            ("enableServiceLinks", Usual { values: &["false"], note: "no variables are made of Services" }),
            (
                "ephemeralContainers",
                Refused { why: "a template has none", hint: "make it a container or leave it out" },
            ),
            (
                "hostAliases",
                Refused {
                    why: "names of pods are answered by the sandbox alone",
                    hint: "use the pods' names behind the headless Service",
                },
            ),
            ("hostIPC", NO_HOST_NAMESPACE),
            ("hostNetwork", NO_HOST_NAMESPACE),
            ("hostPID", NO_HOST_NAMESPACE),
            ("hostUsers", Noted("users of a pod are those of the sandbox")),
            ("hostname", NAMED_BY_THE_SET),
            ("imagePullSecrets", Noted("no image is pulled")),
            ("initContainers", Within),
            ("nodeName", NO_SCHEDULER),
            ("nodeSelector", NO_SCHEDULER),
            ("os", Within),
            ("overhead", NO_LIMITS),
            ("preemptionPolicy", NO_SCHEDULER),
            ("priority", NO_SCHEDULER),
            ("priorityClassName", NO_SCHEDULER),
            (
                "readinessGates",
                Refused {
                    why: "nobody in the sandbox sets the condition, so that no pod would become ready",
                    hint: "leave it out in the sandbox",
                },
            ),
            ("resourceClaims", Refused { why: "the sandbox has no devices to give", hint: "leave it out" }),
            ("resources", NO_LIMITS),
            ("restartPolicy", Only { values: &["Always"], hint: "a StatefulSet allows only Always" }),
            ("runtimeClassName", Noted("pods are processes of this machine's kernel")),
            ("schedulerName", NO_SCHEDULER),
            (
                "schedulingGates",
                Refused { why: "nobody in the sandbox opens the gate", hint: "leave it out in the sandbox" },
            ),
            ("securityContext", Within),
            ("serviceAccount", Honoured),
            ("serviceAccountName", Honoured),
            ("setHostnameAsFQDN", Honoured),
            (
                "shareProcessNamespace",
                Usual { values: &["true"], note: "containers of a pod always see each other's processes" },
            ),
            ("subdomain", NAMED_BY_THE_SET),
            ("terminationGracePeriodSeconds", Honoured),
            ("tolerations", NO_SCHEDULER),
            ("topologySpreadConstraints", NO_SCHEDULER),
            ("volumes", Within),
        ],
    },
    Section {
        at: &["spec.template.spec.dnsConfig"],
        fields: &[
            (
                "nameservers",
                Refused { why: "pods of the sandbox ask only its own server", hint: "leave it out" },
            ),
            ("options", Noted("the resolver of a pod has the options that Kubernetes sets")),
            ("searches", Refused { why: "only names of the cluster resolve", hint: "write whole names" }),
        ],
    },
    Section {
        at: &["spec.template.spec.os"],
        fields: &[("name", Only { values: &["linux"], hint: "the sandbox runs Linux programs" })],
    },
    Section {
        at: &["spec.template.spec.securityContext"],
        fields: &[
            ("appArmorProfile", NO_CONFINEMENT),
            ("fsGroup", Honoured),
            (
                "fsGroupChangePolicy",
                Only { values: &["Always", "OnRootMismatch"], hint: "write Always or OnRootMismatch" },
            ),
            ("runAsGroup", Honoured),
            ("runAsNonRoot", Honoured),
            ("runAsUser", Honoured),
            ("seLinuxChangePolicy", NO_CONFINEMENT),
            ("seLinuxOptions", NO_CONFINEMENT),
            ("seccompProfile", NO_CONFINEMENT),
            ("supplementalGroups", Honoured),
            (
                "supplementalGroupsPolicy",
                Only { values: &["Merge", "Strict"], hint: "write Merge or Strict" },
            ),
            (
                "sysctls",
                Refused {
                    why: "kernel parameters of pods are not set in the sandbox",
                    hint: "leave it out, or set it in an init container where the pod's namespaces have it",
                },
            ),
            ("windowsOptions", Refused { why: "the sandbox runs Linux programs", hint: "leave it out" }),
        ],
    },
    Section {
        at: &["spec.template.spec.volumes[]"],
        fields: &[
            ("name", Honoured),
            ("emptyDir", Within),
            ("configMap", Within),
            ("secret", Within),
            ("projected", Within),
            ("downwardAPI", Within),
            (
                "persistentVolumeClaim",
                Refused {
                    why: "there is no claim that all pods could share",
                    hint: "write a volumeClaimTemplate, which gives each pod its own",
                },
            ),
            (
                "ephemeral",
                Refused {
                    why: "not supported in the sandbox",
                    hint: "use emptyDir or a volumeClaimTemplate",
                },
            ),
            (
                "hostPath",
                Refused {
                    why: "a pod of the sandbox must not write to this machine",
                    hint: "use emptyDir or a volumeClaimTemplate",
                },
            ),
            ("image", Refused { why: "no image is unpacked", hint: "copy the files in an init container" }),
            ("awsElasticBlockStore", NO_FOREIGN_STORAGE),
            ("azureDisk", NO_FOREIGN_STORAGE),
            ("azureFile", NO_FOREIGN_STORAGE),
            ("cephfs", NO_FOREIGN_STORAGE),
            ("cinder", NO_FOREIGN_STORAGE),
            ("csi", NO_FOREIGN_STORAGE),
            ("fc", NO_FOREIGN_STORAGE),
            ("flexVolume", NO_FOREIGN_STORAGE),
            ("flocker", NO_FOREIGN_STORAGE),
            ("gcePersistentDisk", NO_FOREIGN_STORAGE),
            ("gitRepo", NO_FOREIGN_STORAGE),
            ("glusterfs", NO_FOREIGN_STORAGE),
            ("iscsi", NO_FOREIGN_STORAGE),
            ("nfs", NO_FOREIGN_STORAGE),
            ("photonPersistentDisk", NO_FOREIGN_STORAGE),
            ("portworxVolume", NO_FOREIGN_STORAGE),
            ("quobyte", NO_FOREIGN_STORAGE),
            ("rbd", NO_FOREIGN_STORAGE),
            ("scaleIO", NO_FOREIGN_STORAGE),
            ("storageos", NO_FOREIGN_STORAGE),
            ("vsphereVolume", NO_FOREIGN_STORAGE),
        ],
    },
    Section {
        at: &["spec.template.spec.volumes[].secret"],
        fields: &[
            ("defaultMode", Honoured),
            ("items", Within),
            ("optional", Honoured),
            ("secretName", Honoured),
        ],
    },
    Section {
        at: &[
            "spec.template.spec.volumes[].configMap",
            "spec.template.spec.volumes[].projected.sources[].configMap",
            "spec.template.spec.volumes[].projected.sources[].secret",
        ],
        fields: &[("items", Within), ("name", Honoured), ("optional", Honoured)],
    },
    Section { at: &["spec.template.spec.volumes[].configMap"], fields: &[("defaultMode", Honoured)] },
    Section {
        at: &["spec.template.spec.volumes[].projected"],
        fields: &[("defaultMode", Honoured), ("sources", Within)],
    },
    Section {
        at: &["spec.template.spec.volumes[].projected.sources[]"],
        fields: &[
            (
                "clusterTrustBundle",
                Refused {
                    why: "the sandbox has no API server that keeps such bundles",
                    hint: "put the certificates into a ConfigMap",
                },
            ),
            ("configMap", Within),
            ("downwardAPI", Within),
            ("secret", Within),
            (
                "serviceAccountToken",
                Refused {
                    why: "the sandbox has no API server that would issue or take a token",
                    hint: "leave it out in the sandbox",
                },
            ),
        ],
    },
    Section { at: &["spec.template.spec.volumes[].downwardAPI"], fields: &[("defaultMode", Honoured)] },
    Section {
        at: &[
            "spec.template.spec.volumes[].downwardAPI",
            "spec.template.spec.volumes[].projected.sources[].downwardAPI",
        ],
        fields: &[("items", Within)],
    },
    Section {
        at: &[
            "spec.template.spec.volumes[].downwardAPI.items[]",
            "spec.template.spec.volumes[].projected.sources[].downwardAPI.items[]",
        ],
        fields: &[("fieldRef", Within), ("mode", Honoured), ("path", Honoured), ("resourceFieldRef", Within)],
    },
    Section {
        at: &[
            "spec.template.spec.volumes[].downwardAPI.items[].fieldRef",
            "spec.template.spec.volumes[].projected.sources[].downwardAPI.items[].fieldRef",
        ],
        fields: &[("apiVersion", Only { values: &["v1"], hint: "leave it out" }), ("fieldPath", Honoured)],
    },
    Section {
        at: &[
            "spec.template.spec.volumes[].secret.items[]",
            "spec.template.spec.volumes[].configMap.items[]",
            "spec.template.spec.volumes[].projected.sources[].secret.items[]",
            "spec.template.spec.volumes[].projected.sources[].configMap.items[]",
        ],
        fields: &[("key", Honoured), ("mode", Honoured), ("path", Honoured)],
    },
    Section {
        at: &["spec.template.spec.volumes[].emptyDir"],
        fields: &[
            ("medium", Only { values: &["", "Memory"], hint: "write Memory, or leave it out" }),
            ("sizeLimit", Honoured),
        ],
    },
];

const NO_SCHEDULER: Treatment = Noted("all pods run on this machine, so nothing is scheduled");

pub(super) const NO_LIMITS: Treatment = Noted("not enforced in the sandbox");

pub(super) const NO_CONFINEMENT: Treatment = Noted("not applied in the sandbox");

const NAMED_BY_THE_SET: Treatment = Noted("a StatefulSet replaces it by the pod's and the Service's name");

const NO_HOST_NAMESPACE: Treatment = Only {
    values: &["false"],
    hint: "each pod of the sandbox has namespaces of its own, or faults could not reach it alone: leave it out",
};

const NO_FOREIGN_STORAGE: Treatment =
    Refused { why: "the sandbox has no such storage", hint: "use emptyDir or a volumeClaimTemplate" };
