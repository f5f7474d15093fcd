//! The parts of the page, in their order.

use super::{
    Curve, Ending, Part, Report, Table, Test,
    chart::{Chart, Series, Unit},
    entry::Weight,
    heat,
    page::{Amount, Page},
    seconds, timeline,
};
use crate::domain::Timestamp;

const STYLE: &str = include_str!("style.css");
/// What is to be seen in the chart of a test.
const EVIDENCE: &str = "The standardised difference of the two policies after each session, from 1 to the last one planned: of the win rate and \
    of the money per signal. Above the upper boundary the version is better beyond chance, however often one looks. Harm is judged by the \
    money: where that falls to the lower boundary the test ends.";
/// What stands in the place of the chart of a test before anything was looked at.
const NO_LOOK: &str =
    "No session of it with trades of both policies has closed yet, so there is no evidence to be drawn.";
/// What money is counted in where nobody says more.
const UNIT: &str = "account currency";
/// Letters of a cell that stay on one line.
const SHORT: usize = 18;
const LINES: [&str; 4] = ["one", "two", "three", "four"];

/// The whole page.
pub(super) fn html(report: &Report) -> String {
    let mut page = Page::default();
    page.markup("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    page.markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.markup("<meta name=\"color-scheme\" content=\"light dark\">\n");
    page.leaf("title", &[], &report.title);
    page.markup("\n<style>\n");
    page.markup(STYLE);
    page.markup("</style></head>\n<body><main>\n");
    head(&mut page, report);
    checks(&mut page, report);
    money(&mut page, report);
    lives(&mut page, report);
    tests(&mut page, report);
    health(&mut page, report);
    for part in [Part::Alerts, Part::Times, Part::Lost] {
        tables(&mut page, report, part);
    }
    story(&mut page, report);
    entries(&mut page, report);
    tables(&mut page, report, Part::End);
    next(&mut page, report);
    page.markup("</main></body></html>\n");
    page.into_text()
}

/// A part with its heading and what to look at in it.
fn section(page: &mut Page, title: &str, help: &str, inside: impl FnOnce(&mut Page)) {
    page.node("section", &[], |page| {
        page.leaf("h2", &[], title);
        if !help.is_empty() {
            page.leaf("p", &[("class", &"help")], help);
        }
        inside(page);
    });
    page.line_end();
}

fn head(page: &mut Page, report: &Report) {
    page.node("header", &[], |page| {
        page.leaf("h1", &[], &report.title);
        if let Some(notice) = &report.notice {
            page.leaf("p", &[("class", &"banner")], notice);
        }
        page.leaf("p", &[("class", &"lead")], &report.lead);
        page.node("dl", &[], |page| {
            for (name, value) in &report.facts {
                page.node("div", &[], |page| {
                    page.leaf("dt", &[], name);
                    page.leaf("dd", &[], value);
                });
            }
        });
    });
    page.line_end();
}

fn checks(page: &mut Page, report: &Report) {
    if report.checks.is_empty() {
        return;
    }
    section(
        page,
        "What was to happen, and what did",
        "A row that ended better than expected is marked, with the reason.",
        |page| {
            page.node("table", &[("class", &"checks")], |page| {
                for check in &report.checks {
                    page.node("tr", &[], |page| {
                        let (class, mark) = match check.ending {
                            Ending::AsTold => ("yes", "\u{2713}"),
                            Ending::Better => ("yes", "\u{2713} better"),
                            Ending::Worse => ("no", "\u{2717}"),
                        };
                        page.leaf("td", &[("class", &class)], mark);
                        page.leaf("td", &[], &check.what);
                        page.leaf("td", &[("class", &"quiet")], &check.found);
                    });
                }
            });
        },
    );
}

fn money(page: &mut Page, report: &Report) {
    tables(page, report, Part::Money);
    let Some(span) = report.span.filter(|_| !report.equity.is_empty()) else { return };
    let help = format!(
        "Cumulative profit in {}, after costs, and below it how far each is under its highest point so far. An arm with more signals \
         makes more of everything: what a signal makes is compared in the table.",
        if report.unit.is_empty() { UNIT } else { &report.unit }
    );
    section(page, "What they earned", &help, |page| {
        let mut chart = curves("cumulative profit", 280.0, Unit::Money, &report.equity, span);
        chart.marks = marks(report);
        chart.draw(page);
        let below: Vec<Curve> = report.equity.iter().map(drawdown).collect();
        let mut chart = curves("drawdown", 150.0, Unit::Money, &below, span);
        chart.series.iter_mut().for_each(|series| series.filled = true);
        chart.legend = false;
        chart.draw(page);
    });
}

