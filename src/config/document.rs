//! A configuration as text: what stands where.

#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::{ConfigError, ConfigFault, File};

/// A parsed TOML text that knows the place of each of its values.
pub(super) struct Document<'t> {
    file: Arc<File>,
    text: &'t str,
    root: DeTable<'t>,
    /// Offsets of the line ends, ascending.
    line_ends: Vec<usize>,
    /// By place.
    syntax: Vec<Broken>,
    broken_lines: BTreeSet<usize>,
}

/// A place where the text is not TOML.
struct Broken {
    at: Range<usize>,
    message: String,
}

/// How much of a value an error quotes, in characters.
const QUOTED: usize = 60;

impl<'t> Document<'t> {
    /// Reads `text` as far as it is TOML; what is not is kept for [`Document::syntax_errors`].
    pub(super) fn new(name: &str, text: &'t str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let root = root.into_inner();
        let end = text.len();
        let mut syntax: Vec<_> = errors
            .into_iter()
            .map(|e| Broken { at: e.span().unwrap_or(end..end), message: e.message().to_owned() })
            .collect();
        syntax.sort_by_key(|broken| broken.at.start);
        let file = Arc::new(File { name: name.to_owned(), text: text.to_owned() });
        let line_ends = text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(offset, _)| offset).collect();
        let mut document = Self { file, text, root, line_ends, syntax, broken_lines: BTreeSet::new() };
        document.broken_lines = document.syntax.iter().map(|broken| document.line(broken.at.start)).collect();
        document
    }

    /// The top level.
    pub(super) fn root(&self) -> &DeTable<'t> {
        &self.root
    }

    /// The value under `path`, if there is one.
    pub(super) fn find(&self, path: &[&str]) -> Option<&Spanned<DeValue<'t>>> {
        let (leaf, sections) = path.split_last()?;
        let mut table = &self.root;
        for section in sections {
            table = table.get(*section)?.get_ref().as_table()?;
        }
        table.get(*leaf)
    }

    /// An error about the text in `span`, which is quoted as the value of `key` if `quote`.
    pub(super) fn error(&self, key: String, span: Range<usize>, quote: bool, fault: ConfigFault) -> ConfigError {
        let written = quote.then(|| self.written(span.clone()));
        let line = self.line(span.start);
        ConfigError { line, key, written, fault, span, other: None, file: Arc::clone(&self.file) }
    }

    /// The text in `span`, its first line only, and not too much of that.
    pub(super) fn written(&self, span: Range<usize>) -> String {
        let text = self.text.get(span).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let short: String = line.chars().take(QUOTED).collect();
        if short.len() < text.len() { format!("{short}...") } else { short }
    }

    /// Whether `error` is of this document and only follows from text that is not TOML: it touches a line of such text.
    pub(super) fn is_explained_by_syntax(&self, error: &ConfigError) -> bool {
        let lines = self.line(error.span.start)..=self.line(error.span.end);
        self.has(error) && self.broken_lines.range(lines).next().is_some()
    }

    /// Whether `error` is about this document.
    pub(super) fn has(&self, error: &ConfigError) -> bool {
        Arc::ptr_eq(&self.file, &error.file)
    }

    /// Whether some of the text is not TOML.
    pub(super) fn is_broken(&self) -> bool {
        !self.syntax.is_empty()
    }

    /// One error for each line that is not TOML; what merely follows from an earlier one inside the same array is left
    /// out.
    pub(super) fn syntax_errors(&self) -> Vec<ConfigError> {
        let mut arrays = Vec::new();
        collect_arrays(&self.root, &mut arrays);
        arrays.sort_unstable_by_key(|span| span.start);
        let (mut errors, mut quiet_until, mut last_line) = (Vec::new(), 0, 0);
        for broken in &self.syntax {
            let (start, line) = (broken.at.start, self.line(broken.at.start));
            if start < quiet_until || line == last_line {
                continue;
            }
            last_line = line;
            let array = arrays.get(..arrays.partition_point(|span| span.start <= start)).and_then(<[_]>::last);
            quiet_until = array.filter(|span| span.contains(&start)).map_or(0, |span| span.end + 1);
            errors.push(self.error(String::new(), broken.at.clone(), false, ConfigFault::Syntax(self.explain(broken))));
        }
        errors
    }

    fn explain(&self, broken: &Broken) -> String {
        if broken.message != "duplicate key" {
            return format!("not TOML: {}", broken.message);
        }
        let name = self.written(broken.at.clone());
        let before = self.text.get(..broken.at.start).unwrap_or_default();
        let is_header = before.lines().next_back().is_some_and(|line| line.trim_start().starts_with('['));
        if is_header {
            format!("section [{name}] is given twice; keep one of them")
        } else {
            format!("key {name} is given twice; keep one of them")
        }
    }

    /// The line on which the byte `offset` stands, from 1.
    fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|&end| end < offset)
    }
}

fn collect_arrays(table: &DeTable<'_>, spans: &mut Vec<Range<usize>>) {
    for value in table.values() {
        match value.get_ref() {
            DeValue::Array(_) => spans.push(value.span()),
            DeValue::Table(inner) => collect_arrays(inner, spans),
            _ => {}
        }
    }
}
