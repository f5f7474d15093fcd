//! The life of each version as bars over time.

use super::{
    Report,
    chart::{Sheet, label, on_each, picture, time_or_count},
    page::{Page, Px},
    scale::Scale,
    seconds,
};
use crate::domain::{Timestamp, lifecycle::State};

const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
/// Width of a letter in a bar, about.
const LETTER: f64 = 6.4;
/// Width of a letter of a version's name beside its row, at most about.
const NAME_LETTER: f64 = 7.3;
/// The least width of a bar: nothing that happened is invisible.
const LEAST: f64 = 2.0;

/// Draws the rows of `report` between the ends of its span.
pub(super) fn draw(page: &mut Page, report: &Report, span: (Timestamp, Timestamp)) {
    let states: Vec<State> = report.lives.iter().flat_map(|life| life.stages.iter().map(|stage| stage.0)).collect();
    page.node("p", &[("class", &"legend")], |page| {
        for state in [
            State::Trained,
            State::Validated,
            State::Staging,
            State::AbTest,
            State::Production,
            State::Rejected,
            State::Archived,
            State::RolledBack,
        ] {
            if states.contains(&state) {
                page.leaf("span", &[("class", &format!("key {state}"))], words(state));
            }
        }
        if !report.locks.is_empty() {
            page.leaf("span", &[("class", &"key locked")], "all locked to the baseline");
        }
    });
    on_each(page, |page, sheet| rows(page, sheet, report, span));
    page.line_end();
}

fn rows(page: &mut Page, sheet: Sheet, report: &Report, span: (Timestamp, Timestamp)) {
    let rows = report.lives.len() + usize::from(!report.locks.is_empty());
    let height = rows as f64 * ROW;
    let x = Scale::new(seconds(span.0), seconds(span.1), sheet.left, sheet.right());
    let view = format!("0 0 {} {}", sheet.width, height + 24.0);
    picture(
        page,
        sheet,
        &[("viewBox", &view), ("role", &"img"), ("aria-label", &"the life of the versions")],
        |page| {
            time_or_count(page, &x, sheet, true, (0.0, height), height + 16.0);
            for (row, life) in report.lives.iter().enumerate() {
                let top = row as f64 * ROW + (ROW - BAR) / 2.0;
                let most = ((sheet.left - 8.0) / NAME_LETTER) as usize;
                let name: String = life.version.chars().take(most).collect();
                label(page, "mark", (sheet.left - 8.0, top + 12.0), "end", &name);
                for (state, from, until) in &life.stages {
                    bar(page, sheet, &x, &state.to_string(), words(*state), top, (*from, *until));
                }
            }
            let top = report.lives.len() as f64 * ROW + (ROW - BAR) / 2.0;
            if !report.locks.is_empty() {
                label(page, "mark", (sheet.left - 8.0, top + 12.0), "end", "locked");
            }
            for lock in &report.locks {
                bar(page, sheet, &x, "locked", "locked", top, *lock);
            }
        },
    );
}

fn bar(
    page: &mut Page,
    sheet: Sheet,
    x: &Scale,
    class: &str,
    name: &str,
    top: f64,
    (from, until): (Timestamp, Timestamp),
) {
    let left = x.at(seconds(from)).clamp(sheet.left, sheet.right());
    let width = (x.at(seconds(until)).clamp(sheet.left, sheet.right()) - left).max(LEAST);
    let (x, y, width_px, height) = (Px(left), Px(top), Px(width), Px(BAR));
    let class = format!("bar {class}");
    let attributes: [(&str, &dyn std::fmt::Display); 6] =
        [("class", &class), ("x", &x), ("y", &y), ("width", &width_px), ("height", &height), ("rx", &2)];
    page.node("rect", &attributes, |page| page.leaf("title", &[], format_args!("{name}, {from:.0} to {until:.0}")));
    if width > LETTER * (name.len() + 1) as f64 {
        let text = if matches!(class.as_str(), "bar locked" | "bar rolled_back") { "in-bar light" } else { "in-bar" };
        label(page, text, (left + width / 2.0, top + 12.0), "middle", name);
    }
}

/// A state as people say it.
pub(super) fn words(state: State) -> &'static str {
    match state {
        State::Trained => "trained",
        State::Validated => "validated",
        State::Staging => "staging",
        State::AbTest => "A/B test",
        State::Production => "production",
        State::Rejected => "rejected",
        State::Archived => "archived",
        State::RolledBack => "rolled back",
    }
}
