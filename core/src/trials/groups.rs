//! The signals of the past in two groups to be compared: two arms, or two periods.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::experiment::{Comparing, Impact, Traded};
use crate::{
    domain::{Arm, Outcome, Symbol, Timestamp, TradeId, TradingDay, VersionId},
    lifecycle::{happening::Happening, open_trades::AnsweredSignal},
};

/// Two groups, and what was left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Groups {
    /// With the ML layer: its arm, or the later period.
    pub ml: Vec<Traded>,
    /// Without it: the baseline arm, or the earlier period.
    pub baseline: Vec<Traded>,
    /// Of arms: the signals that were not left to chance, as far as it is known what became of them.
    pub rest: Vec<Traded>,
    /// What was left out, and what to know about the rest.
    pub counts: Counts,
}

/// What to know about groups.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Counts {
    /// Signals left out because nothing is known of what became of them.
    pub unresolved: usize,
    /// Signals left out because they belong to neither group.
    pub in_neither: usize,
    /// Of the first group: signals that a model had its word in.
    pub heard: usize,
    /// Of the baseline arm: signals that another version had its word in.
    pub by_another: usize,
    /// The chances of the ML arm that there were, in percent.
    pub shares: BTreeSet<u32>,
}

/// Signals that were answered, each once, however often it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub signals: usize,
    /// Those that a model had its word in.
    pub heard: usize,
    /// Those of which nothing is known: no outcome and no skip, and a size at which one is due.
    pub unresolved: usize,
}

/// Which signals are meant; what is `None` excludes none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Among {
    /// Of this symbol, or of one that is not known.
    pub symbol: Option<Symbol>,
    /// Fired at this time or later.
    pub since: Option<Timestamp>,
    /// Fired before this time.
    pub until: Option<Timestamp>,
}

impl Among {
    fn holds(&self, answered: &Answered) -> bool {
        let is_its = answered.symbol.is_none() || self.symbol.is_none() || answered.symbol == self.symbol;
        is_its
            && self.since.is_none_or(|since| answered.at >= since)
            && self.until.is_none_or(|until| answered.at < until)
    }
}

/// What became of the trades of one symbol: a few words each, whatever the signals and outcomes hold.
#[derive(Debug)]
pub struct Past {
    symbol: Option<Symbol>,
    version: Option<VersionId>,
    fates: BTreeMap<TradeId, Fate>,
}

/// What became of a trade.
#[derive(Debug, Default)]
struct Fate {
    answered: Option<Answered>,
    /// It is one of another symbol.
    is_foreign: bool,
    is_skipped: bool,
    closed: Option<Closed>,
}

/// What was answered to its signal.
#[derive(Debug)]
struct Answered {
    at: Timestamp,
    /// Whether the version that is asked about had an opinion, or none is.
    is_its: bool,
    /// What it would trade, where that is known.
    symbol: Option<Symbol>,
    day: TradingDay,
    has_size: bool,
    /// Whether a model had its word in it.
    is_heard: bool,
    /// The arm that chance gave it to; `None` where nothing was left to chance.
    arm: Option<Arm>,
    /// The chances of the ML arm, in percent.
    shares: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Closed {
    pnl: Option<f64>,
    slippage_ticks: Option<f64>,
}

impl Past {
    /// Nothing has happened yet. `symbol`: whose trades, `None` for all; `version`: whose splits, `None` for those of any.
    pub fn new(symbol: Option<Symbol>, version: Option<VersionId>) -> Self {
        Self { symbol, version, fates: BTreeMap::new() }
    }

