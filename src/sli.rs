//! Samplers of service level indicators.
