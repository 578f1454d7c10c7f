//! StatefulSets whose programs come from images.

use std::path::{Path, PathBuf};
use std::process::Command;

use seatrial::platform::Cluster as _;
use seatrial::platform::sandbox::Sandbox;
use seatrial::platform::sandbox::image::{Given, full_name};
use seatrial::platform::sandbox::manifest::{Document, Programs, on_this_machine, read_with};
use seatrial::platform::sandbox::pod_spec::SetSpec;
use serde_json::json;
use tempfile::TempDir;

use crate::e2e_fixture::{Desk, Done, Seat, patient_quickstart_with};
use crate::image_fixture::{Layer, busybox, save};
use crate::sandbox_fixture::{Fixture, options, wait_until};

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: shop}, ports: [{name: web, port: 80}]}
";

/// A set `shop` of so many replicas, with this container.
fn set(replicas: u32, container: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: shop}}
spec:
  replicas: {replicas}
  serviceName: shop
  podManagementPolicy: Parallel
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      terminationGracePeriodSeconds: 60
      containers:
        - {container}
"
    )
}

fn accepted(set: &str, images: &[Given]) -> SetSpec {
    let documents = [SERVICE, set].map(|text| Document { file: "test.yaml", first_line: 1, text });
    let read = read_with(&documents, &Programs { images, find: &on_this_machine });
    assert!(read.is_ok(), "{:#?}", read.err());
    read.expect("it was just looked at").set
}

/// An archive in a folder of its own.
struct Saved {
    folder: TempDir,
    name: &'static str,
}

impl Saved {
    fn new(name: &'static str, layers: Vec<Layer>, run: &serde_json::Value) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        save(&folder.path().join("image.tar"), &full_name(name), layers, run);
        Self { folder, name }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("image.tar")
    }

    fn given(&self) -> Vec<Given> {
        vec![Given::read(self.name, &self.file()).expect("an image")]
    }
}

const START: &str = "
echo \"$1 in $PWD, home $HOME, greeting $GREETING, mode $MODE\"
grep -E '^(Uid|Gid|Groups)' /proc/self/status
ls /; cat /etc/resolv.conf /etc/hosts
touch /srv/mine && ls /srv
trap 'echo interrupted; exit 0' INT
trap 'echo terminated; exit 0' TERM
touch /tmp/ready
while :; do sleep 0.05; done
";

fn web() -> Saved {
    let lower = busybox().file("etc/gone", 0o644, "x").file("srv/page", 0o644, "old");
    let upper = Layer::new()
        .file("etc/.wh.gone", 0o644, "")
        .file("srv/page", 0o644, "new")
        .file("start.sh", 0o755, START);
    let run = json!({
        "User": "web", "Env": ["PATH=/bin", "GREETING=hello", "MODE=image"], "Entrypoint": ["sh", "/start.sh"],
        "Cmd": ["by default"], "WorkingDir": "/srv", "StopSignal": "SIGINT",
    });
    Saved::new("shop/web:1", vec![lower, upper], &run)
}

#[test]
fn members_run_what_their_image_says_in_its_files_alone() {
    let image = web();
    let container = "{name: web, image: 'docker.io/shop/web:1', env: [{name: MODE, value: manifest}], readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1}}";
    let fixture = Fixture::up("image", accepted(&set(3, container), &image.given()));
    fixture.wait_ready();
    for expected in [
        "by default in /srv, home /srv, greeting hello, mode manifest\n",
        "Uid:\t1234\t1234\t1234\t1234\nGid:\t2345\t2345\t2345\t2345\nGroups:\t77 \n",
        "bin\ndev\netc\nproc\nsrv\nstart.sh\nsys\ntmp\n",
        "nameserver 10.244.0.1",
        "shop-2.shop.default.svc.cluster.local",
        "mine\npage\n",
    ] {
        fixture.wait_log("shop-2", "web", expected);
    }
    let unpacked = std::fs::read_dir(fixture.sandbox().dir().path().join("images")).expect("it was unpacked");
    let roots: Vec<_> = unpacked.map(|entry| entry.expect("readable").path()).collect();
    assert_eq!(roots.len(), 1, "once for all members");
    assert!(!roots[0].join("srv/mine").exists() && !roots[0].join("etc/gone").exists());
    assert_eq!(std::fs::read_to_string(roots[0].join("srv/page")).expect("there"), "new");
    let before = fixture.pod(0);
    fixture.runtime.block_on(fixture.client.delete_pod(0, None)).expect("there is such a pod");
    fixture.wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != before.uid && pod.ready));
    let log = fixture.log("shop-0", "web");
    assert!(log.contains("interrupted") && !log.contains("terminated"), "{log}");
}

