use super::*;

fn ask(records: &Records, name: &str, kind: RecordType) -> Message {
    answer(&[records], &question(name, kind), 0).expect("a question is answered")
}

fn addresses(response: &Message) -> Vec<Ipv4Addr> {
    response
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        })
        .collect()
}

fn code(response: &Message) -> ResponseCode {
    response.metadata.response_code
}

#[test]
fn gives_the_addresses_of_ready_pods() {
    let response = ask(&records(false), &format!("db-1.{DOMAIN}"), RecordType::A);
    assert_eq!((code(&response), addresses(&response)), (ResponseCode::NoError, vec![address(1)]));
    assert!(response.metadata.authoritative);
    assert!(response.answers.iter().all(|record| record.ttl == 1));
    let all = ask(&records(false), DOMAIN, RecordType::A);
    assert_eq!(addresses(&all), [address(0), address(1)]);
}

#[test]
fn hides_pods_that_are_not_ready_unless_the_service_publishes_them() {
    let name = format!("db-2.{DOMAIN}");
    assert_eq!(code(&ask(&records(false), &name, RecordType::A)), ResponseCode::NXDomain);
    assert_eq!(addresses(&ask(&records(true), &name, RecordType::A)), [address(2)]);
    assert_eq!(addresses(&ask(&records(true), DOMAIN, RecordType::A)).len(), 3);
}

#[test]
fn begins_with_another_pod_each_time() {
    let records = records(true);
    let question = question(DOMAIN, RecordType::A);
    let firsts: Vec<_> =
        (0..4).map(|turn| addresses(&answer(&[&records], &question, turn).expect("answered"))[0]).collect();
    assert_eq!(firsts, [address(0), address(1), address(2), address(0)]);
    // The counter may run for years.
    assert!(answer(&[&records], &question, usize::MAX).is_some());
}

#[test]
fn reads_names_whatever_their_case() {
    let response = ask(&records(false), "DB-0.Db.Shop.SVC.cluster.LOCAL", RecordType::A);
    assert_eq!(addresses(&response), [address(0)]);
    assert_eq!(response.queries[0].name().to_ascii(), "DB-0.Db.Shop.SVC.cluster.LOCAL.");
}

#[test]
fn gives_the_pods_of_a_named_port() {
    let targets = |name: &str| {
        let response = ask(&records(false), name, RecordType::SRV);
        let mut targets = Vec::new();
        for record in &response.answers {
            if let RData::SRV(srv) = &record.data {
                targets.push((srv.target.to_ascii(), srv.port));
            }
        }
        assert_eq!(response.additionals.len(), 2);
        targets
    };
    let pod = |ordinal, port| (format!("db-{ordinal}.{DOMAIN}."), port);
    assert_eq!(targets(&format!("_peer._tcp.{DOMAIN}")), [pod(0, 2380), pod(1, 2380)]);
    assert_eq!(targets(&format!("_gossip._udp.{DOMAIN}")), [pod(0, 7946), pod(1, 7946)]);
    assert_eq!(targets(DOMAIN).len(), 4);
    for wrong in ["_peer._udp", "_other._tcp", "peer._tcp"] {
        let response = ask(&records(false), &format!("{wrong}.{DOMAIN}"), RecordType::SRV);
        assert_eq!(code(&response), ResponseCode::NXDomain, "{wrong}");
    }
}

#[test]
fn gives_the_name_of_an_address() {
    let response = ask(&records(false), "12.0.1.10.in-addr.arpa", RecordType::PTR);
    let RData::PTR(name) = &response.answers[0].data else { unreachable!("{response:?}") };
    assert_eq!(name.0.to_ascii(), format!("db-2.{DOMAIN}."));
    let nobody = ask(&records(false), "99.0.1.10.in-addr.arpa", RecordType::PTR);
    assert_eq!(code(&nobody), ResponseCode::NXDomain);
}

#[test]
fn says_that_a_name_has_no_other_records_without_denying_it() {
    for name in [format!("db-0.{DOMAIN}"), DOMAIN.to_owned()] {
        for kind in [RecordType::AAAA, RecordType::TXT, RecordType::MX] {
            let response = ask(&records(false), &name, kind);
            assert_eq!(code(&response), ResponseCode::NoError, "{name} {kind}");
            assert!(response.answers.is_empty());
            assert_eq!(response.authorities.len(), 1, "an empty answer says how long it holds");
        }
    }
    for above in ["shop.svc.cluster.local", "cluster.local", &format!("_tcp.{DOMAIN}")] {
        assert_eq!(code(&ask(&records(false), above, RecordType::A)), ResponseCode::NoError, "{above}");
    }
}

