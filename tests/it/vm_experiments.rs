//! Whole experiments whose faults the kernel of this machine may lack.

/// What takes minutes in an emulated machine: `make test-long`.
mod long {
    use crate::gallery;
    use crate::vm::these_unhurried;

    #[test]
    fn networks_are_slow_and_lossy_for_refkv_as_they_are_asked_to_be() {
        pass("refkv");
    }

    #[test]
    fn networks_are_slow_and_lossy_for_etcd_as_they_are_asked_to_be() {
        pass("etcd");
    }

    fn pass(store: &str) {
        for network in ["slow", "lossy"] {
            let printed = these_unhurried(&[&format!("e2e_experiments::{store}_{network}_network_")]);
            gallery::show_handed_out(&format!("experiments/{store}/{network}-network.yaml"), &printed);
        }
    }
}