    /// Takes in what happened next.
    pub fn hear(&mut self, happening: &Happening) {
        match happening {
            Happening::Scored { entry, .. } => {
                let is_foreign = self.symbol.is_some() && entry.symbol.is_some() && entry.symbol != self.symbol;
                let answered = Answered::of(entry, self.version.as_ref());
                let fate = self.fates.entry(entry.trade_id.clone()).or_default();
                fate.is_foreign |= is_foreign;
                fate.answered.get_or_insert(answered);
            }
            Happening::Closed { trade_id, echo, outcome, .. } => {
                let fate = self.echoed(trade_id, echo.as_deref());
                fate.closed.get_or_insert(Closed::of(outcome));
            }
            Happening::Completed { trade_id, echo, outcome, .. } => {
                let fate = self.echoed(trade_id, echo.as_deref());
                fate.closed = Some(Closed::of(outcome));
            }
            Happening::Skipped { trade_id, .. } => self.fates.entry(trade_id.clone()).or_default().is_skipped = true,
            Happening::Event(_) | Happening::Came { .. } => {}
        }
    }

    fn echoed(&mut self, trade_id: &TradeId, echo: Option<&AnsweredSignal>) -> &mut Fate {
        let answered = echo.map(|echo| Answered::of(echo, self.version.as_ref()));
        let fate = self.fates.entry(trade_id.clone()).or_default();
        fate.answered = fate.answered.take().or(answered);
        fate
    }

    /// Whether a signal of this trade was answered.
    pub fn was_answered(&self, trade_id: &TradeId) -> bool {
        self.fates.get(trade_id).is_some_and(|fate| fate.answered.is_some())
    }

    /// Whether the signal of this trade is one that `among` means, and that the version had an opinion on; `None` where nobody
    /// knows what was answered to it.
    pub fn means(&self, trade_id: &TradeId, among: &Among) -> Option<bool> {
        let fate = self.fates.get(trade_id)?;
        let answered = fate.answered.as_ref()?;
        Some(!fate.is_foreign && answered.is_its && among.holds(answered))
    }

    /// How many signals were answered, and what is known of them: whether chance gave them to an arm or not.
    pub fn tally(&self, among: &Among) -> Tally {
        let mut tally = Tally::default();
        for (answered, traded) in self.answered().filter(|(answered, _)| answered.is_its && among.holds(answered)) {
            tally.signals += 1;
            tally.heard += usize::from(answered.is_heard);
            tally.unresolved += usize::from(traded.is_none());
        }
        tally
    }

    fn answered(&self) -> impl Iterator<Item = (&Answered, Option<Traded>)> {
        let own = self.fates.values().filter(|fate| !fate.is_foreign);
        own.filter_map(|fate| fate.answered.as_ref().map(|answered| (answered, fate.traded(answered))))
    }

    /// The symbols of the signals that were answered.
    pub fn symbols(&self) -> BTreeSet<Symbol> {
        self.answered().filter_map(|(answered, _)| answered.symbol.clone()).collect()
    }

    /// The signals that chance gave to an arm, by the arm it gave them to, whatever was done with them.
    pub fn by_arm(&self) -> Groups {
        self.by_arm_among(&Among::default())
    }

    /// The same of those signals only.
    pub fn by_arm_among(&self, among: &Among) -> Groups {
        let mut groups = Groups::default();
        for (answered, traded) in self.answered().filter(|(answered, _)| among.holds(answered)) {
            let Some(arm) = answered.arm else {
                groups.counts.in_neither += 1;
                groups.rest.extend(traded);
                continue;
            };
            let Some(traded) = traded else {
                groups.counts.unresolved += 1;
                continue;
            };
            groups.counts.shares.extend(&answered.shares);
            if arm == Arm::Ml {
                groups.counts.heard += usize::from(answered.is_heard);
                groups.ml.push(traded);
            } else {
                groups.counts.by_another += usize::from(answered.is_heard);
                groups.baseline.push(traded);
            }
        }
        groups
    }

