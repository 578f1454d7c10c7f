//! Breaks lines that are wider than a terminal, so that what stands in a column stays in it.

/// How wide the terminal is; 80 columns where nobody knows.
pub fn width() -> usize {
    match crossterm::terminal::size() {
        // A terminal that nobody has told its size says 0.
        Ok((0, _)) | Err(_) => 80,
        Ok((columns, _)) => usize::from(columns).max(20),
    }
}

/// The text with every line at most `width` characters wide. A line goes on under its first column: after its
/// indentation, and after its first word where at least two spaces follow it.
pub fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        break_line(&mut wrapped, line, width);
        wrapped.push_str(end);
    }
    wrapped
}

fn break_line(wrapped: &mut String, line: &str, width: usize) {
    let indent = column(line).min(width / 2);
    let mut rest: Vec<char> = line.chars().collect();
    let mut room = width;
    while rest.len() > room {
        // A space right after the last character that fits is a break as well.
        let first = if room == width { indent + 1 } else { 1 };
        let at = (first..=room).rev().find(|&at| rest[at] == ' ' && !is_before_unit(&rest[at + 1..]));
        let (end, next) = at.map_or((room, room), |at| (at, at + 1));
        wrapped.extend(&rest[..end]);
        wrapped.push('\n');
        wrapped.push_str(&" ".repeat(indent));
        rest.drain(..next);
        room = width - indent;
    }
    wrapped.extend(rest);
}

/// Whether what follows is the unit of the number before.
fn is_before_unit(rest: &[char]) -> bool {
    let end = rest.iter().position(|c| !c.is_alphabetic() && *c != '%').unwrap_or(rest.len());
    ["s", "ms", "µs", "%"].iter().any(|unit| unit.chars().eq(rest[..end].iter().copied()))
}

/// Where a line's first column begins, in characters.
fn column(line: &str) -> usize {
    let spaces = |text: &str| text.len() - text.trim_start_matches(' ').len();
    let indent = spaces(line);
    let word = &line[indent..];
    let end = word.find(' ').unwrap_or(word.len());
    let gap = spaces(&word[end..]);
    if gap < 2 { indent } else { indent + word[..end].chars().count() + gap }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_columns() {
        let text = "  Pass      one two three four\n            five six seven eight\nshort\n";
        assert_eq!(
            wrap(text, 24),
            "  Pass      one two\n            three four\n            five six\n            seven eight\nshort\n"
        );
    }

    #[test]
    fn a_number_and_its_unit_stay_together() {
        assert_eq!(wrap("allowed are 5 s at most", 14), "allowed are\n5 s at most");
        assert_eq!(wrap("allowed are 10 ms", 14), "allowed are\n10 ms");
    }

    #[test]
    fn no_line_is_wider_whatever_it_holds() {
        for width in 20..60 {
            for line in ["x".repeat(200), "a b".repeat(80), format!("  at  {}", "ü ".repeat(90))] {
                let wrapped = wrap(&line, width);
                assert!(wrapped.lines().all(|line| line.chars().count() <= width), "{wrapped}");
                let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                assert_eq!(letters(&wrapped), letters(&line));
            }
        }
    }
}
