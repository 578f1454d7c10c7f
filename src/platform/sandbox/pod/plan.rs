//! From a container of the manifest to what is started.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::environment::{PodFacts, Resolved, resolve};
use super::volumes::Volumes;
use crate::host::capabilities;
use crate::platform::sandbox::container::{Bind, ContainerPlan, ExecPlan, HEADLINE, ProcessPlan, RootPlan};
use crate::platform::sandbox::init::World;
use crate::platform::sandbox::network::GATEWAY;
use crate::platform::sandbox::pod_spec::{Container, Mount};

/// Where every container finds our own program, for images that are built into it.
const PROGRAM: &str = "/usr/local/bin/seatrial";

/// The plan of `container`'s start number `start`, from 1.
pub fn container(
    world: &World,
    facts: &PodFacts,
    volumes: &Volumes,
    container: &Container,
    start: u32,
) -> io::Result<ContainerPlan> {
    let log = log(world, facts, container);
    log.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut binds =
        container.mounts.iter().map(|mount| bind(mount, volumes)).collect::<io::Result<Vec<_>>>()?;
    binds.sort_by_key(|bind| bind.target.components().count());
    let image = container.image.as_ref().map(|image| world.dir.image(&image.id));
    if image.is_none() {
        binds.push(Bind { source: world.dir.program(), target: PathBuf::from(PROGRAM), read_only: true });
    }
    Ok(ContainerPlan {
        headline: format!(
            "{HEADLINE}{start} of {} in {} at {}",
            container.name,
            facts.name,
            jiff::Timestamp::now()
        ),
        log,
        root: RootPlan {
            scratch: world.dir.scratch(),
            image,
            hidden: vec![world.dir.root().to_owned()],
            files: files(world, facts),
            binds,
            read_only: container.rights.read_only_root,
            is_root: world.setup.is_root,
        },
        process: process(world, facts, container, resolved(world, facts, container)?),
    })
}

/// Where all starts of `container` write.
pub fn log(world: &World, facts: &PodFacts, container: &Container) -> PathBuf {
    world.dir.logs().join(&facts.name).join(format!("{}.log", container.name))
}

/// The plan of running `argv` in `container`.
pub fn exec(world: &World, facts: &PodFacts, container: &Container, argv: &[String]) -> io::Result<ExecPlan> {
    let (_, env) = resolved(world, facts, container)?;
    Ok(ExecPlan { container: 0, process: process(world, facts, container, (argv.to_vec(), env)) })
}

fn resolved(world: &World, facts: &PodFacts, container: &Container) -> io::Result<Resolved> {
    resolve(container, &world.setup.spec, facts, &|of| world.dir.key(of))
}

fn process(
    world: &World,
    facts: &PodFacts,
    container: &Container,
    (argv, env): (Vec<String>, Vec<(String, String)>),
) -> ProcessPlan {
    let template = &world.setup.spec.pod;
    let groups = template.supplemental_groups.iter().copied().chain(template.fs_group).collect();
    ProcessPlan {
        cgroups: world.container_cgroups(&facts.uid, &container.name),
        argv,
        env,
        working_dir: container.working_dir.clone().unwrap_or_else(|| PathBuf::from("/")),
        user: user(container),
        uid: container.run_as_user.unwrap_or(0),
        gid: container.run_as_group.unwrap_or(0),
        merges_groups: !template.strict_groups,
        groups: world.setup.is_root.then_some(groups),
        capabilities: container.rights.capabilities.clone().unwrap_or_else(capabilities::usual),
        no_new_privileges: container.rights.no_new_privileges,
    }
}

/// Whom a container of an image runs as: the manifest's numbers count more than what the image says.
fn user(container: &Container) -> Option<String> {
    let image = container.image.as_ref()?;
    let own_user = image.user.split(':').next().unwrap_or_default();
    match (container.run_as_user, container.run_as_group) {
        (None, None) => Some(image.user.clone()),
        (Some(user), None) => Some(user.to_string()),
        (Some(user), Some(group)) => Some(format!("{user}:{group}")),
        (None, Some(group)) => Some(format!("{own_user}:{group}")),
    }
}

fn bind(mount: &Mount, volumes: &Volumes) -> io::Result<Bind> {
    let volume = volumes.path(&mount.volume).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("there is no volume named {}", mount.volume))
    })?;
    let source = match &mount.sub_path {
        None => volume.to_owned(),
        Some(sub_path) => make_sub_path(volume, sub_path)?,
    };
    // What is made for the pod is never written to, whatever the mount says.
    let read_only = mount.read_only || volumes.is_shown(&mount.volume);
    Ok(Bind { source, target: mount.path.clone(), read_only })
}

/// The folder inside the volume, never one outside of it.
fn make_sub_path(volume: &Path, sub_path: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let is_below = sub_path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let folder = volume.join(sub_path);
    if is_below && folder.exists() && fs::canonicalize(&folder)?.starts_with(fs::canonicalize(volume)?) {
        return Ok(folder);
    }
    if !is_below || folder.symlink_metadata().is_ok() {
        let text = format!("subPath {} leads out of its volume", sub_path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    fs::create_dir_all(&folder)?;
    let volume = fs::metadata(volume)?;
    chown(&folder, None, Some(volume.gid()))?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(volume.permissions().mode()))?;
    Ok(folder)
}

fn files(world: &World, facts: &PodFacts) -> Vec<(PathBuf, String)> {
    let spec = &world.setup.spec;
    let (pod, namespace) = (&facts.name, &spec.namespace);
    let domain = format!("{namespace}.svc.cluster.local");
    let hosts = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{}\t{pod}.{}.{domain}\t{pod}\n",
        facts.address, spec.service
    );
    let resolver =
        format!("search {domain} svc.cluster.local cluster.local\nnameserver {GATEWAY}\noptions ndots:5\n");
    vec![
        (PathBuf::from("/etc/hosts"), hosts),
        (PathBuf::from("/etc/hostname"), format!("{}\n", world.hostname(pod))),
        (PathBuf::from("/etc/resolv.conf"), resolver),
    ]
}
