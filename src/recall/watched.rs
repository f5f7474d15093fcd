//! What a version in service is judged against, from its record and from the trades that it learnt from and was tested on.

use std::collections::VecDeque;

use super::{
    events,
    scored::{Scored, Signals},
    versions::{self, Unusable},
};
use crate::{
    config::Config,
    domain::{EventKind, Probability, Timestamp, TradingDay, VersionId, event::Level},
    features::row::Schema,
    guard::{
        emergency::NO_TRADE,
        health::{ScoredTrade, Validated},
        monitor::{Learnt, Usual},
        watch::{Watch, WatchedVersion},
    },
    journal::Reader,
    models::VersionRecord,
    policy::answer::Policy,
    policy::serving::{Served, Serving, Standing},
    stats::{
        describe::standard_deviation,
        market::{MarketRegime, Shown, shown},
        sessions::History,
    },
    validation::ValidationReport,
};

/// Of a record without the taken trades of its validation.
const OLDER: &str = "its record keeps no taken trades of its validation, so declines are looked for as far as the journal has the \
                     trades it was tested on; the emergency rules watch it all the same";

/// Signals, the latest, that the regimes of the market are fitted to.
const MOST_SHOWN: usize = 20_000;

/// The alert of a version that a rule cannot watch.
const UNWATCHED: &str = "unwatched";

/// The message of such an alert.
pub fn unwatched(event: EventKind) -> Option<String> {
    match event {
        EventKind::Alert { code, message, .. } if &*code == UNWATCHED => Some(message),
        _ => None,
    }
}

/// What is to be told of versions that speak and that something does not watch, unless it is among the messages `told` before.
pub fn untold(watch: &Watch, serving: &Serving, told: &[String]) -> Vec<EventKind> {
    let speaking = serving.standing.iter().filter(|standing| standing.speaks);
    let blind = speaking.flat_map(|Standing { version, .. }| {
        watch.blind(version).into_iter().filter_map(move |why| {
            // the numbers stand in front, and change
            let (begin, key) = (format!("{version}: "), why.rsplit(": ").next().unwrap_or(&why));
            let known = told.iter().any(|told| told.starts_with(&begin) && told.contains(key));
            (!known).then(|| format!("{version}: {why}"))
        })
    });
    blind.map(|message| EventKind::Alert { level: Level::Warning, code: UNWATCHED.into(), message }).collect()
}

/// Reads it from the trades that the journal had when the version was registered.
///
/// # Errors
/// When its record cannot be used.
pub fn of(reader: &Reader, config: &Config, version: &VersionId) -> Result<WatchedVersion, Unusable> {
    let record = versions::usable(reader, version)?;
    let schema = Schema::of(&config.features).map_err(|error| Unusable::Damaged(error.to_string()))?;
    let served = versions::served(reader, version, &schema, config)?;
    let born = born(reader, version)?;
    let mut gathered = Gathered::new(&record, &served, &schema, config, born);
    let past = Signals::read_before(reader, config, born).map_err(Unusable::Unreadable)?;
    for scored in past.each() {
        gathered.take(&scored.map_err(Unusable::Unreadable)?);
    }
    drop(past);
    Ok(gathered.judged_against())
}

/// The number of the event by which `version` was registered: what came behind it was not known then, however early its
/// time is, as in a replay.
pub fn born(reader: &Reader, version: &VersionId) -> Result<u64, Unusable> {
    let is_its = |kind: &EventKind| matches!(kind, EventKind::Trained { version: trained, .. } if trained == version);
    for stored in events::in_force(reader).map_err(Unusable::of_store)? {
        let stored = stored.map_err(Unusable::of_store)?;
        if is_its(&stored.event.kind) {
            return Ok(stored.seq);
        }
    }
    Ok(u64::MAX)
}

/// What is kept of the past of a version: of each trade the numbers that its limits are drawn from.
pub struct Gathered<'a> {
    record: &'a VersionRecord,
    served: &'a Served,
    config: &'a Config,
    /// The number of the record by which it was registered.
    born: u64,
    policy: Policy,
    /// The inputs that are watched, and where they stand in a row.
    names: Vec<Box<str>>,
    places: Vec<usize>,
    /// Of the trades that it learnt from: these inputs, one by one, and the pnl.
    columns: Vec<Vec<Option<f64>>>,
    pnl: Vec<f64>,
    /// What the signals that it learnt from show of the market, the latest of them.
    shown: VecDeque<Shown>,
    /// The trades after those it learnt from that were closed when it was made: what it was tested on.
    tested: Vec<ScoredTrade>,
    /// What it says of the signals until it was made, in the order of time.
    scores: Vec<f64>,
    /// The times of the first and the last of these.
    said: Option<(Timestamp, Timestamp)>,
    row: Vec<f64>,
}

impl<'a> Gathered<'a> {
    /// Nothing yet of the version of `record`, loaded as `served` for rows of `schema`, and registered by the record number `born`
    /// of the journal.
    pub fn new(record: &'a VersionRecord, served: &'a Served, schema: &Schema, config: &'a Config, born: u64) -> Self {
        let known = record.reference.inputs.keys().filter_map(|name| Some((name.clone(), schema.position(name)?)));
        let (names, places): (Vec<Box<str>>, Vec<usize>) = known.unzip();
        let (columns, policy) = (vec![Vec::new(); places.len()], served.policy(&config.policy));
        let (pnl, shown, tested, scores, said, row) = Default::default();
        Self { record, served, config, born, policy, names, places, columns, pnl, shown, tested, scores, said, row }
    }

