//! The scorer: a signal in, a decision out.
//!
//! It waits for no disk and no lock. Whatever is not right, the answer is the baseline, with the reason.
#![deny(clippy::indexing_slicing)]

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{Context, Handler, Message, MessageResult, Recipient};
use arc_swap::ArcSwap;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    journal::JournalHandle,
    monitor::Finding,
    supervision::{Failures, Part, Place, Shell},
    trade_news::TradeNews,
};
use crate::{
    clock::{Clock, Stopwatch},
    config::Config,
    domain::{Arm, Decision, EventKind, Reason, Signal, SignalLine, Timestamp, event::Level},
    features::pipeline::Pipeline,
    journal::{SignalRecord, Source, Write},
    lifecycle::open_trades::AnsweredSignal,
    policy::{
        serving::{Scored, Serving},
        stale::StaleWatch,
    },
    protocol::lateness,
};

/// Sections of the configuration that a scorer is made by; all else it reads with each signal.
pub const READS: [&str; 5] = ["symbols", "targets", "trading_day", "features", "carry"];

/// What a scorer is made by has changed: read signals by it from now on.
#[derive(Debug)]
pub struct Renew;

/// Asks the scorer how it is.
#[derive(Debug)]
pub struct ObserveScorer;

/// How the scorer is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ScorerStatus {
    /// Signals answered since the start.
    pub answered: u64,
    /// Answers by reason.
    pub by_reason: BTreeMap<&'static str, u64>,
    /// Time from the request's arrival to the decision, in microseconds: median. Answers to requests that waited through a stop
    /// of the process are left out, since nobody knows for how long.
    pub p50_us: Option<f64>,
    /// The same: 99th percentile.
    pub p99_us: Option<f64>,
    /// The same: longest.
    pub max_us: Option<f64>,
}

/// What the trader is told: the answer, and the inputs that were not measured where it is the baseline for that.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreReply {
    /// The answer.
    pub decision: Decision,
    /// Names of inputs.
    pub missing: Vec<Box<str>>,
}

/// The state of the scorer.
pub struct Scorer {
    /// As the journal has it, until it takes its place.
    made: Option<Pipeline>,
    row: Vec<f64>,
    shared: ScorerShared,
}

/// What the scorer reads, each waiting for nothing.
#[derive(Clone)]
pub struct ScorerShared {
    /// What may be served.
    pub serving: Arc<ArcSwap<Serving>>,
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// Who is told of a score that is none, once the daemon is whole.
    pub guardian: Rc<OnceCell<Recipient<Finding>>>,
    /// Where decisions are recorded.
    pub journal: JournalHandle,
    /// The trades under way.
    pub trade_news: TradeNews,
    /// The daemon's clock.
    pub clock: Arc<dyn Clock>,
    /// What was counted so far; it outlives a scorer that failed.
    pub counters: Rc<RefCell<Counters>>,
    /// Carries values forward. It outlives a scorer that failed: signals that came while the next one was made are in it.
    pub pipeline: Rc<RefCell<Option<Pipeline>>>,
    /// Where panics are counted.
    pub failures: Failures,
    /// The feeds that are lost.
    pub stale: Rc<RefCell<StaleWatch>>,
}

/// Answers by reason, and how long they took.
#[derive(Debug)]
pub struct Counters {
    by_reason: [u64; Reason::ALL.len()],
    /// Nanoseconds, to 1 %. `None` would mean that the bounds below are none.
    latency: Option<Histogram<u64>>,
    slowest: Option<Duration>,
}

/// Latencies beyond it, in nanoseconds, count as this: a minute.
const HIGHEST_LATENCY: u64 = 60_000_000_000;

impl Default for Counters {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, HIGHEST_LATENCY, 2).ok();
        Self { by_reason: Default::default(), latency, slowest: None }
    }
}

impl Part for Scorer {
    const NAME: &'static str = "scorer";
    const MAKE: Place = Place::ScorerMake;
    const INSTALL: Place = Place::ScorerInstall;

    fn installed(&mut self) {
        let mut place = self.shared.pipeline.borrow_mut();
        if let Some(mut made) = self.made.take() {
            if let Some(before) = &*place {
                made.join(before);
            }
            *place = Some(made);
        }
    }
}

