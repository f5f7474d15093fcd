//! A CSV file as rows and columns: its encoding, its separator, its head. What is at fault is named by line and column.

use std::fmt;

use csv::{ReaderBuilder, StringRecord};

use super::map::{Map, SEPARATORS};

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Line of the file, from 1.
    pub line: u64,
    /// Number of the column, from 1, and its name.
    pub column: Option<(usize, String)>,
    /// A stable word.
    pub code: &'static str,
    /// What, and what to do.
    pub message: String,
}

/// Characters of a message and of a column's name that are shown: a cell may have megabytes.
const SHOWN: usize = 300;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = |text: &str| match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text.to_owned(),
        };
        match &self.column {
            Some((number, name)) => write!(f, "column {number} {:?}: {}", cut(name), cut(&self.message)),
            None => f.write_str(&cut(&self.message)),
        }
    }
}

/// The rows of a file.
#[derive(Debug)]
pub(super) struct Sheet {
    pub separator: char,
    /// Names of the columns, trimmed.
    pub head: Vec<String>,
    /// Each with the line on which it begins.
    pub rows: Vec<(u64, StringRecord)>,
}

impl Sheet {
    /// Reads a file. Without a separator that is given it is the one by which the head has most of the columns that `map` needs,
    /// or by which it has most columns.
    ///
    /// # Errors
    /// When it is no text in UTF-8, or a row has another number of cells than the head.
    pub(super) fn read(bytes: &[u8], map: Option<&Map>) -> Result<Self, Vec<Fault>> {
        let (text, first) = decode(bytes).map_err(|fault| vec![fault])?;
        let (text, first, told) = match text.strip_prefix("sep=").and_then(|rest| rest.split_once('\n')) {
            // a line for Excel
            Some((told, rest)) => (rest, first + 1, told.trim_end_matches('\r').chars().next()),
            None => (text, first, None),
        };
        let separator = match map.and_then(|map| map.separator).or(told.filter(|told| SEPARATORS.contains(told))) {
            Some(separator) => separator,
            None => fitting(text, map),
        };
        if let Some(fault) = misquoted(text, separator, first) {
            return Err(vec![fault]);
        }
        let mut records = records(text, separator, first)?.into_iter();
        let Some((_, head)) = records.next() else {
            return Err(vec![fault(
                first,
                "empty",
                "the file is empty; its first line must name the columns".to_owned(),
            )]);
        };
        let head: Vec<String> = head.iter().map(|name| name.trim().to_owned()).collect();
        let named = head.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        for (line, row) in records {
            let filled = row
                .iter()
                .enumerate()
                .filter(|(_, cell)| !cell.trim().is_empty())
                .last()
                .map_or(0, |(last, _)| last + 1);
            if filled == 0 {
                continue;
            }
            if filled > head.len() || row.len() < named {
                let message = format!(
                    "{} cells where the head has {named}: is a quote not closed, or a separator within a cell not quoted?",
                    row.len()
                );
                faults.push(fault(line, "cells", message));
                continue;
            }
            rows.push((line, row));
        }
        if faults.is_empty() { Ok(Self { separator, head, rows }) } else { Err(faults) }
    }

    /// The columns that have one of `names`, in the order of the names. Case does not matter; `{currency}` stands for the name of a
    /// currency, a star at the end for anything.
    pub(super) fn columns(&self, names: &[String]) -> Vec<usize> {
        let of = |name: &String| -> Vec<usize> {
            let there = self.head.iter().enumerate();
            there.filter(|(_, head)| fits(name, head)).map(|(column, _)| column).collect()
        };
        names.iter().flat_map(of).collect()
    }

    /// What stands in a cell, trimmed.
    pub(super) fn cell(&self, row: usize, column: usize) -> &str {
        self.rows.get(row).and_then(|(_, row)| row.get(column)).unwrap_or_default().trim()
    }

    /// The line of a row.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.rows.get(row).map_or(0, |(line, _)| *line)
    }

    /// A fault in a cell.
    pub(super) fn fault(&self, row: usize, column: usize, code: &'static str, message: String) -> Fault {
        let name = self.head.get(column).cloned().unwrap_or_default();
        Fault { line: self.line(row), column: Some((column + 1, name)), code, message }
    }
}

