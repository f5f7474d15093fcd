//! Signals: how each is answered, recorded where the scorer failed, and how the whole way is probed.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeMap, time::Duration};

use serde_json::value::RawValue;

use super::Gateway;
use crate::{
    actors::{scorer::ScoreReply, supervision::Place},
    clock::Stopwatch,
    domain::{Decision, FeatureVector, Inputs, Probability, Reason, Side, Signal, SignalLine, TradeId},
    journal::{SignalRecord, Source, Write},
    lifecycle::open_trades::AnsweredSignal,
    protocol::message::{self, Rejected, RejectedScore, WireError},
};

impl Gateway {
    /// Answers a signal in its turn.
    pub(super) fn answer_score(
        &self,
        request: &SignalLine,
        id: Option<&RawValue>,
        line: &[u8],
        received: Stopwatch,
        out: &mut Vec<u8>,
    ) {
        if let Some(error) = self.refuse_time(request.signal.at) {
            let Signal { trade_id, confidence, .. } = &request.signal;
            let score = Some(RejectedScore { trade_id: Some(trade_id.clone()), confidence: *confidence });
            self.0.rejected.set(self.0.rejected.get() + 1);
            return message::write_rejected(out, id, &Rejected { error, score, outcome: None });
        }
        let ScoreReply { decision, missing } = self.score(request, line, received);
        message::write_answer(out, id, &decision, &missing);
    }

    /// Sends a signal through the real scoring path and a record through the journal, leaving no trace but a heartbeat.
    /// True when both answered within `patience`, a journal that says it cannot write included: a restart heals a frozen
    /// daemon, not a full disk.
    pub async fn probe(&self, patience: Duration) -> bool {
        let probed = async {
            let Some(request) = self.probe_signal() else { return false };
            let scored =
                self.0.scorer.call(Place::ScorerScore, |scorer| scorer.score(&request, None, Stopwatch::start()));
            let now = self.0.clock.now().to_string().into_bytes();
            let _a_full_disk_is_an_answer =
                self.0.journal.write(vec![Write::Checkpoint { name: "heartbeat".to_owned(), bytes: now }]).await;
            scored.is_some()
        };
        tokio::time::timeout(patience, probed).await.unwrap_or(false)
    }

    fn probe_signal(&self) -> Option<SignalLine> {
        let config = self.0.config.load();
        let signal = Signal {
            trade_id: TradeId::new("probe").ok()?,
            at: self.0.clock.now(),
            symbol: config.symbols.keys().next()?.clone(),
            side: Side::Long,
            confidence: Some(Probability::NEUTRAL),
            inputs: Inputs::Features(FeatureVector::default()),
            extra: BTreeMap::new(),
        };
        Some(SignalLine { signal, outcome: None, deadline_us: None })
    }

    fn score(&self, request: &SignalLine, line: &[u8], received: Stopwatch) -> ScoreReply {
        let scored =
            self.0.scorer.call(Place::ScorerScore, |scorer| scorer.score(request, Some(line.to_vec()), received));
        scored.unwrap_or_else(|| {
            let Signal { trade_id, confidence, .. } = &request.signal;
            let is_reuse = self.0.trade_news.reuse(&request.signal).is_some();
            let reason = if is_reuse { Reason::TradeIdReused } else { Reason::InternalError };
            let decision = Decision::baseline(trade_id.clone(), *confidence, None, reason);
            self.record_failure(&decision, &request.signal, line);
            ScoreReply { decision, missing: Vec::new() }
        })
    }

    /// The scorer records what it answers; where it failed, its answer is recorded here: it counts like any other, in the
    /// arm it belongs to.
    fn record_failure(&self, decision: &Decision, signal: &Signal, line: &[u8]) {
        let (wiring, now) = (&*self.0, self.0.clock.now());
        let (config, first) = (wiring.config.load(), wiring.trade_news.first(&signal.trade_id));
        let assigned = wiring.serving.load().assign(&config.policy, &signal.symbol, &signal.trade_id, &first);
        let opinions = assigned.unheard();
        let record = SignalRecord {
            trade_id: decision.trade_id.clone(),
            received_at: now,
            source: Source::Live,
            decision: Some(decision.clone()),
            opinions: opinions.clone(),
            latency_us: None,
            line: line.to_vec(),
        };
        if wiring.journal.write_behind(Write::Signal(record)).is_err() {
            wiring.journal.count_dropped();
        } else if let Some(pipeline) = wiring.pipeline.borrow_mut().as_mut() {
            // the scorer that is being made may have begun with a journal that does not hold it
            pipeline.remember(signal);
        }
        let instrument = config.symbols.get(&signal.symbol);
        let entry = AnsweredSignal::of_signal(signal, &config.calendar, instrument, decision.clone(), opinions);
        wiring.trade_news.scored(now, entry);
    }
}

/// What is answered where the gateway failed: the baseline to a signal.
pub(super) fn in_place(request: Option<SignalLine>, id: Option<&RawValue>, out: &mut Vec<u8>) {
    match request {
        Some(SignalLine { signal: Signal { trade_id, confidence, .. }, .. }) => {
            let decision = Decision::baseline(trade_id, confidence, None, Reason::InternalError);
            message::write_answer(out, id, &decision, &[]);
        }
        None => {
            let message = "the gateway failed over it, and it may have been done";
            message::write_error(out, id, &WireError::new("internal_error", message));
        }
    }
}
