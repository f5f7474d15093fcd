//! What a file of signals carries: features of one's own, the twelve, symbols, a confidence.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{anyhow, bail};
use indicatif::ProgressBar;

use crate::{
    commands::{
        files::{Line, Lines},
        import,
    },
    domain::{Feature, Inputs, InvalidLine, SignalLine, Symbol},
};

/// What was found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    pub signals: u64,
    pub symbols: BTreeSet<Symbol>,
    /// Features of one's own, and how many signals have a value for each.
    extra: BTreeMap<String, u64>,
    /// Signals with any of the twelve features, or a snapshot that they are computed from.
    twelve: u64,
    confident: u64,
    closed: u64,
}

impl Found {
    /// Reads a file of JSON lines.
    ///
    /// # Errors
    /// When it cannot be read, a line of it is no signal, or no signal has a feature of one's own.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut lines = Lines::open(path, &ProgressBar::hidden())?;
        let mut found = Self::default();
        while let Some((number, line)) = lines.next()? {
            let Line::Text(text) = line else { bail!("{}:{number}: the line is too long", path.display()) };
            let hint = match found.signals {
                0 if !text.trim_ascii_start().starts_with(b"{") => "; of a CSV file --map says what its columns mean",
                _ => "",
            };
            found.take(text).map_err(|error| anyhow!("{}:{number}: {}{hint}", path.display(), error.message))?;
        }
        found.checked(&format!("of {} has a feature of its own, under `extra`", path.display()))
    }

    /// Reads a CSV file whose columns `map` explains. The trades of a map without a symbol are of `symbol`.
    ///
    /// # Errors
    /// When the file or the map cannot be read, something is wrong with the file, or the map names no feature of one's own.
    pub(super) fn read_csv(path: &Path, map: &Path, symbol: Option<Symbol>) -> anyhow::Result<Self> {
        let mut found = Self::default();
        for (number, line) in import::as_lines(path, map, symbol)? {
            found.take(line.as_bytes()).map_err(|error| anyhow!("{}:{number}: {}", path.display(), error.message))?;
        }
        let (path, map) = (path.display(), map.display());
        found.checked(&format!("of {path} has a feature of its own: the map {map} has none under [extra]"))
    }

    fn checked(self, lacks: &str) -> anyhow::Result<Self> {
        match (self.signals, self.extra.is_empty()) {
            (0, _) => bail!("no signal {lacks}: there is none"),
            (_, true) => bail!("no signal {lacks}"),
            _ => Ok(self),
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), InvalidLine> {
        let SignalLine { signal, outcome, .. } = SignalLine::parse(line)?;
        self.signals += 1;
        self.symbols.insert(signal.symbol);
        for (name, value) in signal.extra {
            *self.extra.entry(name.into()).or_default() += u64::from(value.is_some());
        }
        self.twelve += u64::from(match signal.inputs {
            Inputs::Snapshot(_) => true,
            Inputs::Features(features) => features.to_array().iter().any(Option::is_some),
        });
        self.confident += u64::from(signal.confidence.is_some());
        self.closed += u64::from(outcome.is_some_and(|outcome| outcome.pnl.is_some()));
        Ok(())
    }

    /// The names of the features of one's own.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.extra.keys()
    }

    /// What was found, a line each.
    pub(super) fn told(&self) -> String {
        let share = |count: u64| format!("{:.1} %", 100.0 * count as f64 / self.signals.max(1) as f64);
        let features = self.extra.iter().map(|(name, known)| format!("{name} {}", share(*known)));
        let twelve = match self.twelve {
            0 => format!(
                "They have none of the {} built-in features: a model is made of these and the confidence alone.",
                Feature::ALL.len()
            ),
            some => format!("{} of them have built-in features as well.", share(some)),
        };
        format!(
            "Found in {} signals, {} closed trades with a pnl; known in: {}.\n{twelve}",
            self.signals,
            self.closed,
            features.collect::<Vec<_>>().join(", ")
        )
    }

    /// What a person should know.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.confident == 0 {
            warnings.push(
                "no signal has a confidence: every answer will be the baseline, since there is nothing to blend a score with".to_owned(),
            );
        }
        let never = self.extra.iter().filter(|(_, known)| **known == 0).map(|(name, _)| name.as_str());
        let never: Vec<&str> = never.collect();
        if !never.is_empty() {
            warnings.push(format!("never known in any signal: {}", never.join(", ")));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::init::{Answers, Instrument, file},
        config::Config,
    };

    fn found(lines: &[&str]) -> Found {
        let mut found = Found::default();
        lines.iter().for_each(|line| found.take(line.as_bytes()).unwrap());
        found
    }

    #[test]
    fn the_features_of_a_file_become_those_of_the_configuration() {
        let line = |id: u32, extra: &str, rest: &str| {
            format!(
                r#"{{"trade_id":"T-{id}","at":"2025-01-06T15:00:00Z","symbol":"ES","side":"long",{rest}"features":{{}},"extra":{extra}}}"#
            )
        };
        let (first, second) =
            (line(1, r#"{"rsi":41.5,"gap":null}"#, ""), line(2, r#"{"rsi":null,"odd":null}"#, r#""confidence":0.5,"#));
        let found = found(&[&first, &second]);
        assert_eq!(found.names().map(String::as_str).collect::<Vec<_>>(), ["gap", "odd", "rsi"]);
        assert!(found.told().contains("rsi 50.0 %") && found.told().contains("none of the 12"), "{}", found.told());
        assert_eq!(found.warnings(), ["never known in any signal: gap, odd"]);
        let builtin = Config::builtin().unwrap();
        let symbols = found.symbols.iter().map(|symbol| Instrument { symbol: symbol.clone(), tick: None }).collect();
        let text = file(&Answers { symbols, ..Answers::default() }, Some(&found), &builtin).unwrap();
        let config = Config::parse("x", &text).unwrap();
        assert_eq!(config.features.extra, ["gap", "odd", "rsi"]);
        assert_eq!(config.symbols.keys().map(Symbol::as_str).collect::<Vec<_>>(), ["ES"]);
        assert!(Found::default().warnings()[0].contains("confidence"));
    }

    #[test]
    fn a_name_that_no_configuration_takes_is_refused_by_name() {
        let line = r#"{"trade_id":"T","at":"2025-01-06T15:00:00Z","symbol":"ES","side":"long","features":{},"extra":{"RSI 14":1}}"#;
        let refused = file(&Answers::default(), Some(&found(&[line])), &Config::builtin().unwrap()).unwrap_err();
        assert!(refused.to_string().contains("RSI 14"), "{refused}");
    }
}
