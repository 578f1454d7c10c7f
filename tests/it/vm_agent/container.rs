//! Containers as containerd makes them of pods that are not privileged (its pkg/cri and pkg/oci, for cgroups of version 2),
//! started by runc, which denies devices and capabilities as on any node.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container as Wanted, EnvVar, PodSpec};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node_fixture::eventually;

/// The node's name.
pub const NODE: &str = "vm";

const CGROUPS: &str = "/sys/fs/cgroup";
const PATIENCE: Duration = Duration::from_secs(20);

/// What a runtime hides from containers that are not privileged, and what it lets them read only.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/scsi",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A pod's first process, which keeps the namespaces that its containers share.
pub struct Sandbox {
    holder: Child,
    pub uid: String,
}

impl Sandbox {
    pub fn new() -> Self {
        let uid = format!("{:08x}-d9cb-469f-a165-70867728950e", rand::random::<u32>());
        let cgroup = Path::new(CGROUPS).join(pod_cgroup(&uid)).join(new_id());
        fs::create_dir_all(&cgroup).expect("cgroups are writable for root");
        let line = format!(
            "echo 0 > {}/cgroup.procs && exec unshare --net --ipc --uts sleep 3600",
            cgroup.display()
        );
        let holder = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).spawn().expect("a shell");
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/uts")).ok();
        eventually("its namespaces", PATIENCE, || {
            (namespace(holder.id())? != namespace(std::process::id())?).then_some(())
        });
        Self { holder, uid }
    }

    /// The process that keeps the pod's network.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    fn namespaces(&self, spec: &PodSpec) -> Vec<Value> {
        let shared = [("network", "net"), ("ipc", "ipc"), ("uts", "uts")]
            .map(|(kind, file)| json!({ "type": kind, "path": format!("/proc/{}/ns/{file}", self.pid()) }));
        let own = ["mount", "cgroup"].into_iter().chain((spec.host_pid != Some(true)).then_some("pid"));
        shared.into_iter().chain(own.map(|kind| json!({ "type": kind }))).collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let pod = Path::new(CGROUPS).join(pod_cgroup(&self.uid));
        for cgroup in fs::read_dir(&pod).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(cgroup.path());
        }
        let _ = fs::remove_dir(pod);
    }
}

/// As kubelet names it.
fn pod_cgroup(uid: &str) -> String {
    format!("kubepods/burstable/pod{uid}")
}

fn new_id() -> String {
    format!("{:064x}", rand::random::<u128>())
}

/// What a node adds to what a pod says.
pub struct Surroundings<'a> {
    /// The image's only program: where it is here, and in the image.
    pub program: (&'a Path, &'a str),
    /// Where volumes from claims are on the node, by the volume's name.
    pub claims: BTreeMap<&'a str, PathBuf>,
    /// Files of the node that appear in the container, as those of service accounts do.
    pub files: Vec<(PathBuf, &'a str)>,
    /// More variables, `NAME=VALUE`.
    pub variables: Vec<String>,
}

/// A container that runs.
pub struct Container {
    pub id: String,
    /// Its first process, as the node names it.
    pub pid: i32,
    cgroup: PathBuf,
    bundle: TempDir,
}

