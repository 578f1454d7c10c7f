//! Seatrial breaks a Kubernetes StatefulSet on purpose, proves that it was broken, puts it back whatever
//! happens, and answers with one verdict.
//!
//! From text to verdict, in the order in which a run goes through the modules:
//!
//! ```text
//! file ──spec──▶ Experiment ──plan──▶ Plan ──engine──▶ effects ──run──▶ platform: faults, probes, clients
//!                (only valid          (who, when,      (pure state            │
//!                 values exist)        refusals)        machine)              ▼
//! report ◀──judge── Judgement ◀─────────────────────────────────────── journal (JSON lines)
//! ```
//!
//! Who may know whom: [`api`] and [`experiment`] know nobody. [`spec`], [`plan`], [`engine`] and [`judge`] know only
//! those, [`yaml`] and the pure half of [`fault`], and stay free of tokio, nix, files, clocks and randomness. [`host`] knows
//! nobody above it. [`cli`] and [`run`] wire things together.

#[cfg(feature = "kubernetes")]
pub mod agent;
pub mod api;
pub mod bench;
pub mod catalogue;
pub mod cli;
#[cfg(feature = "kubernetes")]
pub mod controller;
pub mod draft;
pub mod engine;
pub mod experiment;
pub mod fault;
pub mod host;
#[cfg(feature = "kubernetes")]
pub mod install;
pub mod journal;
pub mod judge;
pub mod node;
pub mod plan;
pub mod platform;
pub mod report;
#[cfg(feature = "kubernetes")]
pub mod resource;
pub mod run;
#[cfg(feature = "kubernetes")]
pub mod runner;
pub mod sli;
pub mod spec;
pub mod store;
pub mod undo;
pub mod workload;
pub mod yaml;
