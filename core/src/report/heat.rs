//! How far the inputs have moved, as a map: a row per input, a column per stretch of time.
#![deny(clippy::indexing_slicing)]

use super::{
    Moved, Report,
    chart::{Sheet, label, on_each, picture, time_or_count},
    page::{Page, Px},
    scale::Scale,
    seconds,
};
use crate::domain::Timestamp;

const ROW: f64 = 20.0;
const COLUMNS: usize = 60;

/// Draws the map between the ends of `span`.
pub(super) fn draw(page: &mut Page, report: &Report, span: (Timestamp, Timestamp)) {
    let (notice, alert) = report.drift_limits;
    page.node("p", &[("class", &"legend")], |page| {
        page.leaf("span", &[("class", &"key calm")], format_args!("below {notice}"));
        page.leaf("span", &[("class", &"key notice")], format_args!("from {notice}: noticed"));
        page.leaf("span", &[("class", &"key alert")], format_args!("from {alert}: alert"));
    });
    on_each(page, |page, sheet| map(page, sheet, report, span));
    page.line_end();
}

/// From where to where the cells are.
fn plot(sheet: Sheet) -> (f64, f64) {
    if sheet.is_narrow() { (176.0, sheet.width - 44.0) } else { (190.0, sheet.width - 60.0) }
}

fn map(page: &mut Page, sheet: Sheet, report: &Report, span: (Timestamp, Timestamp)) {
    let height = report.drift.len() as f64 * ROW;
    let (left, right) = plot(sheet);
    let x = Scale::new(seconds(span.0), seconds(span.1), left, right);
    let view = format!("0 0 {} {}", sheet.width, height + 24.0);
    picture(page, sheet, &[("viewBox", &view), ("role", &"img"), ("aria-label", &"drift of each input")], |page| {
        time_or_count(page, &x, sheet, true, (0.0, height), height + 16.0);
        for (row, moved) in report.drift.iter().enumerate() {
            let top = row as f64 * ROW;
            label(page, "mark", (left - 8.0, top + 14.0), "end", &moved.input.replace('_', " "));
            for (column, (from, reading)) in columns(moved, span).into_iter().enumerate() {
                let Some(reading) = reading else { continue };
                let class = level(reading, report.drift_limits);
                cell(page, sheet, class, (column, top), format_args!("{}: {reading:.3}, {from:.0}", moved.input));
            }
            let last = moved.readings.iter().rev().find_map(|(_, reading)| *reading);
            let last = last.map_or_else(|| "\u{2013}".to_owned(), |last| format!("{last:.2}"));
            label(page, "mark", (sheet.width - 8.0, top + 14.0), "end", &last);
        }
    });
}

fn level(reading: f64, (notice, alert): (f64, f64)) -> &'static str {
    match reading {
        r if r >= alert => "alert",
        r if r >= notice => "notice",
        r if r >= notice / 2.0 => "calm stirred",
        _ => "calm",
    }
}

fn cell(page: &mut Page, sheet: Sheet, class: &str, (column, top): (usize, f64), title: impl std::fmt::Display) {
    let (left, right) = plot(sheet);
    let width = (right - left) / COLUMNS as f64;
    let (x, y, width, height) = (Px(left + column as f64 * width), Px(top + 1.0), Px(width + 0.2), Px(ROW - 2.0));
    let class = format!("cell {class}");
    let attributes: [(&str, &dyn std::fmt::Display); 5] =
        [("class", &class), ("x", &x), ("y", &y), ("width", &width), ("height", &height)];
    page.node("rect", &attributes, |page| page.leaf("title", &[], title));
}

/// The largest reading of each column, and when it was.
fn columns(moved: &Moved, (from, until): (Timestamp, Timestamp)) -> Vec<(Timestamp, Option<f64>)> {
    let mut columns = vec![(from, None); COLUMNS];
    let scale = Scale::new(seconds(from), seconds(until), 0.0, COLUMNS as f64);
    for (at, reading) in &moved.readings {
        let column = (scale.at(seconds(*at)).max(0.0) as usize).min(COLUMNS - 1);
        if let (Some(held), Some(reading)) = (columns.get_mut(column), reading)
            && held.1.is_none_or(|largest| *reading > largest)
        {
            *held = (*at, Some(*reading));
        }
    }
    columns
}
