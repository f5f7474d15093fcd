//! What is printed for people and scripts.

use std::{
    borrow::Cow,
    ffi::OsStr,
    fmt::{Display, Write as _},
    io::{self, IsTerminal as _, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use annotate_snippets::{Renderer, renderer::DEFAULT_TERM_WIDTH};
use terminal_size::terminal_size_of;

use crate::{
    config::LoadError,
    domain::visible::{is_hidden, spell},
};

/// Whether what reads our output has gone away while [`Output`] wrote.
static IS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Standard output for what is long. When what reads it has gone away, a write fails, so that the command ends, and
/// [`is_unread`] says that nothing is wrong.
#[derive(Debug)]
pub(super) struct Output(io::Stdout);

impl Output {
    pub(super) fn new() -> Self {
        Self(io::stdout())
    }
}

/// Notes that the reader of a pipe has gone away, if that is why it was not written to.
pub(super) fn noted<T>(written: io::Result<T>) -> io::Result<T> {
    if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        IS_UNREAD.store(true, Ordering::Relaxed);
    }
    written
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        noted(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        noted(self.0.flush())
    }
}

/// Whether a command failed because nobody reads what it prints.
pub(super) fn is_unread() -> bool {
    IS_UNREAD.load(Ordering::Relaxed)
}

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

/// Draws what is wrong with a configuration on standard error, in colours on a terminal, unless what it quotes holds something
/// that a terminal obeys. NO_GRAPHICS, set to anything, asks for words in place of marks.
pub(super) fn draw(error: &LoadError) {
    let width = terminal_size_of(io::stderr()).map_or(DEFAULT_TERM_WIDTH, |(width, _)| width.0.into());
    let in_words = std::env::var_os("NO_GRAPHICS").is_some_and(|set| !set.is_empty());
    let with = |renderer: Renderer| error.drawn(&renderer.term_width(width).no_graphics(in_words));
    let plain = with(Renderer::plain());
    let text = match harmless(&plain) {
        same if same == plain && io::stderr().is_terminal() && colours() => with(Renderer::styled()),
        spelled => spelled.into_owned(),
    };
    let _nobody_listens = writeln!(io::stderr().lock(), "{text}");
}

/// A line of the log, harmless to a terminal. With `colours` escape characters stay: what is logged has none by then.
pub(super) fn harmless_line(line: &[u8], colours: bool) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    spelled(&text, |character| commands(character) && !(colours && character == '\u{1b}')).into_owned().into_bytes()
}

/// `text` without anything that a terminal obeys or hides: control characters other than the line break, those that turn the
/// direction of writing, and those that nobody sees, are spelled `\\u001b` as JSON spells them. So JSON stays the same JSON.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    spelled(text, commands)
}

fn spelled(text: &str, is_command: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_command) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_command(character) {
            spell(character, &mut spelled);
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

/// Whether colours may be printed on a terminal: not when NO_COLOR is set to anything (<https://no-color.org>). What clap
/// prints follows the same rule.
pub(super) fn colours() -> bool {
    allows_colours(std::env::var_os("NO_COLOR").as_deref())
}

fn allows_colours(no_color: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty)
}

/// Whether a terminal may obey or hide `character` instead of showing it.
fn commands(character: char) -> bool {
    (character.is_control() && character != '\n') || is_hidden(character)
}

/// Passes on what is written, whole characters at a time, harmless to a terminal.
pub(super) struct Harmless<W>(pub(super) W);

impl<W: io::Write> io::Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(harmless(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
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
        let unseen = "a\u{200b}b\u{ad}c\u{2060}d\u{feff}e\u{3164}f\u{e0041}g";
        assert_eq!(harmless(unseen), r"a\u200bb\u00adc\u2060d\ufeffe\u3164f\udb40\udc41g");
        assert_eq!(on_one_line("a\nb"), r"a\nb");
        let logged = |colours| String::from_utf8(harmless_line("\u{1b}[3mx\u{202e}\n".as_bytes(), colours)).unwrap();
        assert_eq!(
            (logged(true), logged(false)),
            ("\u{1b}[3mx\\u202e\n".to_owned(), "\\u001b[3mx\\u202e\n".to_owned())
        );
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
