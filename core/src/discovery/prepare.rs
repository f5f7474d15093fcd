//! From everything that happened to what a search looks at: the trades before the test part, and every candidate of the vocabulary
//! as the service would have made it.

use std::collections::BTreeSet;

use super::{
    error::DiscoverError,
    search::{Candidate, Discovery},
};
use crate::{
    domain::{Symbol, event::Trial},
    features::{
        derived::{DerivedInput, Expression},
        row::{Schema, is_name},
        vocabulary,
    },
    models::Target,
    validation::{
        Example, Examples,
        ledger::DISCOVERY,
        training::{History, Settings, labelled},
    },
};

/// Most inputs under `extra` that are tried without being declared.
const MOST_EXTRAS: usize = 200;

/// What a search looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The trades before the test part, with the inputs of the configuration.
    pub examples: Examples,
    /// Every candidate, of the same trades.
    pub candidates: Vec<Candidate>,
    /// Latest trades that were left alone.
    pub test_trades: usize,
    /// What was left out of the trades, in words.
    pub warnings: Vec<String>,
}

/// Everything that a search for `symbol` and `target` needs, by the pipeline that serves.
///
/// # Errors
/// [`DiscoverError::Trades`] where there is nothing to learn from.
pub fn prepare(
    symbol: &Symbol,
    target: Target,
    history: &History,
    settings: &Settings<'_>,
) -> Result<Prepared, DiscoverError> {
    let trades = |error: &dyn std::fmt::Display| DiscoverError::Trades(error.to_string());
    let base = Schema::of(settings.features).map_err(|error| trades(&error))?;
    let (tried, untried) = tried(symbol, history, settings, &base);
    let mut features = settings.features.clone();
    features.derived.extend(tried.iter().cloned());
    let wider = Settings { features: &features, ..*settings };
    let (examples, mut warnings) = labelled(symbol, target, history, &wider).map_err(|error| trades(&error))?;
    warnings.extend(untried);
    let split = examples.lives().time_split(0.0, settings.training.test_share)?;
    let rows: Vec<&Example> = examples.pick(&split.train).collect();
    let column = |place: usize| rows.iter().map(|row| row.values.get(place).copied().flatten()).collect();
    let candidates = (base.width()..).zip(&tried).map(|(place, input)| Candidate {
        name: input.name.as_str().into(),
        expression: input.expression.to_string().into(),
        values: column(place),
    });
    let candidates = candidates.collect();
    let narrow =
        |row: &&Example| Example { values: row.values.iter().copied().take(base.width()).collect(), ..(*row).clone() };
    let narrow = rows.iter().map(narrow).collect();
    let examples = Examples::new(examples.goal(), base, narrow)?;
    Ok(Prepared { examples, candidates, test_trades: split.test.len(), warnings })
}

/// The vocabulary for a symbol, without what is an input already, and what is not tried, in words.
fn tried(
    symbol: &Symbol,
    history: &History,
    settings: &Settings<'_>,
    base: &Schema,
) -> (Vec<DerivedInput>, Option<String>) {
    let own = history.signals.iter().filter(|signal| signal.symbol == *symbol);
    let extras: BTreeSet<&str> = own.flat_map(|signal| signal.extra.keys().map(AsRef::as_ref)).collect();
    let undeclared = extras.into_iter().filter(|name| base.position(name).is_none());
    let (mut extras, mut untried): (Vec<_>, Vec<_>) = undeclared
        .map(str::to_owned)
        .partition(|name| is_name(&Expression::Extra(name.as_str().into()).own_name()) && is_name(name));
    untried.extend(extras.drain(extras.len().min(MOST_EXTRAS)..));
    let seen: BTreeSet<&Symbol> = history.signals.iter().map(|signal| &signal.symbol).collect();
    let others: Vec<Symbol> =
        settings.symbols.keys().filter(|other| *other != symbol && seen.contains(other)).cloned().collect();
    let known = |expression: &Expression| settings.features.derived.iter().any(|known| known.expression == *expression);
    let new = vocabulary::candidates(&extras, &others).into_iter().filter(|expression| !known(expression));
    let mut names = BTreeSet::new();
    let tried = new.map(|expression| {
        let own = expression.own_name();
        let numbered = (2..).map(|number: u32| format!("{own}_{number}"));
        let mut free = std::iter::once(own.clone()).chain(numbered).filter(|name| base.position(name).is_none());
        let name = free.find(|name| names.insert(name.clone())).unwrap_or_default();
        DerivedInput { name, expression }
    });
    let tried = tried.collect();
    let untried = (!untried.is_empty()).then(|| {
        let shown: Vec<&str> = untried.iter().take(5).map(String::as_str).collect();
        format!(
            "{} inputs under `extra` are not tried: a name has 1 to 64 of A-Z a-z 0-9 . _ -, and at most {MOST_EXTRAS} are tried: {:?}{}",
            untried.len(), shown, if untried.len() > shown.len() { " and others" } else { "" }
        )
    });
    (tried, untried)
}

impl Discovery {
    /// Its entry in the ledger: every candidate counts as a configuration that was tried. It saw no test part.
    pub fn trial(&self, symbol: &Symbol, target: Target) -> Trial {
        let found = self.found().map(|finding| finding.name.clone());
        Trial {
            symbol: symbol.clone(),
            target: target.name().into(),
            model: DISCOVERY.into(),
            data_hash: format!("{} trades", self.trades).into(),
            closed_trades: Some(self.trades as u64),
            columns: found.collect(),
            fits: Vec::new(),
            strength: 0.0,
            configurations: self.tried as u64,
            skill: None,
            beats_linear_p: None,
            test_from: None,
            test_to: None,
            version: None,
        }
    }
}