impl Message for Renew {
    type Result = ();
}

impl Message for ObserveScorer {
    type Result = Option<ScorerStatus>;
}

impl Scorer {
    /// A scorer that carries values forward as `pipeline` does.
    pub fn new(pipeline: Pipeline, shared: ScorerShared) -> Self {
        Self { made: Some(pipeline), row: Vec::new(), shared }
    }

    /// The answer to `request`, which came at `received`. `line` is the request as it came, for the journal; none of a
    /// probe, which leaves no trace.
    pub fn score(&mut self, request: &SignalLine, line: Option<Vec<u8>>, received: Stopwatch) -> ScoreReply {
        let now = self.shared.clock.now();
        let config = self.shared.config.load();
        let serving = self.shared.serving.load();
        let deadline = request.deadline_us.map_or(config.server.deadline, Duration::from_micros);
        let signal = &request.signal;
        let first = self.shared.trade_news.first(&signal.trade_id);
        let reused = self.shared.trade_news.reuse(signal);
        let mut pipeline = self.shared.pipeline.borrow_mut();
        let mut seen = Vec::new();
        let mut scored = match pipeline.as_mut().map(|pipeline| pipeline.look(signal)) {
            _ if reused.is_some() => {
                let reason = Reason::TradeIdReused;
                let decision = Decision::baseline(signal.trade_id.clone(), signal.confidence, None, reason);
                Scored::of(decision, Vec::new())
            }
            None | Some(Err(_)) => {
                let reason = Reason::UnknownSymbol;
                let decision = Decision::baseline(signal.trade_id.clone(), signal.confidence, None, reason);
                Scored::of(decision, Vec::new())
            }
            Some(Ok(inputs)) => {
                let late = received.elapsed() > deadline;
                let silent = match (late, self.shared.journal.accepts()) {
                    (true, _) => Some(Reason::Deadline),
                    (_, false) => Some(Reason::JournalUnavailable),
                    _ => None,
                };
                if line.is_some() && serving.scopes.contains_key(&signal.symbol) {
                    seen.extend_from_slice(inputs.values);
                }
                serving.answer(&config.policy, signal, &inputs, silent, &first, &mut self.row)
            }
        };
        if let (Some(fault), Some(guardian)) = (scored.broken.take(), self.shared.guardian.get()) {
            // this answer is the baseline already; where it finds no room the next signal tells of it again
            let _told = guardian.try_send(Finding::Broken(fault));
        }
        let latency = received.elapsed();
        if latency > deadline && scored.decision.arm == Arm::Ml {
            scored.silence(signal, Reason::Deadline);
        }
        if let Some(line) = line {
            if let Some(guardian) = self.shared.guardian.get() {
                let tell = |alert| guardian.try_send(Finding::Alert(alert)).is_ok();
                self.shared.stale.borrow_mut().take(&scored, tell);
                if reused == Some(false) && guardian.try_send(Finding::Alert(taken_name(signal))).is_err() {
                    tracing::warn!(trade_id = signal.trade_id.as_str(), "a trade id came again for another signal");
                }
            }
            let recorded = record(&self.shared, request, line, &mut scored, seen, now, latency);
            // what is not in the journal would be carried forward here and not after a restart, nor in a training
            if let Some(pipeline) = pipeline.as_mut().filter(|_| recorded) {
                pipeline.keep(signal);
            }
            self.shared.counters.borrow_mut().count(scored.decision.reason, lateness::known(latency));
        }
        ScoreReply { decision: scored.decision, missing: scored.missing }
    }
}

/// The alert that a signal took the name of another trade.
fn taken_name(signal: &Signal) -> EventKind {
    let message = format!(
        "{}: the signal of {} for {} reuses the name of another trade. It got the baseline, and its outcome cannot be told apart \
         from that trade's. Give every signal a unique name",
        signal.trade_id, signal.at, signal.symbol
    );
    EventKind::Alert { level: Level::Critical, code: "trade_id_reused".into(), message }
}

