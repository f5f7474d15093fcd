//! What came of an import, for people and scripts.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::sheet::Fault;
use crate::{
    commands::{
        Failed, Outcome,
        files::used,
        terminal::{tell, warn},
    },
    domain::Symbol,
    journal::Applied,
};

/// Faults that are shown of each kind.
const EXAMPLES_SHOWN: usize = 3;
/// What is said of a trade that is known with other contents.
pub(super) const CONFLICT: &str = "this trade is in the journal with other contents, which stay";

/// What came of an import.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    pub(super) lines: u64,
    /// Rows of CSV files that their map leaves out.
    pub(super) left_out: u64,
    /// CSV files with a fault, of which nothing was imported. Their lines are not among those above and below.
    pub(super) refused_files: Vec<String>,
    /// Files that could not be read to their end, and why. What stood before is among the lines below.
    broken_files: Vec<String>,
    pub(super) stored: u64,
    /// Trades whose outcome lacked something that is known now.
    pub(super) completed: u64,
    duplicates: u64,
    pub(super) rejected: u64,
    /// Trades among those that could be read whose symbol has no table in the configuration, by symbol: nothing is learnt from
    /// them, and their signals are answered with the baseline.
    unknown_symbols: BTreeMap<String, u64>,
    /// Versions that an outcome of the import took out of service.
    pub(super) silenced: BTreeSet<String>,
    /// By code: how many, and the first few.
    faults: BTreeMap<String, ImportFault>,
}

#[derive(Debug, Default, Serialize)]
struct ImportFault {
    count: u64,
    examples: Vec<String>,
}

impl Summary {
    pub(super) fn reject(&mut self, code: &str, place: &str, message: &str) {
        self.rejected += 1;
        self.fault(code, place, message);
    }

    fn fault(&mut self, code: &str, place: &str, message: &str) {
        let fault = self.faults.entry(code.to_owned()).or_default();
        fault.count += 1;
        if fault.examples.len() < EXAMPLES_SHOWN {
            fault.examples.push(format!("{place}: {message}"));
        }
    }

    /// A file was not imported, since these things are wrong with it.
    pub(super) fn refuse_file(&mut self, name: &str, faults: &[Fault]) {
        self.refused_files.push(name.to_owned());
        for fault in faults {
            self.fault(fault.code, &format!("{name}:{}", fault.line), &fault.to_string());
        }
    }

    /// A file could not be read to its end.
    ///
    /// # Errors
    /// None: the other files are read.
    pub(super) fn break_off(&mut self, unreadable: &anyhow::Error) -> anyhow::Result<()> {
        self.broken_files.push(format!("{unreadable:#}"));
        Ok(())
    }

    /// How the command ends that read `files` files: where each was refused or broken, it failed.
    ///
    /// # Errors
    /// When some input was refused, or none could be used.
    pub(super) fn ended(&self, files: usize) -> Outcome {
        let was_taken = self.stored + self.completed + self.duplicates > 0;
        match self.broken_files.as_slice() {
            [others @ .., last] if self.broken_files.len() + self.refused_files.len() == files => {
                others.iter().for_each(warn);
                return Err(anyhow::anyhow!("{last}").into());
            }
            broken => broken.iter().for_each(warn),
        }
        match self.refused_files.as_slice() {
            [] if self.broken_files.is_empty() => used(self.lines, self.rejected),
            [] => Err(Failed::Refused),
            refused if was_taken => {
                warn(format_args!("nothing of {} was imported, since it has faults", refused.join(", ")));
                Err(Failed::Refused)
            }
            refused => {
                let names = refused.join(", ");
                Err(anyhow::anyhow!("nothing was imported: {names} is refused as a whole, since it has faults").into())
            }
        }
    }

    /// A trade of `symbol` came, which has no table in the configuration in force.
    pub(super) fn lacks(&mut self, symbol: &Symbol) {
        *self.unknown_symbols.entry(symbol.to_string()).or_default() += 1;
    }

    pub(super) fn print(&self) -> io::Result<()> {
        if self.lines > 0 || self.refused_files.is_empty() {
            tell(format_args!(
                "{} lines: {} new, {} known already, {} refused",
                self.lines, self.stored, self.duplicates, self.rejected
            ))?;
        }
        if self.completed > 0 {
            tell(format_args!("  {} outcomes lacked something that is known now", self.completed))?;
        }
        if self.left_out > 0 {
            tell(format_args!("  {} rows are no closed trade by the map, and were left out", self.left_out))?;
        }
        for name in &self.refused_files {
            tell(format_args!("  nothing of {name} was imported, since it has faults"))?;
        }
        for (symbol, trades) in &self.unknown_symbols {
            tell(format_args!(
                "  {trades} trades of {symbol} have no table in the configuration; add [symbols.{symbol}]"
            ))?;
        }
        for version in &self.silenced {
            tell(format_args!("  {version} was taken out of service by the outcome of a trade that it influenced"))?;
        }
        for (code, fault) in &self.faults {
            tell(format_args!("  {code}: {}", fault.count))?;
            fault.examples.iter().try_for_each(|example| tell(format_args!("    {example}")))?;
            let more = fault.count - fault.examples.len() as u64;
            if more > 0 {
                tell(format_args!("    and {more} more"))?;
            }
        }
        Ok(())
    }
}

impl Summary {
    pub(super) fn take(&mut self, place: &str, applied: &Applied) {
        match applied {
            Applied::Stored { .. } => self.stored += 1,
            Applied::Duplicate => self.duplicates += 1,
            Applied::Conflict { .. } => {
                self.reject("conflict", place, CONFLICT);
            }
            Applied::Unwritable { why } => self.reject("unwritable", place, why),
        }
    }

    /// What became of an outcome with what was missing in it, and of its signal.
    pub(super) fn take_completion(&mut self, place: &str, applied: impl Iterator<Item = Applied>) {
        let applied: Vec<Applied> = applied.collect();
        match applied.as_slice() {
            [Applied::Stored { .. }, _] => self.completed += 1,
            [Applied::Duplicate, signal] => self.take(place, signal),
            [outcome, ..] => self.take(place, outcome),
            [] => {}
        }
    }

    /// # Errors
    /// When the daemon refuses all of it, or cannot write now: what was stored by then stays, and importing again is safe.
    pub(super) fn take_answer(&mut self, place: &str, answer: &Map<String, Value>) -> anyhow::Result<()> {
        let silenced = answer.get("silenced").and_then(Value::as_array);
        self.silenced.extend(silenced.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        let Some(error) = answer.get("error") else {
            let says = |name: &str| answer.get(name) == Some(&Value::Bool(true));
            let count = match (says("completed"), says("duplicate")) {
                (true, _) => &mut self.completed,
                (_, true) => &mut self.duplicates,
                _ => &mut self.stored,
            };
            *count += 1;
            return Ok(());
        };
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or("-");
        match text("code") {
            "retry" | "forbidden" => anyhow::bail!(
                "{place}: {}; {} trades were stored before, and importing again is safe",
                text("message"),
                self.stored
            ),
            code => self.reject(code, place, text("message")),
        }
        Ok(())
    }
}
