//! What a fault does to a member that does not go together with what another does to it at the same time.

/// A state in which a fault keeps a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Its processes are ended.
    Killed,
    /// Its processes stand still.
    Stopped,
    /// Its volumes are frozen.
    Frozen,
    /// Its volumes are full.
    Filled,
    /// Its volumes are read-only.
    ReadOnly,
    /// Its processes are traced.
    Traced,
    /// The I/O on its volumes is limited.
    Throttled,
    /// The disks of its volumes are loaded.
    Loaded,
    /// The devices of its volumes are mapped otherwise.
    Mapped,
    /// Its traffic is shaped.
    Shaped,
    /// Its volumes stay where they are.
    Kept,
    /// Its volumes are detached, and it is not started.
    Detached,
    /// Its pod cannot be made.
    Unmade,
}

impl Hold {
    /// Why a member cannot be kept in both states, in either order, if so.
    pub fn contradicts(self, other: Self) -> Option<&'static str> {
        use Hold::{
            Detached, Filled, Frozen, Kept, Killed, Loaded, Mapped, ReadOnly, Shaped, Stopped, Throttled,
            Traced, Unmade,
        };
        match (self.min(other), self.max(other)) {
            (Killed, Killed) => Some("a member that is down cannot be killed again"),
            (Stopped, Stopped) => Some("it is paused already"),
            (Frozen, Frozen) => Some("its volumes are frozen already"),
            (Filled, Filled) => Some("it is filled already"),
            (ReadOnly, ReadOnly) => Some("its volumes are read-only already"),
            (Traced, Traced) => Some("only one can trace its processes"),
            (Throttled, Throttled) => Some("the I/O on its volumes is limited already"),
            (Loaded, Loaded) => Some("its disks are loaded already"),
            (Mapped, Mapped) => Some("the devices of its volumes are mapped otherwise already"),
            (Shaped, Shaped) => Some("its traffic is delayed, lost or slowed down already"),
            (Stopped, Traced) => Some("whoever is traced stops for its tracer alone"),
            (Stopped, Throttled) => Some("whoever waits for a limited volume does not stop"),
            (Stopped, Mapped) => Some("whoever waits for a slow device does not stop"),
            (Killed, Stopped) => Some("a member that is killed is not paused any more"),
            (Killed, Filled) => Some("a volume whose pod is killed gets its room back"),
            (Killed, ReadOnly) => Some("a volume whose pod is killed becomes writable again"),
            (Stopped, ReadOnly) => Some("whoever is paused keeps its files open, so that they stay writable"),
            (Frozen, ReadOnly) => Some("a frozen volume cannot be made read-only, nor writable"),
            (Filled, ReadOnly) => Some("what fills a volume keeps it writable"),
            (ReadOnly, Traced | Throttled) => {
                Some("whoever writes to a read-only volume is told at once, and does not wait for it")
            }
            (Stopped, Loaded) => Some("what loads the disks of a member that is paused is paused with it"),
            (Frozen | Filled | ReadOnly, Loaded) => Some("a volume that takes no writes cannot be loaded"),
            (Traced, Loaded) => Some("what loads its disks would be slowed down as well"),
            (Throttled, Loaded) => Some("what loads its disks would be limited as well"),
            (Killed, Traced | Throttled | Loaded) => {
                Some("a member that is killed has no slow disk any more")
            }
            (Killed, Mapped) => Some("a volume whose pod is killed gets its device back as it was"),
            (ReadOnly, Mapped) => Some("a filesystem whose device fails can never be made writable again"),
            (Killed | Stopped, Frozen) => {
                Some("whoever waits for a frozen volume can neither be killed nor stopped")
            }
            (Frozen, Filled) => Some("nothing can be filled on a frozen volume"),
            (Frozen, Throttled) => Some("a freeze waits for all that a limit holds back"),
            (Frozen, Mapped) => {
                Some("a freeze waits for all that a slow device holds back, and fails with one that fails")
            }
            (Kept, Kept) => Some("its volumes are held already"),
            (Kept, Detached) => Some("a volume that is held on its node cannot be detached first"),
            (Detached, Detached) => Some("its volumes are detached already"),
            (
                Killed | Stopped | Frozen | Filled | ReadOnly | Traced | Throttled | Loaded | Mapped | Shaped,
                Detached,
            ) => Some("a member whose volumes are detached has no process"),
            (Detached, Unmade) => {
                Some("for a pod that cannot be made nothing is attached that could be denied")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Hold;

    #[test]
    fn the_order_of_two_faults_does_not_matter() {
        assert_eq!(Hold::Frozen.contradicts(Hold::Killed), Hold::Killed.contradicts(Hold::Frozen));
        assert!(Hold::Frozen.contradicts(Hold::Stopped).is_some());
        assert!(Hold::Traced.contradicts(Hold::Stopped).is_some());
        assert_eq!(Hold::Traced.contradicts(Hold::Filled), None);
        assert!(Hold::Throttled.contradicts(Hold::Throttled).is_some());
        assert!(Hold::ReadOnly.contradicts(Hold::Killed).is_some());
        assert!(Hold::Loaded.contradicts(Hold::ReadOnly).is_some());
        assert_eq!(Hold::Loaded.contradicts(Hold::Shaped), None);
        assert!(Hold::Throttled.contradicts(Hold::Stopped).is_some());
        assert_eq!(Hold::Throttled.contradicts(Hold::Traced), None);
        assert!(Hold::Mapped.contradicts(Hold::Mapped).is_some());
        assert!(Hold::Mapped.contradicts(Hold::Frozen).is_some());
        assert!(Hold::Mapped.contradicts(Hold::ReadOnly).is_some());
        assert_eq!(Hold::Mapped.contradicts(Hold::Traced), None);
    }
}
