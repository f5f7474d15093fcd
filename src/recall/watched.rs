//! What a version in service is judged against, from its record and from the trades that it learnt from and was tested on.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    history::moved,
    scored::{self, Scored, Signals},
    versions::{self, Unusable},
};
use crate::{
    config::Config,
    domain::{EventKind, Timestamp, TradingDay, VersionId, event::Level},
    features::row::Schema,
    guard::{
        emergency::NO_TRADE,
        health::{ScoredTrade, Validated},
        monitor::{Learnt, Usual},
        watch::{Watch, WatchedVersion},
    },
    journal::Reader,
    lifecycle::happening::Happening,
    models::VersionRecord,
    policy::serving::{Served, Serving, Standing},
    state::replay::Watching,
    stats::{describe::standard_deviation, sessions::History},
    validation::ValidationReport,
};

/// Of a record without the taken trades of its validation.
const OLDER: &str = "its record keeps no taken trades of its validation, so declines are looked for as far as the journal has the \
                     trades it was tested on; the emergency rules watch it all the same";

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

/// Reads it.
///
/// # Errors
/// When its record cannot be used.
pub fn of(reader: &Reader, config: &Config, past: &Signals, version: &VersionId) -> Result<WatchedVersion, Unusable> {
    let record = versions::usable(reader, version)?;
    let schema = Schema::new(&config.features.extra).map_err(|error| Unusable::Damaged(error.to_string()))?;
    let served = versions::served(reader, version, &schema, config)?;
    Ok(against(&record, &served, &schema, config, past, born(reader, version)?))
}

/// The number of the event by which `version` was registered: what came behind it was not known then, however early its
/// time is, as in a replay.
pub fn born(reader: &Reader, version: &VersionId) -> Result<u64, Unusable> {
    let is_its = |kind: &EventKind| matches!(kind, EventKind::Trained { version: trained, .. } if trained == version);
    let events = reader.events(0).map_err(Unusable::of_store)?;
    Ok(events.flatten().find(|stored| is_its(&stored.event.kind)).map_or(u64::MAX, |stored| stored.seq))
}

/// What the version of `record`, loaded as `served` for rows of `schema`, is judged against, given the trades of the past,
/// as far as the journal had them before its record number `born`.
pub fn against(
    record: &VersionRecord,
    served: &Served,
    schema: &Schema,
    config: &Config,
    past: &Signals,
    born: u64,
) -> WatchedVersion {
    let version = &record.id;
    let own = |scored: &&Scored| scored.signal.symbol == version.symbol && scored.seq < born;
    let learnt: Vec<&Scored> = past
        .signals
        .iter()
        .filter(own)
        .filter(|scored| (record.training.first..=record.training.last).contains(&scored.signal.at))
        .collect();
    let tested = tested(past.signals.iter().filter(own), record, served, config, born);
    let (names, places): (Vec<Box<str>>, Vec<usize>) =
        record.reference.inputs.keys().filter_map(|name| Some((name.clone(), schema.position(name)?))).unzip();
    let column = |place: &usize| learnt.iter().map(|s| s.row.get(*place).copied().flatten()).collect();
    let columns: Vec<Vec<Option<f64>>> = places.iter().map(column).collect();
    let span = record.training.last.duration_since(record.training.first).as_secs_f64() / 86_400.0;
    let watch = &config.monitoring.watch;
    let inputs = names.iter().filter_map(|name| record.reference.inputs.get(name).cloned()).collect();
    let variance = record.reference.score.as_ref().map_or(0.0, |score| score.sd() * score.sd());
    let (scores, scored_days) = scores(past.signals.iter().filter(own), record, served);
    let enough = tested.len() >= watch.health.min_trades;
    // where the trades do not say it any more its record does
    let validated = Validated::of(&tested, variance).filter(|_| enough).or_else(|| told(record, variance));
    let history = history(record, &tested);
    let (limits, lacks) = WatchedVersion::declines(&history, &watch.health.decline);
    let lacks = if limits.is_none() && takes_none(record) { Some(NO_TRADE.into()) } else { lacks };
    let usual = if history.pnl_sd.is_some() {
        Usual::of(&history)
    } else {
        let pnl: Vec<f64> = learnt.iter().filter_map(|scored| scored.pnl).collect();
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

/// The trades after those it learnt from that were closed when it was made: what it was tested on.
fn tested<'a>(
    past: impl Iterator<Item = &'a Scored>,
    record: &VersionRecord,
    served: &Served,
    config: &Config,
    born: u64,
) -> Vec<ScoredTrade> {
    let mut columns = Vec::new();
    let policy = served.policy(&config.policy);
    let trade = |scored: &Scored| {
        let (_, outcome) = scored.outcome.as_ref()?;
        let told = scored.closed_seq.is_some_and(|seq| seq < born);
        let known = told && scored.signal.at > record.training.last && outcome.exit_at <= record.created_at;
        let score = served.score(&scored.row, &mut columns).ok().filter(|_| known)?;
        let own = scored.signal.confidence?;
        let taken = policy.size(policy.blend(own, score), score) > 0.0;
        let facts = scored.facts(config)?;
        Some(ScoredTrade {
            day: Some(config.calendar.day_of(scored.signal.at)),
            score: score.get(),
            answer: served.question().answer(score.get(), &facts),
            taken,
            pnl: scored.pnl?,
        })
    };
    past.filter_map(trade).collect()
}

/// What it says of the signals until it was made, in the order of time, and the days they span.
fn scores<'a>(past: impl Iterator<Item = &'a Scored>, record: &VersionRecord, served: &Served) -> (Vec<f64>, f64) {
    let mut columns = Vec::new();
    let known = record.training.first..=record.created_at;
    let said = past.filter(|scored| known.contains(&scored.signal.at));
    let said = said.filter_map(|scored| Some((scored.signal.at, served.score(&scored.row, &mut columns).ok()?.get())));
    let (at, scores): (Vec<Timestamp>, Vec<f64>) = said.unzip();
    let span = at.first().zip(at.last()).map_or(0.0, |(first, last)| last.duration_since(*first).as_secs_f64());
    (scores, span / 86_400.0)
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

/// What each of `versions` is judged against, by `config`; nothing for one whose record cannot be used.
pub fn subjects(
    reader: &Reader,
    config: &Config,
    past: &Signals,
    versions: impl IntoIterator<Item = VersionId>,
) -> BTreeMap<VersionId, WatchedVersion> {
    let subject = |version: VersionId| {
        let subject = of(reader, config, past, &version).unwrap_or_default();
        (version, subject)
    };
    versions.into_iter().map(subject).collect()
}

/// What the monitor of a replay of `happenings` judges by under `config`. It takes some seconds for each version that was
/// ever registered.
///
/// # Errors
/// When the storage cannot be read.
pub fn watching(reader: &Reader, config: &Config, happenings: &[Happening]) -> Result<Watching, String> {
    let past = scored::read(reader, config)?;
    let stepped = happenings.iter().filter_map(|happening| match happening {
        Happening::Event(event) => moved(&event.kind),
        _ => None,
    });
    let subjects = subjects(reader, config, &past, stepped.cloned().collect::<BTreeSet<_>>());
    let row = |scored: Scored| (scored.signal.trade_id.clone(), (scored.row, scored.signal.trend()));
    Ok(Watching { options: config.monitoring.watch, subjects, rows: past.signals.into_iter().map(row).collect() })
}
