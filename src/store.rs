//! Store adapters: members, roles, terms, positions, reads and writes.
