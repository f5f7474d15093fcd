//! The order in which signals came, and the rows that the service saw: the same fold live and from the journal.
//!
//! A signal that the daemon answered is filled from the signals that it recorded before, whatever their times: those that come
//! late change nothing that was seen, and what was seen is what is learnt from. Past trades from files were never seen by the
//! service; they are filled from each other, in the order of their times, and never fill a signal of the service.
#![deny(clippy::indexing_slicing)]

use std::collections::{HashMap, HashSet};

use crate::{
    domain::{Outcome, Signal, Symbol, Timestamp, TradeId},
    features::pipeline::Pipeline,
};

/// Everything that happened, as far as a model may learn from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Every trade's signal, in the order of their times.
    pub signals: Vec<Signal>,
    /// The same and all repeats, in the order in which they were recorded. Empty where `signals` came in their order to the
    /// daemon, each once.
    pub arrivals: Vec<Arrival>,
    /// What became of those that were traded, their pnl at the strategy's own size.
    pub outcomes: HashMap<TradeId, Outcome>,
    /// When the outcome of a trade was told, by the daemon's clock. A past trade from a file is not there: its outcome was known
    /// at its exit.
    pub told_at: HashMap<TradeId, Timestamp>,
    /// Signals for which a model was heard. What it let go has no outcome, so those that have one are its choice.
    pub heard: HashSet<TradeId>,
    /// Records of the journal that could not be read, in words.
    pub damaged: Vec<String>,
}

/// One record of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// Which.
    pub signal: Arrived,
    /// Whether the daemon answered it; else it came from a file.
    pub live: bool,
}

/// The signal that arrived.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrived {
    /// The one at this place of [`History::signals`].
    Kept(usize),
    /// Another record of a trade that is there.
    Repeat(Box<Signal>),
}

/// The closed trades of one symbol, in the order of their signals: the place of each in [`History::signals`], its signal, and what
/// became of it. They are found once, since each is looked up by its name.
pub type Closed<'a> = Vec<(usize, &'a Signal, &'a Outcome)>;

impl History {
    /// The closed trades of `symbol`.
    pub fn closed(&self, symbol: &Symbol) -> Closed<'_> {
        let own = self.signals.iter().enumerate().filter(|(_, signal)| signal.symbol == *symbol);
        own.filter_map(|(place, signal)| Some((place, signal, self.outcomes.get(&signal.trade_id)?))).collect()
    }

    /// The row of each of [`History::signals`] as the service saw it, as `pipeline`, which has seen nothing yet, makes it.
    /// `None` where its symbol is unknown.
    pub fn rows(&self, mut pipeline: Pipeline) -> Vec<Option<Vec<Option<f64>>>> {
        let row = |pipeline: &mut Pipeline, signal: &Signal| pipeline.inputs(signal).ok().map(<[_]>::to_vec);
        if self.arrivals.is_empty() {
            return self.signals.iter().map(|signal| row(&mut pipeline, signal)).collect();
        }
        let (mut past, mut rows) = (pipeline.clone(), vec![None; self.signals.len()]);
        let mut imported = vec![false; self.signals.len()];
        for Arrival { signal, live } in &self.arrivals {
            match signal {
                Arrived::Kept(place) if *live => {
                    let made = self.signals.get(*place).and_then(|signal| row(&mut pipeline, signal));
                    if let Some(row) = rows.get_mut(*place) {
                        *row = made;
                    }
                }
                Arrived::Kept(place) => imported.get_mut(*place).into_iter().for_each(|imported| *imported = true),
                Arrived::Repeat(signal) if *live => pipeline.remember(signal),
                Arrived::Repeat(_) => {}
            }
        }
        for ((signal, place), _) in self.signals.iter().zip(&mut rows).zip(imported).filter(|(_, imported)| *imported) {
            *place = row(&mut past, signal);
        }
        rows
    }

    /// The signals that the daemon answered, repeats included.
    pub fn live(&self) -> impl Iterator<Item = &Signal> {
        let all = self.arrivals.is_empty().then_some(&self.signals).into_iter().flatten();
        let live = self.arrivals.iter().filter(|arrival| arrival.live).filter_map(|arrival| match &arrival.signal {
            Arrived::Kept(place) => self.signals.get(*place),
            Arrived::Repeat(signal) => Some(&**signal),
        });
        all.chain(live)
    }
}
