//! Keeps what is on a volume's disk in a folder, so that it outlives whoever serves the volume.
//!
//! `entries` has the changes of names and attributes, one JSON line each, in order; `N` has the bytes of file N. Nothing
//! here is synced: what must be survived is the death of the server, not that of the machine. Each server begins by
//! writing `entries` afresh, so that it is no longer than what the disk holds, and ends with a whole line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::content::{Content, PAGE};
use super::tree::{Body, Entry, Ino, Kind, Place, ROOT, Tree, What};
use super::volume::Change;

const ENTRIES: &str = "entries";
/// What is to take its place.
const FRESH: &str = "entries.new";

/// A volume's disk.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    entries: File,
}

impl Folder {
    /// Whether nothing was ever kept at a path.
    pub fn is_empty(path: &Path) -> bool {
        fs::metadata(path.join(ENTRIES)).map_or(0, |known| known.len()) == 0
    }

    /// Opens or makes one, and reads what is on it.
    pub fn open(path: PathBuf) -> io::Result<(Self, Tree)> {
        fs::create_dir_all(&path)?;
        let entries = path.join(ENTRIES);
        let tree = match fs::read(&entries) {
            Ok(known) => replay(&known)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Tree::new(),
            Err(error) => return Err(error),
        };
        remove_strays(&path, &tree)?;
        let fresh = path.join(FRESH);
        fs::write(&fresh, lines(&history(&tree)?)?)?;
        fs::rename(fresh, &entries)?;
        let entries = OpenOptions::new().append(true).open(entries)?;
        let folder = Self { path, entries };
        let tree = folder.fill(tree)?;
        Ok((folder, tree))
    }

    /// Keeps changes. Names come first: bytes that are gone have none any more, whenever this ends half-way.
    pub fn keep(&mut self, changes: &[Change]) -> io::Result<()> {
        let entries = changes.iter().filter_map(|change| match change {
            Change::Entry(entry) => Some(entry),
            Change::Data { .. } | Change::Gone(_) => None,
        });
        self.entries.write_all(&lines(entries)?)?;
        for change in changes {
            match change {
                Change::Entry(Entry { what: What::Resize { ino, length }, .. }) => {
                    self.file(*ino)?.set_len(*length)?;
                }
                Change::Entry(_) => {}
                Change::Data { ino, length, pages } => {
                    let file = self.file(*ino)?;
                    file.set_len(*length)?;
                    for (number, page) in pages {
                        let at = number * PAGE as u64;
                        let inside = length.saturating_sub(at).min(PAGE as u64) as usize;
                        file.write_all_at(&page[..inside], at)?;
                    }
                }
                Change::Gone(ino) => match fs::remove_file(self.path.join(ino.to_string())) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                },
            }
        }
        Ok(())
    }

    fn file(&self, ino: Ino) -> io::Result<File> {
        OpenOptions::new().create(true).truncate(false).write(true).open(self.path.join(ino.to_string()))
    }

    /// Reads the bytes of all files.
    fn fill(&self, mut tree: Tree) -> io::Result<Tree> {
        let files: Vec<Ino> =
            tree.nodes().filter(|(_, node)| matches!(node.body, Body::File(_))).map(|(ino, _)| ino).collect();
        for ino in files {
            let file = match File::open(self.path.join(ino.to_string())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // A file that nothing was written to has none here. One that was made longer has one from now on: its
                    // length was in the entries alone, which have been written afresh.
                    let length = tree.content(ino)?.length();
                    if length > 0 {
                        self.file(ino)?.set_len(length)?;
                    }
                    continue;
                }
                opened => opened?,
            };
            *tree.content_mut(ino)? = read(&file)?;
        }
        Ok(tree)
    }
}

/// Applies every entry that was written as a whole. The last one may not have been: nobody was told that it is there.
fn replay(lines: &[u8]) -> io::Result<Tree> {
    let mut tree = Tree::new();
    for line in lines.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        let entry: Entry = serde_json::from_slice(line)?;
        if let Some(nameless) = tree.apply(&entry) {
            tree.forget(nameless);
        }
    }
    Ok(tree)
}

/// What makes this tree of an empty one.
fn history(tree: &Tree) -> io::Result<Vec<Entry>> {
    let mut made = Tree::new();
    let mut entries = Vec::new();
    let mut folders = vec![ROOT];
    while let Some(folder) = folders.pop() {
        for (name, &ino) in tree.entries(folder)? {
            let at = Place { folder, name: name.clone() };
            let node = tree.node(ino)?;
            let kind = match &node.body {
                Body::File(_) => Kind::File,
                Body::Folder { .. } => Kind::Folder,
                Body::Link(target) => Kind::Link(target.clone()),
            };
            if kind == Kind::Folder {
                folders.push(ino);
            }
            let what = match made.node(ino) {
                Ok(_) => What::Link { ino, at },
                Err(_) => What::Create { ino, at, kind, attributes: node.attributes },
            };
            let entry = Entry { time: 0, what };
            made.apply(&entry);
            entries.push(entry);
        }
    }
    for (ino, node) in tree.nodes() {
        if made.node(ino).is_ok_and(|made| made.attributes != node.attributes) {
            entries.push(Entry { time: 0, what: What::Change { ino, attributes: node.attributes } });
        }
    }
    Ok(entries)
}

