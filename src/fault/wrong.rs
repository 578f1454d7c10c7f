//! What is wrong with parameters.

/// A parameter that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which.
    pub field: &'static str,
    /// Why, and what to write instead.
    pub message: String,
}

impl Wrong {
    /// One, where `is_wrong`.
    pub(super) fn when(is_wrong: bool, field: &'static str, message: impl Into<String>) -> Option<Self> {
        is_wrong.then(|| Self { field, message: message.into() })
    }
}
