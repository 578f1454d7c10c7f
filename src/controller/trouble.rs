//! Why a reconciliation could not go on; it is tried again.

/// A request to the API server that failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing}")]
pub struct Trouble {
    /// What was asked for, as a fragment: `create the runner's pod`.
    pub doing: &'static str,
    /// What the API server, or the way to it, said.
    #[source]
    pub source: Box<kube::Error>,
}

/// Names the operation that failed.
pub trait Doing<T> {
    /// Says what was being done.
    fn doing(self, doing: &'static str) -> Result<T, Trouble>;
}

impl<T> Doing<T> for Result<T, kube::Error> {
    fn doing(self, doing: &'static str) -> Result<T, Trouble> {
        self.map_err(|source| Trouble { doing, source: Box::new(source) })
    }
}

/// What a failed request means for an object that may be somebody else's business meanwhile.
pub trait Answer {
    /// The object is not there.
    fn is_absent(&self) -> bool;
    /// The object is there already.
    fn is_there(&self) -> bool;
    /// Somebody else was faster.
    fn is_conflict(&self) -> bool;
}

impl Answer for kube::Error {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Api(status) if status.is_not_found())
    }

    fn is_there(&self) -> bool {
        matches!(self, Self::Api(status) if status.is_already_exists())
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(status) if status.is_conflict())
    }
}
