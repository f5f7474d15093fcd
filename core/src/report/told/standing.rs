//! Where versions stood, how their tests went, and how they are against what was validated.
#![deny(clippy::indexing_slicing)]

use super::{
    super::{
        Part, Table, Test,
        people::{NONE, count, counted, date, interval, known, metric, metrics_head, minute, money, number, percent},
        summary::{Summary, TestTold, VersionHealth},
        timeline::words as state_words,
    },
    Words,
};
use crate::{
    stats::proportion::{Share, wilson},
    trials::{
        experiment::{TestReport, ViewReport},
        trial_view::Assessment,
    },
};

const HEALTH: &str = "How each version stands at the end of the period. Accuracy and losses in a row are those by which the guardian \
    judges it, as in `vigie status`; the composite is that of its latest judged trading day, 1 is as validated.";
/// Coverage of the interval of an accuracy.
const LEVEL: f64 = 0.95;

/// The times of versions in service.
pub(super) fn versions(summary: &Summary) -> Option<Table> {
    let row = |stay: &super::super::Stay| {
        let gate = if stay.overridden { ", past a gate" } else { "" };
        vec![
            stay.version.to_string(),
            format!("{}{gate}", state_words(stay.state)),
            minute(stay.from),
            stay.until.map_or_else(|| "now".to_owned(), minute),
            stay.came.clone(),
            stay.went.clone().unwrap_or_else(|| NONE.to_owned()),
        ]
    };
    let help = match summary.versions.as_slice() {
        [] => "No version was in staging, under test or in production.",
        _ => "Each time of a version in staging, under test or in production, and why it came and went. Times are UTC.",
    };
    let rows: Vec<Vec<String>> = summary.versions.iter().map(row).collect();
    let head = ["version", "where", "from", "until", "why it came", "why it went"].map(str::to_owned).to_vec();
    let title = "Versions in service".to_owned();
    let head = if rows.is_empty() { Vec::new() } else { head };
    Some(Table { part: Part::Versions, title, help: help.to_owned(), head, rows, notes: Vec::new() })
}

/// A test as it is drawn, with the figures of the view that decides.
pub(super) fn test(told: &TestTold) -> Test {
    let Assessment { version, report, .. } = &told.assessment;
    let outcome = match (&told.ended, report) {
        (Some(ending), _) => format!("It ended on {}: {}.", date(ending.at), ending.reason),
        (None, Some(report)) => format!("Under way: {}.", report.ruling.verdict.why()),
        (None, None) => "Under way.".to_owned(),
    };
    let figures = report.as_ref().and_then(|report| {
        let view = report.views.iter().find(|view| view.view == report.evidence)?;
        let mut table = view_table(report, view);
        if told.looks.len() < report.sessions {
            let (looks, closed) = (told.looks.len(), report.sessions);
            table.notes.push(format!(
                "the look after session {looks} decided; these figures are of all {closed} sessions that had closed by then"
            ));
        }
        Some(Table { part: Part::Tests, title: String::new(), ..table })
    });
    Test {
        version: version.to_string(),
        number: told.number,
        begun: told.begun,
        outcome,
        planned: told.planned,
        points: told.looks.clone(),
        figures,
    }
}

fn view_table(report: &TestReport, view: &ViewReport) -> Table {
    let TestReport { sessions, planned_sessions, trades, open_trades, late, is_measured_only, .. } = report;
    let of = if *is_measured_only { String::new() } else { format!(" of {planned_sessions}") };
    let ([ml, baseline], [ml_taken, baseline_taken]) = (view.signals, view.taken);
    let help = format!(
        "{sessions}{of} sessions closed with {}; the {} view: {} signals ({} traded) under the model, {} ({} traded) under the \
         strategy alone.",
        counted(*trades, "trade", "trades"),
        view.view.name(),
        count(ml),
        count(ml_taken),
        count(baseline),
        count(baseline_taken)
    );
    let open = (*open_trades > 0)
        .then(|| counted(*open_trades, "trade of an open session waits", "trades of open sessions wait"));
    let late = (*late > 0).then(|| counted(*late, "trade came too late to count", "trades came too late to count"));
    let notes = open.into_iter().chain(late).collect();
    let rows = view.metrics.iter().map(metric).collect();
    let head = metrics_head(report.confidence);
    Table { part: Part::Tests, title: String::new(), help, head, rows, notes }
}

/// A version in production against its holdback.
pub(super) fn holdback(told: &Assessment) -> Option<Table> {
    let report = told.report.as_ref()?;
    let view = report.views.iter().find(|view| view.view == report.evidence)?;
    let title = format!("{} in production against its holdback, since {}", told.version, date(told.since));
    Some(Table { title, ..view_table(report, view) })
}

/// The versions against what was validated.
pub(super) fn health(summary: &Summary, words: &Words<'_>) -> Option<Table> {
    let rows: Vec<Vec<String>> = summary.health.iter().map(version).collect();
    let gain = format!("gain of its latest trades ({})", words.unit);
    let head = [
        "version",
        "right in",
        "95 % interval",
        "as validated",
        "losses in a row",
        &gain,
        "composite",
        "days judged",
        "worse than validated",
        "score unstable",
    ];
    let help = if rows.is_empty() { "No version was judged in this period." } else { HEALTH };
    let head = if rows.is_empty() { Vec::new() } else { head.map(str::to_owned).to_vec() };
    let notes = summary.health.iter().filter_map(|health| health.level.as_ref());
    let notes = notes.flat_map(|level| level.unwatched.iter().map(|why| format!("{}: {why}", level.version))).collect();
    let title = "Health against what was validated".to_owned();
    Some(Table { part: Part::Health, title, help: help.to_owned(), head, rows, notes })
}

fn version(health: &VersionHealth) -> Vec<String> {
    let VersionHealth { version, days, degraded, unstable, composite, level, .. } = health;
    let level = level.as_ref();
    let accuracy = level.and_then(|level| Some((level.accuracy?, level.labelled)));
    let found = accuracy.and_then(|(accuracy, of)| wilson(Share::new(accuracy * of as f64, of as f64)?, LEVEL));
    vec![
        version.to_string(),
        accuracy.map_or_else(|| NONE.to_owned(), |(accuracy, of)| format!("{} of {}", percent(accuracy, 1), count(of))),
        interval(found, |share| percent(share, 1)),
        known(level.and_then(|level| level.expected_accuracy), |share| percent(share, 1)),
        level.map_or_else(|| NONE.to_owned(), |level| format!("{} of {}", level.loss_streak, level.streak_limit)),
        level
            .filter(|level| level.gain_trades > 0)
            .map_or_else(|| NONE.to_owned(), |level| format!("{} in {}", money(level.gain), count(level.gain_trades))),
        known(*composite, |composite| number(composite, 2)),
        count(*days),
        count(*degraded),
        count(*unstable),
    ]
}
