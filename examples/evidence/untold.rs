//! What outcomes that are never told do to a test that would have earned production.

use jiff::{SignedDuration, civil, tz::TimeZone};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    config::Config,
    domain::{Arm, Money, Outcome, Timestamp, TradeId, TradingCalendar},
    sim::process::{Process, Stream},
    trials::experiment::{Assignment, Criteria, Experiment, ExperimentOptions, TestVerdict},
};

use crate::table::{Printer, Table, share};

/// By share of outcomes never told.
pub const TABLE: Table = Table {
    name: "untold",
    says: "tests wrongly futile when outcomes are never told, so that sessions close together near the planned end",
    runs: 400,
    print,
};

const PLANNED: usize = 60;
/// Lifts of the taken trades: the proof of a small one comes late, near the planned end.
const LIFTS: [f64; 3] = [0.02, 0.03, 0.06];
/// Days after the plan's last on which signals still come.
const BEYOND: usize = 12;

fn print(printer: &mut Printer) {
    let options = ExperimentOptions { planned_sessions: PLANNED, ..Config::builtin().unwrap().experiment.clone() };
    let Ok(criteria) = Criteria::new(options) else { return };
    printer.columns(&[
        "process",
        "lift",
        "outcomes never told",
        "shipped, session by session",
        "of these futile: judged after each session",
        "of these futile: judged by the latest session only",
    ]);
    for process in [Process::INDEPENDENT, Process { trades: (10, 10), ..Process::ALL[1] }] {
        for (lift, untold) in LIFTS.into_iter().flat_map(|lift| [0.001, 0.01, 0.05].map(|untold| (lift, untold))) {
            let endings = printer.each(|seed| endings(process, lift, untold, &criteria, seed));
            let shipped: Vec<_> = endings.iter().filter(|ending| ending[0]).collect();
            let wrong = shipped.iter().filter(|ending| !ending[1]).count();
            let what = format!("{}, {lift}, {untold} never told", process.name);
            printer.claim(&what, wrong == 0, &format!("{wrong} tests that earned production are futile"));
            let futile = |place: usize| share(shipped.iter().filter(|ending| !ending[place]).count(), shipped.len());
            let cells = [
                process.name.to_owned(),
                lift.to_string(),
                format!("{} %", 100.0 * untold),
                share(shipped.len(), endings.len()),
                futile(1),
                futile(2),
            ];
            printer.row(&cells);
        }
    }
}

/// Whether the same test ships: as if each session had closed by itself, judged as it is, and by the latest session only.
fn endings(process: Process, lift: f64, untold: f64, criteria: &Criteria, seed: u64) -> [bool; 3] {
    let calendar = TradingCalendar::new(TimeZone::UTC, civil::Time::midnight());
    let at = |session: usize| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * session as i64 + 12);
    let wait = criteria.options().outcome_wait_days;
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut experiment = Experiment::new(at(0));
    // the first verdict that is no waiting
    let mut one_by_one: Option<TestVerdict> = None;
    let mut latest: Option<TestVerdict> = None;
    let mut judged = 0;
    let look = |experiment: &Experiment, closed: usize| {
        let ruling = criteria.decide(&criteria.assess_after(closed, experiment, at(closed)));
        Some(ruling.verdict).filter(|verdict| !matches!(verdict, TestVerdict::Continue(_)))
    };
    for (session, signals) in Stream::healthy(process, lift, PLANNED + BEYOND, seed).draw().iter().enumerate() {
        while experiment.close_next(calendar.day_of(at(session)), wait).is_some() {}
        let closed = experiment.sessions().len();
        for next in judged + 1..=closed.min(PLANNED) {
            one_by_one = one_by_one.or_else(|| look(&experiment, next));
        }
        if closed > judged && latest.is_none() {
            let beyond = || Some(TestVerdict::Futile("beyond its plan".to_owned()));
            latest = if closed > PLANNED { beyond() } else { look(&experiment, closed) };
        }
        judged = closed;
        for (place, signal) in signals.iter().enumerate() {
            let Ok(trade_id) = TradeId::new(format!("T{session}-{place}")) else { continue };
            let (arm, ml_size) =
                (if rng.random::<f64>() < 0.5 { Arm::Ml } else { Arm::Baseline }, f64::from(u8::from(signal.taken)));
            experiment.assign(Assignment {
                trade_id: trade_id.clone(),
                at: at(session),
                day: calendar.day_of(at(session)),
                arm,
                allocation: 0.5,
                ml_size,
                alone: arm == Arm::Baseline,
            });
            let traded = arm == Arm::Baseline || signal.taken;
            if traded && rng.random::<f64>() >= untold {
                experiment.outcome(&trade_id, &outcome(at(session), signal.pnl));
            }
        }
    }
    let alone = (1..=experiment.sessions().len().min(PLANNED)).find_map(|closed| look(&experiment, closed));
    [alone, one_by_one, latest].map(|verdict| matches!(verdict, Some(TestVerdict::Ship(_))))
}

fn outcome(exit_at: Timestamp, pnl: f64) -> Outcome {
    Outcome {
        exit_at,
        entry_price: None,
        exit_price: None,
        pnl: Money::new(pnl).ok(),
        slippage_ticks: None,
        exit_reason: "signal".into(),
        bars_held: None,
        mfe_ticks: None,
        mae_ticks: None,
        mfe_bars: None,
    }
}