#[test]
fn manifest_counts_more_than_the_image() {
    let image = web();
    let given = image.given();
    let argv = |container: &str| accepted(&set(1, container), &given).pod.containers[0].argv.clone();
    assert_eq!(argv("{name: a, image: shop/web:1}"), ["sh", "/start.sh", "by default"]);
    assert_eq!(argv("{name: a, image: shop/web:1, args: [x]}"), ["sh", "/start.sh", "x"]);
    assert_eq!(argv("{name: a, image: shop/web:1, command: [ls]}"), ["ls"]);
    assert_eq!(argv("{name: a, image: shop/web:1, command: [ls], args: [x]}"), ["ls", "x"]);
    let container = "{name: web, image: 'shop/web:1', args: [given], workingDir: /srv/new, securityContext: {runAsUser: 1234, runAsGroup: 77, readOnlyRootFilesystem: true}}";
    let fixture = Fixture::up("image-over", accepted(&set(1, container), &given));
    fixture.wait_log("shop-0", "web", "given in /srv/new, home /srv, greeting hello, mode image\n");
    fixture.wait_log("shop-0", "web", "Uid:\t1234\t1234\t1234\t1234\nGid:\t77\t77\t77\t77\n");
    fixture.wait_log("shop-0", "web", "touch: /srv/mine: Read-only file system");
    drop(fixture);
    let mut strict = accepted(&set(1, "{name: web, image: 'shop/web:1'}"), &given);
    strict.pod.strict_groups = true;
    let fixture = Fixture::up("image-strict", strict);
    fixture.wait_log("shop-0", "web", "Gid:\t2345\t2345\t2345\t2345\nGroups:\t \n");
}

/// A person may keep what they make from others; pods do not.
#[test]
fn mask_of_whoever_starts_a_sandbox_is_not_that_of_its_pods() {
    let desk = Desk::new();
    let layer = busybox().file(
        "opt/deep/start.sh",
        0o755,
        "cat /config/MODE /opt/deep/start.sh && umask && exec sleep 1000",
    );
    let run = json!({"User": "web", "Entrypoint": ["/bin/sh", "/opt/deep/start.sh"]});
    save(&desk.path("web.tar"), "shop/web:1", vec![layer], &run);
    let container = "{name: web, image: 'shop/web:1', volumeMounts: [{name: config, mountPath: /config}]}";
    let volume = "      volumes: [{name: config, configMap: {name: settings}}]\n";
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {MODE: fast}\n";
    desk.write("set.yaml", format!("{SERVICE}---\n{config}---{}{volume}", set(1, container)));
    let arguments = ["sandbox", "up", "set.yaml", "--image", "shop/web:1=web.tar", "--name", "mask"];
    let command = desk.command(&arguments);
    let mut masked = Command::new("sh");
    masked.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    masked.current_dir(desk.path("")).env("SEATRIAL_STATE", desk.state());
    Done::of(masked.output().expect("sh runs")).exits(0);
    let log = desk.state().join("sandboxes/mask/logs/shop-0/web.log");
    wait_until("it reads its files", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("fastcat /config") && log.contains("0022"))
    });
}

