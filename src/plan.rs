//! Who is hit, when, or why not.
