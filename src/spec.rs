//! The only door from text to an Experiment.
