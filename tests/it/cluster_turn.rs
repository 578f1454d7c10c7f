//! Who uses the cluster: tests of single pieces side by side, tests of a whole installation side by side, or one test alone.
//!
//! An installation acts on every namespace, and so do some pieces, so they take turns. The installation is put into the
//! cluster when its turn begins and put to rest when that of the pieces does.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

static USERS: Mutex<Users> = Mutex::new(Users { count: 0, is_alone: false, is_installed: false });
static LEFT: Condvar = Condvar::new();

struct Users {
    count: usize,
    /// The one user wants nobody beside it.
    is_alone: bool,
    /// Controller and agents run.
    is_installed: bool,
}

/// What a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub alone: bool,
    pub installed: bool,
}

/// The right to use the cluster now.
pub struct Turn(Need);

impl Turn {
    /// Waits for it; `change` is called when the installation has to come (true) or go.
    pub fn take(need: Need, change: impl FnOnce(bool)) -> Self {
        let mut users = users();
        while users.count > 0 && (need.alone || users.is_alone || users.is_installed != need.installed) {
            users = LEFT.wait(users).unwrap_or_else(PoisonError::into_inner);
        }
        if users.is_installed != need.installed {
            change(need.installed);
            users.is_installed = need.installed;
        }
        users.count += 1;
        users.is_alone = need.alone;
        Self(need)
    }

    pub fn is_alone(&self) -> bool {
        self.0.alone
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        users().count -= 1;
        LEFT.notify_all();
    }
}

fn users() -> MutexGuard<'static, Users> {
    USERS.lock().unwrap_or_else(PoisonError::into_inner)
}
