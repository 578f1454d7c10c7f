//! Where a StatefulSet runs: the three traits and their implementations.
