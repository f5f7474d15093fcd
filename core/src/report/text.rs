//! The report as text: its sentences and its tables, for a terminal of any width.
#![deny(clippy::indexing_slicing)]

use std::fmt::Write as _;

use super::{Ending, Expectation, Part, Report, Table, Test, entry::Weight, people};
use crate::domain::visible::{is_hidden, spell};

/// Columns that it takes at least.
pub(super) const LEAST: usize = 40;
/// Columns between two of a table.
const GAP: usize = 2;
/// Columns that a cell of sentences takes at least, so that it does not become a tower.
const LEAST_CELL: usize = 16;
/// Lines of what was decided that are told; the page has all.
const ENTRIES: usize = 40;

/// The text of `report` in lines of at most `width` columns.
pub(super) fn text(report: &Report, width: usize) -> String {
    let mut out = Text { out: String::new(), width };
    out.wrapped(&report.title, "");
    report.notice.iter().for_each(|notice| out.wrapped(notice, ""));
    out.line("");
    out.wrapped(&report.lead, "");
    out.line("");
    out.rows(&[], &report.facts.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect::<Vec<_>>());
    if !report.checks.is_empty() {
        out.heading("What was to happen, and what did");
        out.rows(&[], &report.checks.iter().map(check).collect::<Vec<_>>());
    }
    out.tables(report, Part::Money);
    out.tables(report, Part::Versions);
    report.tests.iter().for_each(|test| out.test(test));
    out.tables(report, Part::Tests);
    out.tables(report, Part::Health);
    report.accuracy_notes.iter().for_each(|note| out.wrapped(&format!("note: {note}"), ""));
    for part in [Part::Alerts, Part::Times, Part::Lost] {
        out.tables(report, part);
    }
    out.entries(report);
    out.tables(report, Part::End);
    if !report.next.is_empty() {
        out.heading("What to try next");
        out.rows(
            &[],
            &report.next.iter().map(|(command, what)| vec![command.clone(), what.clone()]).collect::<Vec<_>>(),
        );
    }
    out.out
}

fn check(check: &Expectation) -> Vec<String> {
    let mark = match check.ending {
        Ending::AsTold => "yes",
        Ending::Better => "better",
        Ending::Worse => "NO",
    };
    vec![mark.to_owned(), check.what.clone(), check.found.clone()]
}

struct Text {
    out: String,
    width: usize,
}

impl Text {
    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    /// A sentence over as many lines as it takes.
    fn wrapped(&mut self, text: &str, indent: &str) {
        for line in wrap(&plain(text), self.width - indent.len()) {
            self.line(&format!("{indent}{line}"));
        }
    }

    fn heading(&mut self, title: &str) {
        self.line("");
        self.wrapped(title, "");
        self.line(&"-".repeat(columns(&plain(title)).min(self.width)));
    }

    fn tables(&mut self, report: &Report, part: Part) {
        for table in report.tables.iter().filter(|table| table.part == part) {
            self.heading(&table.title);
            self.table(table);
        }
    }

    fn table(&mut self, table: &Table) {
        if !table.help.is_empty() {
            self.wrapped(&table.help, "");
        }
        if !table.rows.is_empty() {
            self.rows(&table.head, &table.rows);
        }
        table.notes.iter().for_each(|note| self.wrapped(&format!("note: {note}"), ""));
    }

    fn test(&mut self, test: &Test) {
        self.heading(&format!("A/B test {} of {}, begun on {}", test.number, test.version, people::date(test.begun)));
        self.wrapped(&test.outcome, "");
        if let Some(last) = test.points.last() {
            let figure = |value| people::known(value, |value| people::number(value, 2));
            let looks = people::counted(last.session, "look", "looks");
            let [win_rate, money] = [last.win_rate, last.money].map(figure);
            let (success, harm) = (figure(last.success), figure(last.harm));
            self.wrapped(
                &format!(
                    "{looks} of {}, one after each session; at the last one the standardised difference is {win_rate} of the win rate \
                     and {money} of the money per signal; better beyond chance from {success}, and for harm that of the money must fall to {harm}.",
                    test.planned
                ),
                "",
            );
        }
        test.figures.iter().for_each(|figures| self.table(figures));
    }

    /// What was decided, without notes.
    fn entries(&mut self, report: &Report) {
        let told: Vec<_> = report.entries.iter().filter(|entry| entry.weight != Weight::Note).collect();
        if report.entries.is_empty() {
            return;
        }
        self.heading("What was decided");
        let first = told.len().saturating_sub(ENTRIES);
        let left_out = first + report.entries.len() - told.len() + report.entries_left_out;
        if left_out > 0 {
            let left_out = people::counted(left_out, "older or lesser line", "older or lesser lines");
            self.wrapped(&format!("{left_out} left out; `vigie events` has all. Times are UTC."), "");
        }
        let row = |entry: &&super::Entry| vec![people::minute(entry.at), entry.what.clone(), entry.reason.clone()];
        self.rows(&[], &told.iter().skip(first).map(row).collect::<Vec<_>>());
    }

