//! The etcd adapter against a real group with mutual TLS and users.

use std::process::Command;
use std::sync::Arc;

use seatrial::api::MemberSample;
use seatrial::experiment::Store;
use seatrial::platform::Endpoint;
use seatrial::store::{Adapter, Failure, ReadMode, Secrets};
use tempfile::TempDir;

use crate::certificates::{Authority, mount};
use crate::store_group::{Group, HEARTBEAT, IN_TIME, Kind, MEMBERS, in_};

/// What a mistake may never show.
const PASSWORD: &str = "hunter2";

/// A group with mutual TLS, and Secrets of all kinds for it.
struct Scene {
    group: Group,
    secrets: TempDir,
}

impl Scene {
    async fn start() -> Self {
        let secrets = tempfile::tempdir().expect("a folder");
        let (ours, others) = (Authority::new(), Authority::new());
        // Of the members, one name of each kind: their own, and their Service's.
        let server = ours.issue(&["etcd-0.etcd.it.svc", "etcd.it.svc", "localhost", "127.0.0.1"]);
        let (client, foreign) = (ours.issue(&["client"]), others.issue(&["client"]));
        let (ca, other_ca) = (ours.certificate(), others.certificate());
        let mount = |name: &str, keys: &[(&str, &str)]| mount(secrets.path(), name, keys);
        mount("server", &[("ca.crt", &ca), ("tls.crt", &server.certificate), ("tls.key", &server.key)]);
        mount("tls", &[("ca.crt", &ca), ("tls.crt", &client.certificate), ("tls.key", &client.key)]);
        mount("unknown-ca", &[("ca.crt", &other_ca)]);
        mount("no-certificate", &[("ca.crt", &ca)]);
        mount("foreign", &[("ca.crt", &ca), ("tls.crt", &foreign.certificate), ("tls.key", &foreign.key)]);
        mount("root", &[("username", "root"), ("password", PASSWORD)]);
        mount("wrong", &[("username", "root"), ("password", "letmein")]);
        mount("narrow", &[("username", "narrow"), ("password", PASSWORD)]);
        let group = Group::by_tls(
            Kind::Etcd,
            &secrets.path().join("server"),
            &store("tls", None),
            &Secrets::at(secrets.path()),
        )
        .await;
        Self { group, secrets }
    }

    fn adapter(&self, tls: &str, user: Option<&str>) -> Arc<dyn Adapter> {
        let secrets = Secrets::at(self.secrets.path());
        self.group.open(&store(tls, user), &secrets).expect("these Secrets are there")
    }

