//! Probes and hooks. Of init containers only sidecars have them.

use super::{Section, Treatment};
use Treatment::{Honoured, Noted, Only, Refused, Within};

pub(super) const SECTIONS: &[Section] = &[
    Section {
        at: &[
            "spec.template.spec.containers[].livenessProbe",
            "spec.template.spec.initContainers[].livenessProbe",
            "spec.template.spec.containers[].readinessProbe",
            "spec.template.spec.initContainers[].readinessProbe",
            "spec.template.spec.containers[].startupProbe",
            "spec.template.spec.initContainers[].startupProbe",
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
            "spec.template.spec.initContainers[].livenessProbe.exec",
            "spec.template.spec.containers[].readinessProbe.exec",
            "spec.template.spec.initContainers[].readinessProbe.exec",
            "spec.template.spec.containers[].startupProbe.exec",
            "spec.template.spec.initContainers[].startupProbe.exec",
            "spec.template.spec.containers[].lifecycle.postStart.exec",
            "spec.template.spec.containers[].lifecycle.preStop.exec",
            "spec.template.spec.initContainers[].lifecycle.postStart.exec",
            "spec.template.spec.initContainers[].lifecycle.preStop.exec",
        ],
        fields: &[("command", Honoured)],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].livenessProbe.tcpSocket",
            "spec.template.spec.initContainers[].livenessProbe.tcpSocket",
            "spec.template.spec.containers[].readinessProbe.tcpSocket",
            "spec.template.spec.initContainers[].readinessProbe.tcpSocket",
            "spec.template.spec.containers[].startupProbe.tcpSocket",
            "spec.template.spec.initContainers[].startupProbe.tcpSocket",
        ],
        fields: &[("host", Honoured), ("port", Honoured)],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].livenessProbe.httpGet",
            "spec.template.spec.initContainers[].livenessProbe.httpGet",
            "spec.template.spec.containers[].readinessProbe.httpGet",
            "spec.template.spec.initContainers[].readinessProbe.httpGet",
            "spec.template.spec.containers[].startupProbe.httpGet",
            "spec.template.spec.initContainers[].startupProbe.httpGet",
            "spec.template.spec.containers[].lifecycle.postStart.httpGet",
            "spec.template.spec.containers[].lifecycle.preStop.httpGet",
            "spec.template.spec.initContainers[].lifecycle.postStart.httpGet",
            "spec.template.spec.initContainers[].lifecycle.preStop.httpGet",
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
                    hint: "probes and hooks of the sandbox do not speak TLS: use HTTP or exec",
                },
            ),
        ],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].livenessProbe.httpGet.httpHeaders[]",
            "spec.template.spec.initContainers[].livenessProbe.httpGet.httpHeaders[]",
            "spec.template.spec.containers[].readinessProbe.httpGet.httpHeaders[]",
            "spec.template.spec.initContainers[].readinessProbe.httpGet.httpHeaders[]",
            "spec.template.spec.containers[].startupProbe.httpGet.httpHeaders[]",
            "spec.template.spec.initContainers[].startupProbe.httpGet.httpHeaders[]",
            "spec.template.spec.containers[].lifecycle.postStart.httpGet.httpHeaders[]",
            "spec.template.spec.containers[].lifecycle.preStop.httpGet.httpHeaders[]",
            "spec.template.spec.initContainers[].lifecycle.postStart.httpGet.httpHeaders[]",
            "spec.template.spec.initContainers[].lifecycle.preStop.httpGet.httpHeaders[]",
        ],
        fields: &[("name", Honoured), ("value", Honoured)],
    },
    Section {
        at: &["spec.template.spec.containers[].lifecycle", "spec.template.spec.initContainers[].lifecycle"],
        fields: &[("postStart", Within), ("preStop", Within), ("stopSignal", Honoured)],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].lifecycle.postStart",
            "spec.template.spec.containers[].lifecycle.preStop",
            "spec.template.spec.initContainers[].lifecycle.postStart",
            "spec.template.spec.initContainers[].lifecycle.preStop",
        ],
        fields: &[
            ("exec", Within),
            ("httpGet", Within),
            ("sleep", Within),
            ("tcpSocket", Refused { why: "no kubelet runs such a hook", hint: "use exec, httpGet or sleep" }),
        ],
    },
    Section {
        at: &[
            "spec.template.spec.containers[].lifecycle.postStart.sleep",
            "spec.template.spec.containers[].lifecycle.preStop.sleep",
            "spec.template.spec.initContainers[].lifecycle.postStart.sleep",
            "spec.template.spec.initContainers[].lifecycle.preStop.sleep",
        ],
        fields: &[("seconds", Honoured)],
    },
];
