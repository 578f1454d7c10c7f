//! The governing Service.

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
            (
                "generateName",
                Refused { why: "the set refers to the Service by name", hint: "write metadata.name" },
            ),
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
            ("allocateLoadBalancerNodePorts", UNUSED_BY_HEADLESS),
            (
                "clusterIP",
                Only {
                    values: &["None"],
                    hint: "the governing Service must be headless: write clusterIP: None",
                },
            ),
            ("clusterIPs", Only { values: &["None"], hint: "the governing Service must be headless" }),
            ("externalIPs", NOT_FROM_OUTSIDE),
            ("externalName", NOT_FROM_OUTSIDE),
            ("externalTrafficPolicy", UNUSED_BY_HEADLESS),
            ("healthCheckNodePort", UNUSED_BY_HEADLESS),
            ("internalTrafficPolicy", UNUSED_BY_HEADLESS),
            (
                "ipFamilies",
                Usual {
                    values: &["IPv4"],
                    note: "pods of the sandbox have IPv4 addresses only; IPv6 without IPv4 is refused",
                },
            ),
            (
                "ipFamilyPolicy",
                Usual {
                    values: &["SingleStack", "PreferDualStack"],
                    note: "pods of the sandbox have IPv4 addresses only",
                },
            ),
            ("loadBalancerClass", NOT_FROM_OUTSIDE),
            ("loadBalancerIP", NOT_FROM_OUTSIDE),
            ("loadBalancerSourceRanges", NOT_FROM_OUTSIDE),
            ("ports", Within),
            ("publishNotReadyAddresses", Honoured),
            ("selector", Honoured),
            ("sessionAffinity", Usual { values: &["None"], note: "a headless Service has no sessions" }),
            ("sessionAffinityConfig", UNUSED_BY_HEADLESS),
            ("trafficDistribution", UNUSED_BY_HEADLESS),
            (
                "type",
                Only {
                    values: &["ClusterIP"],
                    hint: "the governing Service must be headless: use ClusterIP",
                },
            ),
        ],
    },
    Section {
        at: &["spec.ports[]"],
        fields: &[
            ("appProtocol", Noted("nothing in the sandbox reads it")),
            ("name", Honoured),
            ("nodePort", NOT_FROM_OUTSIDE),
            ("port", Honoured),
            ("protocol", Only { values: &["TCP", "UDP"], hint: "write TCP or UDP" }),
            ("targetPort", Honoured),
        ],
    },
];

const UNUSED_BY_HEADLESS: Treatment = Noted("a headless Service does not use it");

const NOT_FROM_OUTSIDE: Treatment = Refused {
    why: "the governing Service of the sandbox is headless and seen only inside",
    hint: "leave it out here, and write another Service for clients from outside",
};
