//! The rules that names must keep, because they become hostnames and parts of DNS names.

/// Why `name` is no DNS label (RFC 1123), with at most `longest` letters.
pub(super) fn refuse_label(name: &str, longest: usize) -> Option<String> {
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    if name.is_empty() {
        Some("a name is needed".to_owned())
    } else if name.len() > longest {
        Some(format!("is longer than {longest} letters"))
    } else if !name.chars().all(|letter| is_letter(letter) || letter == '-')
        || !name.starts_with(is_letter)
        || !name.ends_with(is_letter)
    {
        Some(format!("{:?} is no DNS label", super::tree::shortened(name)))
    } else {
        None
    }
}

/// What to write instead.
pub(super) const LABEL_HINT: &str =
    "use small letters, digits and dashes, and begin and end with a letter or a digit";
