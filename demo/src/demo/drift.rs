//! How far the simulated inputs move from what each version was trained on.
#![deny(clippy::indexing_slicing)]

use crate::{Sessions, SimulationOptions, Venue};
use vigie_core::{
    domain::Timestamp,
    features::row::Schema,
    report::Moved,
    stats::{
        bootstrap::Resampling,
        budget::{Thresholds, Watch, thresholds},
        drift::stability,
        reference::Reference,
    },
};

/// Trades of a window.
const WINDOW: usize = 150;
/// Sessions between two readings.
const EVERY: usize = 3;
/// How the thresholds are found: a quarter without drift passes one of them, over all inputs.
const WATCH: Watch = Watch { window: WINDOW, every: 27, quarter: 570 };
const FALSE_ALARMS: f64 = 1.0;
/// Blocks of about ten sessions, for the market's moods last.
const RESAMPLING: Resampling = Resampling { block: 90.0, resamples: 60, seed: 1 };
/// What the readings are, in words.
pub(super) const WHAT: &str = "Population stability index of the latest 150 trades against those the version was trained on, as \
    a share of its limit: a quarter without drift passes one of the limits once. Blank where there were fewer trades since. To \
    the right the latest.";

/// A reading of each input every few sessions, against the trades before the latest of the times `trained` at which a
/// version was trained, as a share of its limit.
pub(super) fn moved(options: &SimulationOptions, venue: &Venue, trained: &[Timestamp]) -> Vec<Moved> {
    let Ok(sessions) = Sessions::new(options.clone(), venue.clone()) else { return Vec::new() };
    let schema = Schema::built_in();
    let mut inputs: Vec<Input> = schema.names().map(Input::new).collect();
    let mut trained = trained.iter().peekable();
    for session in sessions {
        while trained.next_if(|at| **at <= session.opening).is_some() {
            learn(&mut inputs);
        }
        for trade in &session.trades {
            inputs.iter_mut().zip(&trade.inputs).for_each(|(input, value)| input.values.push(*value));
        }
        if session.number % EVERY == 0 {
            inputs.iter_mut().for_each(|input| input.read(session.opening));
        }
    }
    inputs.into_iter().map(|input| input.moved).collect()
}

fn learn(inputs: &mut [Input]) {
    let history: Vec<Vec<Option<f64>>> = inputs.iter().map(|input| input.values.clone()).collect();
    let limits = thresholds(&history, &WATCH, FALSE_ALARMS, &RESAMPLING).unwrap_or_default();
    for (input, limit) in inputs.iter_mut().zip(limits) {
        input.learn(limit);
    }
}

struct Input {
    values: Vec<Option<f64>>,
    learnt: Option<(Reference, Thresholds)>,
    /// Values before which a window would hold what was learnt from.
    from: usize,
    moved: Moved,
}

impl Input {
    fn new(name: &str) -> Self {
        let moved = Moved { input: name.to_owned(), readings: Vec::new() };
        Self { values: Vec::new(), learnt: None, from: 0, moved }
    }

    fn learn(&mut self, limit: Thresholds) {
        self.learnt = Reference::of(self.values.iter().copied()).map(|reference| (reference, limit));
        self.from = self.values.len();
    }

    fn read(&mut self, at: Timestamp) {
        let new = self.values.len() - self.from;
        let window = self.values.get(self.values.len().saturating_sub(WINDOW)..).unwrap_or_default();
        let reading = self.learnt.as_ref().filter(|_| new >= WINDOW).and_then(|(reference, limit)| {
            let values: Vec<f64> = window.iter().flatten().copied().collect();
            Some(stability(reference, &values)? / limit.psi).filter(|share| share.is_finite())
        });
        self.moved.readings.push((at, reading));
    }
}
