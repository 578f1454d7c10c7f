//! Makes an Injection true on a host.