fn marks(report: &Report) -> Vec<(f64, String)> {
    report.marks.iter().map(|(at, name)| (seconds(*at), name.clone())).collect()
}

fn lives(page: &mut Page, report: &Report) {
    if let Some(span) = report.span.filter(|_| !report.lives.is_empty()) {
        let help = "Only a version in its A/B test or in production influences a trade; in staging it only watches.";
        section(page, "The life of the versions", help, |page| timeline::draw(page, report, span));
    }
    tables(page, report, Part::Versions);
}

fn tests(page: &mut Page, report: &Report) {
    for (n, test) in report.tests.iter().enumerate() {
        let begun = test.begun.strftime("%Y-%m-%d");
        let title = format!("A/B test {} of {}, begun on {begun}", test.number, test.version);
        let help = if n == 0 { EVIDENCE } else { "" };
        section(page, &title, help, |page| {
            evidence(test).draw(page);
            page.leaf("p", &[("class", &"result")], &test.outcome);
            test.figures.iter().for_each(|figures| table(page, figures));
        });
    }
    tables(page, report, Part::Tests);
}

fn health(page: &mut Page, report: &Report) {
    let Some(span) = report.span else { return tables(page, report, Part::Health) };
    if !(report.accuracy.is_empty() && report.accuracy_notes.is_empty()) {
        let help = "Share of the latest labelled trades of each version in which its score was right, at the close of each trading day. A \
            line across is drawn only where the guardian judges by one over as many trades; a ring is an emergency, at the figure of \
            its event.";
        section(page, "Rolling accuracy", help, |page| {
            let mut chart = curves("rolling accuracy", 220.0, Unit::Percent, &report.accuracy, span);
            chart.limits.clone_from(&report.accuracy_limits);
            let mark = |(at, value, name): &(Timestamp, f64, String)| (seconds(*at), *value, name.clone());
            chart.rings = report.accuracy_marks.iter().map(mark).collect();
            chart.floor = vec![0.4, 0.8];
            chart.marks = marks(report);
            chart.nothing = "At the close of no trading day had a version enough labelled trades to be judged by, so there is no curve.";
            chart.draw(page);
            for note in &report.accuracy_notes {
                page.leaf("p", &[("class", &"help note-of")], note);
            }
        });
    }
    if !report.composite.is_empty() {
        let help = "Accuracy, precision and expectancy of the latest trades of each version over those of its validation, in one \
            figure, when each trading day was judged.";
        section(page, "Composite against validation", help, |page| {
            let mut chart = curves("composite against validation", 180.0, Unit::Number, &report.composite, span);
            chart.limits = vec![(1.0, "as validated".to_owned())];
            chart.floor = vec![0.8, 1.2];
            chart.draw(page);
        });
    }
    tables(page, report, Part::Health);
    if !report.drift.is_empty() {
        section(page, "Drift of the inputs", &report.drift_what, |page| heat::draw(page, report, span));
    }
}

/// The tables of a part that have a heading of their own.
fn tables(page: &mut Page, report: &Report, part: Part) {
    for found in report.tables.iter().filter(|table| table.part == part) {
        section(page, &found.title, "", |page| table(page, found));
    }
}

fn table(page: &mut Page, table: &Table) {
    if !table.help.is_empty() {
        page.leaf("p", &[("class", &"help")], &table.help);
    }
    if !table.rows.is_empty() {
        page.node("table", &[("class", &"figures")], |page| {
            page.node("thead", &[], |page| {
                page.node("tr", &[], |page| table.head.iter().for_each(|cell| page.leaf("th", &[], cell)));
            });
            page.node("tbody", &[], |page| {
                for row in &table.rows {
                    page.node("tr", &[], |page| {
                        // a narrow screen names the column in front of each cell
                        for (cell, name) in row.iter().zip(&table.head) {
                            let class = if cell.chars().count() <= SHORT { "short" } else { "long" };
                            page.leaf("td", &[("class", &class), ("data-of", name)], cell);
                        }
                    });
                    page.line_end();
                }
            });
        });
    }
    for note in &table.notes {
        page.leaf("p", &[("class", &"help note-of")], note);
    }
}

fn curves(title: &str, height: f64, unit: Unit, curves: &[Curve], span: (Timestamp, Timestamp)) -> Chart {
    let series = curves.iter().zip(LINES.into_iter().cycle()).map(|(curve, class)| Series {
        label: curve.name.clone(),
        class,
        points: curve.points.iter().map(|(at, value)| (seconds(*at), *value)).collect(),
        filled: false,
    });
    Chart {
        title: title.to_owned(),
        height,
        unit,
        over_time: true,
        range: Some((seconds(span.0), seconds(span.1))),
        series: series.collect(),
        limits: Vec::new(),
        floor: if unit == Unit::Money { vec![0.0] } else { Vec::new() },
        rings: Vec::new(),
        marks: Vec::new(),
        measured: usize::MAX,
        nothing: "There is no value of it in this period, so there is no curve.",
        legend: true,
    }
}