pub(super) fn fault(line: u64, code: &'static str, message: String) -> Fault {
    Fault { line, column: None, code, message }
}

/// The text, and the number of its first line.
fn decode(bytes: &[u8]) -> Result<(&str, u64), Fault> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(fault(1, "encoding", "the file is in UTF-16; save it as UTF-8".to_owned()));
    }
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((text, 1)),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
            Err(fault(line, "encoding", "the line is not in UTF-8; save the file as UTF-8".to_owned()))
        }
    }
}

/// The first cell in which something stands behind the quote that ends it, or whose quote never ends: the library would make one text
/// of both.
fn misquoted(text: &str, separator: char, first: u64) -> Option<Fault> {
    let (mut line, mut opened) = (first, first);
    let (mut is_begin, mut is_quoted, mut is_closed) = (true, false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        line += u64::from(character == '\n');
        if is_quoted {
            is_closed = character == '"' && characters.next_if_eq(&'"').is_none();
            is_quoted = !is_closed;
        } else if character == separator || character == '\n' || character == '\r' {
            (is_begin, is_closed) = (true, false);
        } else if is_closed && !character.is_whitespace() {
            let message = format!(
                "{character:?} stands behind the quote that ends a cell, which was opened on line {opened}; a quote within a \
                 quoted cell is written twice"
            );
            return Some(fault(line, "quotes", message));
        } else {
            is_quoted = is_begin && character == '"';
            opened = line;
            is_begin = false;
        }
    }
    is_quoted.then(|| fault(opened, "quotes", "the quote that is opened on this line is never closed".to_owned()))
}

/// Every record with the line on which it begins; `first` is the line of the first.
fn records(text: &str, separator: char, first: u64) -> Result<Vec<(u64, StringRecord)>, Vec<Fault>> {
    let delimiter = u8::try_from(separator).unwrap_or(b',');
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let (mut found, mut line, mut counted) = (Vec::new(), first, 0);
    for record in reader.records() {
        let record = record.map_err(|error| vec![fault(first, "unreadable", error.to_string())])?;
        // the reader begins a record at the end of the line before it
        let begin = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(counted);
        let rest = text.get(begin..).unwrap_or_default();
        let begin = begin + rest.len() - rest.trim_start_matches(['\r', '\n']).len();
        line += text.get(counted..begin).unwrap_or_default().bytes().filter(|byte| *byte == b'\n').count() as u64;
        counted = begin;
        found.push((line, record));
    }
    Ok(found)
}

/// The separator that fits the head best.
fn fitting(text: &str, map: Option<&Map>) -> char {
    let head = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let score = |separator: char| {
        let names = records(head, separator, 1).unwrap_or_default();
        let names: Vec<String> =
            names.iter().flat_map(|(_, row)| row.iter().map(|name| name.trim().to_owned())).collect();
        let known = map.map_or(0, |map| {
            map.needed()
                .iter()
                .filter(|wanted| wanted.iter().any(|wanted| names.iter().any(|name| fits(wanted, name))))
                .count()
        });
        (known, names.len())
    };
    // the first of those that fit alike
    SEPARATORS.into_iter().rev().max_by_key(|separator| score(*separator)).unwrap_or(',')
}