    /// etcdctl as root, with the client's certificate.
    fn etcdctl(&self, arguments: &[&str]) {
        let file = |name: &str| self.secrets.path().join("tls").join(name);
        let output = Command::new("etcdctl")
            .arg(format!("--endpoints=https://{}", self.group.address(0)))
            .arg("--cacert")
            .arg(file("ca.crt"))
            .arg("--cert")
            .arg(file("tls.crt"))
            .arg("--key")
            .arg(file("tls.key"))
            .args(arguments)
            .env("ETCDCTL_API", "3")
            .output()
            .expect("etcdctl is installed");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Root, and somebody who may touch the workload's keys alone.
    fn add_users(&self) {
        self.etcdctl(&["user", "add", &format!("root:{PASSWORD}")]);
        self.etcdctl(&["user", "grant-role", "root", "root"]);
        self.etcdctl(&["role", "add", "workload"]);
        self.etcdctl(&["role", "grant-permission", "--prefix", "workload", "readwrite", "seatrial/"]);
        self.etcdctl(&["user", "add", &format!("narrow:{PASSWORD}")]);
        self.etcdctl(&["user", "grant-role", "narrow", "workload"]);
        self.etcdctl(&["auth", "enable"]);
    }
}

fn store(tls: &str, user: Option<&str>) -> Store {
    let mut etcd = serde_json::json!({ "tls": { "secret": tls } });
    if let Some(user) = user {
        etcd["auth"] = serde_json::json!({ "secret": user });
    }
    serde_json::from_value(serde_json::json!({ "etcd": etcd })).expect("a store")
}

async fn refused(adapter: &dyn Adapter) -> String {
    let MemberSample::Unreachable(why) =
        adapter.client(Endpoint::Member(1)).member(HEARTBEAT, in_(IN_TIME)).await
    else {
        unreachable!("nobody may see members without the right Secrets")
    };
    let written = adapter.client(Endpoint::Member(1)).write("seatrial/r/0", 1, in_(IN_TIME)).await;
    assert!(written.is_err(), "nobody may write without the right Secrets");
    for hidden in [PASSWORD, "letmein", "BEGIN"] {
        assert!(!why.contains(hidden), "{why}");
    }
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_asked_by_mutual_tls_and_mistakes_are_explained() {
    let scene = Scene::start().await;
    for endpoint in [Endpoint::Member(0), Endpoint::Member(2), Endpoint::Service] {
        let mut client = scene.group.adapter.client(endpoint);
        assert_eq!(client.write(HEARTBEAT, 7, in_(IN_TIME)).await, Ok(()), "{endpoint:?}");
        assert_eq!(client.read(HEARTBEAT, ReadMode::Linearizable, in_(IN_TIME)).await, Ok(Some(7)));
    }
    for (secret, words) in [
        ("unknown-ca", "not made by an authority in `ca.crt` of Secret `unknown-ca`"),
        ("no-certificate", "add `tls.crt` and `tls.key` to Secret `no-certificate`"),
        ("foreign", "does not take the client certificate, `tls.crt` of Secret `foreign`"),
    ] {
        let why = refused(&*scene.adapter(secret, None)).await;
        assert!(why.contains(words), "{secret}: {why}");
    }
    let plain: Store = serde_json::from_str(r#"{"etcd":{}}"#).expect("a store");
    let plain = scene.group.open(&plain, &Secrets::none()).expect("no Secret is needed");
    refused(&*plain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_asked_as_a_user_and_a_lost_token_is_renewed() {
    let scene = Scene::start().await;
    let asked_of_nobody = refused(&*scene.adapter("tls", Some("root"))).await;
    assert!(asked_of_nobody.contains("leave out auth, because this etcd has no users"), "{asked_of_nobody}");
    scene.add_users();

    let anonymous = scene.adapter("tls", None);
    let read = anonymous.client(Endpoint::Member(0)).read(HEARTBEAT, ReadMode::Local, in_(IN_TIME)).await;
    assert!(matches!(&read, Err(Failure::NotApplied(why)) if why.contains("name a user")), "{read:?}");
    let why = refused(&*scene.adapter("tls", Some("wrong"))).await;
    assert!(why.contains("no token for the user of Secret `wrong`"), "{why}");
    assert!(why.contains("authentication failed, invalid user ID or password"), "{why}");

    let narrow = scene.adapter("tls", Some("narrow"));
    let mut clients: Vec<_> = MEMBERS.iter().map(|&member| narrow.client(Endpoint::Member(member))).collect();
    for client in &mut clients {
        assert_eq!(client.write(HEARTBEAT, 8, in_(IN_TIME)).await, Ok(()));
        assert!(matches!(client.member(HEARTBEAT, in_(IN_TIME)).await, MemberSample::Answer { .. }));
    }
    let outside = clients[0].write("elsewhere", 1, in_(IN_TIME)).await;
    assert!(
        matches!(&outside, Err(Failure::NotApplied(why)) if why.contains("whose role may read and write")),
        "{outside:?}"
    );

    // A member that is started again knows none of the tokens that it gave; its clients do not notice.
    scene.group.end(1);
    scene.group.run(1);
    let mut again = narrow.client(Endpoint::Member(1));
    let until = in_(IN_TIME);
    while let Err(why) = again.write(HEARTBEAT, 9, in_(IN_TIME)).await {
        assert!(tokio::time::Instant::now() < until, "{why}");
        assert!(!why.reason().contains("invalid auth token"), "{why}");
    }
    // Nor when the rights of users change, after which every token is too old.
    scene.etcdctl(&["--user", &format!("root:{PASSWORD}"), "role", "add", "another"]);
    for client in &mut clients {
        assert_eq!(client.write(HEARTBEAT, 10, in_(IN_TIME)).await, Ok(()));
    }
    assert_eq!(clients[2].remove("seatrial/", in_(IN_TIME)).await, Ok(()));
}
