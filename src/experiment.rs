//! An experiment as it exists inside: only valid values.
