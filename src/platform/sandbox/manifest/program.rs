//! From an image and a command to a program that this machine has.
//!
//! Images that come as archives have their own programs. Of all others the program of a container is one of the host, found
//! as the user's own shell would find it, or, for the image `seatrial.dev/refkv`, Seatrial itself.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Container;

use super::report::Report;
use super::tree::shortened;
use super::{FindProgram, Programs};
use crate::platform::sandbox::image::{Given, full_name};

/// Where a sandbox has Seatrial's own executable.
const SEATRIAL: &str = "/usr/local/bin/seatrial";

const REFKV: &str = "seatrial.dev/refkv";

/// Programs by the Debian packages that bring them.
const PACKAGES: &[(&str, &str)] = &[
    ("consul", "consul"),
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("mariadbd", "mariadb-server"),
    ("mysqld", "default-mysql-server"),
    ("nats-server", "nats-server"),
    ("nginx", "nginx"),
    ("pg_isready", "postgresql-client"),
    ("postgres", "postgresql"),
    ("psql", "postgresql-client"),
    ("rabbitmq-server", "rabbitmq-server"),
    ("redis-cli", "redis-tools"),
    ("redis-server", "redis-server"),
    ("valkey-server", "valkey-server"),
    ("curl", "curl"),
    ("nc", "netcat-openbsd"),
    ("python3", "python3"),
    ("wget", "wget"),
];

/// An image whose program has another name than the image.
const IMAGE_PROGRAMS: &[(&str, &str)] = &[
    ("mariadb", "mariadbd"),
    ("mysql", "mysqld"),
    ("nats", "nats-server"),
    ("postgresql", "postgres"),
    ("rabbitmq", "rabbitmq-server"),
    ("redis", "redis-server"),
    ("valkey", "valkey-server"),
];

/// Where the programs of a container are.
#[derive(Clone, Copy)]
pub(super) enum Where<'a> {
    /// In an image.
    Image(&'a Given),
    /// On this machine.
    Machine(&'a FindProgram<'a>),
}

impl<'a> Where<'a> {
    /// Those of `container`.
    pub(super) fn of(container: &Container, programs: &Programs<'a>) -> Self {
        let name = container.image.as_deref().map(full_name);
        let given = programs.images.iter().find(|given| name.as_ref() == Some(&full_name(&given.name)));
        given.map_or(Self::Machine(programs.find), Self::Image)
    }

    /// The image that they are in.
    pub(super) fn image(self) -> Option<&'a Given> {
        match self {
            Self::Image(given) => Some(given),
            Self::Machine(_) => None,
        }
    }
}

/// What an image runs: `command` takes the place of its entrypoint and of its arguments, `args` that of its arguments.
fn argv_of_image(
    container: &Container,
    given: &Given,
    path: &str,
    report: &mut Report<'_>,
) -> Option<Vec<String>> {
    let said = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    let (command, arguments) = (said(&container.command), said(&container.args));
    let own = |list: &[String]| list.iter().map(|text| literal(text)).collect::<Vec<_>>();
    let (entrypoint, cmd) = (own(&given.config.entrypoint), own(&given.config.cmd));
    let argv = match (command, arguments) {
        (Some(command), arguments) => [command, arguments.unwrap_or_default()].concat(),
        (None, Some(arguments)) => [entrypoint, arguments].concat(),
        (None, None) => [entrypoint, cmd].concat(),
    };
    if argv.is_empty() {
        let message = format!("image {} does not say what it runs", shortened(&given.name));
        report.refuse(&format!("{path}.image"), message, "write command");
        return None;
    }
    Some(argv)
}

