//! Archives as tools make them, damaged ones, and hostile ones.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;

/// A layer that is being made.
struct Maker(Builder<Vec<u8>>);

impl Maker {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// An entry, whatever is in its name.
    fn entry(mut self, kind: EntryType, name: &str, content: &str, target: &str, mode: u32) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().expect("it is one").linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content.as_bytes()).expect("it is in memory");
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, name, content, "", 0o644)
    }

    fn folder(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", "", 0o755)
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, "", target, 0o777)
    }

    fn done(self) -> Vec<u8> {
        self.0.into_inner().expect("it is in memory")
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).expect("it is in memory");
    encoder.finish().expect("it is in memory")
}

fn here() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn config(layers: &[Vec<u8>], run: &Value) -> Vec<u8> {
    let contents: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({
        "architecture": here(), "os": "linux", "config": run,
        "rootfs": {"type": "layers", "diff_ids": contents},
    });
    serde_json::to_vec(&config).expect("JSON")
}

/// As `docker save` made it for ten years.
fn docker(layers: &[Vec<u8>], run: &Value) -> Vec<u8> {
    let config = config(layers, run);
    let name = format!("{}.json", Digest::of(&config).hex());
    let files: Vec<String> = (0..layers.len()).map(|index| format!("{index}/layer.tar")).collect();
    let manifest = json!([{"Config": name, "RepoTags": ["shop/web:1"], "Layers": files}]);
    let mut archive = Maker::new().file("manifest.json", &manifest.to_string());
    archive = archive.file(&name, std::str::from_utf8(&config).expect("JSON"));
    let mut archive = archive.0;
    for (name, layer) in files.iter().zip(layers) {
        append(&mut archive, name, layer);
    }
    archive.into_inner().expect("it is in memory")
}

fn append(archive: &mut Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, bytes).expect("it is in memory");
}

/// As the OCI's layout has it; `change` may spoil a blob.
fn oci(layers: &[Vec<u8>], run: &Value, change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    let mut blob = |what: &str, bytes: Vec<u8>, kind: &str| {
        let digest = Digest::of(&bytes);
        let length = bytes.len();
        append(&mut archive, &format!("blobs/sha256/{}", digest.hex()), &change(what, bytes));
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": length})
    };
    let of_layers: Vec<Value> =
        layers.iter().map(|layer| blob("layer", gzip(layer), "layer.v1.tar+gzip")).collect();
    let of_config = blob("config", config(layers, run), "config.v1+json");
    let manifest = json!({"schemaVersion": 2, "config": of_config, "layers": of_layers});
    let of_manifest = blob("manifest", manifest.to_string().into_bytes(), "manifest.v1+json");
    let index = json!({"schemaVersion": 2, "manifests": [of_manifest]});
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    append(&mut archive, "index.json", index.to_string().as_bytes());
    archive.into_inner().expect("it is in memory")
}

