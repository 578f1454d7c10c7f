//! Ordinary manifests, from their text to ready pods.
