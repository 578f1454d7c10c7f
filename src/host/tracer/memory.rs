//! Reads the memory of a thread that stands at a call (process_vm_readv(2)).

use std::ffi::OsString;
use std::io::IoSliceMut;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::libc;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// No page is smaller, so what does not cross a multiple of this is there altogether or not at all.
const PAGE: u64 = 4096;

/// So many bytes from this address; nothing where they are not all there.
pub(super) fn bytes<const N: usize>(thread: i32, address: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (read(thread, address, &mut bytes)? == N).then_some(bytes)
}

/// The path at this address, up to the byte that ends it; nothing where there is none that the kernel would take.
pub(super) fn path(thread: i32, address: u64) -> Option<PathBuf> {
    let mut text = Vec::new();
    while text.len() < libc::PATH_MAX as usize {
        let from = address.checked_add(text.len() as u64)?;
        let mut piece = [0; PAGE as usize];
        let piece = &mut piece[..(PAGE - from % PAGE) as usize];
        let length = read(thread, from, piece)?;
        let piece = &piece[..length];
        if let Some(end) = piece.iter().position(|&byte| byte == 0) {
            text.extend_from_slice(&piece[..end]);
            return Some(OsString::from_vec(text).into());
        }
        text.extend_from_slice(piece);
    }
    None
}

fn read(thread: i32, address: u64, into: &mut [u8]) -> Option<usize> {
    let from = RemoteIoVec { base: usize::try_from(address).ok()?, len: into.len() };
    let length = process_vm_readv(Pid::from_raw(thread), &mut [IoSliceMut::new(into)], &[from]).ok()?;
    (length > 0).then_some(length)
}
