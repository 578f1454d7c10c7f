//! The single record of a run: append-only JSON lines, flushed per line.
//!
//! A line is either an operation of a client in Jepsen's shape ([`op`]) or `{"time":NANOS,"index":LINE,"entry":{…}}`
//! ([`entry`]). The first line is the header. Every line's `index` is its number in the file, so that one that is missing,
//! doubled or out of order is seen. Engine inputs are written before the effects that they cause are carried out, so the
//! engine's state is their fold; the judge reads facts only and never runs the engine. Times are integer nanoseconds of
//! one process's monotonic clock; there are no floating-point numbers. A torn last line is tolerated and reported, any
//! other damage is an error.

#[cfg(feature = "kubernetes")]
pub mod archive;
pub mod entry;
pub mod op;
pub mod read;
pub mod write;
