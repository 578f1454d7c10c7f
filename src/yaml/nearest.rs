//! What a mistyped name was meant to be.

/// Names longer than this are no slip of the finger.
const LONGEST: usize = 64;

/// The name among `known` that `written` is most likely to mean, if any is near.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = written.chars().count();
    if length > LONGEST {
        return None;
    }
    // A third of the letters may differ.
    let most = length.div_ceil(3);
    known
        .into_iter()
        .filter(|name| name.len() <= 2 * LONGEST)
        .map(|name| (distance(&written.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// How many letters must be inserted, removed or replaced (Levenshtein, by rows).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_a_slip_of_the_finger_and_nothing_else() {
        let known = ["networkPartition", "podKill", "powerLoss"];
        assert_eq!(nearest("netPartition", known), Some("networkPartition"));
        assert_eq!(nearest("PodKil", known), Some("podKill"));
        assert_eq!(nearest("diskLatency", known), None);
        assert_eq!(nearest(&"podKill".repeat(100), known), None);
    }
}
