//! What the virtual machine boots: an archive of programs of this machine, their libraries, and modules of its kernel
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use cpio::newc::Builder;

use crate::e2e_fixture::experiments_in;

/// Programs that tests run; busybox has the rest.
const PROGRAMS: [&str; 17] = [
    "dd",
    "dmsetup",
    "fsfreeze",
    "insmod",
    "ip",
    "losetup",
    "lvm",
    "mkfs.ext4",
    "mount",
    "nft",
    "nsenter",
    "runc",
    "sh",
    "sleep",
    "tc",
    "umount",
    "unshare",
];

/// What tests want of the kernel and may not be built into it; a module brings those that it needs.
const MODULES: [&str; 13] = [
    "bridge",
    "dm-delay",
    "dm-flakey",
    "dummy",
    "ext4",
    "loop",
    "nf_tables",
    "overlay",
    "sch_htb",
    "sch_netem",
    "sch_prio",
    "sch_tbf",
    "veth",
];

/// A kernel as its package has it, unpacked and not installed.
pub struct Kernel {
    root: PathBuf,
    release: String,
}

impl Kernel {
    /// The one that `make kernel` has put into the cache.
    pub fn cached() -> Self {
        let cache = std::env::var_os("SEATRIAL_CACHE")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache/seatrial")));
        let root = cache.expect("HOME or SEATRIAL_CACHE is set").join("kernel");
        let modules = root.join("lib/modules");
        assert!(
            modules.is_dir(),
            "{} is missing; `make kernel` puts the machine's kernel there",
            modules.display()
        );
        let mut releases =
            fs::read_dir(modules).expect("readable").map(|entry| entry.expect("readable").file_name());
        let release = releases.next().expect("a kernel has a release");
        Self { release: release.into_string().expect("text"), root }
    }

    /// Its file.
    pub fn program(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// The files of [`MODULES`] and of those that they need, each after those that it needs.
    fn modules(&self) -> Vec<PathBuf> {
        let output = Command::new(find("modprobe"))
            .args(["--set-version", &self.release, "--dirname"])
            .arg(&self.root)
            .args(["--config", "/dev/null", "--all", "--show-depends"])
            .args(MODULES)
            .output()
            .expect("it was found");
        let missing = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && missing.is_empty(), "the kernel lacks a module: {missing}");
        let lines = String::from_utf8(output.stdout).expect("text");
        let mut files = Vec::new();
        for file in lines.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let file = PathBuf::from(file.split(' ').next().expect("there is a first word"));
            if !files.contains(&file) {
                files.push(file);
            }
        }
        files
    }
}

/// Makes it, in a file without a name; with a real store besides the built-in one where whole experiments are run.
pub fn make(kernel: &Kernel, with_etcd: bool) -> File {
    let mut image =
        Image { archive: BufWriter::new(tempfile::tempfile().expect("a file")), seen: BTreeSet::new() };
    image.text("/init", include_str!("init.sh"));
    // What init begins with; busybox prefers what it has itself to every other program, so it is not the shell.
    image.program(&find("sh"), Path::new("/bin/sh"));
    image.program(&find("busybox"), Path::new("/bin/busybox"));
    for name in PROGRAMS {
        let path = find(name);
        image.program(&path, &path);
    }
    for file in experiments_in("experiments/refkv") {
        image.file(&file, &file);
    }
    if with_etcd {
        let path = find("etcd");
        image.program(&path, &path);
        for file in experiments_in("experiments/etcd") {
            image.file(&file, &file);
        }
    }
    let stripped = tempfile::tempdir().expect("a temporary folder");
    let own = std::env::current_exe().expect("this is a program");
    let seatrial = Path::new(env!("CARGO_BIN_EXE_seatrial"));
    for (program, to) in [(own.as_path(), Path::new("/bin/it")), (seatrial, seatrial)] {
        let small = stripped.path().join("small");
        let strip = Command::new("strip").arg("-o").args([&small, program]).status();
        assert!(strip.expect("strip comes with the linker").success());
        image.program(&small, to);
    }
    let modules = kernel.modules();
    for module in &modules {
        image.file(module, module);
    }
    let names: Vec<String> = modules.iter().map(|module| format!("{}\n", module.display())).collect();
    image.text("/modules", &names.concat());
    image.end()
}

struct Image {
    archive: BufWriter<File>,
    seen: BTreeSet<PathBuf>,
}

impl Image {
    /// A program and the libraries that it is linked with.
    fn program(&mut self, from: &Path, to: &Path) {
        self.file(from, to);
        // It fails for a program without any.
        let output = Command::new("ldd").arg(from).output().expect("it comes with the C library");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(!text.contains("not found"), "{}: {text}", from.display());
        for library in text.split_ascii_whitespace().filter(|word| word.starts_with('/')) {
            self.file(Path::new(library), Path::new(library));
        }
    }

    fn file(&mut self, from: &Path, to: &Path) {
        if self.is_new(to) {
            assert!(from.is_file(), "{} is missing", from.display());
            let content = File::open(from).expect("readable");
            let size = content.metadata().expect("readable").len();
            self.entry(to, 0o100_755, u32::try_from(size).expect("an archive has room for 4 GiB"), content);
        }
    }

    fn text(&mut self, to: &str, text: &str) {
        self.entry(Path::new(to), 0o100_755, text.len() as u32, text.as_bytes());
    }

    /// Whether `path` is not in the archive yet, which then has at least its folder.
    fn is_new(&mut self, path: &Path) -> bool {
        let is_new = self.seen.insert(path.to_owned());
        if is_new
            && let Some(folder) = path.parent()
            && self.is_new(folder)
        {
            self.entry(folder, 0o040_755, 0, io::empty());
        }
        is_new
    }

    fn entry(&mut self, path: &Path, mode: u32, size: u32, mut content: impl io::Read) {
        let name = path.to_str().expect("text").trim_start_matches('/');
        let mut writer = Builder::new(name).mode(mode).write(&mut self.archive, size);
        io::copy(&mut content, &mut writer).expect("writable");
        writer.finish().expect("written whole");
    }

    fn end(mut self) -> File {
        cpio::newc::trailer(&mut self.archive).expect("writable");
        self.archive.flush().expect("writable");
        self.archive.into_inner().expect("just flushed")
    }
}

/// Where a program is; those for root are not on everybody's path.
pub fn find(program: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    let found = folders.map(|folder| Path::new(folder).join(program)).find(|path| path.is_file());
    assert!(found.is_some(), "the virtual machine takes {program}; `make install` installs what tests need");
    found.expect("just checked")
}
