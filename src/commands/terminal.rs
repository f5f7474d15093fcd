//! What is printed for people and scripts.

use std::{
    fmt::{Display, Write as _},
    io::{self, Write as _},
};

/// Prints a line on standard output. When what reads it has gone away nothing is wrong, and nothing is left to say.
///
/// # Errors
/// When it cannot be written, to a full disk for example.
pub(super) fn tell(line: impl Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Lines up the columns of `rows`; the first row is the head.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _a_string_takes_it = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A figure to four digits after the point, or a dash.
pub(super) fn figure(value: Option<&f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up_and_lines_do_not_trail() {
        let rows = [vec!["a".to_owned(), "bc".to_owned()], vec!["def".to_owned(), "é".to_owned()]];
        assert_eq!(super::table(&rows), "a    bc\ndef  é\n");
    }
}
