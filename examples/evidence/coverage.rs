//! How often the intervals of a comparison of arms hold the truth.

use jiff::{SignedDuration, civil, tz::TimeZone};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    domain::{Timestamp, TradingCalendar},
    sim::process::{Process, Stream},
    trials::experiment::{Comparing, ImpactOptions, Measure, Traded, impact},
};

use crate::table::{Printer, Table, mean, share};

/// Two arms of the same trades, so that the truth is no difference.
pub const TABLE: Table = Table {
    name: "coverage",
    says: "95 % intervals of `vigie impact` that hold the truth, of two arms that chance made of the same trades",
    runs: 1_000,
    print,
};

fn print(printer: &mut Printer) {
    printer.columns(&[
        "process",
        "sessions",
        "share of the ML arm",
        "Sharpe ratio",
        "its difference",
        "pnl per signal",
    ]);
    for process in Process::ALL.into_iter().chain([Process::HELD_OUT]) {
        for (sessions, allocation) in [(60, 0.5), (60, 0.8), (120, 0.5), (120, 0.8)] {
            let found = printer.each(|seed| compare(process, sessions, allocation, seed));
            let held = |place: usize| {
                let told: Vec<bool> = found.iter().filter_map(|found| found.1[place]).collect();
                (told.iter().filter(|holds| **holds).count(), told.len())
            };
            let what = format!("{}, {sessions} sessions, {allocation}", process.name);
            printer.at_least(&format!("Sharpe ratio covered, {what}"), held(0), 0.93);
            printer.at_least(&format!("pnl covered, {what}"), held(1), 0.93);
            let holds = |place: usize| share(held(place).0, held(place).1);
            let gains: Vec<f64> = found.iter().filter_map(|found| found.0).collect();
            let cells = [
                process.name.to_owned(),
                sessions.to_string(),
                allocation.to_string(),
                holds(0),
                mean(&gains),
                holds(1),
            ];
            printer.row(&cells);
        }
    }
}

/// The difference of the Sharpe ratios, and whether the intervals of it and of the pnl per signal hold 0.
fn compare(process: Process, sessions: usize, allocation: f64, seed: u64) -> (Option<f64>, [Option<bool>; 2]) {
    let calendar = TradingCalendar::new(TimeZone::UTC, civil::Time::midnight());
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut arms = [Vec::new(), Vec::new()];
    let [ml, baseline] = &mut arms;
    for signal in Stream::healthy(process, 0.0, sessions, seed).draw().iter().flatten() {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * signal.session as i64 + 12);
        let trade = Traded { day: calendar.day_of(at), pnl: Some(signal.pnl), slippage_ticks: None };
        if rng.random::<f64>() < allocation { ml.push(trade) } else { baseline.push(trade) }
    }
    let options = ImpactOptions { confidence: 0.95, resamples: 400, seed };
    let found = impact(Comparing::Arms, ml, baseline, &options);
    // of arms of one size the closed form comes first: the bootstrap is the last of its measure
    let sharpe = found.metrics.iter().rfind(|m| matches!(m.measure, Measure::Sharpe | Measure::SharpeEven));
    let pnl = found.metrics.iter().find(|m| m.measure == Measure::PnlPerSignal);
    let holds = [sharpe, pnl].map(|metric| metric?.interval.map(|interval| interval.contains(0.0)));
    (sharpe.and_then(|metric| metric.difference), holds)
}
