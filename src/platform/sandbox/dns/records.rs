//! What the names mean: from a question to an answer, without a socket.

use std::net::Ipv4Addr;
use std::ops::Deref;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::platform::sandbox::pod_spec::{Protocol, ServicePort, SetSpec};

/// Seconds for which an answer may be kept. Kubernetes says 5 or 30; here a pod's new address or readiness must be seen
/// within the run's own sampling, because a fault of twenty seconds would else be told by a cache.
const TTL: u32 = 1;

/// The largest UDP answer that is offered to a client that asks by EDNS: it fits an Ethernet frame.
const MAX_UDP_PAYLOAD: u16 = 1232;

const ZONE: &str = "cluster.local.";

/// The names of one StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    namespace: String,
    service: String,
    publish_not_ready: bool,
    ports: Vec<ServicePort>,
    pods: Vec<PodRecord>,
}

/// A pod that has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRecord {
    /// Its name, which is its hostname.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether it is ready.
    pub is_ready: bool,
}

/// What is known about a name.
enum Known {
    /// There is no such name.
    Nothing,
    /// The name exists; these are its records of the wanted type, if any.
    Name { answers: Vec<Record>, additionals: Vec<Record> },
}

impl Records {
    /// The names of `set` while its pods are `pods`.
    pub fn new(set: &SetSpec, pods: Vec<PodRecord>) -> Self {
        Self {
            namespace: set.namespace.clone(),
            service: set.service.clone(),
            publish_not_ready: set.publish_not_ready,
            ports: set.service_ports.clone(),
            pods,
        }
    }

    fn find(&self, name: &Name, kind: RecordType, turn: usize) -> Known {
        let asked = name.to_lowercase().to_ascii();
        let asked = asked.trim_end_matches('.');
        if let Some(pod) = self.pods.iter().find(|pod| reverse_name(pod.address) == asked) {
            let target = RData::PTR(PTR(parsed(&self.pod_name(pod))));
            return known(name, wanted(kind, RecordType::PTR).then_some(target));
        }
        let service = self.service_name();
        if asked == service {
            return match kind {
                RecordType::SRV => self.srv(name, |_| true, turn),
                _ => known(name, self.published(turn).filter_map(|pod| address(pod, kind))),
            };
        }
        if let Some(pod) = self.published(0).find(|pod| self.pod_name(pod) == asked) {
            return known(name, address(pod, kind));
        }
        if let Some(labels) = asked.strip_suffix(&format!(".{service}")) {
            let is_asked = |port: &ServicePort| port_labels(port).is_some_and(|own| own == labels);
            if self.ports.iter().any(is_asked) {
                return match kind {
                    RecordType::SRV | RecordType::ANY => self.srv(name, is_asked, turn),
                    _ => known(name, None),
                };
            }
            let above = |port: &ServicePort| port_labels(port).is_some_and(|own| is_below(&own, labels));
            return if self.ports.iter().any(above) { known(name, None) } else { Known::Nothing };
        }
        // A name above an existing one exists, without records (RFC 8020).
        if is_below(&service, asked) { known(name, None) } else { Known::Nothing }
    }

    fn srv(&self, name: &Name, is_asked: impl Fn(&ServicePort) -> bool, turn: usize) -> Known {
        let pods: Vec<_> = self.published(turn).collect();
        let answers = self.ports.iter().filter(|port| is_asked(port)).flat_map(|port| {
            pods.iter().map(|pod| {
                // All pods weigh the same.
                let srv = SRV::new(0, 100, port.target, parsed(&self.pod_name(pod)));
                Record::from_rdata(name.clone(), TTL, RData::SRV(srv))
            })
        });
        let additionals = pods
            .iter()
            .map(|pod| Record::from_rdata(parsed(&self.pod_name(pod)), TTL, RData::A(A(pod.address))));
        Known::Name { answers: answers.collect(), additionals: additionals.collect() }
    }

    /// The pods whose names resolve, beginning with another one each turn.
    fn published(&self, turn: usize) -> impl Iterator<Item = &PodRecord> {
        let pods: Vec<_> = self.pods.iter().filter(|pod| pod.is_ready || self.publish_not_ready).collect();
        let count = pods.len();
        pods.into_iter().cycle().skip(turn.checked_rem(count).unwrap_or(0)).take(count)
    }

