//! What nobody knows to be on disk, because its commit failed: it is looked for when the journal can be read again.

use std::{ops::Range, sync::atomic::Ordering};

use super::{REOPENED, Writer, is_damage};
use crate::{
    actors::journal::{Unavailable, Waiter},
    journal::{Applied, InDoubt, StoreError, Write},
};

/// A batch whose commit failed and that may be on disk.
pub(in super::super) struct Doubt {
    pub(super) batch: InDoubt,
    pub(super) writes: Vec<Write>,
    pub(super) waiting: Vec<(Range<usize>, Waiter)>,
}

/// Why a batch was not acknowledged, and what is in doubt of it.
pub(super) struct Failed {
    pub(super) why: Unavailable,
    pub(super) batch: Option<InDoubt>,
}

impl Failed {
    /// Of a batch that the disk never saw.
    pub(super) fn at_once(why: Unavailable) -> Self {
        Self { why, batch: None }
    }
}

impl Writer {
    /// Tells who cannot wait that nobody knows yet.
    pub(super) fn tell_of_doubts(&mut self, why: &Unavailable) {
        let in_doubt = Err(Unavailable::in_doubt(why.why.clone()));
        for doubt in &mut self.doubts {
            let waiting = doubt.waiting.drain(..);
            doubt.waiting = waiting.filter_map(|(range, waiter)| Some((range, waiter.tell(&in_doubt)?))).collect();
        }
    }

    /// Which batches in doubt are on disk.
    fn look(&mut self) -> Result<Vec<bool>, String> {
        let reader = self.reader().map_err(|error| error.why)?;
        let looked = self.doubts.iter().map(|doubt| doubt.batch.is_stored(&reader, &doubt.writes));
        let looked: Result<_, StoreError> = looked.collect();
        looked.map_err(|error| {
            self.verify |= is_damage(&error);
            error.to_string()
        })
    }

    /// Looks which batches in doubt are on disk, and says so of those that are not. Writes again what nobody waits for and is not
    /// there, and a mark: a disk that took nothing since it failed is not known to be whole. Only then what is there counts as
    /// stored.
    pub(super) fn settle(&mut self) -> bool {
        let (mut stored, mut missing) = (Vec::new(), Vec::new());
        if !self.doubts.is_empty() {
            let looked = match self.look() {
                Ok(looked) => looked,
                Err(why) => {
                    self.fail(why);
                    return false;
                }
            };
            for (doubt, is_stored) in self.doubts.drain(..).zip(looked) {
                if is_stored {
                    stored.push(doubt);
                } else {
                    let why = Unavailable::not_recorded("its commit failed");
                    missing.extend(refuse(doubt.writes, doubt.waiting, &why));
                }
            }
        }
        missing.extend(self.kept.drain(..));
        let reopened = self.health.reopened.load(Ordering::Relaxed) + 1;
        missing.push(Write::Checkpoint { name: REOPENED.to_owned(), bytes: reopened.to_le_bytes().to_vec() });
        match self.apply(&missing, &[]) {
            Ok(_) => {
                for Doubt { batch, writes, waiting } in stored {
                    self.note(&writes, batch.applied());
                    self.health.commits.fetch_add(1, Ordering::Relaxed);
                    acknowledge(waiting, batch.applied());
                }
                true
            }
            Err(Failed { batch, .. }) => {
                self.doubts = stored;
                match batch {
                    Some(batch) => self.doubts.push(Doubt { batch, writes: missing, waiting: Vec::new() }),
                    None => self.kept.extend(missing.into_iter().filter(|write| !is_mark(write))),
                }
                false
            }
        }
    }
}

/// Says of each write that was waited for what became of it.
pub(super) fn acknowledge(waiting: Vec<(Range<usize>, Waiter)>, applied: &[Applied]) {
    for (range, waiter) in waiting {
        let mine = applied.get(range).map(<[Applied]>::to_vec).unwrap_or_default();
        let _it_is_known = waiter.tell(&Ok(mine));
    }
}

/// Says of what was waited for that it is not stored, and gives back the rest.
pub(super) fn refuse(writes: Vec<Write>, waiting: Vec<(Range<usize>, Waiter)>, why: &Unavailable) -> Vec<Write> {
    let mut waited_for = vec![false; writes.len()];
    for (range, waiter) in waiting {
        waited_for.get_mut(range).unwrap_or_default().fill(true);
        let _it_is_known = waiter.tell(&Err(why.clone()));
    }
    let rest = writes.into_iter().zip(waited_for).filter(|(write, waited_for)| !waited_for && !is_mark(write));
    rest.map(|(write, _)| write).collect()
}

fn is_mark(write: &Write) -> bool {
    matches!(write, Write::Checkpoint { name, .. } if name == REOPENED)
}