#[test]
fn denies_everything_else() {
    for name in [
        "example.com",
        "db-0",
        "db-9.db.shop.svc.cluster.local",
        "db-0.db.other.svc.cluster.local",
        "x.db-0.db.shop.svc.cluster.local",
        "xdb.shop.svc.cluster.local",
        "kubernetes.default.svc.cluster.local",
        "tcp.db.shop.svc.cluster.local",
    ] {
        let response = ask(&records(true), name, RecordType::A);
        assert_eq!(code(&response), ResponseCode::NXDomain, "{name}");
        assert_eq!(response.authorities.len(), 1);
    }
}

#[test]
fn has_no_addresses_while_nobody_is_ready() {
    let records = Records::new(&set(false), Vec::new());
    let response = ask(&records, DOMAIN, RecordType::A);
    assert_eq!((code(&response), response.answers.len()), (ResponseCode::NoError, 0));
}

#[test]
fn answers_no_answers_and_does_nothing_but_answer() {
    let records = records(false);
    let mut response = question(DOMAIN, RecordType::A);
    response.metadata.message_type = MessageType::Response;
    assert!(answer(&[&records], &response, 0).is_none());
    let mut update = question(DOMAIN, RecordType::A);
    update.metadata.op_code = OpCode::Update;
    assert_eq!(answer(&[&records], &update, 0).map(|answer| code(&answer)), Some(ResponseCode::NotImp));
    let none = Message::query();
    assert_eq!(answer(&[&records], &none, 0).map(|answer| code(&answer)), Some(ResponseCode::FormErr));
}

/// The usual records, and those of a set `cache` in a Service of its own or in the same one.
fn two_sets(service: &str) -> [Records; 2] {
    let cache = SetSpec { name: "cache".into(), service: service.into(), ..set(false) };
    let pod = PodRecord { name: "cache-0".into(), address: address(50), is_ready: true };
    [records(false), Records::new(&cache, vec![pod])]
}

fn ask_both(sets: &[Records], name: &str, kind: RecordType, turn: usize) -> Message {
    let sets: Vec<&Records> = sets.iter().collect();
    answer(&sets, &question(name, kind), turn).expect("a question is answered")
}

#[test]
fn knows_the_names_of_every_set() {
    let sets = two_sets("cache");
    let domain = "cache.shop.svc.cluster.local";
    for (name, expected) in [
        (format!("cache-0.{domain}"), vec![address(50)]),
        (domain.to_owned(), vec![address(50)]),
        (format!("db-1.{DOMAIN}"), vec![address(1)]),
        ("shop.svc.cluster.local".to_owned(), Vec::new()),
    ] {
        for turn in 0..2 {
            let response = ask_both(&sets, &name, RecordType::A, turn);
            assert_eq!((code(&response), addresses(&response)), (ResponseCode::NoError, expected.clone()));
        }
    }
    for name in [format!("db-1.{domain}"), format!("cache-0.{DOMAIN}")] {
        assert_eq!(code(&ask_both(&sets, &name, RecordType::A, 0)), ResponseCode::NXDomain, "{name}");
    }
    let reverse = ask_both(&sets, "60.0.1.10.in-addr.arpa", RecordType::PTR, 0);
    assert_eq!((code(&reverse), reverse.answers.len()), (ResponseCode::NoError, 1));
}

#[test]
fn a_service_of_two_sets_stands_for_the_pods_of_both_and_begins_with_each_in_turn() {
    let sets = two_sets("db");
    let mut first: Vec<Ipv4Addr> = (0..4)
        .map(|turn| {
            let found = addresses(&ask_both(&sets, DOMAIN, RecordType::A, turn));
            assert_eq!(found.len(), 3, "{found:?}");
            found[0]
        })
        .collect();
    first.sort_unstable();
    first.dedup();
    assert_eq!(first, [address(0), address(1), address(50)]);
    let ports = ask_both(&sets, &format!("_peer._tcp.{DOMAIN}"), RecordType::SRV, 0);
    assert_eq!(ports.answers.len(), 3);
}
