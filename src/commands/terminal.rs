//! What is printed for people and scripts.

use std::{
    borrow::Cow,
    ffi::OsStr,
    fmt::{Display, Write as _},
    io::{self, Write as _},
};

/// Prints text on standard output, harmless to a terminal (see [`harmless`]). When what reads it has gone away nothing is
/// wrong, and nothing is left to say.
///
/// # Errors
/// When it cannot be written, to a full disk for example.
pub(super) fn tell(text: impl Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{}", harmless(&text.to_string())) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The same of what is one line, whatever it holds: a line break in it would look like a line of ours.
///
/// # Errors
/// As there.
pub(super) fn tell_line(line: impl Display) -> io::Result<()> {
    tell(on_one_line(&line.to_string()))
}

/// Says what a person should know on standard error, harmless to a terminal.
pub(super) fn warn(text: impl Display) {
    let _nobody_listens = writeln!(io::stderr().lock(), "vigie: {}", harmless(&text.to_string()));
}

/// `text` without anything that a terminal obeys: control characters other than the line break, and those that turn the
/// direction of writing, are spelled `\\u001b` as JSON spells them. So JSON stays the same JSON.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if commands(character) {
            let _a_string_takes_it = write!(spelled, "\\u{:04x}", u32::from(character));
        } else {
            spelled.push(character);
        }
    }
    Cow::Owned(spelled)
}

/// `text` with its line breaks spelled out.
pub(super) fn on_one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

/// Whether colours may be printed on a terminal: not when NO_COLOR is set to anything (<https://no-color.org>). What clap and
/// miette print follows the same rule.
pub(super) fn colours() -> bool {
    allows_colours(std::env::var_os("NO_COLOR").as_deref())
}

fn allows_colours(no_color: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty)
}

/// Whether a terminal may obey `character` instead of showing it.
fn commands(character: char) -> bool {
    let turns =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (character.is_control() && character != '\n')
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
            let _a_string_takes_it = write!(line, "{:width$}  ", on_one_line(cell));
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        let nasty = "a\u{1b}[2Jb\u{7}c\rd\u{9b}e\u{202e}f\u{2066}g\u{7f}h\ti\nj é";
        let expected = r"a\u001b[2Jb\u0007c\u000dd\u009be\u202ef\u2066g\u007fh\u0009i".to_owned() + "\nj é";
        assert_eq!(harmless(nasty), expected);
        assert_eq!(on_one_line("a\nb"), r"a\nb");
        assert_eq!(table(&[vec!["a\nforged".to_owned(), "b".to_owned()]]), "a\\nforged  b\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn json_stays_the_same_json(text in any::<String>()) {
            let json = serde_json::json!({ &text: text }).to_string();
            let back: serde_json::Value = serde_json::from_str(&harmless(&json)).unwrap();
            prop_assert_eq!(back, serde_json::json!({ &text: text }));
        }
    }

    #[test]
    fn colours_are_printed_unless_no_color_is_set_to_anything() {
        let allowed = |value: Option<&str>| allows_colours(value.map(OsStr::new));
        assert_eq!(
            [allowed(None), allowed(Some("")), allowed(Some("1")), allowed(Some("0"))],
            [true, true, false, false]
        );
    }

    #[test]
    fn columns_line_up_and_lines_do_not_trail() {
        let rows = [vec!["a".to_owned(), "bc".to_owned()], vec!["def".to_owned(), "é".to_owned()]];
        assert_eq!(table(&rows), "a    bc\ndef  é\n");
    }
}
