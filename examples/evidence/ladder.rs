//! What the degradation ladder does: how often each level speaks of a healthy model in a year, and after how many trades of one
//! that has fallen.

use vigie::{
    config::Config,
    sim::process::{Fate, InputMemory, Process, Scored, Stream, YEAR},
    stats::{
        decline::{Decline, DeclineOptions, Level, Limits, SessionTrades},
        describe::standard_deviation,
    },
};

use crate::table::{Printer, Table, median, share};

/// Healthy years.
pub const HEALTHY: Table = Table {
    name: "ladder-healthy",
    says: "share of the years as validated in which each level of the ladder speaks; budgets 1, 0.5, 0.2 and 0.0125 a year",
    runs: 2000,
    print: healthy,
};
/// Falls.
pub const DELAYS: Table = Table {
    name: "ladder-delays",
    says: "trades until each level has spoken in half of the runs, from a fall at the first session in service on",
    runs: 400,
    print: delays,
};

/// Lift of the trades that the model takes, by the process.
fn lifts(process: &Process) -> Vec<f64> {
    if process.name == "independent" || process.name == "sessions" { vec![0.05, 0.15, 0.2] } else { vec![0.1] }
}

/// The trades that the model takes, session by session.
fn taken(sessions: Vec<Vec<Scored>>) -> Vec<Vec<Scored>> {
    sessions.into_iter().map(|session| session.into_iter().filter(|signal| signal.taken).collect()).collect()
}

fn sums(session: &[Scored], sd: f64) -> SessionTrades {
    let each = session.iter().map(|trade| SessionTrades::of(trade.won, trade.pnl, sd));
    each.fold(SessionTrades::default(), SessionTrades::and)
}

/// A validation of about so many trades, a break, and service: after how many trades each level spoke first.
fn first(process: Process, lift: f64, reference: usize, fate: Fate, sessions: usize, seed: u64) -> [Option<usize>; 4] {
    let spread = (process.trades.1 as f64 / process.trades.0 as f64).ln();
    let mean =
        if spread > 0.0 { (process.trades.1 - process.trades.0) as f64 / spread } else { process.trades.0 as f64 };
    let (known, apart) = ((reference as f64 / mean).round() as usize, 40);
    let from = known + apart;
    let fate = match fate {
        Fate::Falls { by, .. } => Fate::Falls { by, from },
        Fate::Fades { by, .. } => Fate::Fades { by, from },
        Fate::Reversed { .. } => Fate::Reversed { from },
        Fate::Frozen { .. } => Fate::Frozen { from },
        Fate::Healthy => Fate::Healthy,
    };
    let inputs = InputMemory::Independent;
    let stream = Stream { process, lift, fate, inputs, columns: 0, sessions: from + sessions, seed };
    let drawn = taken(stream.draw());
    let (before, after) = (drawn.iter().take(known), drawn.iter().skip(from));
    let pnl: Vec<f64> = before.clone().flatten().map(|trade| trade.pnl).collect();
    let sd = standard_deviation(&pnl).unwrap_or(1.0);
    let history: Vec<SessionTrades> = before.map(|session| sums(session, sd)).collect();
    let options = DeclineOptions { seed, ..Config::builtin().unwrap().monitoring.watch.health.decline };
    let Some(limits) = Limits::of(&history, process.base_rate, &options) else { return [None; 4] };
    let (mut decline, mut trades, mut found) = (Decline::default(), 0, [None; 4]);
    for session in after {
        trades += session.len();
        decline.close(&limits, sums(session, sd));
        for (level, found) in Level::ALL.into_iter().zip(&mut found) {
            if found.is_none() && decline.reaches(&limits, level) {
                *found = Some(trades);
            }
        }
    }
    found
}

fn healthy(printer: &mut Printer) {
    printer.columns(&["process", "wins", "reference", "alert", "share", "retrain", "rollback"]);
    for process in Process::ALL.into_iter().chain([Process::HELD_OUT]) {
        for (lift, reference) in lifts(&process).into_iter().flat_map(|lift| [(lift, 200), (lift, 2000)]) {
            let years = printer.each(|seed| first(process, lift, reference, Fate::Healthy, YEAR, seed));
            let spoke = |level: usize| {
                let count = years.iter().filter(|year| year.get(level).is_some_and(Option::is_some)).count();
                share(count, years.len())
            };
            let wins = format!("{:.0} %", 100.0 * (process.base_rate + lift));
            let down = years.iter().filter(|[.., roll_back]| roll_back.is_some()).count();
            let what = format!("{}, {wins}, {reference}: healthy and rolled back", process.name);
            printer.at_most(&what, (down, years.len()), 0.02);
            let levels = (0..4).map(spoke);
            printer.row(
                &[process.name.to_owned(), wins, reference.to_string()].into_iter().chain(levels).collect::<Vec<_>>(),
            );
        }
    }
}

fn delays(printer: &mut Printer) {
    printer.columns(&[
        "process",
        "wins",
        "what happens",
        "alert",
        "share",
        "retrain",
        "rollback",
        "retrained before rollback",
    ]);
    let from = 0;
    let falls = [
        ("falls by 5 points", Fate::Falls { by: 0.05, from }),
        ("falls by 10 points", Fate::Falls { by: 0.1, from }),
        ("falls by 20 points", Fate::Falls { by: 0.2, from }),
        ("fades by 10 points in a quarter", Fate::Fades { by: 0.1, from }),
        ("score reversed", Fate::Reversed { from }),
        ("score frozen", Fate::Frozen { from }),
    ];
    for process in Process::ALL.into_iter().chain([Process::HELD_OUT]) {
        for lift in lifts(&process) {
            let all = process.name == "independent" || process.name == "sessions";
            for (what, fate) in falls.into_iter().filter(|(_, fate)| all || *fate == Fate::Falls { by: 0.1, from }) {
                let runs = printer.each(|seed| first(process, lift, 2000, fate, 2 * YEAR, seed));
                let level = |place: usize| runs.iter().map(|run| run.get(place).copied().flatten()).collect::<Vec<_>>();
                let late = |found: Option<usize>| found.unwrap_or(usize::MAX);
                let down: Vec<_> = runs.iter().filter(|[.., roll_back]| roll_back.is_some()).collect();
                let before =
                    down.iter().filter(|[_, _, retrain, roll_back]| late(*retrain) <= late(*roll_back)).count();
                let wins = format!("{:.0} %", 100.0 * (process.base_rate + lift));
                let medians = (0..4).map(|place| median(&level(place)));
                let head = [process.name.to_owned(), wins, what.to_owned()];
                let row = head.into_iter().chain(medians).chain([share(before, down.len())]);
                printer.row(&row.collect::<Vec<_>>());
            }
        }
    }
}