    /// The signals that fired before `before`, against those from `since` on. `imported`: when signals fired that no daemon
    /// answered, and what became of them.
    pub fn by_period(&self, imported: Vec<(Timestamp, Traded)>, before: Timestamp, since: Timestamp) -> Groups {
        let mut groups = Groups::default();
        let answered = self.answered().map(|(answered, traded)| (answered.at, traded, answered.is_heard));
        let imported = imported.into_iter().map(|(at, traded)| (at, Some(traded), false));
        for (at, traded, is_heard) in answered.chain(imported) {
            match traded {
                _ if at >= before && at < since => groups.counts.in_neither += 1,
                None => groups.counts.unresolved += 1,
                Some(traded) if at < before => groups.baseline.push(traded),
                Some(traded) => {
                    groups.counts.heard += usize::from(is_heard);
                    groups.ml.push(traded);
                }
            }
        }
        groups
    }
}

impl Fate {
    /// `None` while it may still be traded, for all that is known.
    fn traded(&self, answered: &Answered) -> Option<Traded> {
        let let_go = self.is_skipped || !answered.has_size;
        let Closed { pnl, slippage_ticks } = self.closed.unwrap_or(Closed { pnl: None, slippage_ticks: None });
        (self.closed.is_some() || let_go).then_some(Traded { day: answered.day, pnl, slippage_ticks })
    }
}

impl Answered {
    fn of(entry: &AnsweredSignal, version: Option<&VersionId>) -> Self {
        let opinions = entry.opinions.iter().filter(|opinion| version.is_none_or(|wanted| opinion.version == *wanted));
        let splits = opinions.filter_map(|opinion| opinion.split);
        let random: Vec<_> = splits.filter(|split| split.share > 0.0 && split.share < 1.0).collect();
        let is_ml = random.iter().any(|split| split.arm == Arm::Ml);
        Self {
            at: entry.at,
            is_its: version.is_none_or(|wanted| entry.opinions.iter().any(|opinion| opinion.version == *wanted)),
            symbol: entry.symbol.clone(),
            day: entry.day,
            has_size: entry.decision.size != 0.0,
            is_heard: entry.speaker().is_some(),
            arm: (!random.is_empty()).then_some(if is_ml { Arm::Ml } else { Arm::Baseline }),
            shares: random.iter().map(|split| (100.0 * split.share).round() as u32).collect(),
        }
    }
}

impl Closed {
    fn of(outcome: &Outcome) -> Self {
        Self { pnl: outcome.pnl.map(|pnl| pnl.get()), slippage_ticks: outcome.slippage_ticks }
    }
}

impl Counts {
    /// What a reader of `found` must know, in words.
    pub fn notes(&self, found: &Impact) -> Vec<String> {
        let Counts { unresolved, in_neither, heard, by_another, shares } = self;
        let mut notes = Vec::new();
        match found.comparing {
            Comparing::Arms if found.ml.signals + found.baseline.signals == 0 => {
                notes.push("no signal was left to chance; name a period with --since to compare periods".to_owned());
            }
            Comparing::Arms => {
                notes.push(format!(
                    "arms as chance gave them; a model was heard in {heard} of the {} signals of the ML arm",
                    found.ml.signals
                ));
                if *by_another > 0 {
                    notes.push(format!("another version was heard in {by_another} signals of the baseline arm"));
                }
                if shares.len() > 1 {
                    notes.push(
                        "the share of the ML arm was not always the same; `vigie experiment` compares like with like"
                            .to_owned(),
                    );
                }
                if *in_neither > 0 {
                    notes.push(format!("{in_neither} signals were not left to chance and are left out"));
                }
            }
            Comparing::Periods => {
                notes.push(
                    "two periods are no experiment: the market, the strategy and all else that changed is in every figure"
                        .to_owned(),
                );
                notes.push(format!("a model was heard in {heard} of the {} signals since", found.ml.signals));
            }
        }
        if *unresolved > 0 {
            notes.push(format!("{unresolved} signals are left out: nothing is known of what became of them"));
        }
        notes.push("intervals and p-values hold for one look, and each for itself".to_owned());
        notes
    }
}