/// How far a curve is under its highest point so far, as a number that is not above 0.
fn drawdown(curve: &Curve) -> Curve {
    let mut highest = 0.0_f64;
    let below = curve.points.iter().map(|(at, value)| {
        let below = value.map(|value| {
            highest = highest.max(value);
            value - highest
        });
        (*at, below)
    });
    Curve { name: curve.name.clone(), points: below.collect() }
}

fn evidence(test: &Test) -> Chart {
    let line = |label: &str, class: &'static str, value: fn(&super::TestPoint) -> Option<f64>| Series {
        label: label.to_owned(),
        class,
        points: test.points.iter().map(|point| (point.session as f64, value(point))).collect(),
        filled: false,
    };
    Chart {
        title: format!("evidence of test {} of {}", test.number, test.version),
        height: 240.0,
        unit: Unit::Number,
        over_time: false,
        range: Some((0.0, test.planned.max(1) as f64)),
        measured: 2,
        series: vec![
            line("win rate", "one", |point| point.win_rate),
            line("money per signal", "two", |point| point.money),
            line("better beyond chance", "success", |point| point.success),
            line("harm, of the money", "harm", |point| point.harm),
        ],
        limits: Vec::new(),
        floor: vec![-3.0, 3.0],
        rings: Vec::new(),
        marks: Vec::new(),
        nothing: NO_LOOK,
        legend: true,
    }
}

fn story(page: &mut Page, report: &Report) {
    if report.story.is_empty() {
        return;
    }
    section(page, "The story", "", |page| {
        page.node("table", &[("class", &"story")], |page| {
            for (at, sentence) in &report.story {
                page.node("tr", &[], |page| {
                    page.leaf("td", &[("class", &"when")], at.strftime("%Y-%m-%d"));
                    page.leaf("td", &[], sentence);
                });
            }
        });
    });
}

fn entries(page: &mut Page, report: &Report) {
    if report.entries.is_empty() {
        return;
    }
    let mut help = "Every step, lock and alert of the journal, with the numbers it was decided on.".to_owned();
    if report.entries_left_out > 0 {
        help +=
            &format!(" {} older lines are left out; `vigie events` has all.", Amount(report.entries_left_out as f64));
    }
    section(page, "Everything that was decided", &help, |page| {
        page.node("table", &[("class", &"entries")], |page| {
            page.markup("<thead><tr><th>#</th><th>time (UTC)</th><th>what</th><th>why</th></tr></thead>\n");
            for entry in &report.entries {
                let class = match entry.weight {
                    Weight::Note => "note",
                    Weight::Step => "step",
                    Weight::Warning => "warning",
                    Weight::Critical => "critical",
                };
                page.node("tr", &[("class", &class)], |page| {
                    page.leaf("td", &[("class", &"number")], entry.seq);
                    page.leaf("td", &[("class", &"when")], entry.at.strftime("%Y-%m-%d %H:%M"));
                    page.leaf("td", &[("class", &"what")], &entry.what);
                    page.node("td", &[], |page| {
                        page.text(&entry.reason);
                        page.node("div", &[("class", &"evidence")], |page| {
                            for (name, value) in &entry.evidence {
                                page.leaf("span", &[], format_args!("{name} {}", figure(*value)));
                            }
                        });
                    });
                });
                page.line_end();
            }
        });
    });
}

/// A number as it is read: whole ones whole, others to four digits.
fn figure(value: f64) -> String {
    match value {
        v if !v.is_finite() => "\u{2013}".to_owned(),
        v if v.fract() == 0.0 && v.abs() < 1e12 => Amount(v).to_string(),
        v if v.abs() >= 1000.0 => Amount(v).to_string(),
        v if v.abs() < 0.001 => format!("{v:.1e}"),
        v => format!("{v:.*}", if v.abs() >= 10.0 { 1 } else { 3 }),
    }
}

fn next(page: &mut Page, report: &Report) {
    if report.next.is_empty() {
        return;
    }
    section(page, "What to try next", "", |page| {
        page.node("dl", &[("class", &"next")], |page| {
            for (command, what) in &report.next {
                page.node("dt", &[], |page| page.leaf("code", &[], command));
                page.leaf("dd", &[], what);
            }
        });
    });
}
