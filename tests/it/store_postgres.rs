//! The PostgreSQL adapter on a real primary with two standbys, one of which every write waits for.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{MemberSample, Members, Ordinal, Role, WriteNeeds};
use seatrial::experiment::Store;
use seatrial::host::user_namespace::is_root_of_machine;
use seatrial::platform::Endpoint;
use seatrial::store::{Adapter, Failure, Listing, ReadMode, Secrets, Swap};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_postgres::{Config, NoTls};

use super::certificates::{Authority, mount};
use super::store_group::{Group, HEARTBEAT, IN_TIME, Kind, MEMBERS, bound_to_this_thread, in_};

const IMPATIENT: Duration = Duration::from_millis(500);

/// PostgreSQL does not run as root; this user every system has, under this number and by name.
const NOBODY: u32 = 65534;

/// Makes data of its own for a member that has none, the primary's by initdb, a standby's as a copy of the primary's, and runs it.
/// Debian keeps the programs of each version in a folder of its own.
const START: &str = r#"
set -e
PATH=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1):$PATH
if [ ! -e "$DATA" ]; then
  if [ "$NAME" = pg-0 ]; then
    initdb --pgdata="$DATA.new" --username=postgres --auth=trust --no-sync --no-instructions
    if [ -n "$TLS" ]; then
      echo "$USERS" | postgres --single -D "$DATA.new" postgres
      echo 'host replication all 127.0.0.1/32 trust' > "$DATA.new/pg_hba.conf"
      echo 'hostssl all all all scram-sha-256 clientcert=verify-ca' >> "$DATA.new/pg_hba.conf"
    fi
  else
    until pg_basebackup --pgdata="$DATA.new" --dbname="$PRIMARY" --checkpoint=fast --no-sync; do
      rm -rf "$DATA.new"
      sleep 0.1
    done
    touch "$DATA.new/standby.signal"
  fi
  mv "$DATA.new" "$DATA"
fi
if [ -n "$TLS" ]; then
  set -- -c ssl=on -c ssl_ca_file="$TLS/ca.crt" -c ssl_cert_file="$TLS/tls.crt" -c ssl_key_file="$TLS/tls.key"
fi
exec postgres -D "$DATA" -p "$PORT" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c cluster_name="$NAME" \
  -c primary_conninfo="$PRIMARY" -c synchronous_standby_names='ANY 1 ("pg-1", "pg-2")' -c wal_retrieve_retry_interval=200ms \
  -c dynamic_shared_memory_type=mmap "$@"
"#;

/// Who may connect where there is TLS: the second one may not make a table anywhere, and the third one is one too many.
const USERS: &str = "\
CREATE ROLE harbour_master LOGIN PASSWORD 'hunter2'
CREATE SCHEMA AUTHORIZATION harbour_master
CREATE ROLE narrow LOGIN PASSWORD 'hunter2'
CREATE ROLE crowded_deck LOGIN PASSWORD 'hunter2' CONNECTION LIMIT 0";

/// Lets members have their data below this folder, and these certificates, of which PostgreSQL wants nobody else to read
/// the key.
pub fn let_in(folder: &Path, tls: Option<&Path>) {
    let own = |path: &Path| {
        if is_root_of_machine() {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("root gives away what is its own");
        }
    };
    own(folder);
    for key in tls.map_or(&[][..], |_| &["ca.crt", "tls.crt", "tls.key"]) {
        let copy = folder.join(key);
        std::fs::copy(tls.expect("there are some").join(key), &copy).expect("certificates");
        std::fs::set_permissions(&copy, Permissions::from_mode(0o600)).expect("our own file");
        own(&copy);
    }
}