#[test]
fn links_of_an_image_reach_no_file_of_this_machine() {
    let outside = TempDir::new().expect("a temporary folder can be made");
    let victim = outside.path().join("victim");
    std::fs::write(&victim, "safe").expect("writable");
    let at = outside.path().display().to_string();
    // A container's own files and mount points are made where the image says that these folders are.
    let layer = busybox()
        .link("etc/resolv.conf", &victim.display().to_string())
        .link("etc/hosts", "../../../../../../../../../etc/hosts")
        .link("data", &at)
        .link("dev", "/srv/devices")
        .folder("srv/devices", 0, 0o755)
        .folder(at.trim_start_matches('/'), 0, 0o755)
        .file(
            "start.sh",
            0o755,
            "cat /etc/resolv.conf; touch /data/new; ls /data; echo done; exec sleep 1000",
        );
    let image =
        Saved::new("hostile:1", vec![layer], &json!({"Entrypoint": ["/bin/sh", "/start.sh"], "User": "0"}));
    let container = "{name: web, image: 'hostile:1', volumeMounts: [{name: data, mountPath: /data/volume}]}";
    let with_volume = format!("{}      volumes: [{{name: data, emptyDir: {{}}}}]\n", set(1, container));
    let hosts = std::fs::read("/etc/hosts").expect("readable");
    let fixture = Fixture::up("image-links", accepted(&with_volume, &image.given()));
    fixture.wait_log("shop-0", "web", "nameserver 10.244.0.1");
    fixture.wait_log("shop-0", "web", "new\n");
    fixture.wait_log("shop-0", "web", "volume\ndone\n");
    assert_eq!(std::fs::read_to_string(&victim).expect("readable"), "safe");
    assert_eq!(std::fs::read("/etc/hosts").expect("readable"), hosts);
    let found: Vec<_> = std::fs::read_dir(outside.path())
        .expect("readable")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(found, ["victim"]);
}

#[test]
fn image_that_is_damaged_leaves_no_sandbox() {
    let image = web();
    let spec = accepted(&set(1, "{name: web, image: 'shop/web:1'}"), &image.given());
    let mut bytes = std::fs::read(image.file()).expect("readable");
    let page = bytes.windows(4).rposition(|window| window == b"new\0").expect("it is in the layer");
    bytes[page] = b'N';
    std::fs::write(image.file(), bytes).expect("writable");
    let state = TempDir::new().expect("a temporary folder can be made");
    let refused =
        Sandbox::up(spec, Vec::new(), options("image-bad", state.path())).expect_err("it is damaged");
    let mut told = refused.to_string();
    let mut cause = std::error::Error::source(&refused);
    while let Some(behind) = cause {
        told = format!("{told}: {behind}");
        cause = behind.source();
    }
    assert!(told.contains("the content of layer 2 is damaged"), "{told}");
    assert!(!state.path().join("sandboxes/image-bad").exists());
}

#[test]
fn postgres_runs_from_an_image_as_its_own_user() {
    let newest = std::fs::read_dir("/usr/lib/postgresql").expect("the tests' packages are installed");
    let newest = newest.map(|entry| entry.expect("readable").path()).max().expect("one is installed");
    let version = newest.file_name().and_then(|name| name.to_str()).expect("a number").to_owned();
    let start = "#!/bin/sh\nset -e\ntest -e /data/base || initdb --pgdata=/data/base --username=postgres --auth=trust --no-sync\nexec postgres -D /data/base -c listen_addresses='*' -c unix_socket_directories=/tmp -c dynamic_shared_memory_type=mmap \"$@\"\n";
    let mut layer = busybox()
        .folder("var/lib/postgresql", 999, 0o755)
        .file("start.sh", 0o755, start)
        .tree(&Path::new("/usr/share/postgresql").join(&version));
    for program in ["bin/initdb", "bin/postgres", "bin/pg_isready", "lib/dict_snowball.so", "lib/plpgsql.so"]
    {
        layer = layer.program(&newest.join(program));
    }
    if Path::new("/usr/share/zoneinfo/UTC").exists() {
        layer = layer.of_host(Path::new("/usr/share/zoneinfo/UTC"), Path::new("/usr/share/zoneinfo/UTC"));
    }
    let path = format!("PATH=/bin:{}/bin", newest.display());
    let run = json!({"User": "postgres", "Env": [path], "Entrypoint": ["/start.sh"], "Cmd": ["-p", "5432"], "StopSignal": "SIGINT"});
    let image = Saved::new("postgres:15", vec![layer], &run);
    let container = "{name: db, image: 'postgres:15', readinessProbe: {exec: {command: [pg_isready, -h, 127.0.0.1]}, periodSeconds: 1}, volumeMounts: [{name: data, mountPath: /data}]}";
    let claims = "  volumeClaimTemplates:\n    - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 256Mi}}}}\n";
    let fixture =
        Fixture::up("image-pg", accepted(&format!("{}{claims}", set(1, container)), &image.given()));
    fixture.wait_ready();
    let before = fixture.pod(0);
    fixture.runtime.block_on(fixture.client.delete_pod(0, None)).expect("there is such a pod");
    fixture.wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != before.uid && pod.ready));
    fixture.wait_log("shop-0", "db", "received fast shutdown request");
    fixture.wait_log("shop-0", "db", "database system was shut down at");
}

