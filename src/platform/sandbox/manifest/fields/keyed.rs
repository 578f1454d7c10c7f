//! Secrets and ConfigMaps.

use super::{NO_API_SERVER, Section, Treatment, UNREAD_LABELS, WRITTEN_BY_A_CLUSTER};
use Treatment::{Honoured, Noted, Refused, Within};

pub(super) const SECRET: &[Section] = &[Section {
    at: &[""],
    fields: &[
        ("apiVersion", Honoured),
        ("kind", Honoured),
        ("metadata", Within),
        ("data", Honoured),
        ("stringData", Honoured),
        ("immutable", UNCHANGED),
        ("type", Noted("nothing in the sandbox reads it")),
    ],
}];

pub(super) const CONFIG_MAP: &[Section] = &[Section {
    at: &[""],
    fields: &[
        ("apiVersion", Honoured),
        ("kind", Honoured),
        ("metadata", Within),
        ("data", Honoured),
        ("binaryData", Honoured),
        ("immutable", UNCHANGED),
    ],
}];

/// What both have.
pub(super) const METADATA: &[Section] = &[Section {
    at: &["metadata"],
    fields: &[
        ("name", Honoured),
        ("namespace", Honoured),
        ("labels", UNREAD_LABELS),
        ("annotations", UNREAD_LABELS),
        ("generateName", Refused { why: "it is referred to by its name", hint: "write metadata.name" }),
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
}];

const UNCHANGED: Treatment = Noted("nothing in the sandbox changes it");