/// Hands the decision to the journal. When it cannot be recorded it is not made: the answer becomes the baseline. Says whether
/// it was.
fn record(
    shared: &ScorerShared,
    request: &SignalLine,
    line: Vec<u8>,
    scored: &mut Scored,
    seen: Vec<Option<f64>>,
    now: Timestamp,
    latency: Duration,
) -> bool {
    let record = SignalRecord {
        trade_id: request.signal.trade_id.clone(),
        received_at: now,
        source: Source::Live,
        decision: Some(scored.decision.clone()),
        opinions: scored.opinions.clone(),
        latency_us: lateness::known(latency).map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
        line,
    };
    let recorded = shared.journal.write_behind(Write::Signal(record)).is_ok();
    if !recorded {
        shared.journal.count_dropped();
        scored.silence(&request.signal, Reason::JournalUnavailable);
    }
    // what cannot be recorded was given out all the same, and counts in its arm
    let opinions = std::mem::take(&mut scored.opinions);
    let config = shared.config.load();
    let instrument = config.symbols.get(&request.signal.symbol);
    let entry =
        AnsweredSignal::of_signal(&request.signal, &config.calendar, instrument, scored.decision.clone(), opinions);
    shared.trade_news.looked_at(now, entry, seen, request.signal.trend());
    recorded
}

impl Handler<Renew> for Shell<Scorer> {
    type Result = ();

    fn handle(&mut self, _: Renew, context: &mut Context<Self>) {
        self.renew(context);
    }
}

impl Handler<ObserveScorer> for Shell<Scorer> {
    type Result = MessageResult<ObserveScorer>;

    fn handle(&mut self, _: ObserveScorer, context: &mut Context<Self>) -> Self::Result {
        MessageResult(
            self.handle_with(context, Place::ScorerObserve, |scorer| scorer.shared.counters.borrow().status()),
        )
    }
}

impl Counters {
    /// `latency`: `None` where nobody knows how long the request waited before it was read.
    fn count(&mut self, reason: Reason, latency: Option<Duration>) {
        let index = Reason::ALL.iter().position(|known| *known == reason);
        if let Some(count) = index.and_then(|index| self.by_reason.get_mut(index)) {
            *count += 1;
        }
        if let Some(latency) = latency {
            if let Some(known) = &mut self.latency {
                known.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
            }
            self.slowest = self.slowest.max(Some(latency));
        }
    }

    /// The latency that the share `q` of the answers did not exceed, to 1 %; `None` before the first.
    fn quantile_us(&self, q: f64) -> Option<f64> {
        let (known, slowest) = (self.latency.as_ref()?, self.slowest?);
        let found = Duration::from_nanos(known.value_at_quantile(q)).min(slowest);
        Some(found.as_secs_f64() * 1e6)
    }

    fn status(&self) -> ScorerStatus {
        let counted = Reason::ALL.into_iter().zip(self.by_reason).filter(|(_, count)| *count > 0);
        ScorerStatus {
            answered: self.by_reason.iter().sum(),
            by_reason: counted.map(|(reason, count)| (reason.name(), count)).collect(),
            p50_us: self.quantile_us(0.5),
            p99_us: self.quantile_us(0.99),
            max_us: self.slowest.map(|slowest| slowest.as_secs_f64() * 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_of_unknown_length_is_an_answer_and_no_latency() {
        let mut counters = Counters::default();
        counters.count(Reason::Production, lateness::known(Duration::from_millis(1)));
        counters.count(Reason::Deadline, lateness::known(Duration::from_secs(3600)));
        let status = counters.status();
        assert_eq!((status.answered, status.p99_us, status.max_us), (2, Some(1000.0), Some(1000.0)));
    }

    #[test]
    fn quantiles_are_right_to_one_percent() {
        let mut counters = Counters::default();
        assert_eq!(counters.status().p50_us, None);
        (1..=10_000).for_each(|us| counters.count(Reason::Production, Some(Duration::from_micros(us))));
        for (q, exact) in [(0.001, 10.0), (0.5, 5000.0), (0.9, 9000.0), (0.99, 9900.0), (1.0, 10_000.0)] {
            let found = counters.quantile_us(q).unwrap() / exact;
            assert!((1.0..=1.01).contains(&found), "{q}: {found}");
        }
        counters.count(Reason::Production, Some(Duration::from_secs(3600)));
        assert_eq!(counters.status().max_us, Some(3.6e9), "beyond its bound the slowest is still exact");
    }
}
