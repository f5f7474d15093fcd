//! A chart of lines over time or over a count, as inline SVG.
#![deny(clippy::indexing_slicing)]

use std::fmt::Write as _;

use super::{
    page::{Amount, Attributes, Page, Px},
    scale::Scale,
};

/// What a chart is drawn on: each is drawn for a wide screen and for a narrow one, and the page shows the one that fits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sheet {
    /// Its width, in the pixels of its own drawing.
    pub(super) width: f64,
    /// Room to the left of a plot, for its labels.
    pub(super) left: f64,
    /// Class of its picture.
    class: &'static str,
}

const SHEETS: [Sheet; 2] = [
    Sheet { width: 960.0, left: 76.0, class: "chart wide" },
    Sheet { width: 400.0, left: 64.0, class: "chart narrow" },
];

impl Sheet {
    /// The right end of a plot.
    pub(super) fn right(self) -> f64 {
        self.width - 12.0
    }

    pub(super) fn is_narrow(self) -> bool {
        self.width < 600.0
    }
}

const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// Marks on an axis, about.
const MARKS: usize = 5;
/// Points of a line that are drawn at most, about.
const POINTS: usize = 600;
/// Height of a row of names above a plot.
const ROW: f64 = 14.0;
/// Room a letter of the name of a moment takes, at most about.
const LETTER: f64 = 6.8;
/// Letters of a name that are written at most.
const LETTERS: usize = 32;

/// A line.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    /// Its name in the legend.
    pub(super) label: String,
    /// Class of its colour.
    pub(super) class: &'static str,
    /// Where it goes. It has a gap where there is no value.
    pub(super) points: Vec<(f64, Option<f64>)>,
    /// Whether the area between it and zero is filled.
    pub(super) filled: bool,
}

/// How numbers on the upright axis are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Account currency.
    Money,
    /// Hundredths of a share.
    Percent,
    /// As it is.
    Number,
}

/// A chart.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// What it shows, for those who cannot see it.
    pub(super) title: String,
    pub(super) height: f64,
    pub(super) unit: Unit,
    /// Whether the level axis is time, in seconds since 1970; else a count.
    pub(super) over_time: bool,
    /// The range of the level axis; that of the points without it.
    pub(super) range: Option<(f64, f64)>,
    pub(super) series: Vec<Series>,
    /// Dashed lines across, with their names.
    pub(super) limits: Vec<(f64, String)>,
    /// Values that the upright axis holds in any case.
    pub(super) floor: Vec<f64>,
    /// Single values beside the lines, with what they are.
    pub(super) rings: Vec<(f64, f64, String)>,
    /// Upright lines, with their names.
    pub(super) marks: Vec<(f64, String)>,
    /// Of how many of its first lines there must be a value; the others are nothing by themselves.
    pub(super) measured: usize,
    /// What is said in its place where there is none.
    pub(super) nothing: &'static str,
    /// Whether the lines are explained above the chart.
    pub(super) legend: bool,
}

impl Chart {
    /// Draws the legend and the chart.
    pub(super) fn draw(&self, page: &mut Page) {
        let drawn = |series: &&Series| series.points.iter().any(|(_, value)| value.is_some());
        if self.rings.is_empty() && !self.series.iter().take(self.measured).any(|series| drawn(&series)) {
            page.leaf("p", &[("class", &"help")], self.nothing);
            return;
        }
        if self.legend {
            page.node("p", &[("class", &"legend")], |page| {
                for series in self.series.iter().filter(drawn) {
                    page.node("span", &[("class", &format!("key {}", series.class))], |page| page.text(&series.label));
                }
                // above the chart, where no name lies on a line
                for (value, name) in &self.limits {
                    let told = format!("{name} {}", self.figure(*value, 2));
                    page.leaf("span", &[("class", &"key across")], told);
                }
            });
        }
        SHEETS.into_iter().for_each(|sheet| self.draw_on(page, sheet));
    }

