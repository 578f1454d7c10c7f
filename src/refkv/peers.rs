//! How members talk to each other: HTTP on the port that clients use too, under `/raft/`.
//!
//! A name is resolved for every new connection, because a member that comes back has another address. Nothing is
//! sent twice: openraft repeats what it needs, and a client's request is never repeated at all.

pub mod link;
pub mod receiver;
pub mod sender;
