//! Whole experiments whose faults the kernel of this machine may lack.

/// What takes minutes in an emulated machine: `make test-long`.
mod long {
    use crate::vm::these_unhurried;

    #[test]
    fn networks_are_slow_and_lossy_for_a_store_as_they_are_asked_to_be() {
        these_unhurried(&["e2e_experiments::refkv_slow_network_", "e2e_experiments::refkv_lossy_network_"]);
    }
}
