//! Lines of YAML that somebody can copy.

/// `text` with every line so many spaces further to the right.
pub(super) fn indented(text: &str, by: usize) -> String {
    let mut indented = String::with_capacity(text.len());
    for line in text.lines() {
        indented.push_str(&format!("{:by$}{line}\n", ""));
    }
    indented
}

/// A fault's name as names of steps are written: `network-partition`.
pub fn kebab(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            word.push('-');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}
