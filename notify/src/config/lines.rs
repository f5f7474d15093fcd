//! Where a fault is: a file of faults is read as far as it can be, and each fault has the line of its key.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

/// Values at fault in one file that are named at most.
const MOST_FAULTS: usize = 50;

/// The line of a fault, from 1, or 0 where it has none, and its words.
pub type Fault = (usize, String);

/// The text of a file, and the lines of it that cannot be read.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a str,
    left_out: BTreeSet<usize>,
}

impl<'a> Lines<'a> {
    /// Reads it: each value that is none is a fault with its line, and left out. None if what is left says nothing.
    pub fn read<T: DeserializeOwned>(text: &'a str) -> (Option<T>, Vec<Fault>, Self) {
        let (mut lines, mut faults) = (Self { text, left_out: BTreeSet::new() }, Vec::new());
        while faults.len() < MOST_FAULTS {
            let left = lines.left();
            let error = match toml::from_str(&left) {
                Ok(file) => return (Some(file), faults, lines),
                Err(error) => error,
            };
            // not the error's own text, which shows the line as it stands
            let words = error.message().replace('\n', ", ");
            let is_whole = left.parse::<toml::Table>().is_ok();
            let (misses, line) = (words.starts_with("missing field"), error.span().map(|span| lines.line(span.start)));
            // of what was left out more may be at fault than there is
            if lines.left_out.is_empty() || (is_whole && !misses) {
                faults.push((line.unwrap_or_default(), words));
            }
            let Some(line) = line.filter(|_| is_whole && !misses) else { break };
            let is_head = text.lines().nth(line - 1).is_some_and(|text| text.trim_start().starts_with('['));
            if is_head || !lines.left_out.insert(line) {
                break;
            }
        }
        (None, faults, lines)
    }

    /// The text with what is left out as spaces, so that all stays in its place.
    fn left(&self) -> String {
        let blank = |(number, line): (usize, &str)| {
            let is_out = self.left_out.contains(&number);
            if is_out { " ".repeat(line.len()) } else { line.to_owned() }
        };
        (1..).zip(self.text.split('\n')).map(blank).collect::<Vec<_>>().join("\n")
    }

    /// The number of the line with this byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// The line of the key that a fault begins with, in the section whose head is at line `head`, else `head`; 0 is the top of the file.
    /// None if the key was left out: its fault is known.
    pub fn of(&self, fault: &str, head: usize) -> Option<usize> {
        let key = fault.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(key, _)| key);
        let section = (1..).zip(self.text.lines()).skip(head).take_while(|(_, line)| !line.starts_with('['));
        let has = |line: &str, key: &str| {
            line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let found = key.and_then(|key| section.into_iter().find(|(_, line)| has(line, key))).map(|(number, _)| number);
        match found {
            Some(line) if self.left_out.contains(&line) => None,
            found => Some(found.unwrap_or(head)),
        }
    }
}