    /// Rows under their heads: side by side where there is room, and else cell under cell.
    fn rows(&mut self, head: &[String], rows: &[Vec<String>]) {
        let cells: Vec<Vec<String>> = std::iter::once(head)
            .filter(|head| !head.is_empty())
            .chain(rows.iter().map(Vec::as_slice))
            .map(|row| row.iter().map(|cell| plain(cell)).collect())
            .collect();
        match widths(&cells, self.width) {
            Some(widths) => cells.iter().for_each(|row| self.row(row, &widths)),
            None => rows.iter().for_each(|row| self.record(head, row)),
        }
    }

    fn row(&mut self, row: &[String], widths: &[usize]) {
        let cells: Vec<Vec<String>> = row.iter().zip(widths).map(|(cell, width)| wrap(cell, *width)).collect();
        for place in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(widths) {
                let text = cell.get(place).map_or("", String::as_str);
                let _a_string_takes_it = write!(line, "{text}{}", " ".repeat(width + GAP - columns(text).min(*width)));
            }
            self.line(&line);
        }
    }

    fn record(&mut self, head: &[String], row: &[String]) {
        let Some((first, rest)) = row.split_first() else { return };
        self.wrapped(first, "");
        for (place, cell) in rest.iter().enumerate() {
            let name = head.get(place + 1).map_or_else(String::new, |name| format!("{name}: "));
            self.wrapped(&format!("{name}{cell}"), "  ");
        }
    }
}

/// How wide each column is, or `None` where they have no room side by side.
fn widths(cells: &[Vec<String>], most: usize) -> Option<Vec<usize>> {
    let count = cells.iter().map(Vec::len).max().unwrap_or(0);
    let longest = |of: &dyn Fn(&str) -> usize| -> Vec<usize> {
        (0..count).map(|n| cells.iter().filter_map(|row| row.get(n)).map(|cell| of(cell)).max().unwrap_or(0)).collect()
    };
    let mut widths = longest(&columns);
    // a cell may break between its words
    let word = |cell: &str| cell.split(' ').map(columns).max().unwrap_or(0).max(LEAST_CELL).min(columns(cell));
    let least = longest(&word);
    let room = most.checked_sub(GAP * count.saturating_sub(1))?;
    while widths.iter().sum::<usize>() > room {
        let all = widths.iter_mut().zip(&least).filter(|(width, least)| **width > **least);
        let (widest, _) = all.max_by_key(|(width, _)| **width)?;
        *widest -= 1;
    }
    Some(widths)
}

/// Columns that a text takes on a terminal, about.
fn columns(text: &str) -> usize {
    text.chars().count()
}

/// A text on one line, with the signs that a keyboard has, and as an escape what a terminal would obey.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\u{202f}' => out.push(','),
            '\u{2212}' | '\u{2013}' => out.push('-'),
            '\u{2192}' => out.push_str("->"),
            '\u{2026}' => out.push_str("..."),
            '\n' => out.push_str("\\n"),
            letter if letter.is_control() || is_hidden(letter) => spell(letter, &mut out),
            letter => out.push(letter),
        }
    }
    out
}

/// The lines of a text, broken between words, and within a word that is longer than a line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let letters: Vec<char> = word.chars().collect();
        for (place, part) in letters.chunks(width.max(1)).enumerate() {
            let space = usize::from(used > 0 && place == 0);
            if used > 0 && used + space + part.len() > width {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                if used > 0 && place == 0 {
                    line.push(' ');
                    used += 1;
                }
                line.extend(part);
                used += part.len();
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_longer_than_they_may_be_whatever_stands_in_them() {
        let long = "a sentence of several words and averyveryverylongwordthatdoesnotfitintoanylineofsuchawidthatall";
        let rows = vec![
            vec!["one".to_owned(), long.to_owned(), long.to_owned()],
            vec!["\u{1b}[2J".to_owned(), "a\nb".to_owned(), "\u{202e}x \u{2212}1\u{202f}000".to_owned()],
        ];
        let head = ["name", "what", "why"].map(str::to_owned).to_vec();
        let table = Table { title: "T".to_owned(), head, rows, ..Table::default() };
        let report = Report { title: long.to_owned(), tables: vec![table], ..Report::default() };
        for width in [40, 60, 80, 120, 400] {
            let text = report.to_text(width);
            let longest = text.lines().map(columns).max().unwrap();
            assert!(longest <= width, "{longest} of {width}:\n{text}");
            let whole: String = text.split_whitespace().collect();
            for part in ["\\u001b[2J", "a\\nb", "\\u202ex-1,000"] {
                assert!(whole.contains(part), "{part} at {width}:\n{text}");
            }
            // two long words have room side by side on the widest alone
            assert_eq!(width < 400, text.contains("what: "), "cell under cell where there is no room:\n{text}");
        }
    }
}
