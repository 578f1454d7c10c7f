//! From a journal to a verdict, purely.
