//! A small replicated key-value store with known bugs that can be switched on.
