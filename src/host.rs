//! The only home of unsafe code, system calls and child processes.
