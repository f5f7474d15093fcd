//! Records of an older journal, which keep their numbers.
#![deny(clippy::indexing_slicing)]

use super::Batch;
use crate::{
    domain::Timestamp,
    journal::{
        codec::{self, Kind},
        older,
        source::OlderRecord,
    },
};

impl Batch<'_> {
    /// Appends a record of an older journal under the number `seq`, which is above all that are there. One that is damaged is
    /// kept as it was.
    pub(in crate::journal) fn take_over(
        &mut self,
        seq: u64,
        entry: &OlderRecord,
        value: &[u8],
    ) -> Result<(), redb::Error> {
        self.counters.seq = seq - 1;
        let (kind, trade_id) = (entry.kind, entry.trade_id.as_str());
        let at = match kind {
            Kind::Signal => match older::signal(trade_id, entry.was, value).ok().filter(|stored| stored.seq == seq) {
                Some(stored) => {
                    self.encode_signal(seq, &stored.record)?;
                    Some(stored.record.received_at)
                }
                None => None,
            },
            Kind::Outcome => {
                older::outcome(trade_id, value).ok().filter(|stored| stored.seq == seq).and_then(|stored| {
                    codec::encode_outcome(&mut self.buffer, seq, stored.matched, &stored.record)
                        .ok()
                        .map(|()| stored.record.received_at)
                })
            }
            Kind::Skip => older::skip(trade_id, value).ok().filter(|stored| stored.seq == seq).and_then(|stored| {
                codec::encode_skip(&mut self.buffer, seq, &stored.record).ok().map(|()| stored.record.received_at)
            }),
            Kind::Event => older::event(entry.was, value).ok().filter(|stored| stored.seq == seq).and_then(|stored| {
                codec::encode_event(&mut self.buffer, seq, &stored.event).ok().map(|()| stored.event.at)
            }),
        };
        let trade_id = (kind != Kind::Event).then_some(trade_id);
        let at = at.unwrap_or_else(|| {
            codec::encode_as_it_was(&mut self.buffer, seq, kind, trade_id, entry.was, value);
            Timestamp::UNIX_EPOCH
        });
        self.append(kind, trade_id, at)?;
        match kind {
            Kind::Signal => self.counters.signals += 1,
            Kind::Outcome => self.counters.outcomes += 1,
            Kind::Skip => self.counters.skips += 1,
            Kind::Event => {}
        }
        Ok(())
    }

    /// Sets the numbers that the records do not say.
    pub(in crate::journal) fn close_takeover(&mut self, last_seq: u64, decisions: u64) {
        self.counters.seq = self.counters.seq.max(last_seq);
        self.counters.decisions = decisions;
    }
}