fn lines<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut lines, entry)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Removes the bytes of files that have no name any more, so that nobody gets them who gets their number.
fn remove_strays(path: &Path, tree: &Tree) -> io::Result<()> {
    for file in fs::read_dir(path)? {
        let file = file?;
        let ino = file.file_name().to_str().and_then(|name| name.parse().ok());
        if ino.is_some_and(|ino| tree.content(ino).is_err()) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// Reads a file, without its holes.
fn read(file: &File) -> io::Result<Content> {
    let mut content = Content::default();
    let length = file.metadata()?.len();
    let mut page = [0; PAGE];
    let mut at = 0;
    while let Some(data) = next_data(file, at)? {
        at = data - data % PAGE as u64;
        let inside = (length - at).min(PAGE as u64) as usize;
        file.read_exact_at(&mut page[..inside], at)?;
        if page[..inside].iter().any(|&byte| byte != 0) {
            content.write(at, &page[..inside]);
        }
        at += inside as u64;
    }
    content.resize(length);
    Ok(content)
}

/// Where the first bytes are from an offset on that are no hole (lseek(2), SEEK_DATA).
fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match lseek(file, at.cast_signed(), Whence::SeekData) {
        Ok(found) => Ok(Some(found.cast_unsigned())),
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::PAGE;
    use super::super::tree::{Kind, Place, ROOT, Tree};
    use super::super::volume::{Depth, Maker, Volume};
    use super::Folder;

    fn place(name: &str) -> Place {
        Place { folder: ROOT, name: name.to_owned() }
    }

    #[test]
    fn what_was_kept_is_there_again_and_a_line_that_was_cut_off_is_not() {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let (mut folder, tree) = Folder::open(home.path().join("disk")).expect("writable");
        let mut volume = Volume::new(tree, 1 << 20);
        let maker = Maker { mode: 0o600, user: 1, group: 2 };
        let kept = volume.create(place("kept"), Kind::File, maker, 1).expect("free");
        let gone = volume.create(place("gone"), Kind::File, maker, 2).expect("free");
        volume.write(kept, PAGE as u64 - 3, b"across", 3).expect("room");
        volume.write(gone, 0, b"once", 3).expect("room");
        folder.keep(&volume.sync_all()).expect("writable");
        volume.remove_file(place("gone"), 4).expect("there");
        folder.keep(&volume.sync(ROOT, Depth::Everything)).expect("writable");
        volume.write(kept, 0, b"unsynced", 5).expect("room");
        let entries = home.path().join("disk/entries");
        let mut known = std::fs::read(&entries).expect("there");
        let length = known.len();
        known.extend_from_slice(br#"{"time":9,"wh"#);
        std::fs::write(&entries, known).expect("writable");
        let stray = home.path().join("disk").join(gone.to_string());
        std::fs::write(&stray, "left by a death before it was removed").expect("writable");

        let (mut folder, tree) = Folder::open(home.path().join("disk")).expect("readable");
        assert_eq!(tree.entries(ROOT).expect("a folder").keys().collect::<Vec<_>>(), ["kept"]);
        let content = tree.content(kept).expect("a file");
        assert_eq!(content.length(), PAGE as u64 + 3);
        assert_eq!(content.read(PAGE as u64 - 4, 9), b"\0across");
        assert_eq!(content.room(), 2);
        assert_eq!(tree.node(kept).expect("there").attributes.group, 2);
        assert!(!stray.exists());
        assert!(
            std::fs::metadata(&entries).expect("there").len() < length as u64,
            "what is gone takes no room"
        );

        let mut volume = Volume::new(tree, 1 << 20);
        let below = volume.create(place("folder"), Kind::Folder, maker, 5).expect("free");
        let at = Place { folder: below, name: "same".to_owned() };
        volume.link(kept, at, 6).expect("free");
        volume.create(place("link"), Kind::Link("kept".to_owned()), maker, 7).expect("free");
        folder.keep(&volume.sync_all()).expect("writable");
        // What is written afresh is read back twice: as it was kept, and as it was written at the start.
        for _ in 0..2 {
            let (_, tree) = Folder::open(home.path().join("disk")).expect("readable");
            let told = |tree: &Tree| tree.nodes().map(|node| format!("{node:?}")).collect::<Vec<_>>();
            assert_eq!(told(&tree), told(&volume.durable));
        }
    }

    #[test]
    fn a_length_outlives_a_death_before_its_file_was_made() {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let disk = home.path().join("disk");
        let (mut folder, tree) = Folder::open(disk.clone()).expect("writable");
        let mut volume = Volume::new(tree, 1 << 20);
        let maker = Maker { mode: 0o600, user: 1, group: 2 };
        let file = volume.create(place("long"), Kind::File, maker, 1).expect("free");
        volume.resize(file, 5000, 2).expect("room");
        folder.keep(&volume.sync_all()).expect("writable");
        std::fs::remove_file(disk.join(file.to_string())).expect("it was made");
        for _ in 0..2 {
            let (_, tree) = Folder::open(disk.clone()).expect("readable");
            assert_eq!(tree.content(file).expect("a file").length(), 5000);
        }
    }

    #[test]
    fn a_volume_on_which_nothing_was_kept_is_new() {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        for _ in 0..2 {
            assert!(Folder::is_empty(home.path()));
            Folder::open(home.path().to_owned()).expect("writable");
        }
    }
}