/// What an image says, as the manifest would have to write it: there alone `$(NAME)` and `$$` are expanded.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// The program and the arguments of `container`, which is at `path`; `None` where that has been refused.
pub(super) fn argv(
    container: &Container,
    path: &str,
    programs: Where<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<String>> {
    let find = match programs {
        Where::Image(given) => return argv_of_image(container, given, path, report),
        Where::Machine(find) => find,
    };
    let image_path = format!("{path}.image");
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        report.refuse(&image_path, "a container needs an image", "write image: NAME");
        return None;
    }
    let repository = repository(image);
    let command = container.command.as_deref().unwrap_or_default();
    let arguments = container.args.as_deref().unwrap_or_default();
    let (argv, found) = match command.split_first() {
        None if repository == REFKV => {
            let own = [SEATRIAL.to_owned(), "refkv".to_owned()];
            return Some(own.into_iter().chain(arguments.iter().cloned()).collect());
        }
        None => {
            let name = repository.rsplit('/').next().unwrap_or_default();
            let Some(found) = find(name) else {
                report.refuse(&image_path, no_program_of_image(image, name), hint_for_image(name));
                return None;
            };
            (arguments.to_vec(), found)
        }
        Some((program, rest)) => {
            let at = format!("{path}.command[0]");
            let argv = [rest, arguments].concat();
            if repository == REFKV && is_seatrial(program) {
                return Some([vec![SEATRIAL.to_owned()], argv].concat());
            }
            (argv, resolve(program, container.working_dir.as_deref(), &at, find, report)?)
        }
    };
    let found = found.to_string_lossy().into_owned();
    report.note(
        &image_path,
        format!("image {} is not unpacked; {found} of this machine is used", shortened(image)),
    );
    Some([vec![found], argv].concat())
}

/// The program of an `exec` probe or hook at `path`, with its arguments.
pub(super) fn probe_argv(
    command: &[String],
    working_dir: Option<&str>,
    path: &str,
    programs: Where<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<String>> {
    let Some((program, rest)) = command.split_first() else {
        report.refuse(path, "there is no command", "write command: [PROGRAM, ARGUMENT…]");
        return None;
    };
    let find = match programs {
        Where::Image(_) => return Some(command.to_vec()),
        Where::Machine(find) => find,
    };
    if is_seatrial(program) {
        return Some([&[SEATRIAL.to_owned()], rest].concat());
    }
    let found = resolve(program, working_dir, &format!("{path}[0]"), find, report)?;
    Some([&[found.to_string_lossy().into_owned()], rest].concat())
}

/// Finds the program that a command names, and says so where that is another file than it names.
fn resolve(
    program: &str,
    working_dir: Option<&str>,
    at: &str,
    find: &FindProgram<'_>,
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    if program.contains("$(") {
        report.refuse(at, "the program depends on a variable", "name the program itself");
        return None;
    }
    let base = program.rsplit('/').next().unwrap_or_default();
    if base.is_empty() {
        report.refuse(at, format!("{:?} names no program", shortened(program)), "name a program");
        return None;
    }
    let wanted = if program.contains('/') {
        Path::new(working_dir.unwrap_or("/")).join(program).to_string_lossy().into_owned()
    } else {
        program.to_owned()
    };
    if let Some(found) = find(&wanted) {
        return Some(found);
    }
    if let Some(found) = find(base).filter(|_| program.contains('/')) {
        report.note(
            at,
            format!("there is no {} here; {} is used", shortened(program), found.to_string_lossy()),
        );
        return Some(found);
    }
    report.refuse(
        at,
        format!("there is no program {} on this machine", shortened(program)),
        package(base).map_or_else(
            || format!("install it, set command to a program that this machine has, or {GIVE_IMAGE}"),
            |package| {
                format!(
                    "install the Debian package {package}, set command to another program, or {GIVE_IMAGE}"
                )
            },
        ),
    );
    None
}

/// The image's name without tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        // A colon before a slash belongs to a registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

fn is_seatrial(program: &str) -> bool {
    program == "seatrial" || program == SEATRIAL
}

fn package(program: &str) -> Option<&'static str> {
    PACKAGES.iter().find(|(name, _)| *name == program).map(|(_, package)| *package)
}

fn no_program_of_image(image: &str, name: &str) -> String {
    format!(
        "image {} is not unpacked, the container has no command, and there is no program {} on this machine",
        shortened(image),
        shortened(name)
    )
}

/// What else can be done about an image.
const GIVE_IT: &str = "give its archive: --image NAME=FILE";

/// The same where a program of it is meant.
const GIVE_IMAGE: &str = "give the archive of the container's image: --image NAME=FILE";

fn hint_for_image(name: &str) -> String {
    let program = IMAGE_PROGRAMS.iter().find(|(image, _)| *image == name).map(|(_, program)| *program);
    match (program, package(program.unwrap_or(name))) {
        (Some(program), Some(package)) => {
            format!("install the Debian package {package} and set command: [{program}], or {GIVE_IT}")
        }
        (None, Some(package)) => format!("install the Debian package {package}, set command, or {GIVE_IT}"),
        (_, None) => format!("set command to a program that this machine has, or {GIVE_IT}"),
    }
}