    fn service_name(&self) -> String {
        format!("{}.{}.svc.{}", self.service, self.namespace, ZONE.trim_end_matches('.'))
    }

    fn pod_name(&self, pod: &PodRecord) -> String {
        format!("{}.{}", pod.name, self.service_name())
    }
}

/// The answer to `request` by the names of all `sets`; `turn` says which pod comes first. `None` for what is no question,
/// which must not be answered, lest two responders answer each other for ever.
pub(super) fn answer(
    sets: &[impl Deref<Target = Records>],
    request: &Message,
    turn: usize,
) -> Option<Message> {
    let head = &request.metadata;
    if head.message_type != MessageType::Query {
        return None;
    }
    let mut response = Message::response(head.id, head.op_code);
    response.metadata.recursion_desired = head.recursion_desired;
    response.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP_PAYLOAD);
        response.set_edns(edns);
    }
    let code = if head.op_code != OpCode::Query {
        ResponseCode::NotImp
    } else if let [query] = request.queries.as_slice() {
        fill(sets, query, turn, &mut response)
    } else {
        ResponseCode::FormErr
    };
    response.metadata.response_code = code;
    Some(response)
}

/// How long an answer over UDP may be for this request (RFC 6891, section 6.2.3).
pub(super) fn udp_limit(request: &Message) -> usize {
    usize::from(request.max_payload().clamp(512, MAX_UDP_PAYLOAD))
}

fn fill(
    sets: &[impl Deref<Target = Records>],
    query: &Query,
    turn: usize,
    response: &mut Message,
) -> ResponseCode {
    if !matches!(query.query_class(), DNSClass::IN | DNSClass::ANY) {
        return ResponseCode::Refused;
    }
    response.metadata.authoritative = true;
    // Sets may have one Service: its name stands for the pods of all of them, another set's first each time.
    let count = sets.len();
    let begin = turn.checked_rem(count).unwrap_or(0);
    let inner = turn.checked_div(count).unwrap_or(0);
    let in_turn = sets.iter().cycle().skip(begin).take(count);
    let known = in_turn
        .map(|set| set.find(query.name(), query.query_type(), inner))
        .fold(Known::Nothing, Known::or_more);
    match known {
        Known::Nothing => {
            response.add_authority(authority());
            ResponseCode::NXDomain
        }
        Known::Name { answers, additionals } => {
            if answers.is_empty() {
                response.add_authority(authority());
            }
            response.add_answers(answers).add_additionals(additionals);
            ResponseCode::NoError
        }
    }
}

impl Known {
    /// What two sets know of a name.
    fn or_more(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, known) | (known, Self::Nothing) => known,
            (
                Self::Name { mut answers, mut additionals },
                Self::Name { answers: more_answers, additionals: more_additionals },
            ) => {
                answers.extend(more_answers);
                additionals.extend(more_additionals);
                Self::Name { answers, additionals }
            }
        }
    }
}

fn known(name: &Name, data: impl IntoIterator<Item = RData>) -> Known {
    let answers = data.into_iter().map(|data| Record::from_rdata(name.clone(), TTL, data)).collect();
    Known::Name { answers, additionals: Vec::new() }
}

fn wanted(asked: RecordType, have: RecordType) -> bool {
    asked == have || asked == RecordType::ANY
}

fn address(pod: &PodRecord, kind: RecordType) -> Option<RData> {
    wanted(kind, RecordType::A).then_some(RData::A(A(pod.address)))
}

/// `_name._protocol` of a port that has a name.
fn port_labels(port: &ServicePort) -> Option<String> {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    Some(format!("_{}._{protocol}", port.name.as_deref()?))
}

/// Whether `name` is `above` or a name below it.
fn is_below(name: &str, above: &str) -> bool {
    name.strip_suffix(above).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn reverse_name(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa")
}

/// A name made of the manifest's names, which `manifest` has held to the rules of DNS labels.
fn parsed(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap_or_default();
    name.set_fqdn(true);
    name
}

/// Sent with every empty answer, so that a resolver keeps it no longer than the others (RFC 2308).
fn authority() -> Record {
    let soa = SOA::new(
        parsed("ns.dns.cluster.local"),
        parsed("hostmaster.cluster.local"),
        1,
        7200,
        1800,
        86400,
        TTL,
    );
    Record::from_rdata(parsed(ZONE), TTL, RData::SOA(soa))
}
