//! A logical volume, made by LVM's own tools, and mounted as kubelet and a storage plugin mount one.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::vm_mapped::{must, shell};

/// No udev is there to make nodes and to list devices, nobody watches what is active, and nothing is written to /etc.
const SETTINGS: &str = "activation { udev_sync=0 udev_rules=0 monitoring=0 } \
    devices { obtain_device_list_from_udev=0 external_device_info_source=\"none\" use_devicesfile=0 } \
    backup { backup=0 archive=0 }";

/// Runs a command of LVM; `words` are what follows it.
pub fn lvm(words: &str) -> String {
    must(&format!("lvm {words} --config '{SETTINGS}'"))
}

/// A logical volume over two disks, with an ext4.
pub struct Logical {
    group: &'static str,
    disks: Vec<(String, NamedTempFile)>,
}

/// Its own name.
const NAME: &str = "db";

impl Logical {
    pub fn new() -> Self {
        let disk = |_| {
            let image = NamedTempFile::new().expect("writable");
            image.as_file().set_len(32 << 20).expect("writable");
            (must(&format!("losetup --find --show {}", image.path().display())), image)
        };
        let logical = Self { group: "it", disks: (0..2).map(disk).collect() };
        let group = logical.group;
        let disks = logical.disks.iter().map(|(disk, _)| disk.as_str()).collect::<Vec<_>>().join(" ");
        lvm(&format!("pvcreate {disks}"));
        lvm(&format!("vgcreate {group} {disks}"));
        lvm(&format!("lvcreate --yes --size 40m --name {NAME} {group}"));
        must(&format!("mkfs.ext4 -q -F {}", logical.device().display()));
        logical
    }

    /// As LVM names it.
    pub fn name(&self) -> String {
        format!("{}/{NAME}", self.group)
    }

    pub fn device(&self) -> PathBuf {
        PathBuf::from(format!("/dev/mapper/{}-{NAME}", self.group))
    }

    pub fn table(&self) -> String {
        must(&format!("dmsetup table {}-{NAME}", self.group))
    }
}

impl Drop for Logical {
    fn drop(&mut self) {
        let group = self.group;
        let _ = shell(&format!("lvm vgremove --force --force --yes {group} --config '{SETTINGS}'"));
        for (disk, _) in &self.disks {
            let _ = shell(&format!("losetup --detach {disk}"));
        }
    }
}

/// The volume staged for the node, and bound to where kubelet has it for one pod.
pub struct Mounted {
    staged: PathBuf,
    pub published: PathBuf,
}

impl Mounted {
    pub fn new(logical: &Logical, uid: &str) -> Self {
        let kubelet = Path::new("/var/lib/kubelet");
        let mounted = Self {
            staged: kubelet.join("plugins/kubernetes.io/csi/lvm.example.com/5feceb66ffc86f38/globalmount"),
            published: kubelet.join(format!("pods/{uid}/volumes/kubernetes.io~csi/pvc-data-db-0/mount")),
        };
        for folder in [&mounted.staged, &mounted.published] {
            fs::create_dir_all(folder).expect("writable");
        }
        let (staged, published) = (mounted.staged.display(), mounted.published.display());
        must(&format!("mount {} {staged} && mount --bind {staged} {published}", logical.device().display()));
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for folder in [&self.published, &self.staged] {
            let _ = shell(&format!("umount {}", folder.display()));
        }
    }
}
