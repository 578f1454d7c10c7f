//! Numbers with what they count, as a person says them.

use std::fmt::Display;

/// `1 probe`, `2 probes`, `0 addresses`: so many of what is named as one of it is.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(many: N, what: &str) -> String {
    let ending = if many == N::from(1) {
        ""
    } else if what.ends_with('s') {
        "es"
    } else {
        "s"
    };
    format!("{many} {what}{ending}")
}

/// What so many do, where they are something: `is` or `are`.
pub fn are<N: Copy + PartialEq + From<u8>>(many: N) -> &'static str {
    if many == N::from(1) { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_more_than_one() {
        assert_eq!([0_u32, 1, 2].map(|many| counted(many, "probe")), ["0 probes", "1 probe", "2 probes"]);
        assert_eq!([1_usize, 2].map(|many| counted(many, "address")), ["1 address", "2 addresses"]);
        assert_eq!(counted(1_i32, "more member"), "1 more member");
        assert_eq!([0_u64, 1, 2].map(are), ["are", "is", "are"]);
    }
}
