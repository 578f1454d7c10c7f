//! Any bytes: an image or a reason, never a panic, never a long wait; and nothing that is unpacked leads out of its folder.
#![no_main]

use std::io::Cursor;

use seatrial::platform::sandbox::image::{Bounds, Image};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(mut image) = Image::read(Cursor::new(bytes), "fuzz:1") else { return };
    let folder = std::env::temp_dir().join(format!("seatrial-fuzz-{}", std::process::id()));
    let root = folder.join("root");
    std::fs::create_dir_all(&root).expect("writable");
    let _damaged = image.unpack(&root, false, Bounds { bytes: 1 << 20, entries: 1000, paths: 1 << 20 });
    let beside = std::fs::read_dir(&folder).expect("readable").count();
    std::fs::remove_dir_all(&folder).expect("writable");
    assert_eq!(beside, 1, "it leads out");
});
