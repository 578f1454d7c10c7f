//! The StatefulSet itself and its claims.

use super::{NO_API_SERVER, Section, Treatment, UNREAD_LABELS, WRITTEN_BY_A_CLUSTER};
use Treatment::{Honoured, Noted, Only, Refused, Usual, Within};

pub(super) const SECTIONS: &[Section] = &[
    Section {
        at: &[""],
        fields: &[
            ("apiVersion", Honoured),
            ("kind", Honoured),
            ("metadata", Within),
            ("spec", Within),
            ("status", WRITTEN_BY_A_CLUSTER),
        ],
    },
    Section {
        at: &["metadata"],
        fields: &[
            ("name", Honoured),
            ("namespace", Honoured),
            ("labels", UNREAD_LABELS),
            ("annotations", UNREAD_LABELS),
            ("generateName", Refused { why: "pods are named after the set", hint: "write metadata.name" }),
            ("finalizers", NO_API_SERVER),
            ("ownerReferences", NO_API_SERVER),
            ("creationTimestamp", WRITTEN_BY_A_CLUSTER),
            ("deletionGracePeriodSeconds", WRITTEN_BY_A_CLUSTER),
            ("deletionTimestamp", WRITTEN_BY_A_CLUSTER),
            ("generation", WRITTEN_BY_A_CLUSTER),
            ("managedFields", WRITTEN_BY_A_CLUSTER),
            ("resourceVersion", WRITTEN_BY_A_CLUSTER),
            ("selfLink", WRITTEN_BY_A_CLUSTER),
            ("uid", WRITTEN_BY_A_CLUSTER),
        ],
    },
    Section {
        at: &["spec"],
        fields: &[
            ("minReadySeconds", Honoured),
            ("ordinals", Within),
            (
                "persistentVolumeClaimRetentionPolicy",
                Noted("volumes are kept while the sandbox runs, and end with it"),
            ),
            (
                "podManagementPolicy",
                Only { values: &["OrderedReady", "Parallel"], hint: "write OrderedReady or Parallel" },
            ),
            ("replicas", Honoured),
            ("revisionHistoryLimit", Noted("the sandbox has no earlier revisions")),
            ("selector", Within),
            ("serviceName", Honoured),
            ("template", Within),
            ("updateStrategy", Noted("a rollout replaces every pod in turn, whatever is written here")),
            ("volumeClaimTemplates", Within),
        ],
    },
    Section { at: &["spec.ordinals"], fields: &[("start", Honoured)] },
    Section {
        at: &["spec.selector"],
        fields: &[
            ("matchLabels", Honoured),
            (
                "matchExpressions",
                Noted("the set's pods are known without it; not compared with their labels"),
            ),
        ],
    },
    Section { at: &["spec.template"], fields: &[("metadata", Within), ("spec", Within)] },
    Section {
        at: &["spec.template.metadata"],
        fields: &[
            ("labels", Honoured),
            ("annotations", Honoured),
            ("name", NAMED_BY_THE_SET),
            ("generateName", NAMED_BY_THE_SET),
            ("namespace", NAMED_BY_THE_SET),
            ("finalizers", NO_API_SERVER),
            ("ownerReferences", NO_API_SERVER),
            ("creationTimestamp", WRITTEN_BY_A_CLUSTER),
            ("deletionGracePeriodSeconds", WRITTEN_BY_A_CLUSTER),
            ("deletionTimestamp", WRITTEN_BY_A_CLUSTER),
            ("generation", WRITTEN_BY_A_CLUSTER),
            ("managedFields", WRITTEN_BY_A_CLUSTER),
            ("resourceVersion", WRITTEN_BY_A_CLUSTER),
            ("selfLink", WRITTEN_BY_A_CLUSTER),
            ("uid", WRITTEN_BY_A_CLUSTER),
        ],
    },
    Section {
        at: &["spec.volumeClaimTemplates[]"],
        fields: &[
            (
                "apiVersion",
                Only {
                    values: &["v1"],
                    hint: "a claim template is a PersistentVolumeClaim of apiVersion v1",
                },
            ),
            (
                "kind",
                Only {
                    values: &["PersistentVolumeClaim"],
                    hint: "a claim template is a PersistentVolumeClaim",
                },
            ),
            ("metadata", Within),
            ("spec", Within),
            ("status", WRITTEN_BY_A_CLUSTER),
        ],
    },
    Section {
        at: &["spec.volumeClaimTemplates[].metadata"],
        fields: &[
            ("name", Honoured),
            ("labels", UNREAD_LABELS),
            ("annotations", UNREAD_LABELS),
            ("generateName", Refused { why: "mounts need a name to refer to", hint: "write metadata.name" }),
            ("namespace", Noted("a claim is in the namespace of its set")),
            ("finalizers", NO_API_SERVER),
            ("ownerReferences", NO_API_SERVER),
            ("creationTimestamp", WRITTEN_BY_A_CLUSTER),
            ("deletionGracePeriodSeconds", WRITTEN_BY_A_CLUSTER),
            ("deletionTimestamp", WRITTEN_BY_A_CLUSTER),
            ("generation", WRITTEN_BY_A_CLUSTER),
            ("managedFields", WRITTEN_BY_A_CLUSTER),
            ("resourceVersion", WRITTEN_BY_A_CLUSTER),
            ("selfLink", WRITTEN_BY_A_CLUSTER),
            ("uid", WRITTEN_BY_A_CLUSTER),
        ],
    },
    Section {
        at: &["spec.volumeClaimTemplates[].spec"],
        fields: &[
            (
                "accessModes",
                Usual {
                    values: &["ReadWriteOnce", "ReadWriteOncePod"],
                    note: "each pod has a volume of its own, which nobody else mounts",
                },
            ),
            ("dataSource", NO_DATA_SOURCE),
            ("dataSourceRef", NO_DATA_SOURCE),
            ("resources", Within),
            (
                "selector",
                Refused { why: "the sandbox makes its volumes anew", hint: "leave it out in the sandbox" },
            ),
            ("storageClassName", Noted("volumes are ext4 images or folders on this machine's disk")),
            ("volumeAttributesClassName", Noted("volumes are as fast as this machine's disk")),
            (
                "volumeMode",
                Only {
                    values: &["Filesystem"],
                    hint: "the sandbox has no block devices for pods: use Filesystem",
                },
            ),
            (
                "volumeName",
                Refused { why: "the sandbox makes its volumes anew", hint: "leave it out in the sandbox" },
            ),
        ],
    },
    Section {
        at: &["spec.volumeClaimTemplates[].spec.resources"],
        fields: &[
            ("requests", Honoured),
            ("limits", Noted("a volume has the size that it requests and does not grow")),
        ],
    },
];

const NAMED_BY_THE_SET: Treatment = Noted("a StatefulSet names its pods itself, in its own namespace");

const NO_DATA_SOURCE: Treatment = Refused {
    why: "volumes of the sandbox begin empty",
    hint: "leave it out in the sandbox, and fill the volume in an init container",
};
