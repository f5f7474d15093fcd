//! Reads typed values out of a configuration, key by key, and keeps every fault on the way.
//!
//! A value comes from the given file or, where that has none, from the built-in one. After a fault reading goes on with
//! a stand-in value, so that all faults come to light at once; nothing that was built with a stand-in leaves
//! [`Reader::finish`].

#![deny(clippy::indexing_slicing)]

pub(super) mod section;

use std::{collections::BTreeSet, fmt};

use toml::de::{DeTable, DeValue};

use super::{
    Setting,
    document::Document,
    error::{ConfigError, ConfigFault, LISTED},
    nearest::{did_you_mean, nearest, suggest},
};
use section::Section;

/// Reading under way.
pub(super) struct Reader<'d, 't> {
    /// The file that was given.
    given: &'d Document<'t>,
    /// The built-in file, the source of what the given one leaves out.
    builtin: &'d Document<'t>,
    pub(super) settings: Vec<Setting>,
    /// Paths of the keys that were asked for.
    pub(super) asked: BTreeSet<Vec<String>>,
    pub(super) errors: Vec<ConfigError>,
}

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// When the configuration is read again.
    AtReload,
    /// When the daemon is started again.
    AtRestart,
}

impl<'d, 't> Reader<'d, 't> {
    pub(super) fn new(given: &'d Document<'t>, builtin: &'d Document<'t>) -> Self {
        Self { given, builtin, settings: Vec::new(), asked: BTreeSet::new(), errors: Vec::new() }
    }

    /// The section `name`, each key of which may be left out.
    pub(super) fn section(&mut self, name: &str, effect: Effect) -> Section<'_, 'd, 't> {
        let documents = vec![self.given, self.builtin];
        Section { reader: self, documents, path: vec![name.to_owned()], effect }
    }

    /// The tables under `name` of the given file if it has any, and else of the built-in one: a list that is replaced as
    /// a whole. `take` gets each name with its table, whose keys have no default; it says why a name is refused.
    pub(super) fn tables<E: fmt::Display>(
        &mut self,
        name: &str,
        effect: Effect,
        mut take: impl FnMut(&str, Section<'_, 'd, 't>) -> Result<(), E>,
    ) {
        let full = |document: &&'d Document<'t>| table_of(document, name).is_some_and(|table| !table.is_empty());
        let Some(document) = [self.given, self.builtin].into_iter().find(full) else { return };
        let Some(table) = table_of(document, name) else { return };
        for (key, value) in table {
            let path = vec![name.to_owned(), key.get_ref().to_string()];
            if !value.get_ref().is_table() {
                self.asked.insert(path.clone());
                let fault = ConfigFault::WrongType { expected: "a table".to_owned(), found: type_of(value.get_ref()) };
                self.errors.push(document.error(dotted(&path), value.span(), true, fault));
                continue;
            }
            let section = Section { reader: self, documents: vec![document], path: path.clone(), effect };
            if let Err(why) = take(key.get_ref(), section) {
                self.errors.push(document.error(
                    dotted(&path),
                    key.span(),
                    false,
                    ConfigFault::Refused(why.to_string()),
                ));
                self.asked.insert(path);
            }
        }
    }

    /// Demands that `holds`, a `rule` by which the value of the first key depends on that of the second. Says nothing
    /// when one of the two was at fault by itself.
    pub(super) fn demand(&mut self, holds: bool, (key, rule, other): (&str, &'static str, &str)) {
        let value = |key: &str| self.settings.iter().find(|s| s.key == key).map(|s| s.value.as_str());
        let (false, Some(mine), Some(others)) = (holds, value(key), value(other)) else { return };
        let place = |key: &str| self.given.find(&key.split('.').collect::<Vec<_>>()).map(|found| found.span());
        let describe = |key: &str, value: &str| match place(key) {
            Some(span) => self.given.written(span),
            None => format!("{value} (the default)"),
        };
        let fault = ConfigFault::Conflict { rule, other: format!("{other} = {}", describe(other, others)) };
        let written = describe(key, mine);
        let first = place(key).or_else(|| place(other)).unwrap_or_default();
        let mut error = self.given.error(key.to_owned(), first.clone(), false, fault);
        error.written = Some(written);
        error.other = place(other).filter(|span| *span != first);
        self.errors.push(error);
    }

    /// Ends reading: what was read, in the order of reading, unless there was any fault.
    ///
    /// # Errors
    /// All faults by line, those of the given file first.
    pub(super) fn finish(mut self) -> Result<Vec<Setting>, Vec<ConfigError>> {
        self.refuse_unknown(self.given.root(), &mut Vec::new());
        let broken = self.given.is_broken() || self.builtin.is_broken();
        let (given, builtin) = (self.given, self.builtin);
        // where the text is not TOML its values mean nothing, and what seems to be missing may stand there
        self.errors.retain(|e| !(given.is_explained_by_syntax(e) || builtin.is_explained_by_syntax(e)));
        self.errors.retain(|e| !(broken && matches!(e.fault, ConfigFault::Missing { .. })));
        let mut errors = given.syntax_errors();
        errors.append(&mut self.errors);
        errors.extend(builtin.syntax_errors());
        errors.sort_by_key(|e| (!given.has(e), e.line, e.span.start));
        if errors.is_empty() { Ok(self.settings) } else { Err(errors) }
    }
}

/// The path as TOML writes it.
pub(super) fn dotted(path: &[String]) -> String {
    let bare = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    path.iter().map(|s| if bare(s) { s.clone() } else { format!("{s:?}") }).collect::<Vec<_>>().join(".")
}

/// The type of `value`, with its article.
pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text in quotes",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn table_of<'d, 't>(document: &'d Document<'t>, name: &str) -> Option<&'d DeTable<'t>> {
    document.root().get(name)?.get_ref().as_table()
}

impl Reader<'_, '_> {
    /// Refuses what nobody asked for in `table`, which stands under `path` of the given file.
    fn refuse_unknown(&mut self, table: &DeTable<'_>, path: &mut Vec<String>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let holds_keys = self.asked.range(path.clone()..).next().is_some_and(|next| next.starts_with(path));
            if self.asked.contains(path) {
                // a key that was read, or refused already
            } else if !holds_keys {
                let what = if value.get_ref().is_table() { "section" } else { "key" };
                let hint = (self.errors.len() < LISTED).then(|| self.hint(path)).flatten();
                let fault = ConfigFault::Unknown { what, hint };
                self.errors.push(self.given.error(dotted(path), key.span(), false, fault));
            } else if let DeValue::Table(inner) = value.get_ref() {
                self.refuse_unknown(inner, path);
            } else {
                let expected = format!("a section, headed [{}]", dotted(path));
                let fault = ConfigFault::WrongType { expected, found: type_of(value.get_ref()) };
                self.errors.push(self.given.error(dotted(path), value.span(), true, fault));
            }
            path.pop();
        }
    }

    /// What was probably meant by the unknown `path`: a name like it beside it, or else one in another section.
    fn hint(&self, path: &[String]) -> Option<String> {
        let (word, parent) = path.split_last()?;
        let beside = self.asked.iter().filter(|known| known.starts_with(parent));
        let beside = beside.filter_map(|known| known.get(parent.len())).map(String::as_str);
        let elsewhere = || {
            let leaves = self.asked.iter().filter_map(|known| known.last()).map(String::as_str);
            let leaf = nearest(word, leaves)?;
            let known = self.asked.iter().find(|known| known.last().is_some_and(|last| last == leaf))?;
            Some(did_you_mean(&dotted(known)))
        };
        suggest(word, beside).or_else(elsewhere)
    }
}
