//! Archives of images, made of files of this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use seatrial::platform::sandbox::image::Digest;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// A layer, and which files it has.
pub struct Layer {
    archive: Builder<Vec<u8>>,
    known: BTreeSet<PathBuf>,
}

impl Layer {
    pub fn new() -> Self {
        Self { archive: Builder::new(Vec::new()), known: BTreeSet::new() }
    }

    fn append(&mut self, kind: EntryType, path: &str, owner: u64, mode: u32, target: &str, content: &[u8]) {
        if !self.known.insert(PathBuf::from(path)) {
            return;
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_size(content.len() as u64);
        if kind == EntryType::Symlink {
            self.archive.append_link(&mut header, path, target).expect("it is in memory");
        } else {
            self.archive.append_data(&mut header, path, content).expect("it is in memory");
        }
    }

    pub fn file(mut self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.append(EntryType::Regular, path, 0, mode, "", content.as_ref());
        self
    }

    pub fn folder(mut self, path: &str, owner: u64, mode: u32) -> Self {
        self.append(EntryType::Directory, path, owner, mode, "", &[]);
        self
    }

    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.append(EntryType::Symlink, path, 0, 0o777, target, &[]);
        self
    }

    /// A file of this machine, in the same place or in another.
    pub fn of_host(mut self, file: &Path, path: &Path) -> Self {
        let content = std::fs::read(file).expect("it is on this machine");
        let path = path.strip_prefix("/").expect("absolute").to_str().expect("a plain name").to_owned();
        self.append(EntryType::Regular, &path, 0, 0o755, "", &content);
        self
    }

    /// A program of this machine, with the libraries that it is linked with.
    pub fn program(mut self, file: &Path) -> Self {
        self = self.of_host(file, file);
        let linked = Command::new("ldd").arg(file).output().expect("ldd comes with libc");
        let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
        for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
            let library = Path::new(library);
            if library.is_file() && library != file {
                self = self.of_host(library, library);
            }
        }
        self
    }

    /// All files below a folder of this machine.
    pub fn tree(mut self, folder: &Path) -> Self {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            self = if path.is_dir() { self.tree(&path) } else { self.of_host(&path, &path) };
        }
        self
    }

    fn done(self) -> Vec<u8> {
        self.archive.into_inner().expect("it is in memory")
    }
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:1234:2345:web:/srv:/bin/sh\n\
                      postgres:x:999:999::/var/lib/postgresql:/bin/sh\n";

/// busybox, as the image of that name has it, with two users.
pub fn busybox() -> Layer {
    let mut layer = Layer::new()
        .folder("tmp", 0, 0o1777)
        .folder("srv", 1234, 0o755)
        .file("etc/passwd", 0o644, PASSWD)
        .file("etc/group", 0o644, "root:x:0:\nweb:x:2345:\nlogs:x:77:web\n")
        .of_host(Path::new("/bin/busybox"), Path::new("/bin/busybox"));
    for applet in [
        "sh", "cat", "echo", "grep", "ls", "sleep", "test", "touch", "httpd", "wget", "mkdir", "kill",
        "nslookup",
    ] {
        layer = layer.link(&format!("bin/{applet}"), "busybox");
    }
    layer
}

/// Writes an archive as `docker save` makes it.
pub fn save(file: &Path, name: &str, layers: Vec<Layer>, run: &Value) {
    let layers: Vec<Vec<u8>> = layers.into_iter().map(Layer::done).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let contents: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({
        "architecture": architecture, "os": "linux", "config": run,
        "rootfs": {"type": "layers", "diff_ids": contents},
    });
    let config = config.to_string().into_bytes();
    let of_config = format!("{}.json", Digest::of(&config).hex());
    let names: Vec<String> = contents.iter().map(|content| format!("{}/layer.tar", content.hex())).collect();
    let manifest = json!([{"Config": of_config, "RepoTags": [name], "Layers": names}]);
    let mut archive =
        Layer::new().file("manifest.json", 0o644, manifest.to_string()).file(&of_config, 0o644, config);
    for (name, layer) in names.iter().zip(layers) {
        archive = archive.file(name, 0o644, layer);
    }
    std::fs::write(file, archive.done()).expect("writable");
}