    fn draw_on(&self, page: &mut Page, sheet: Sheet) {
        let x = self.x(sheet);
        let moments = moments(&self.marks, &x, sheet);
        // the names stand above the plot, which is as high as without them
        let above = ROW * moments.iter().map(|moment| moment.row + 1).max().unwrap_or(0) as f64;
        let (top, bottom) = (TOP + above, self.height + above - BOTTOM);
        let y = self.y(top, bottom);
        let attributes: [(&str, &dyn std::fmt::Display); 3] = [
            ("viewBox", &format!("0 0 {} {}", sheet.width, bottom + BOTTOM)),
            ("role", &"img"),
            ("aria-label", &self.title),
        ];
        picture(page, sheet, &attributes, |page| {
            self.axes(page, &x, &y, sheet, (top, bottom));
            for series in &self.series {
                series.draw(page, &x, &y);
            }
            for moment in &moments {
                line(page, "moment", (moment.at, moment.baseline() - 9.0), (moment.at, bottom));
            }
            for moment in &moments {
                label(page, "moment-name", (moment.left, moment.baseline()), "start", &moment.name);
            }
            for (value, _) in self.limits.iter().filter(|(value, _)| y.holds(*value)) {
                line(page, "limit", (sheet.left, y.at(*value)), (sheet.right(), y.at(*value)));
            }
            for (at, value, name) in &self.rings {
                ring(page, "ring", (x.at(*at), y.at(*value)), name);
            }
        });
        page.line_end();
    }

    fn x(&self, sheet: Sheet) -> Scale {
        match self.range {
            Some((low, high)) => Scale::new(low, high, sheet.left, sheet.right()),
            None => Scale::over(self.points().map(|(x, _)| x), sheet.left, sheet.right()),
        }
    }

    fn y(&self, top: f64, bottom: f64) -> Scale {
        let limits = self.limits.iter().map(|(value, _)| *value);
        let rings = self.rings.iter().map(|(_, value, _)| *value);
        let values = self.points().filter_map(|(_, y)| y).chain(limits).chain(rings).chain(self.floor.iter().copied());
        Scale::over(values, bottom, top).nice(MARKS)
    }

    fn points(&self) -> impl Iterator<Item = (f64, Option<f64>)> {
        self.series.iter().flat_map(|series| series.points.iter().copied())
    }

    /// A value of the upright axis, with as many digits after the point as tell its marks apart.
    fn figure(&self, value: f64, digits: usize) -> String {
        match self.unit {
            Unit::Money => Amount(value).to_string(),
            Unit::Percent => format!("{:.*} %", digits.saturating_sub(2), 100.0 * value),
            Unit::Number => format!("{value:.digits$}").replace('-', "\u{2212}"),
        }
    }

    fn axes(&self, page: &mut Page, x: &Scale, y: &Scale, sheet: Sheet, (top, bottom): (f64, f64)) {
        for value in y.ticks(MARKS) {
            let class = if value == 0.0 { "zero" } else { "grid" };
            line(page, class, (sheet.left, y.at(value)), (sheet.right(), y.at(value)));
            let text = self.figure(value, y.digits(MARKS));
            label(page, "mark", (sheet.left - 8.0, y.at(value) + 4.0), "end", &text);
        }
        time_or_count(page, x, sheet, self.over_time, (top, bottom), bottom + BOTTOM - 8.0);
    }
}

/// Draws on each of the sheets.
pub(super) fn on_each(page: &mut Page, draw: impl Fn(&mut Page, Sheet)) {
    SHEETS.into_iter().for_each(|sheet| draw(page, sheet));
}

/// A drawing on a sheet.
pub(super) fn picture(page: &mut Page, sheet: Sheet, attributes: Attributes<'_>, inside: impl FnOnce(&mut Page)) {
    page.node("div", &[("class", &sheet.class)], |page| page.node("svg", attributes, inside));
}

/// The marks of a level axis: upright lines from `from` to `to`, and their labels at `at`, as many as have room beside each other.
pub(super) fn time_or_count(
    page: &mut Page,
    x: &Scale,
    sheet: Sheet,
    over_time: bool,
    (from, to): (f64, f64),
    at: f64,
) {
    let marks = if over_time {
        x.time_ticks()
    } else {
        x.ticks(2 * MARKS).into_iter().map(|value| (value, format!("{value:.0}"))).collect()
    };
    let mut end = 0.0;
    for (value, text) in marks {
        let half = 3.7 * text.chars().count() as f64;
        let middle = x.at(value).min(sheet.width - half);
        if middle - half < end {
            continue;
        }
        end = middle + half + 4.0;
        line(page, "grid", (x.at(value), from), (x.at(value), to));
        label(page, "mark", (middle, at), "middle", &text);
    }
}

/// An upright line and where its name stands.
struct Moment {
    at: f64,
    left: f64,
    row: usize,
    name: String,
}

impl Moment {
    fn baseline(&self) -> f64 {
        TOP + ROW * self.row as f64 + 4.0
    }
}