impl Container {
    /// Starts the only container of a pod. The child is runc, which waits for it and ends as it does.
    pub fn start(spec: &PodSpec, sandbox: &Sandbox, surroundings: &Surroundings<'_>) -> (Self, Child) {
        let (bundle, id) = (tempfile::tempdir().expect("writable"), new_id());
        let cgroup = Path::new("/").join(pod_cgroup(&sandbox.uid)).join(&id);
        fs::create_dir(bundle.path().join("rootfs")).expect("writable");
        let config = config(spec, sandbox, surroundings, &cgroup);
        fs::write(bundle.path().join("config.json"), config.to_string()).expect("writable");
        let pid_file = bundle.path().join("pid");
        let log = File::create(bundle.path().join("log")).expect("writable");
        let mut child = Command::new("runc")
            .args(["run", "--bundle"])
            .arg(bundle.path())
            .arg("--pid-file")
            .arg(&pid_file)
            .arg(&id)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("open"))
            .stderr(log)
            .spawn()
            .expect("installed");
        let pid = eventually("a container", PATIENCE, || {
            let log = || fs::read_to_string(bundle.path().join("log")).unwrap_or_default();
            assert!(child.try_wait().expect("ours").is_none(), "runc has ended: {}", log());
            fs::read_to_string(&pid_file).ok()?.parse().ok()
        });
        let cgroup = Path::new(CGROUPS).join(cgroup.strip_prefix("/").expect("absolute"));
        (Self { id, pid, cgroup, bundle }, child)
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.bundle.path().join("log")).unwrap_or_default()
    }

    /// A line of shell that runs where the container's devices are denied, and nothing else of it is there.
    pub fn in_its_cgroup(&self, line: &str) -> String {
        format!("echo 0 > {}/cgroup.procs && {line}", self.cgroup.display())
    }

    /// Removes it as containerd does when its first process has ended or shall: whoever is left in its cgroup is killed.
    pub fn remove(&self) {
        let _ = Command::new("runc").args(["delete", "--force", &self.id]).output();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// What containerd tells runc.
fn config(spec: &PodSpec, sandbox: &Sandbox, surroundings: &Surroundings<'_>, cgroup: &Path) -> Value {
    let [wanted] = spec.containers.as_slice() else { unreachable!("one container is all that is made here") };
    let (pod, own) = (
        spec.security_context.clone().unwrap_or_default(),
        wanted.security_context.clone().unwrap_or_default(),
    );
    let other =
        (spec.host_network, spec.host_ipc, spec.host_users, own.privileged, own.proc_mount.as_deref());
    assert_eq!(other, (None, None, None, None, None), "such a container would be made in another way");
    let capabilities = own.capabilities.clone().unwrap_or_default();
    // The runtimes' own list is what is there otherwise.
    assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]));
    let capabilities: Vec<String> =
        capabilities.add.iter().flatten().map(|name| format!("CAP_{name}")).collect();
    let program = std::iter::once(surroundings.program.1.to_owned());
    let variables = wanted.env.iter().flatten().map(variable).chain(surroundings.variables.iter().cloned());
    let mut mounts = filesystems();
    mounts.extend(image(surroundings.program));
    mounts.extend(volumes(spec, wanted, surroundings));
    mounts.extend(surroundings.files.iter().map(|(file, place)| bind(file, place, "ro")));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": pod.run_as_user.unwrap_or(0), "gid": pod.run_as_group.unwrap_or(0) },
            "args": program.chain(wanted.args.clone().unwrap_or_default()).collect::<Vec<_>>(),
            "env": variables.collect::<Vec<_>>(),
            "cwd": "/",
            "capabilities":
                { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "noNewPrivileges": own.allow_privilege_escalation == Some(false),
        },
        "root": { "path": "rootfs", "readonly": own.read_only_root_filesystem == Some(true) },
        "mounts": mounts,
        "linux": {
            "namespaces": sandbox.namespaces(spec),
            "cgroupsPath": cgroup,
            // runc itself adds the few that every container has.
            "resources": { "devices": [{ "allow": false, "access": "rwm" }], "memory": memory(wanted, surroundings.program.0) },
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    })
}

fn variable(wanted: &EnvVar) -> String {
    let field = wanted.value_from.as_ref().and_then(|from| Some(&from.field_ref.as_ref()?.field_path));
    let value = match (&wanted.value, field.map(String::as_str)) {
        (Some(value), None) => value,
        (None, Some("spec.nodeName")) => NODE,
        _ => unreachable!("nobody here knows {wanted:?}"),
    };
    format!("{}={value}", wanted.name)
}

/// Guardians run from a copy of the program in memory, which counts: a development build is several times as large as the
/// one that the limit is meant for.
fn memory(wanted: &Wanted, program: &Path) -> Value {
    let copy = fs::metadata(program).expect("it is there").len();
    let limits = wanted.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let limit = limits.and_then(|limits| limits.get("memory")).map(|limit| {
        let mebibytes = limit.0.strip_suffix("Mi").and_then(|number| number.parse::<u64>().ok());
        mebibytes.expect("in mebibytes") << 20
    });
    limit.map_or_else(|| json!({}), |limit| json!({ "limit": limit + copy }))
}

/// What every container has.
fn filesystems() -> Vec<Value> {
    let mount = |place: &str, kind: &str, options: &str| {
        json!({ "destination": place, "type": kind, "source": kind,
            "options": options.split(',').collect::<Vec<_>>() })
    };
    vec![
        mount("/proc", "proc", "nosuid,noexec,nodev"),
        mount("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        mount("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        mount("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
        mount("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
        mount("/sys/fs/cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
        mount("/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=65536k"),
    ]
}

/// One program, and the libraries that the programs of these tests are linked with.
fn image((program, place): (&Path, &str)) -> Vec<Value> {
    let libraries = ["/lib", "/lib64", "/usr/lib"].into_iter().filter(|folder| Path::new(folder).is_dir());
    let libraries = libraries.map(|folder| bind(Path::new(folder), folder, "ro"));
    std::iter::once(bind(program, place, "ro")).chain(libraries).collect()
}

fn volumes(spec: &PodSpec, wanted: &Wanted, surroundings: &Surroundings<'_>) -> Vec<Value> {
    let source = |name: &str| {
        let volume = spec.volumes.iter().flatten().find(|volume| volume.name == name).expect("it is there");
        match &volume.host_path {
            Some(host_path) => {
                assert_eq!(host_path.type_.as_deref(), Some("DirectoryOrCreate"));
                fs::create_dir_all(&host_path.path).expect("writable");
                PathBuf::from(&host_path.path)
            }
            None => surroundings.claims[name].clone(),
        }
    };
    let mounts = wanted.volume_mounts.iter().flatten();
    mounts.map(|mount| bind(&source(&mount.name), &mount.mount_path, "rw")).collect()
}

fn bind(source: &Path, place: &str, access: &str) -> Value {
    json!({ "destination": place, "type": "bind", "source": source, "options": ["rbind", "rprivate", access] })
}