    /// Takes in the next signal in the order of time. What the journal did not have when the version was registered is passed over.
    pub fn take(&mut self, scored: &Scored) {
        let at = scored.signal.at;
        if scored.signal.symbol != self.record.id.symbol || scored.seq >= self.born || at < self.record.training.first {
            return;
        }
        if at <= self.record.training.last {
            for (place, column) in self.places.iter().zip(&mut self.columns) {
                column.push(scored.row.get(*place).copied().flatten());
            }
            self.pnl.extend(scored.pnl);
            if self.shown.len() == MOST_SHOWN {
                self.shown.pop_front();
            }
            self.shown.push_back(shown(&scored.row));
        }
        let Ok(score) = self.served.score(&scored.row, &mut self.row) else { return };
        if at <= self.record.created_at {
            self.scores.push(score.get());
            self.said = Some((self.said.map_or(at, |(first, _)| first), at));
        }
        self.tested.extend(self.test(scored, score));
    }

    fn test(&self, scored: &Scored, score: Probability) -> Option<ScoredTrade> {
        let (_, outcome) = scored.outcome.as_ref()?;
        let told = scored.closed_seq.is_some_and(|seq| seq < self.born);
        let is_later = scored.signal.at > self.record.training.last;
        (told && is_later && outcome.exit_at <= self.record.created_at).then_some(())?;
        let own = scored.signal.confidence?;
        let taken = self.policy.size(self.policy.blend(own, score), score) > 0.0;
        Some(ScoredTrade {
            day: Some(self.config.calendar.day_of(scored.signal.at)),
            score: score.get(),
            answer: self.served.question().answer(score.get(), &scored.facts(self.config)?),
            taken,
            pnl: scored.pnl?,
        })
    }

    /// What the version is judged against.
    pub fn judged_against(self) -> WatchedVersion {
        let Self { record, served, config, names, places, columns, pnl, shown, tested, scores, said, .. } = self;
        let span = record.training.last.duration_since(record.training.first).as_secs_f64() / 86_400.0;
        let watch = &config.monitoring.watch;
        let inputs = names.iter().filter_map(|name| record.reference.inputs.get(name).cloned()).collect();
        let variance = record.reference.score.as_ref().map_or(0.0, |score| score.sd() * score.sd());
        let scored_days = said.map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64()) / 86_400.0;
        let enough = tested.len() >= watch.health.min_trades;
        // where the trades do not say it any more its record does
        let validated = Validated::of(&tested, variance).filter(|_| enough).or_else(|| told(record, variance));
        let history = history(record, &tested);
        let (limits, lacks) = WatchedVersion::declines(&history, &watch.health.decline);
        let lacks = if limits.is_none() && takes_none(record) { Some(NO_TRADE.into()) } else { lacks };
        let usual = if history.pnl_sd.is_some() {
            Usual::of(&history)
        } else {
            let rate = record.training.wins as f64 / record.training.rows as f64;
            Usual { win_rate: Some(rate), pnl_sd: standard_deviation(&pnl), ..Usual::default() }
        };
        WatchedVersion {
            limits,
            lacks,
            thresholds: WatchedVersion::thresholds(&columns, span, &watch.monitor, &watch.budget),
            score_limit: WatchedVersion::score_limit(
                &scores,
                scored_days,
                &watch.monitor,
                &watch.budget,
                watch.health.act_level,
            ),
            learnt: record.reference.score.clone().map(|score| Learnt { names, inputs, score }),
            places,
            question: *served.question(),
            standard: served.standard().copied(),
            validated,
            usual,
            market: MarketRegime::fit(&Vec::from(shown), config.training.seed),
        }
    }
}

/// The taken trades of its validation, out of fold; of an older record, which does not have them, those it was tested on.
fn history(record: &VersionRecord, tested: &[ScoredTrade]) -> History {
    let kept = kept(record);
    if !kept.sessions.is_empty() {
        return kept;
    }
    let taken = tested.iter().filter(|trade| trade.taken);
    let mut trades: Vec<(TradingDay, bool, f64)> =
        taken.filter_map(|trade| Some((trade.day?, trade.answer.hit()?, trade.pnl))).collect();
    trades.sort_by_key(|(day, ..)| *day);
    History::of(&trades)
}

/// The taken trades of its validation, as far as its record has them.
fn kept(record: &VersionRecord) -> History {
    let report = record.validation.clone().and_then(|report| serde_json::from_value::<ValidationReport>(report).ok());
    report.map(|report| report.evidence.out_of_fold).unwrap_or_default()
}

/// Whether its policy took no trade of its test part.
fn takes_none(record: &VersionRecord) -> bool {
    record.standard.is_some_and(|standard| standard.wins.is_none())
}

/// What a record lacks for declines of its version to be looked for, in words; `None` when they are.
pub fn lacking(record: &VersionRecord) -> Option<String> {
    let kept = kept(record);
    if kept.sessions.is_empty() && takes_none(record) {
        return Some(NO_TRADE.to_owned());
    }
    if kept.sessions.is_empty() {
        return Some(OLDER.to_owned());
    }
    kept.lacks().map(|lacks| lacks.to_string())
}

/// What its record tells of its validation, when the trades are no longer there.
fn told(record: &VersionRecord, score_variance: f64) -> Option<Validated> {
    let figure = |name: &str| record.metrics.get(name).copied();
    Some(Validated {
        accuracy: figure("test_accuracy")?,
        precision: figure("test_precision"),
        expectancy: figure("test_expectancy"),
        score_variance,
        trades: figure("test_rows").map_or(0, |rows| rows as usize),
        memory: 1.0,
    })
}