/// The command that runs a member.
pub fn member(member: Ordinal, addresses: &[SocketAddr], data: &Path, by_tls: bool) -> Command {
    let mut command = bound_to_this_thread("sh");
    if is_root_of_machine() {
        let id = NOBODY.to_string();
        // In a namespace of their own ends with them what shared memory a killed one has left (ipc_namespaces(7)).
        command = bound_to_this_thread("unshare");
        command.args(["--ipc", "setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"]);
        command.args(["--pdeathsig", "KILL", "--", "sh"]);
    }
    let all: Vec<_> = addresses.iter().map(|address| address.port().to_string()).collect();
    let hosts = vec!["127.0.0.1"; all.len()].join(",");
    let primary = format!("host={hosts} port={} user=postgres target_session_attrs=primary", all.join(","));
    command
        .args(["-c", START])
        .env("DATA", data)
        .env("NAME", format!("pg-{member}"))
        .env("PORT", addresses[member as usize].port().to_string())
        .env("PRIMARY", primary)
        .env("TLS", if by_tls { data.parent().unwrap_or(data) } else { Path::new("") })
        .env("USERS", USERS)
        .env("LC_ALL", "C");
    command
}

/// What the members say of the group.
struct Told {
    roles: Vec<Role>,
    leaders: Vec<Option<Ordinal>>,
    needs: Option<WriteNeeds>,
}

/// What all of them say; nothing where one does not answer, votes, or is on another timeline than the first.
fn told(members: &Members) -> Option<Told> {
    let mut needs = None;
    let mut told = Vec::new();
    for member in &members.members {
        let MemberSample::Answer { role, leader, voter: false, term: 1, writes_need, .. } = &member.sample
        else {
            return None;
        };
        needs = needs.or(writes_need.clone());
        told.push((*role, *leader));
    }
    let (roles, leaders) = told.into_iter().unzip();
    Some(Told { roles, leaders, needs })
}