fn unchanged(_: &str, bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn read(archive: Vec<u8>) -> Result<Image<Cursor<Vec<u8>>>, ImageError> {
    Image::read(Cursor::new(archive), "shop/web:1")
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn unpacked_with(archive: Vec<u8>, bounds: Bounds) -> Result<TempDir, ImageError> {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let root = folder.path().join("root");
    fs::create_dir(&root).expect("writable");
    read(archive)?.unpack(&root, is_root(), bounds)?;
    Ok(folder)
}

fn unpacked(archive: Vec<u8>) -> Result<TempDir, ImageError> {
    unpacked_with(archive, Bounds::default())
}

/// Everything below `folder`, by path.
fn all(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![folder.join("root")];
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(&at).expect("readable").flatten() {
            let path = entry.path();
            found.push(path.strip_prefix(folder.join("root")).expect("below").display().to_string());
            if entry.file_type().expect("there").is_dir() {
                left.push(path);
            }
        }
    }
    found.sort();
    found
}

fn content(folder: &TempDir, path: &str) -> String {
    fs::read_to_string(folder.path().join("root").join(path)).expect(path)
}

fn layers() -> Vec<Vec<u8>> {
    let lower = Maker::new()
        .folder("usr/")
        .folder("usr/bin/")
        .link("bin", "usr/bin")
        .entry(EntryType::Regular, "usr/bin/tool", "old", "", 0o4755)
        .file("etc/gone", "x")
        .file("etc/kept", "lower")
        .file("var/cache/a/one", "x")
        .file("var/cache/two", "x")
        .done();
    let upper = Maker::new()
        .file("./bin/tool", "new")
        .entry(EntryType::Link, "usr/bin/same", "", "usr/bin/tool", 0o755)
        .file("etc/.wh.gone", "")
        .file("var/cache/three", "x")
        .file("var/cache/a/four", "x")
        .file("var/cache/.wh..wh..opq", "")
        .file("var/.wh..wh.plnk", "")
        .file("deep/er/than/said", "x")
        .done();
    vec![lower, upper]
}

#[test]
fn layers_lie_over_each_other_in_both_kinds_of_archives() {
    let run = json!({"User": "app:web", "Env": ["A=b=c"], "Entrypoint": ["/bin/tool"], "Cmd": null, "WorkingDir": "/srv", "StopSignal": "SIGINT"});
    let mut ids = Vec::new();
    for archive in [docker(&layers(), &run), oci(&layers(), &run, unchanged)] {
        let image = read(archive.clone()).expect("an image");
        assert_eq!((image.config.user.as_str(), image.config.stop_signal.as_str()), ("app:web", "SIGINT"));
        assert_eq!((image.config.entrypoint, image.config.cmd), (vec!["/bin/tool".to_owned()], Vec::new()));
        ids.push(image.id);
        let folder = unpacked(archive).expect("unpacked");
        assert_eq!(
            all(folder.path()),
            [
                "bin",
                "deep",
                "deep/er",
                "deep/er/than",
                "deep/er/than/said",
                "etc",
                "etc/kept",
                "usr",
                "usr/bin",
                "usr/bin/same",
                "usr/bin/tool",
                "var",
                "var/cache",
                "var/cache/a",
                "var/cache/a/four",
                "var/cache/three"
            ]
        );
        assert_eq!(
            (content(&folder, "usr/bin/same").as_str(), content(&folder, "etc/kept").as_str()),
            ("new", "lower")
        );
        let tool = fs::metadata(folder.path().join("root/usr/bin/tool")).expect("there");
        assert_eq!((tool.permissions().mode() & 0o7777, tool.mtime()), (0o644, 1_000_000));
        assert!(fs::symlink_metadata(folder.path().join("root/bin")).expect("there").is_symlink());
    }
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_layer_takes_only_what_is_below_it_away() {
    let one = Maker::new().file("a/x", "1").file("a/y", "1").done();
    let two = Maker::new().file("a/.wh.x", "").file("a/x", "2").file("a/.wh.y", "").done();
    let folder = unpacked(docker(&[one, two], &json!({}))).expect("unpacked");
    assert_eq!(all(folder.path()), ["a", "a/x"]);
    assert_eq!(content(&folder, "a/x"), "2");
}

#[test]
fn another_kind_takes_the_place_of_what_was_there() {
    let one = Maker::new().file("a/x", "1").file("b", "1").link("c", "/etc").done();
    let two = Maker::new().file("a", "2").folder("b").folder("c").file("c/x", "2").done();
    let folder = unpacked(docker(&[one, two], &json!({}))).expect("unpacked");
    assert_eq!(all(folder.path()), ["a", "b", "c", "c/x"]);
}

#[test]
fn nothing_is_written_outside_of_the_folder() {
    for (layer, why) in [
        (Maker::new().file("../escaped", "x"), "leads out of the image"),
        (Maker::new().file("a/../../escaped", "x"), "leads out of the image"),
        (Maker::new().entry(EntryType::Link, "a", "", "../../etc/passwd", 0o644), "leads out of the image"),
        (Maker::new().entry(EntryType::Link, "a", "", "/etc/passwd", 0o644), "cannot be unpacked"),
        (Maker::new().entry(EntryType::Link, "a", "", "nothing", 0o644), "cannot be unpacked"),
        (Maker::new().folder("a").entry(EntryType::Link, "b", "", "a", 0o644), "a second name of a folder"),
        (Maker::new().file("a/.wh...", "x"), "takes away no file"),
        (Maker::new().file("a/.wh.", "x"), "takes away no file"),
        (Maker::new().entry(EntryType::new(b'?'), "a", "", "", 0o644), "of an unknown kind"),
    ] {
        let refused = unpacked(docker(&[layer.done()], &json!({}))).expect_err(why).to_string();
        assert!(refused.starts_with("layer 1 has") && refused.contains(why), "{refused}");
    }
}

#[test]
fn paths_may_begin_at_the_root_of_the_image() {
    let layer = Maker::new()
        .folder("/opt")
        .file("/opt/tool", "x")
        .entry(EntryType::Link, "/same", "", "/opt/tool", 0o644)
        .done();
    let folder = unpacked(docker(&[layer], &json!({}))).expect("unpacked");
    assert_eq!(all(folder.path()), ["opt", "opt/tool", "same"]);
}

#[test]
fn file_with_holes_of_the_newer_format_is_refused() {
    let mut layer = Builder::new(Vec::new());
    layer.append_pax_extensions([("GNU.sparse.major", b"1".as_slice())]).expect("it is in memory");
    append(&mut layer, "GNUSparseFile.1/file", b"1\n0\n1\n");
    let layer = layer.into_inner().expect("it is in memory");
    let refused = unpacked(docker(&[layer], &json!({}))).expect_err("it is not that file").to_string();
    assert!(refused.contains("it has holes that are written in a way that is not read"), "{refused}");
}

#[test]
fn whiteout_beside_a_new_folder_takes_what_was_in_the_old_one() {
    let one = Maker::new().file("a/old", "1").link("b", "/keep").file("keep/x", "1").done();
    let two = Maker::new()
        .file("a/new", "2")
        .file(".wh.a", "")
        .link("b", "/keep")
        .file(".wh.b", "")
        .file("nothing/here/.wh.x", "")
        .file("nothing/there/.wh..wh..opq", "")
        .file("keep/x/.wh.y", "")
        .done();
    let folder = unpacked(docker(&[one, two], &json!({}))).expect("unpacked");
    assert_eq!(all(folder.path()), ["a", "a/new", "b", "keep", "keep/x"]);
}

#[test]
fn links_lead_nowhere_but_into_the_image() {
    let outside = TempDir::new().expect("a temporary folder can be made");
    fs::write(outside.path().join("victim"), "safe").expect("writable");
    let target = outside.path().display().to_string();
    let layer = Maker::new()
        .link("abs", &target)
        .file("abs/victim", "hit")
        .link("up", "../../../../../../../../../../tmp")
        .file("up/below", "hit")
        .file("abs/.wh.victim", "")
        .done();
    let more = Maker::new().file("abs/.wh.victim", "").file("abs/.wh..wh..opq", "").done();
    let folder = unpacked(docker(&[layer, more], &json!({}))).expect("unpacked");
    assert_eq!(fs::read_to_string(outside.path().join("victim")).expect("there"), "safe");
    let found = all(folder.path());
    assert!(found.contains(&"tmp/below".to_owned()), "{found:?}");
    assert!(!found.iter().any(|path| path.ends_with("victim")), "{found:?}");
}

#[test]
fn refuses_what_is_damaged() {
    for (spoiled, what) in [("layer", "layer 1"), ("manifest", "blobs/sha256/"), ("config", "blobs/sha256/")]
    {
        let archive = oci(&layers(), &json!({}), |kind, mut bytes| {
            if kind == spoiled {
                // Behind the end of what is read: only the digest tells.
                bytes.push(b' ');
            }
            bytes
        });
        let refused = unpacked(archive).expect_err(spoiled).to_string();
        assert!(
            refused.contains(what) && (refused.contains("is damaged") || refused.contains("cannot be read")),
            "{refused}"
        );
    }
    let (good, other) = (Maker::new().file("a", "1").done(), Maker::new().file("a", "2").done());
    let mut archive = docker(std::slice::from_ref(&good), &json!({}));
    let at = archive.windows(good.len()).position(|window| window == good).expect("it is in there");
    archive[at..at + good.len()].copy_from_slice(&other);
    let refused = unpacked(archive).expect_err("another content").to_string();
    assert!(refused.starts_with("the content of layer 1 is damaged: its digest is sha256:"), "{refused}");
}

#[test]
fn an_image_has_bounds() {
    let layer = Maker::new().file("a", &"x".repeat(5000)).file("b", &"x".repeat(5000)).done();
    let archive = || oci(std::slice::from_ref(&layer), &json!({}), unchanged);
    let bounds = |bytes, entries| Bounds { bytes, entries, ..Bounds::default() };
    let refused = unpacked_with(archive(), bounds(9_000, 10)).expect_err("too large").to_string();
    assert!(refused.starts_with("layer 1 cannot be read"), "{refused}");
    assert!(unpacked_with(archive(), bounds(1 << 20, 1)).is_err());
    unpacked_with(archive(), bounds(1 << 20, 2)).expect("as much as may be");
    let deep = || docker(&[Maker::new().file("a/b/c", "").file("a/b/d", "").done()], &json!({}));
    let refused = unpacked_with(deep(), bounds(1 << 20, 3)).expect_err("folders count").to_string();
    assert!(refused.contains("the image has more than 3 files"), "{refused}");
    unpacked_with(deep(), bounds(1 << 20, 4)).expect("as much as may be");
    // The paths a, a/b, a/b/c and a/b/d, each of them once.
    let paths = |paths| Bounds { paths, ..Bounds::default() };
    let refused = unpacked_with(deep(), paths(13)).expect_err("long paths").to_string();
    assert!(refused.contains("the paths in the image are longer than 13 bytes together"), "{refused}");
    unpacked_with(deep(), paths(14)).expect("as much as may be");
    let mut long = Builder::new(Vec::new());
    append(&mut long, &"a/".repeat(2500), b"");
    let long = long.into_inner().expect("it is in memory");
    let refused = unpacked(docker(&[long], &json!({}))).expect_err("too long").to_string();
    assert!(refused.contains("is longer than a path can be"), "{refused}");
    // A name of a gigabyte, of zeros, takes a megabyte in the archive.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.as_mut_bytes()[..13].copy_from_slice(b"././@LongLink");
    header.set_size(64 << 20);
    header.set_mode(0);
    header.set_cksum();
    let mut long = header.as_bytes().to_vec();
    long.resize(long.len() + (64 << 20), b'a');
    let refused = unpacked(oci(&[long], &json!({}), unchanged)).expect_err("a name without end").to_string();
    assert!(refused.starts_with("layer 1 cannot be read"), "{refused}");
}

#[test]
fn says_what_is_no_image() {
    let archive = |maker: Maker| read(maker.done()).expect_err("refused").to_string();
    assert!(archive(Maker::new().file("x", "y")).contains("neither index.json nor manifest.json"));
    assert!(archive(Maker::new().file("manifest.json", "[{")).starts_with("manifest.json cannot be read"));
    let missing = json!([{"Config": "c.json", "Layers": []}]).to_string();
    assert_eq!(
        archive(Maker::new().file("manifest.json", &missing)),
        "has no c.json, which its metadata names"
    );
    let two = json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": []}, {"Config": "d", "RepoTags": ["b:1"], "Layers": []}]);
    assert_eq!(
        archive(Maker::new().file("manifest.json", &two.to_string())),
        "has the images a:1, b:1 and none named shop/web:1"
    );
    let other = String::from_utf8(config(&[], &json!({}))).expect("JSON").replace(here(), "s390x");
    let named = json!([{"Config": "c", "Layers": []}]).to_string();
    assert_eq!(
        archive(Maker::new().file("manifest.json", &named).file("c", &other)),
        format!("is for linux/s390x, and this machine is linux/{}", here())
    );
    let hidden = Maker::new().file("manifest.json", &named).link("c", "../../etc/passwd");
    assert_eq!(archive(hidden), "has no c, which its metadata names");
}

#[test]
fn whole_archives_may_be_compressed_with_gzip() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let file = folder.path().join("image.tar.gz");
    fs::write(&file, gzip(&docker(&layers(), &json!({"User": "7"})))).expect("writable");
    assert_eq!(Given::read("shop/web:1", &file).expect("an image").config.user, "7");
    fs::write(&file, [0x28, 0xb5, 0x2f, 0xfd, 0, 0]).expect("writable");
    let refused = Given::read("shop/web:1", &file).expect_err("zstd").to_string();
    assert!(refused.contains("is compressed with zstd"), "{refused}");
    let short = Bounds { bytes: 1000, entries: 10, ..Bounds::default() };
    fs::write(&file, gzip(&vec![0; 100_000])).expect("writable");
    assert!(open(&file, "x", short).is_err());
}

#[test]
fn of_several_images_the_named_one_is_taken() {
    let (one, two) = (config(&[], &json!({"User": "1"})), config(&[], &json!({"User": "2"})));
    let manifest = json!([
        {"Config": "1", "RepoTags": ["shop/api:1"], "Layers": []},
        {"Config": "2", "RepoTags": ["docker.io/shop/web:1"], "Layers": []},
    ]);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("JSON");
    let archive = Maker::new()
        .file("manifest.json", &manifest.to_string())
        .file("1", &text(&one))
        .file("2", &text(&two));
    assert_eq!(read(archive.done()).expect("an image").config.user, "2");
}

/// An image without layers in the OCI's layout, for each user with the annotations that its descriptor has.
fn layout(images: &[(&str, Value)]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    let mut blob = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        append(&mut archive, &format!("blobs/sha256/{}", digest.hex()), bytes);
        digest
    };
    let mut described = Vec::new();
    for (user, annotations) in images {
        let of_config = blob(&config(&[], &json!({"User": user})));
        let manifest = json!({"config": {"digest": of_config}, "layers": []}).to_string();
        let platform = json!({"os": "linux", "architecture": here()});
        described.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": blob(manifest.as_bytes()),
            "annotations": annotations, "platform": platform,
        }));
    }
    append(&mut archive, "index.json", json!({"manifests": described}).to_string().as_bytes());
    archive.into_inner().expect("it is in memory")
}

