//! The names of a set, asked over real sockets by our own client and by programs of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

use super::records::answer;
use super::{PodRecord, Records};
use crate::platform::sandbox::pod_spec::{PodTemplate, Protocol, ServicePort, SetSpec, StartOrder};

mod answers;
mod sockets;

const DOMAIN: &str = "db.shop.svc.cluster.local";

fn set(publish_not_ready: bool) -> SetSpec {
    let port = |name: &str, protocol, target| ServicePort { name: Some(name.into()), protocol, target };
    SetSpec {
        name: "db".into(),
        namespace: "shop".into(),
        service: "db".into(),
        publish_not_ready,
        service_ports: vec![port("peer", Protocol::Tcp, 2380), port("gossip", Protocol::Udp, 7946)],
        replicas: 3,
        first_ordinal: 0,
        start: StartOrder::Parallel,
        min_ready: Duration::ZERO,
        pod: PodTemplate {
            labels: std::collections::BTreeMap::new(),
            annotations: std::collections::BTreeMap::new(),
            service_account: "default".into(),
            init_containers: Vec::new(),
            containers: Vec::new(),
            empty_dirs: Vec::new(),
            shown_volumes: Vec::new(),
            grace: Duration::ZERO,
            hostname_is_fqdn: false,
            fs_group: None,
            fs_group_of_root: false,
            strict_groups: false,
            supplemental_groups: Vec::new(),
        },
        claims: Vec::new(),
        images: Vec::new(),
        secrets: Vec::new(),
        config_maps: Vec::new(),
    }
}

/// Three pods, of which the last is not ready.
fn records(publish_not_ready: bool) -> Records {
    let pod = |ordinal: u8, is_ready| PodRecord {
        name: format!("db-{ordinal}"),
        address: address(ordinal),
        is_ready,
    };
    Records::new(&set(publish_not_ready), vec![pod(0, true), pod(1, true), pod(2, false)])
}

fn address(ordinal: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, 10 + ordinal)
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut request = Message::query();
    let mut name = Name::from_ascii(name).expect("a name");
    name.set_fqdn(true);
    request.add_query(Query::query(name, kind));
    request
}
