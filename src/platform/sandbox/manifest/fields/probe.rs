//! Probes, which only containers have, and no init containers.

use super::{Section, Treatment};
use Treatment::{Honoured, Noted, Only, Refused, Within};

pub(super) const SECTIONS: &[Section] = &[
    Section {
        at: &[
            "spec.template.spec.containers[].livenessProbe",
            "spec.template.spec.containers[].readinessProbe",
            "spec.template.spec.containers[].startupProbe",
        ],
        fields: &[
            ("exec", Within),
            ("failureThreshold", Honoured),
            (
                "grpc",
                Refused { why: "the sandbox does not speak gRPC", hint: "use httpGet, tcpSocket or exec" },
            ),
            ("httpGet", Within),
            ("initialDelaySeconds", Honoured),
            ("periodSeconds", Honoured),
            ("successThreshold", Honoured),
            ("tcpSocket", Within),
            ("terminationGracePeriodSeconds", Noted("the pod's own grace period is used")),
            ("timeoutSeconds", Honoured),
        ],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].livenessProbe.exec",
            "spec.template.spec.containers[].readinessProbe.exec",
            "spec.template.spec.containers[].startupProbe.exec",
        ],
        fields: &[("command", Honoured)],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].livenessProbe.tcpSocket",
            "spec.template.spec.containers[].readinessProbe.tcpSocket",
            "spec.template.spec.containers[].startupProbe.tcpSocket",
        ],
        fields: &[("host", Honoured), ("port", Honoured)],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].livenessProbe.httpGet",
            "spec.template.spec.containers[].readinessProbe.httpGet",
            "spec.template.spec.containers[].startupProbe.httpGet",
        ],
        fields: &[
            ("host", Honoured),
            ("httpHeaders", Within),
            ("path", Honoured),
            ("port", Honoured),
            (
                "scheme",
                Only {
                    values: &["HTTP"],
                    hint: "the sandbox's probes do not speak TLS: use HTTP, tcpSocket or exec",
                },
            ),
        ],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].livenessProbe.httpGet.httpHeaders[]",
            "spec.template.spec.containers[].readinessProbe.httpGet.httpHeaders[]",
            "spec.template.spec.containers[].startupProbe.httpGet.httpHeaders[]",
        ],
        fields: &[("name", Honoured), ("value", Honoured)],
    },
];
