//! From a container of the manifest to what is started.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use super::environment::{PodFacts, Resolved, resolve};
use super::volumes::Volumes;
use crate::host::capabilities;
use crate::host::rooted::{Rooted, path_of};
use crate::platform::sandbox::container::{Bind, ContainerPlan, ExecPlan, HEADLINE, ProcessPlan, RootPlan};
use crate::platform::sandbox::init::World;
use crate::platform::sandbox::network::GATEWAY;
use crate::platform::sandbox::pod_spec::{Container, Mount};
use crate::platform::sandbox::set::Set;

/// Where every container finds our own program, for images that are built into it.
const PROGRAM: &str = "/usr/local/bin/seatrial";

/// The plan of `container`'s start number `start`, from 1.
pub fn container(
    set: &Set,
    facts: &PodFacts,
    volumes: &Volumes,
    container: &Container,
    start: u32,
) -> io::Result<ContainerPlan> {
    let world = &set.world;
    let log = log(world, facts, container);
    log.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut binds =
        container.mounts.iter().map(|mount| bind(mount, volumes)).collect::<io::Result<Vec<_>>>()?;
    binds.sort_by_key(|bind| bind.target.components().count());
    let image = container.image.as_ref().map(|image| world.dir.image(&image.id));
    if image.is_none() {
        binds.push(Bind {
            source: world.dir.program(),
            sub_path: None,
            target: PathBuf::from(PROGRAM),
            read_only: true,
        });
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
            files: files(set, facts),
            binds,
            read_only: container.rights.read_only_root,
            is_root: world.setup.is_root,
        },
        process: process(set, facts, container, resolved(set, facts, container)?),
    })
}

/// Where all starts of `container` write.
pub fn log(world: &World, facts: &PodFacts, container: &Container) -> PathBuf {
    world.dir.logs().join(&facts.name).join(format!("{}.log", container.name))
}

/// The plan of running `argv` in `container`.
pub fn exec(set: &Set, facts: &PodFacts, container: &Container, argv: &[String]) -> io::Result<ExecPlan> {
    let (_, env) = resolved(set, facts, container)?;
    Ok(ExecPlan { container: 0, process: process(set, facts, container, (argv.to_vec(), env)) })
}

fn resolved(set: &Set, facts: &PodFacts, container: &Container) -> io::Result<Resolved> {
    resolve(container, &set.spec, facts, &|of| set.world.dir.key(of))
}

fn process(
    set: &Set,
    facts: &PodFacts,
    container: &Container,
    (argv, env): (Vec<String>, Vec<(String, String)>),
) -> ProcessPlan {
    let template = &set.spec.pod;
    let groups = template.supplemental_groups.iter().copied().chain(template.fs_group).collect();
    ProcessPlan {
        cgroups: set.world.container_cgroups(&facts.uid, &container.name),
        argv,
        env,
        working_dir: container.working_dir.clone().unwrap_or_else(|| PathBuf::from("/")),
        user: user(container),
        uid: container.run_as_user.unwrap_or(0),
        gid: container.run_as_group.unwrap_or(0),
        merges_groups: !template.strict_groups,
        groups: set.world.setup.is_root.then_some(groups),
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
    if let Some(sub_path) = &mount.sub_path {
        make_sub_path(volume, sub_path).map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::CrossesDevices => "it leads out of the volume".to_owned(),
                _ => error.to_string(),
            };
            let (path, volume) = (sub_path.display(), &mount.volume);
            io::Error::new(error.kind(), format!("cannot show subPath {path} of volume {volume}: {why}"))
        })?;
    }
    // What is made for the pod is never written to, whatever the mount says.
    let read_only = mount.read_only || volumes.is_shown(&mount.volume);
    let (sub_path, target) = (mount.sub_path.clone(), mount.path.clone());
    Ok(Bind { source: volume.to_owned(), sub_path, target, read_only })
}

/// Makes the folders on the way that are missing, like the volume itself, and none outside of it: a container may have put links
/// there.
fn make_sub_path(volume: &Path, sub_path: &Path) -> io::Result<()> {
    let rooted = Rooted::at(volume)?;
    let like = fs::metadata(volume)?;
    let mut reached = PathBuf::new();
    let mut folder = rooted.beneath(&reached)?;
    for part in sub_path.components() {
        reached.push(part);
        folder = match rooted.beneath(&reached) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(path_of(&folder).join(part))?;
                let made = rooted.beneath(&reached)?;
                chown(path_of(&made), None, Some(like.gid()))?;
                fs::set_permissions(path_of(&made), like.permissions())?;
                made
            }
            found => found?,
        };
    }
    Ok(())
}

fn files(set: &Set, facts: &PodFacts) -> Vec<(PathBuf, String)> {
    let spec = &set.spec;
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
        (PathBuf::from("/etc/hostname"), format!("{}\n", set.hostname(pod))),
        (PathBuf::from("/etc/resolv.conf"), resolver),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::make_sub_path;

    #[test]
    fn sub_paths_are_made_like_their_volume_and_never_outside_of_it() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (volume, outside) = (folder.path().join("volume"), folder.path().join("outside"));
        fs::create_dir(&volume).and_then(|()| fs::create_dir(&outside)).expect("writable");
        fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).expect("writable");
        for (link, target) in [("up", "../outside"), ("absolute", "/tmp"), ("nothing", "b"), ("inside", "a")]
        {
            symlink(target, volume.join(link)).expect("writable");
        }
        let make = |path: &str| make_sub_path(&volume, Path::new(path)).map_err(|error| error.kind());
        assert_eq!((make("a/b"), make("a/b"), make("inside/c")), (Ok(()), Ok(()), Ok(())));
        for path in ["a", "a/b", "a/c"] {
            let mode = fs::metadata(volume.join(path)).expect(path).permissions().mode();
            assert_eq!(mode & 0o7777, 0o777, "{path}");
        }
        for path in ["up", "up/new", "up/new/deep", "absolute/new"] {
            assert_eq!(make(path), Err(ErrorKind::CrossesDevices), "{path}");
        }
        assert_eq!(make("nothing/new"), Err(ErrorKind::AlreadyExists));
        assert_eq!(fs::read_dir(&outside).expect("readable").count(), 0);
    }
}