fn fits(wanted: &str, name: &str) -> bool {
    if let Some((before, behind)) = wanted.split_once("{currency}") {
        let is_currency =
            |part: &str| (3..=5).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_uppercase());
        let inner = name.get(before.len()..name.len().saturating_sub(behind.len()));
        let around = name.len() >= before.len() + behind.len()
            && name.get(..before.len()).is_some_and(|part| part.eq_ignore_ascii_case(before))
            && name.ends_with(behind);
        return around && inner.is_some_and(is_currency);
    }
    match wanted.strip_suffix('*') {
        Some(before) => name.len() > before.len() && name.starts_with(before),
        None => name.eq_ignore_ascii_case(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sheet, Vec<Fault>> {
        Sheet::read(text.as_bytes(), None)
    }

    #[test]
    fn separators_quotes_line_ends_and_marks_are_those_of_the_file() {
        for (text, separator) in [
            ("a,b,c\n1,\"2,\n5\",3\n", ','),
            ("\u{feff}a;b;c\r\n1;\"2,\r\n5\";3\r\n", ';'),
            ("a\tb\tc\n\n1\t\"2,\n5\"\t3", '\t'),
            ("sep=|\r\na|b|c\r\n1|\"2,\n5\"|3", '|'),
            // the library takes the mark of a head away, but not the one before a line for Excel
            ("\u{feff}sep=|\r\na|b|c\r\n1|\"2,\n5\"|3", '|'),
        ] {
            let sheet = read(text).unwrap();
            assert_eq!((sheet.separator, sheet.rows.len()), (separator, 1), "{text:?}");
            assert_eq!(sheet.head, ["a", "b", "c"], "{text:?}");
            assert_eq!(sheet.cell(0, 1).replace('\r', ""), "2,\n5");
        }
        let sheet = read("a,b\n1,2\n\n \n3,\"4\n4\"\n5,6\n").unwrap();
        assert_eq!(sheet.rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 5, 7]);
        let windows = read("a,b\r\n1,2\r\n\r\n3,\"4\r\n4\"\r\n5,6\r\n").unwrap();
        assert_eq!(windows.rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 6]);
        assert_eq!(read("sep=;\na;b\n1;2\n").unwrap().line(0), 3);
    }

    #[test]
    fn nothing_stands_behind_the_quote_that_ends_a_cell() {
        for (text, line) in [("a,b\n1,\"2\"3\n", 2), ("a,b\n\"1\n\",2\n\"x\"\"y\" z,4\n", 4), ("\"a\"b,c\n1,2\n", 1)] {
            let fault = read(text).unwrap_err().remove(0);
            assert_eq!((fault.line, fault.code), (line, "quotes"), "{text:?}");
        }
        let sheet = read("a,b\n\"1 \"\"x\"\"\" ,5\" bar\r\n\"\",\"\"\"\"\r\n").unwrap();
        let cells: Vec<&str> = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(row, column)| sheet.cell(row, column)).to_vec();
        assert_eq!(cells, ["1 \"x\"", "5\" bar", "", "\""]);
    }

    #[test]
    fn a_fault_shows_no_more_of_a_cell_than_a_person_reads() {
        let fault = Fault { line: 1, column: Some((2, "é".repeat(999))), code: "x", message: "ü".repeat(5_000_000) };
        assert!(fault.to_string().len() < 5 * SHOWN, "{}", fault.to_string().len());
    }

    #[test]
    fn commas_behind_the_last_column_are_no_column() {
        let sheet = read("a,b,\n1,2,\n3,4\n").unwrap();
        assert_eq!(sheet.rows.len(), 2);
        assert_eq!(read("a,b\n1,2,,\n").unwrap().rows.len(), 1);
        let faults = read("a,b\n1,2,3\n4\n5,6\n").unwrap_err();
        assert_eq!(
            faults.iter().map(|fault| (fault.line, fault.code)).collect::<Vec<_>>(),
            [(2, "cells"), (3, "cells")]
        );
    }

    #[test]
    fn what_is_no_text_in_utf_8_is_named_with_its_line() {
        let fault = |bytes: &[u8]| Sheet::read(bytes, None).unwrap_err().remove(0);
        assert_eq!((fault(b"a,b\n1,\xe9\n").line, fault(b"a,b\n1,\xe9\n").code), (2, "encoding"));
        assert!(fault(&[0xff, 0xfe, b'a', 0]).message.contains("UTF-16"));
        assert_eq!(fault(b"").code, "empty");
        let never = fault(b"a,b\n1,2\n3,\"4\n5,6\n7,8\n");
        assert_eq!((never.line, never.code), (3, "quotes"));
        let fault = fault(b"a,b\n1,2\n3,\"4\n5,6\n7,8,\n9,\"1\",\"2\"\n");
        assert!((fault.line, fault.code) == (6, "quotes") && fault.message.contains("opened on line 3"), "{fault:?}");
    }

    #[test]
    fn columns_have_one_of_several_names() {
        let sheet = read("Net P&L USDT,Net P&L %,extra.rsi,extra.atr,Type\n").unwrap();
        let columns = |names: &[&str]| sheet.columns(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(columns(&["Profit {currency}", "Net P&L {currency}"]), [0]);
        assert_eq!((columns(&["extra.*"]), columns(&["TYPE"]), columns(&["x"])), (vec![2, 3], vec![4], vec![]));
    }
}
