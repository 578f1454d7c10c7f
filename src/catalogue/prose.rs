//! What the documentation of a type says, in paragraphs.

use super::Fact;

/// The words with which the paragraph of a fact begins in the documentation of a type, and what it is about.
const FACTS: [(&str, &str); 6] = [
    ("Changes", "What it changes"),
    ("Undone", "How it is undone"),
    ("Left if everything of ours dies", "What is left if everything of Seatrial dies"),
    ("Needs", "What it needs"),
    ("Proof", "How its effect is proven"),
    ("Who has to be there", "Who has to be there"),
];

/// A description, cut into what is plain text and what are facts.
pub(super) fn read(description: &str) -> (String, Vec<Fact>) {
    let mut plain = Vec::new();
    let mut facts = Vec::new();
    for paragraph in description.split("\n\n") {
        let text = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let fact = text.split_once(": ").and_then(|(label, rest)| {
            let (_, about) = FACTS.iter().find(|(known, _)| *known == label)?;
            Some(Fact::new(*about, capitalised(rest)))
        });
        match fact {
            Some(fact) => facts.push(fact),
            None if text.is_empty() => {}
            None => plain.push(text),
        }
    }
    (plain.join(" "), facts)
}

/// The first sentence, without its full stop.
pub(super) fn first_sentence(text: &str) -> String {
    let end = text.find(". ").unwrap_or(text.len());
    text[..end].trim_end_matches('.').to_owned()
}

/// With a capital letter at its beginning, unless that is the name of something.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_with_a_known_label_are_facts() {
        let (plain, facts) = read("Freezes\nit. At once.\n\nNeeds: root:\nreally.\n\nOf old: nothing.");
        assert_eq!(plain, "Freezes it. At once. Of old: nothing.");
        assert_eq!(facts, [Fact::new("What it needs", "Root: really.")]);
        assert_eq!(first_sentence(&plain), "Freezes it");
    }
}