/// The first member that is asked may have no table, and the next one be the primary. Nothing is left of it.
async fn a_read_of_the_service_does_not_miss_a_table_that_standbys_have_not_heard_of(group: &Group) {
    let standbys = [administrator(group.address(1)).await, administrator(group.address(2)).await];
    for standby in &standbys {
        standby.batch_execute("SELECT pg_wal_replay_pause()").await.expect("a standby");
    }
    let mut client = group.adapter.client(Endpoint::Member(0));
    assert_eq!(client.write(HEARTBEAT, 5, in_(IN_TIME)).await, Ok(()));
    let mut service = group.adapter.client(Endpoint::Service);
    let mut answers = Vec::new();
    for number in 0..6 {
        answers.push(service.read(HEARTBEAT, ReadMode::Linearizable, in_(IN_TIME)).await);
        if number % 2 == 1 {
            // One question and not two, so that each member comes after each.
            service.read(HEARTBEAT, ReadMode::Local, in_(IN_TIME)).await.expect("no table is an answer");
        }
    }
    for standby in &standbys {
        standby.batch_execute("SELECT pg_wal_replay_resume()").await.expect("a standby");
    }
    assert!(!answers.contains(&Ok(None)), "{answers:?}");
    assert!(answers.contains(&Ok(Some(5))), "{answers:?}");
    let meanwhile = |why: &Failure| why.reason().contains("another member had no table yet");
    assert!(answers.iter().any(|answer| answer.as_ref().is_err_and(meanwhile)), "{answers:?}");
    group.members_once_all_hold(5).await;
    assert_eq!(client.remove("seatrial/", in_(IN_TIME)).await, Ok(()));
    let until = in_(IN_TIME);
    for standby in [1, 2] {
        let mut standby = group.adapter.client(Endpoint::Member(standby));
        while standby.list("seatrial/", in_(IN_TIME)).await != Ok(Listing::default()) {
            assert!(tokio::time::Instant::now() < until, "what is removed is removed everywhere");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_answers_every_question() {
    let group = Group::start(Kind::Postgres).await;
    // By way of a standby: what only the primary can do is done there.
    let mut client = group.adapter.client(Endpoint::Member(1));
    let (key, linearizable) = ("seatrial/r/1", ReadMode::Linearizable);
    a_read_of_the_service_does_not_miss_a_table_that_standbys_have_not_heard_of(&group).await;
    assert_eq!(client.lacks_room(8, 3, in_(IN_TIME)).await, None);
    let crowded = client.lacks_room(1000, 3, in_(IN_TIME)).await.unwrap_or_default();
    assert!(crowded.contains("write at most `clients: "), "{crowded}");
    assert_eq!(client.list("seatrial/", in_(IN_TIME)).await, Ok(Listing::default()));
    assert_eq!(client.read(key, linearizable, in_(IN_TIME)).await, Ok(None));
    assert_eq!(client.remove("seatrial/", in_(IN_TIME)).await, Ok(()));
    assert_eq!(client.cas(key, Some(4), 5, in_(IN_TIME)).await, Ok(Swap::Mismatch { current: None }));
    assert_eq!(client.cas(key, None, 5, in_(IN_TIME)).await, Ok(Swap::Swapped));
    assert_eq!(client.cas(key, None, 6, in_(IN_TIME)).await, Ok(Swap::Mismatch { current: Some(5) }));
    assert_eq!(client.cas(key, Some(4), 6, in_(IN_TIME)).await, Ok(Swap::Mismatch { current: Some(5) }));
    assert_eq!(client.cas(key, Some(5), 7, in_(IN_TIME)).await, Ok(Swap::Swapped));
    let large = (1 << 53) - 1;
    assert_eq!(client.write(key, large, in_(IN_TIME)).await, Ok(()));
    assert_eq!(client.read(key, linearizable, in_(IN_TIME)).await, Ok(Some(large)));
    assert_eq!(client.write(HEARTBEAT, 99, in_(IN_TIME)).await, Ok(()));
    for odd in ["seatriaL-neighbour", "odd key/?&%#é'; DROP TABLE seatrial_workload; --"] {
        assert_eq!(client.write(odd, 8, in_(IN_TIME)).await, Ok(()));
        assert_eq!(client.read(odd, linearizable, in_(IN_TIME)).await, Ok(Some(8)));
    }

    let members = group.members_once_all_hold(99).await;
    let Told { roles, leaders, needs } = told(&members).unwrap_or_else(|| panic!("{members:?}"));
    assert_eq!(roles, [Role::Leader, Role::Follower, Role::Follower]);
    assert_eq!(leaders, [Some(0); 3]);
    assert_eq!(needs, Some(WriteNeeds { acknowledgements: 1, of: [1, 2].into() }));

    // The Service gives anybody: a standby neither writes nor promises that its reads are new, and says why.
    let mut service = group.adapter.client(Endpoint::Service);
    let mut answers = Vec::new();
    for _ in MEMBERS {
        answers.push(service.read(HEARTBEAT, linearizable, in_(IN_TIME)).await);
    }
    let refused = |why: &Failure| matches!(why, Failure::NotApplied(why) if why.contains("it is a standby"));
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(Some(99))).count(), 1, "{answers:?}");
    assert_eq!(
        answers.iter().filter_map(|answer| answer.as_ref().err()).filter(|why| refused(why)).count(),
        2
    );
    let mut answers = Vec::new();
    for _ in MEMBERS {
        answers.push(service.write(HEARTBEAT, 100, in_(IN_TIME)).await);
    }
    let refused = |why: &Failure| matches!(why, Failure::NotApplied(why) if why.contains("(25006)"));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert_eq!(
        answers.iter().filter_map(|answer| answer.as_ref().err()).filter(|why| refused(why)).count(),
        2
    );

    // Many at once, none of whom found a table when it is dropped first; and nothing is left of it in the end.
    for prefix in ["seatrial/", "seatriaL", "odd"] {
        assert_eq!(client.remove(prefix, in_(IN_TIME)).await, Ok(()));
    }
    let writers = (0..8u64).map(|writer| {
        let mut client = group.adapter.client(Endpoint::Member(0));
        async move {
            for value in writer * 1000..writer * 1000 + 20 {
                let key = format!("seatrial/ledger/{value:08}");
                client.write(&key, value, in_(IN_TIME)).await.expect("a write");
            }
        }
    });
    futures::future::join_all(writers).await;
    assert_eq!(client.write(HEARTBEAT, 101, in_(IN_TIME)).await, Ok(()));
    group.members_once_all_hold(101).await;
    let listing = client.list("seatrial/ledger/", in_(IN_TIME)).await.expect("a listing");
    assert_eq!((listing.values.len(), listing.foreign.len()), (8 * 20, 0));
    assert_eq!(listing.values["seatrial/ledger/00003007"], 3007);
    assert_eq!(client.remove("seatrial/", in_(IN_TIME)).await, Ok(()));
    let mut at_primary = group.adapter.client(Endpoint::Member(0));
    assert_eq!(at_primary.list("seatrial/", in_(IN_TIME)).await, Ok(Listing::default()));
}

/// Anybody is let in as the superuser.
async fn administrator(member: SocketAddr) -> tokio_postgres::Client {
    let stream = TcpStream::connect(member).await.expect("the member listens");
    let (administrator, connection) =
        Config::new().user("postgres").connect_raw(stream, NoTls).await.expect("anybody is let in");
    tokio::spawn(connection);
    administrator
}

async fn end_who_waits_for_a_standby(primary: SocketAddr) {
    let administrator = administrator(primary).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let until = in_(IN_TIME);
    while administrator.query_typed(end, &[]).await.expect("an administrator may").is_empty() {
        assert!(tokio::time::Instant::now() < until, "nobody waits");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_tells_known_from_unknown() {
    let group = Group::start(Kind::Postgres).await;
    let mut client = group.adapter.client(Endpoint::Member(0));
    assert_eq!(client.write("seatrial/r/0", 1, in_(IN_TIME)).await, Ok(()));
    assert_eq!(client.write(HEARTBEAT, 1, in_(IN_TIME)).await, Ok(()));
    group.members_once_all_hold(1).await;

    // One standby is enough, the other one stays behind and says so.
    group.stop(2);
    assert_eq!(client.write(HEARTBEAT, 2, in_(IN_TIME)).await, Ok(()));
    // Without both the primary goes on waiting for one of them. A server that ends then has not told what it has done: the
    // value is there all the same.
    group.stop(1);
    let mut cut_short = group.adapter.client(Endpoint::Member(0));
    let (write, ()) = tokio::join!(
        cut_short.write("seatrial/r/2", 1, in_(IN_TIME)),
        end_who_waits_for_a_standby(group.address(0))
    );
    assert!(matches!(write, Err(Failure::Unknown(_))), "{write:?}");
    assert_eq!(client.read("seatrial/r/2", ReadMode::Linearizable, in_(IN_TIME)).await, Ok(Some(1)));
    // Nobody ends it: a standby may come.
    let write = client.write("seatrial/r/0", 2, in_(IMPATIENT)).await;
    assert!(matches!(write, Err(Failure::Unknown(_))), "{write:?}");
    assert_eq!(client.read("seatrial/r/0", ReadMode::Linearizable, in_(IN_TIME)).await, Ok(Some(1)));
    let write = client.write("seatrial/r/0", 3, in_(IMPATIENT)).await;
    assert!(matches!(write, Err(Failure::Unknown(_))), "{write:?}");
    let write = client.write("seatrial/r/1", 4, in_(IMPATIENT)).await;
    assert!(matches!(write, Err(Failure::Unknown(_))), "{write:?}");
    // A process of the primary for each of them: there will not be more.
    let write = client.write("seatrial/r/1", 5, in_(IMPATIENT)).await;
    assert!(matches!(&write, Err(Failure::NotApplied(why)) if why.contains("still waits")), "{write:?}");
    group.go_on(1);
    group.go_on(2);
    let until = in_(IN_TIME);
    let mut at_standby = group.adapter.client(Endpoint::Member(2));
    while at_standby.read("seatrial/r/1", ReadMode::Local, in_(IN_TIME)).await != Ok(Some(4)) {
        assert!(tokio::time::Instant::now() < until, "what was unknown was done");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.write("seatrial/r/1", 6, in_(IN_TIME)).await, Ok(()), "and its client goes on");

    // Frozen after it took the connection: the request may be read later.
    group.stop(0);
    let write = client.write("seatrial/r/0", 7, in_(IMPATIENT)).await;
    assert!(matches!(write, Err(Failure::Unknown(_))), "{write:?}");
    let read = client.read("seatrial/r/0", ReadMode::Linearizable, in_(IMPATIENT)).await;
    assert!(matches!(read, Err(Failure::NotApplied(_))), "{read:?}");
    group.go_on(0);

    // Nobody listens: it was not sent. Standbys answer for themselves, without a leader once they notice.
    group.end(0);
    let mut at_ended = group.adapter.client(Endpoint::Member(0));
    let write = at_ended.write("seatrial/r/0", 8, in_(IMPATIENT)).await;
    assert!(matches!(write, Err(Failure::NotApplied(_))), "{write:?}");
    let ended = at_ended.member(HEARTBEAT, in_(IMPATIENT)).await;
    assert!(matches!(ended, MemberSample::Unreachable(_)), "{ended:?}");
    let until = in_(IN_TIME);
    loop {
        let alone = at_standby.member(HEARTBEAT, in_(IN_TIME)).await;
        if matches!(
            alone,
            MemberSample::Answer { role: Role::Follower, leader: None, heartbeat: Some(2), .. }
        ) {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "{alone:?}");
        sleep(Duration::from_millis(20)).await;
    }

    // While it starts it refuses, which is known; then everything is there and it leads again.
    group.run(0);
    let until = in_(IN_TIME);
    while let Err(failure) = at_ended.write("seatrial/r/0", 9, in_(IN_TIME)).await {
        assert!(matches!(failure, Failure::NotApplied(_)), "{failure:?}");
        assert!(tokio::time::Instant::now() < until, "{failure:?}");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(group.leader().await, 0);
}

fn store(tls: Option<&str>, user: Option<&str>, database: &str) -> Store {
    let secret = |name| serde_json::json!({ "secret": name });
    let mut postgres = serde_json::json!({ "database": database });
    for (field, name) in [("tls", tls), ("auth", user)] {
        if let Some(name) = name {
            postgres[field] = secret(name);
        }
    }
    serde_json::from_value(serde_json::json!({ "postgres": postgres })).expect("a store")
}

/// Why nobody is let in.
async fn refused(adapter: &dyn Adapter) -> String {
    let mut client = adapter.client(Endpoint::Member(0));
    let MemberSample::Unreachable(why) = client.member(HEARTBEAT, in_(IN_TIME)).await else {
        unreachable!("nobody may see members without the right Secrets")
    };
    let written = client.write("seatrial/r/0", 1, in_(IN_TIME)).await;
    assert_eq!(written, Err(Failure::NotApplied(why.clone())));
    for hidden in ["hunter2", "letmein", "harbour_master", "crowded_deck", "BEGIN"] {
        assert!(!why.contains(hidden), "{why}");
    }
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_asked_as_a_user_by_mutual_tls_and_mistakes_are_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, others) = (Authority::new(), Authority::new());
    // As the fixture names members: by their own names, or by their Service's.
    let server = ours.issue(&["etcd-0.etcd.it.svc", "etcd.it.svc"]);
    let (client, foreign) = (ours.issue(&["client"]), others.issue(&["client"]));
    let (ca, other_ca) = (ours.certificate(), others.certificate());
    for (name, ca, own) in [
        ("server", &ca, Some(&server)),
        ("tls", &ca, Some(&client)),
        ("unknown-ca", &other_ca, None),
        ("no-certificate", &ca, None),
        ("foreign", &ca, Some(&foreign)),
    ] {
        let mut keys = vec![("ca.crt", ca.as_str())];
        keys.extend(own.iter().flat_map(|own| [("tls.crt", &*own.certificate), ("tls.key", &*own.key)]));
        mount(folder.path(), name, &keys);
    }
    for (name, user, password) in [
        ("user", "harbour_master", "hunter2"),
        ("wrong", "harbour_master", "letmein"),
        ("narrow", "narrow", "hunter2"),
        ("crowded", "crowded_deck", "hunter2"),
    ] {
        mount(folder.path(), name, &[("username", user), ("password", password)]);
    }
    let secrets = Secrets::at(folder.path());
    let good = store(Some("tls"), Some("user"), "postgres");
    let group = Group::by_tls(Kind::Postgres, &folder.path().join("server"), &good, &secrets).await;

    // A user without any other right than a schema of its own.
    let mut client = group.adapter.client(Endpoint::Member(2));
    assert_eq!(client.write(HEARTBEAT, 7, in_(IN_TIME)).await, Ok(()));
    assert_eq!(client.read(HEARTBEAT, ReadMode::Linearizable, in_(IN_TIME)).await, Ok(Some(7)));
    let members = group.members_once_all_hold(7).await;
    let Told { leaders, needs, .. } = told(&members).unwrap_or_else(|| panic!("{members:?}"));
    assert_eq!((leaders, needs.expect("of the primary").acknowledgements), (vec![Some(0); 3], 1));
    assert_eq!(client.remove("seatrial/", in_(IN_TIME)).await, Ok(()));

    for (tls, user, database, words) in [
        (Some("unknown-ca"), Some("user"), "postgres", "authority in `ca.crt` of Secret `unknown-ca`"),
        (
            Some("foreign"),
            Some("user"),
            "postgres",
            "does not take the client certificate, `tls.crt` of Secret `foreign`",
        ),
        (Some("no-certificate"), Some("user"), "postgres", "the user of Secret `user` is not let in (28000)"),
        (Some("tls"), Some("wrong"), "postgres", "the user of Secret `wrong` is not let in (28P01)"),
        (
            Some("tls"),
            Some("crowded"),
            "postgres",
            "the user of Secret `crowded` is not let in (53300): look at CONNECTION LIMIT",
        ),
        (
            Some("tls"),
            Some("user"),
            "atlantis",
            "(3D000): name one that is there, as store: {postgres: {database: NAME}}",
        ),
        (
            None,
            None,
            "postgres",
            "(28000): name a user that may connect, as store: {postgres: {auth: {secret: NAME}}}",
        ),
    ] {
        let adapter = group.open(&store(tls, user, database), &secrets).expect("these Secrets are there");
        let why = refused(&*adapter).await;
        assert!(why.contains(words), "{words}: {why}");
    }
    let narrow = group.open(&store(Some("tls"), Some("narrow"), "postgres"), &secrets).expect("Secrets");
    let written = narrow.client(Endpoint::Member(0)).write(HEARTBEAT, 8, in_(IN_TIME)).await;
    let needs_a_schema = |why: &str| why.contains("(42501): the user needs a schema to make a table in");
    assert!(matches!(&written, Err(Failure::NotApplied(why)) if needs_a_schema(why)), "{written:?}");
}

/// Stops the process that receives the log: for everybody else its member goes on, and takes itself for connected.
async fn stop_receiving(member: SocketAddr) -> Pid {
    let receiver = administrator(member).await;
    let row = receiver.query_one("SELECT pid FROM pg_stat_wal_receiver", &[]).await.expect("it receives");
    let receiver = Pid::from_raw(row.get(0));
    kill(receiver, Signal::SIGSTOP).expect("a process of this test");
    receiver
}

mod long {
    use super::*;

    /// Asks until the members agree with this.
    async fn told_in_time(group: &Group, adapter: &dyn Adapter, wanted: &[(Ordinal, u64, Option<Ordinal>)]) {
        let until = in_(IN_TIME);
        loop {
            let mut told = Vec::new();
            for &(member, ..) in wanted {
                let sample = adapter.client(Endpoint::Member(member)).member(HEARTBEAT, in_(IN_TIME)).await;
                if let MemberSample::Answer { term, leader, .. } = sample {
                    told.push((member, term, leader));
                }
            }
            if told == wanted {
                return;
            }
            assert!(tokio::time::Instant::now() < until, "{told:?} {:?}", group.members().await);
            sleep(Duration::from_millis(100)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn standbys_that_receive_nothing_do_not_follow() {
        let group = Group::start(Kind::Postgres).await;
        let mut client = group.adapter.client(Endpoint::Member(0));
        assert_eq!(client.write(HEARTBEAT, 1, in_(IN_TIME)).await, Ok(()));
        group.members_once_all_hold(1).await;
        let stopped = [stop_receiving(group.address(1)).await, stop_receiving(group.address(2)).await];
        let write = client.write(HEARTBEAT, 2, in_(IMPATIENT)).await;
        assert!(matches!(write, Err(Failure::Unknown(_))), "{write:?}");
        told_in_time(&group, &*group.adapter, &[(0, 1, Some(0)), (1, 1, None), (2, 1, None)]).await;
        for receiver in stopped {
            kill(receiver, Signal::SIGCONT).expect("a process of this test");
        }
        told_in_time(&group, &*group.adapter, &[(0, 1, Some(0)), (1, 1, Some(0)), (2, 1, Some(0))]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn postgres_goes_on_after_a_promotion() {
        let folder = tempfile::tempdir().expect("a folder");
        mount(folder.path(), "narrow", &[("username", "narrow"), ("password", "not asked for")]);
        let group = Group::start(Kind::Postgres).await;
        let primary = administrator(group.address(0)).await;
        primary.batch_execute("CREATE ROLE narrow LOGIN; CREATE TABLE passing ()").await.expect("a primary");
        let mut client = group.adapter.client(Endpoint::Member(2));
        assert_eq!(client.write(HEARTBEAT, 1, in_(IN_TIME)).await, Ok(()));
        group.members_once_all_hold(1).await;
        group.end(0);
        let promoted = administrator(group.address(1)).await;
        promoted.batch_execute("SELECT pg_promote()").await.expect("a standby");
        told_in_time(&group, &*group.adapter, &[(1, 2, Some(1)), (2, 2, Some(1))]).await;
        assert_eq!(client.write(HEARTBEAT, 2, in_(IN_TIME)).await, Ok(()));
        assert_eq!(client.read(HEARTBEAT, ReadMode::Linearizable, in_(IN_TIME)).await, Ok(Some(2)));

        // Who is not shown what a standby receives knows it as soon as the standby has written the timeline down, as it
        // does before it removes a file. The checkpoint that it began with is of the old one still.
        let drop = "DROP TABLE passing; GRANT SELECT ON seatrial_workload TO narrow";
        promoted.batch_execute(drop).await.expect("a primary");
        let secrets = Secrets::at(folder.path());
        let narrow = group.open(&store(None, Some("narrow"), "postgres"), &secrets).expect("Secrets");
        told_in_time(&group, &*narrow, &[(1, 2, Some(1)), (2, 2, Some(1))]).await;
        let standby = administrator(group.address(2)).await;
        let began = standby.query_one("SELECT timeline_id FROM pg_control_checkpoint()", &[]).await;
        assert_eq!(began.expect("a standby").get::<_, i32>(0), 1);
    }
}
