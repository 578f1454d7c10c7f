//! What the run and the platforms tell each other: snapshots of pods and members, and Injections.
