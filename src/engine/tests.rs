//! The rules of a run, each told as one. The platform is scripted: it is polite unless a test says otherwise.

mod acting;
mod any_order;
mod choosing;
mod elsewhere;
mod ending;
mod faulting;
mod following;
mod guarding;
mod proving;
mod recovering;
mod rig;
mod starting;
mod waiting;
