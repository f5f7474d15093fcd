//! What was made, as tables and curves.
#![deny(clippy::indexing_slicing)]

use super::{
    super::{
        Curve, Part, Table,
        people::{corrections, count, metric_rows, metrics_head, money, money_interval, percent},
        summary::{Made, Money, Summary},
    },
    Words,
};
use crate::domain::Timestamp;

const GROUPS: &str = "What signals that fired in the period made. The interval is that of so many signals, by how trading days \
    vary; it holds for one look. The deepest fall is taken at the close of trading days.";
const ARMS: &str = "The signals that chance gave to the model against those that it left to the strategy alone: their difference is \
    the model's doing. The same as `vigie impact`.";

/// The tables, symbol by symbol.
pub(super) fn tables(summary: &Summary, words: &Words<'_>) -> Vec<Table> {
    if summary.money.is_empty() {
        return vec![Table {
            part: Part::Money,
            title: "Money".to_owned(),
            help: "No signal of the period was answered, so nothing was made of one.".to_owned(),
            ..Table::default()
        }];
    }
    summary.money.iter().flat_map(|money| [Some(groups(money, words)), arms(money, words)]).flatten().collect()
}

fn groups(money: &Money, words: &Words<'_>) -> Table {
    let Money { symbol, impact, groups, .. } = money;
    let level = format!("{} interval", percent(impact.confidence, 0));
    let made = format!("made ({})", words.unit);
    let head = ["signals of", "signals", "traded", "won", &made, &level, "deepest fall"].map(str::to_owned).to_vec();
    let row = |group: &Made| {
        let Made { group, signals, taken, won, pnl, interval: found, drawdown, .. } = group;
        let rate = if *taken > 0 { percent(*won as f64 / *taken as f64, 1) } else { super::NONE.to_owned() };
        vec![
            (*group).to_owned(),
            count(*signals),
            count(*taken),
            rate,
            self::money(*pnl),
            money_interval(*found),
            self::money(*drawdown),
        ]
    };
    let groups = groups.iter().filter(|group| group.signals > 0);
    let notes = match money.unresolved {
        0 => Vec::new(),
        n => vec![format!("{} more were answered of which nothing is known yet; they are in no figure", count(n))],
    };
    let (title, help) = (format!("{symbol}: what was made"), GROUPS.to_owned());
    Table { part: Part::Money, title, help, head, rows: groups.map(row).collect(), notes }
}

fn arms(money: &Money, words: &Words<'_>) -> Option<Table> {
    let Money { symbol, impact, notes, .. } = money;
    if impact.ml.signals == 0 || impact.baseline.signals == 0 {
        return None;
    }
    let rows = metric_rows(&impact.metrics);
    let notes = notes.iter().cloned().chain(corrections(&impact.metrics)).collect();
    let title = format!("{symbol}: the model against the strategy alone ({})", words.unit);
    let head = metrics_head(impact.confidence);
    Some(Table { part: Part::Money, title, help: ARMS.to_owned(), head, rows, notes })
}

/// What was made up to the close of each trading day.
pub(super) fn curves(summary: &Summary, words: &Words<'_>, (from, to): (Timestamp, Timestamp)) -> Vec<Curve> {
    let several = summary.money.len() > 1;
    let mut curves = Vec::new();
    for money in summary.money.iter().filter(|money| !money.days.is_empty()) {
        let name = |name: &str| if several { format!("{}: {name}", money.symbol) } else { name.to_owned() };
        let names = ["decided by the model", "strategy alone, by chance", "all that was traded"];
        let mut sums = [0.0; 3];
        let opening = money.days.first().and_then(|(day, _)| words.calendar.opening(day.date()));
        let begin = opening.map_or(from, |opening| opening.clamp(from, to));
        let mut of = names.map(|named| Curve { name: name(named), points: vec![(begin, Some(0.0))] });
        for (day, made) in &money.days {
            let close = day.date().tomorrow().ok().and_then(|next| words.calendar.opening(next));
            let Some(close) = close.map(|close| close.clamp(from, to)) else { continue };
            for ((curve, sum), made) in of.iter_mut().zip(&mut sums).zip(made) {
                *sum += made;
                curve.points.push((close, Some(*sum)));
            }
        }
        let has_arms = money.impact.ml.signals > 0;
        let [ml, baseline, all] = of;
        if has_arms && !several {
            curves.extend([all, ml, baseline]);
        } else {
            curves.push(all);
        }
    }
    curves
}
