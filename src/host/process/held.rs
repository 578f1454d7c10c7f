//! Descriptors that are held for a fault: whoever has them can take it back, and some faults end when nobody has them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::PidFd;

/// Descriptors in the order in which their fault uses them; empty where it needs none.
#[derive(Debug, Default)]
pub struct Held(Vec<OwnedFd>);

impl Held {
    /// Copies what another process holds under these numbers (pidfd_getfd(2)).
    pub fn from_holder(holder: &PidFd, descriptors: &[i32]) -> io::Result<Self> {
        descriptors.iter().map(|&number| holder.descriptor(number)).collect()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What another process must inherit in order to hold it too.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd).collect()
    }

    /// The same, held once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.iter().map(OwnedFd::try_clone).collect()
    }
}

impl FromIterator<OwnedFd> for Held {
    fn from_iter<I: IntoIterator<Item = OwnedFd>>(descriptors: I) -> Self {
        Self(descriptors.into_iter().collect())
    }
}

impl IntoIterator for Held {
    type Item = OwnedFd;
    type IntoIter = std::vec::IntoIter<OwnedFd>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
