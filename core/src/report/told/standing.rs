//! Where versions stood, how their tests went, and how they are against what was validated.
#![deny(clippy::indexing_slicing)]

use super::{
    super::{
        Part, Table, Test,
        people::{
            NONE, corrections, count, counted, date, interval, known, metric_rows, metrics_head, minute, money, number,
            percent,
        },
        summary::{Summary, TestTold, VersionHealth},
        timeline::words as state_words,
    },
    Words,
};
use crate::{
    domain::{Timestamp, trip::Trip},
    guard::emergency::VersionLevel,
    stats::proportion::{Share, wilson},
    trials::{
        experiment::{TestReport, ViewReport},
        trial_view::Assessment,
    },
};

const HEALTH: &str = "How each version stands at the end of the period, as in `vigie status`: how often its score was right by its own \
    question, losses in a row, and what following it made of the latest trades that it scored (what it let go has no outcome and is not \
    among them). The composite is that of its latest judged trading day, 1 is as validated.";
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
    let notes = open.into_iter().chain(late).chain(corrections(&view.metrics)).collect();
    let rows = metric_rows(&view.metrics);
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
    let made = format!("following it ({})", words.unit);
    let head =
        ["version", "right in (95 % interval)", "as validated", "losses in a row", &made, "composite", "days judged"];
    let help = if rows.is_empty() { "No version was judged in this period." } else { HEALTH };
    let head = if rows.is_empty() { Vec::new() } else { head.map(str::to_owned).to_vec() };
    let levels = summary.health.iter().filter_map(|health| health.level.as_ref());
    let notes =
        levels.flat_map(|level| level.unwatched.iter().map(|why| format!("{}: {why}", level.version))).collect();
    let title = "Health against what was validated".to_owned();
    Some(Table { part: Part::Health, title, help: help.to_owned(), head, rows, notes })
}

/// Lines that the chart of the accuracy has: those that are judged over as many trades as its curves are.
pub(super) fn accuracy_limits(summary: &Summary) -> Vec<(f64, String)> {
    let (window, rules) = (summary.accuracy_window, &summary.accuracy_rules);
    let its = rules.iter().filter(|(_, held)| held.acts_over(window));
    let all = rules.values().all(|held| held.acts_over(window));
    let mut lines: Vec<(f64, String)> = Vec::new();
    for (version, held) in its {
        match lines.iter_mut().find(|(below, _)| *below == held.below) {
            Some(_) if all => {}
            Some((_, name)) => *name += &format!(", {version}"),
            None if all => lines.push((held.below, "taken down below".to_owned())),
            None => lines.push((held.below, format!("taken down below: {version}"))),
        }
    }
    lines
}

/// Where an emergency took a version down for its accuracy.
pub(super) fn accuracy_marks(summary: &Summary) -> Vec<(Timestamp, f64, String)> {
    let mark = |trip: &Trip| Some((trip.at, trip.breach.value?, trip.to_string()));
    summary.accuracy_trips.iter().filter_map(mark).collect()
}

/// Over how many trades an accuracy is, what it is held to, and what an emergency by it says.
pub(super) fn accuracy_notes(summary: &Summary) -> Vec<String> {
    if summary.accuracy_rules.is_empty() && summary.accuracy_trips.is_empty() {
        return Vec::new();
    }
    let window = format!(
        "an accuracy here is that of the latest {} labelled trades of a version at most, guardian.accuracy_window",
        count(summary.accuracy_window)
    );
    let held = summary.accuracy_rules.iter().map(|(version, held)| format!("{version}: {held}"));
    let trips = summary.accuracy_trips.iter().filter_map(|trip| {
        let at = minute(trip.at);
        Some(format!(
            "{at}: {trip}; the event has no count of the trades that its {} is of, so it is no point of the curve",
            percent(trip.breach.value?, 1)
        ))
    });
    std::iter::once(window).chain(held).chain(trips).collect()
}

fn version(health: &VersionHealth) -> Vec<String> {
    let VersionHealth { version, days, degraded, unstable, composite, level, .. } = health;
    let level = level.as_ref();
    let right = level.and_then(|level| {
        let (accuracy, of) = (level.accuracy?, level.labelled);
        let found = wilson(Share::new(accuracy * of as f64, of as f64)?, LEVEL);
        let found = interval(found, |share| percent(share, 1));
        Some(format!("{} of {} ({found})", percent(accuracy, 1), count(of)))
    });
    vec![
        version.to_string(),
        right.unwrap_or_else(|| NONE.to_owned()),
        known(level.and_then(|level| level.expected_accuracy), |share| percent(share, 1)),
        level.map_or_else(|| NONE.to_owned(), |level| format!("{} of {}", level.loss_streak, level.streak_limit)),
        level.and_then(following).unwrap_or_else(|| NONE.to_owned()),
        known(*composite, |composite| number(composite, 2)),
        format!(
            "{}; worse than validated on {}, score unstable on {}",
            count(*days),
            count(*degraded),
            count(*unstable)
        ),
    ]
}

/// What following a version made, of how many trades, and whether they heard it; `None` without any.
fn following(level: &VersionLevel) -> Option<String> {
    let heard = (level.gain_trades > 0).then(|| {
        format!(
            "{} in {} that heard it ({} against the strategy)",
            money(level.made),
            count(level.gain_trades),
            money(level.gain)
        )
    });
    let would = (level.would_gain_trades > 0).then(|| {
        format!(
            "in {} that did not, it would have made {} against the strategy",
            count(level.would_gain_trades),
            money(level.would_gain)
        )
    });
    let told: Vec<String> = heard.into_iter().chain(would).collect();
    (!told.is_empty()).then(|| told.join("; "))
}
