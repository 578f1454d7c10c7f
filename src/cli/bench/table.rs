//! Aligned columns: the first to the left, all others to the right.

/// Renders rows of equal length, the headings first.
pub(super) fn render(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_under_each_other() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = render(&[
            row(["FAULT", "P50", "P99"]),
            row(["processPause", "4.0 ms", "12.1 ms"]),
            row(["cut", "10.0 ms", "≤ 9 ms"]),
        ]);
        let expected = "\
FAULT             P50      P99
processPause   4.0 ms  12.1 ms
cut           10.0 ms   ≤ 9 ms
";
        assert_eq!(text, expected);
    }
}
