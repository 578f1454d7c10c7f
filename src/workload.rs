//! Clients that read and write while faults happen.
