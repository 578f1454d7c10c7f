//! The bytes of a file, in pages that two versions of it share where they are the same.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What is kept as a whole.
pub const PAGE: usize = 4096;

/// A page of a file.
pub type Page = Arc<[u8; PAGE]>;

/// A file's bytes. What was never written is zero and takes no room.
#[derive(Debug, Clone, Default)]
pub struct Content {
    length: u64,
    pages: BTreeMap<u64, Page>,
}

impl Content {
    /// How many bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many pages take room.
    pub fn room(&self) -> u64 {
        self.pages.len() as u64
    }

    /// How many more pages would take room if these bytes did.
    pub fn missing(&self, at: u64, length: u64) -> u64 {
        if length == 0 {
            return 0;
        }
        let range = at / PAGE as u64..at.saturating_add(length).div_ceil(PAGE as u64);
        range.end - range.start - self.pages.range(range).count() as u64
    }

    /// The page of this number, if it takes room.
    pub fn page(&self, number: u64) -> Option<&Page> {
        self.pages.get(&number)
    }

    /// Up to `length` bytes from `at`, fewer at the end.
    pub fn read(&self, at: u64, length: usize) -> Vec<u8> {
        let end = self.length.min(at.saturating_add(length as u64));
        let mut found = vec![0; end.saturating_sub(at) as usize];
        for (page, inside, part) in parts(at, found.len()) {
            if let Some(known) = self.pages.get(&page) {
                let length = part.len();
                found[part].copy_from_slice(&known[inside..inside + length]);
            }
        }
        found
    }

    /// Puts bytes at `at`; the file grows where they reach beyond its end.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        for (page, inside, part) in parts(at, bytes.len()) {
            let known = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
            let length = part.len();
            Arc::make_mut(known)[inside..inside + length].copy_from_slice(&bytes[part]);
        }
        self.length = self.length.max(at + bytes.len() as u64);
    }

    /// Cuts the file off, or has it grow by zeroes.
    pub fn resize(&mut self, length: u64) {
        self.pages.split_off(&length.div_ceil(PAGE as u64));
        let inside = (length % PAGE as u64) as usize;
        if length < self.length
            && inside > 0
            && let Some(last) = self.pages.get_mut(&(length / PAGE as u64))
        {
            Arc::make_mut(last)[inside..].fill(0);
        }
        self.length = length;
    }

    /// Takes one page over from another version.
    pub fn share(&mut self, from: &Self, page: u64) {
        match from.pages.get(&page) {
            Some(known) => self.pages.insert(page, Arc::clone(known)),
            None => self.pages.remove(&page),
        };
    }
}

/// The numbers of the pages that `length` bytes from `at` are on.
pub fn pages_of(at: u64, length: usize) -> impl Iterator<Item = u64> {
    parts(at, length).map(|(page, _, _)| page)
}

/// Cuts `length` bytes from `at` at the borders of pages: the page, where in it, and which of the bytes.
fn parts(at: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let place = at + done as u64;
        let inside = (place % PAGE as u64) as usize;
        let part = done..length.min(done + PAGE - inside);
        done = part.end;
        (!part.is_empty()).then_some((place / PAGE as u64, inside, part))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Content;

    #[derive(Debug, Clone)]
    enum Change {
        Write(u64, Vec<u8>),
        Resize(u64),
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let bytes = (0..20_000_u64, proptest::collection::vec(1..=255_u8, 1..9000));
        let write = bytes.prop_map(|(at, bytes)| Change::Write(at, bytes));
        proptest::collection::vec(prop_oneof![write, (0..20_000_u64).prop_map(Change::Resize)], 0..8)
    }

    proptest! {
        #[test]
        fn reads_back_what_a_plain_vector_of_bytes_has(changes in changes()) {
            let (mut content, mut plain) = (Content::default(), Vec::new());
            for change in changes {
                match change {
                    Change::Write(at, bytes) => {
                        content.write(at, &bytes);
                        let at = at as usize;
                        plain.resize(plain.len().max(at + bytes.len()), 0);
                        plain[at..at + bytes.len()].copy_from_slice(&bytes);
                    }
                    Change::Resize(length) => {
                        content.resize(length);
                        plain.resize(length as usize, 0);
                    }
                }
            }
            prop_assert_eq!(content.length(), plain.len() as u64);
            prop_assert!(content.read(0, plain.len() + 1) == plain);
        }
    }
}