/// The shipped quickstart, whose image is given as an archive.
#[test]
fn experiment_runs_with_images_of_the_command_line() {
    let desk = Desk::new();
    let small = desk.path("seatrial");
    let strip = Command::new("strip").arg("-o").arg(&small).arg(env!("CARGO_BIN_EXE_seatrial")).status();
    assert!(strip.expect("strip comes with the linker").success());
    let layer = Layer::new().program(&small).folder("tmp", 0, 0o1777).file(
        "etc/passwd",
        0o644,
        "root:x:0:0::/root:\n",
    );
    let run = json!({"Entrypoint": [small.display().to_string(), "refkv"], "Env": ["RUST_LOG=warn"]});
    save(&desk.path("refkv.tar"), "seatrial.dev/refkv:latest", vec![layer], &run);
    desk.write("quick.yaml", patient_quickstart_with(&[]));
    let image = "seatrial.dev/refkv=refkv.tar";
    desk.run(&["validate", "quick.yaml", "--image", image]).exits(0);
    desk.run(&["validate", "quick.yaml", "--image", "refkv=refkv.tar"])
        .exits(20)
        .says("no container has the image refkv");
    desk.write("empty.tar", "");
    desk.run(&["validate", "quick.yaml", "--image", "seatrial.dev/refkv=empty.tar"])
        .exits(20)
        .says("image seatrial.dev/refkv: is no archive of an image");
    desk.run(&["validate", "quick.yaml", "--image", "refkv.tar"]).exits(2).says("postgres:17=postgres.tar");
    let _seat = Seat::take();
    desk.run(&["run", "quick.yaml", "--image", image, "--out", "out", "--seed", "1"]).exits(0);
    let log = std::fs::read_to_string(desk.path("out/logs/refkv-0/refkv.log")).expect("its log is kept");
    assert!(log.contains("--- start 1 of refkv"), "{log}");
}

/// containerd of this machine, with a state of its own.
struct Containerd {
    folder: TempDir,
    process: std::process::Child,
}

impl Containerd {
    fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let at = folder.path().display();
        let config = format!(
            "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = \"{at}/c.sock\"\n"
        );
        let file = folder.path().join("config.toml");
        std::fs::write(&file, config).expect("writable");
        let log = std::fs::File::create(folder.path().join("log")).expect("writable");
        let process = Command::new("containerd").arg("--config").arg(&file).stderr(log).spawn();
        let containerd = Self { folder, process: process.expect("the tests' packages are installed") };
        wait_until("containerd listens", || containerd.folder.path().join("c.sock").exists());
        containerd
    }

    fn ctr(&self, arguments: &[&str]) {
        let output = Command::new("ctr")
            .arg("--address")
            .arg(self.folder.path().join("c.sock"))
            .args(arguments)
            .output()
            .expect("it comes with containerd");
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn archive_of_containerd_runs() {
    let image = web();
    let containerd = Containerd::start();
    let exported = containerd.folder.path().join("exported.tar").display().to_string();
    containerd.ctr(&["images", "import", "--no-unpack", &image.file().display().to_string()]);
    containerd.ctr(&["images", "export", &exported, "docker.io/shop/web:1"]);
    let given = Given::read("shop/web:1", Path::new(&exported)).expect("an image");
    assert_eq!(given.id, image.given()[0].id, "the same image");
    let fixture = Fixture::up("image-ctr", accepted(&set(1, "{name: web, image: 'shop/web:1'}"), &[given]));
    fixture.wait_log("shop-0", "web", "by default in /srv, home /srv, greeting hello, mode image\n");
}