#[test]
fn of_several_images_with_one_tag_the_named_one_is_taken() {
    let full =
        |name: &str| json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1"});
    let (api, web) = (full("docker.io/shop/api:1"), full("docker.io/shop/web:1"));
    let user = |images: &[(&str, Value)]| read(layout(images)).map(|image| image.config.user);
    assert_eq!(user(&[("1", api.clone()), ("2", web)]).expect("an image"), "2");
    let other = full("docker.io/shop/other:2");
    let refused = user(&[("1", api.clone()), ("2", other)]).expect_err("none of them").to_string();
    assert_eq!(
        refused,
        "has the images docker.io/shop/api:1, docker.io/shop/other:2 and none named shop/web:1"
    );
    let tag = |tag: &str| json!({"org.opencontainers.image.ref.name": tag});
    assert_eq!(user(&[("1", api), ("2", tag("1"))]).expect("one has no more than its tag"), "2");
    assert!(user(&[("1", tag("1")), ("2", tag("1"))]).is_err(), "either may be meant");
    assert_eq!(user(&[("1", tag("2")), ("2", tag("1"))]).expect("an image"), "2");
    assert_eq!(user(&[("1", json!({})), ("2", tag("2"))]).expect("for this machine"), "1");
}

#[test]
fn names_are_compared_as_registries_know_them() {
    for (name, whole) in [
        ("postgres", "docker.io/library/postgres:latest"),
        ("postgres:17", "docker.io/library/postgres:17"),
        ("bitnami/etcd", "docker.io/bitnami/etcd:latest"),
        ("quay.io/coreos/etcd:v3.5", "quay.io/coreos/etcd:v3.5"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
        ("postgres:17@sha256:00", "docker.io/library/postgres@sha256:00"),
    ] {
        assert_eq!(full_name(name), whole, "{name}");
        assert_eq!(full_name(&full_name(name)), whole, "{name}");
    }
}

/// What fuzzing begins with.
fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds/image");
    ["docker.tar", "oci.tar"].map(|name| fs::read(folder.join(name)).expect(name)).to_vec()
}

#[test]
fn seeds_of_fuzzing_are_images() {
    for seed in seeds() {
        let folder = unpacked(seed).expect("an image");
        assert_eq!(all(folder.path()), ["bin", "etc", "etc/new", "link"]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn damaged_archives_are_read_or_refused_and_lead_nowhere(
        which in 0..2_usize,
        changes in prop::collection::vec((0..20_000_usize, any::<u8>()), 1..12),
        cut in prop::option::of(0..20_000_usize),
    ) {
        let mut bytes = seeds()[which].clone();
        for (at, value) in changes {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        if let Ok(mut image) = read(bytes) {
            let folder = TempDir::new().expect("a temporary folder can be made");
            let root = folder.path().join("root");
            fs::create_dir(&root).expect("writable");
            let small = Bounds { bytes: 1 << 20, entries: 100, ..Bounds::default() };
            let _damaged = image.unpack(&root, is_root(), small);
            prop_assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
        }
    }
}
