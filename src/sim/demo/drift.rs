//! How far the simulated inputs move from what each version was trained on.
#![deny(clippy::indexing_slicing)]

use crate::{
    domain::Timestamp,
    features::row::Schema,
    report::Moved,
    sim::{Options, Sessions, Venue},
    stats::{drift::Drift, reference::Reference},
};

/// Trades of a window.
const WINDOW: usize = 150;
/// Sessions between two readings.
const EVERY: usize = 3;

/// A reading of each input every few sessions, against the trades before the latest of the times `trained` at which a
/// version was trained.
pub(super) fn moved(options: &Options, venue: &Venue, trained: &[Timestamp]) -> Vec<Moved> {
    let Ok(sessions) = Sessions::new(options.clone(), venue.clone()) else { return Vec::new() };
    let schema = Schema::built_in();
    let mut inputs: Vec<Input> = schema.names().map(Input::new).collect();
    let mut trained = trained.iter().peekable();
    for session in sessions {
        while trained.next_if(|at| **at <= session.opening).is_some() {
            inputs.iter_mut().for_each(Input::learn);
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

struct Input {
    values: Vec<Option<f64>>,
    reference: Option<Reference>,
    /// Values before which a window would hold what was learnt from.
    from: usize,
    moved: Moved,
}

impl Input {
    fn new(name: &str) -> Self {
        let moved = Moved { input: name.to_owned(), readings: Vec::new() };
        Self { values: Vec::new(), reference: None, from: 0, moved }
    }

    fn learn(&mut self) {
        self.reference = Reference::of(self.values.iter().copied());
        self.from = self.values.len();
    }

    fn read(&mut self, at: Timestamp) {
        let new = self.values.len() - self.from;
        let window = self.values.get(self.values.len().saturating_sub(WINDOW)..).unwrap_or_default();
        let reading = self.reference.as_ref().filter(|_| new >= WINDOW).and_then(|reference| {
            // a column with fewer values than bins says little
            Drift::of(reference, window)?.psi
        });
        self.moved.readings.push((at, reading));
    }
}