/// Where the names of `marks` stand: each beside its line, in the highest row such that neither in it nor below it the
/// name of an earlier moment reaches so far. So no two names overlap.
fn moments(marks: &[(f64, String)], x: &Scale, sheet: Sheet) -> Vec<Moment> {
    let mut marks: Vec<_> = marks.iter().filter(|(at, _)| x.holds(*at)).collect();
    marks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ends: Vec<f64> = Vec::new();
    let place = |(at, name): &(f64, String)| {
        let name: String = name.chars().take(LETTERS).collect();
        let width = LETTER * name.chars().count() as f64;
        let left = (x.at(*at) + 4.0).min(sheet.right() - width);
        let row = ends.iter().rposition(|end| *end > left).map_or(0, |row| row + 1);
        match ends.get_mut(row) {
            Some(end) => *end = left + width,
            None => ends.push(left + width),
        }
        Moment { at: x.at(*at), left, row, name }
    };
    marks.into_iter().map(place).collect()
}

impl Series {
    fn draw(&self, page: &mut Page, x: &Scale, y: &Scale) {
        for run in runs(&self.points) {
            let run: Vec<(f64, f64)> = thin(&run, POINTS).into_iter().map(|(a, b)| (x.at(a), y.at(b))).collect();
            if let [(x, y)] = run.as_slice() {
                ring(page, &format!("point {}", self.class), (*x, *y), &self.label);
                continue;
            }
            let path = path(&run);
            if let (true, Some(first), Some(last)) = (self.filled, run.first(), run.last()) {
                let zero = Px(y.at(0.0));
                let area = format!("{path}L{},{zero}L{},{zero}Z", Px(last.0), Px(first.0));
                page.node("path", &[("class", &format!("area {}", self.class)), ("d", &area)], |_| {});
            }
            page.node("path", &[("class", &format!("line {}", self.class)), ("d", &path)], |_| {});
        }
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (n, (x, y)) in points.iter().enumerate() {
        let _a_string_takes_it = write!(path, "{}{},{}", if n == 0 { 'M' } else { 'L' }, Px(*x), Px(*y));
    }
    path
}

/// The stretches between gaps.
fn runs(points: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    let mut runs = vec![Vec::new()];
    for (x, y) in points {
        match (y, runs.last_mut()) {
            (Some(y), Some(run)) => run.push((*x, *y)),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// About `most` of the points, with the highest and the lowest of each stretch among them.
fn thin(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    let size = points.len().div_ceil(most / 2);
    let ends = points.chunks(size).flat_map(|chunk| {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let (low, high) = (chunk.iter().min_by(by_value), chunk.iter().max_by(by_value));
        let mut ends: Vec<(f64, f64)> = low.into_iter().chain(high).copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        ends
    });
    ends.chain(points.last().copied()).collect()
}

/// A single value.
fn ring(page: &mut Page, class: &str, (x, y): (f64, f64), name: &str) {
    let (x, y) = (Px(x), Px(y));
    let attributes: [(&str, &dyn std::fmt::Display); 4] = [("class", &class), ("cx", &x), ("cy", &y), ("r", &"4")];
    page.node("circle", &attributes, |page| page.leaf("title", &[], name));
}

/// A straight line.
pub(super) fn line(page: &mut Page, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ends = [Px(from.0), Px(from.1), Px(to.0), Px(to.1)];
    let [x1, y1, x2, y2] = &ends;
    page.node("line", &[("class", &class), ("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)], |_| {});
}

/// A text at a point.
pub(super) fn label(page: &mut Page, class: &str, at: (f64, f64), anchor: &str, text: &str) {
    page.leaf("text", &[("class", &class), ("x", &Px(at.0)), ("y", &Px(at.1)), ("text-anchor", &anchor)], text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_breaks_where_there_is_no_value_and_keeps_its_extremes_when_thinned() {
        let gap = [(0.0, Some(1.0)), (1.0, None), (2.0, None), (3.0, Some(2.0)), (4.0, Some(3.0))];
        assert_eq!(runs(&gap), [vec![(0.0, 1.0)], vec![(3.0, 2.0), (4.0, 3.0)]]);
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|n| (f64::from(n), 0.0)).collect();
        points[5_003].1 = 9.0;
        points[7_777].1 = -9.0;
        let thinned = thin(&points, 600);
        assert!(thinned.len() <= 603, "{}", thinned.len());
        assert!(thinned.contains(&(5_003.0, 9.0)) && thinned.contains(&(7_777.0, -9.0)));
        assert!(thinned.is_sorted_by(|a, b| a.0 <= b.0) && thinned.last() == Some(&(9_999.0, 0.0)));
    }
}
