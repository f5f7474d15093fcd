//! How often inputs that have not changed are said to have drifted.

use vigie::{
    guard::watch::{Budget, WatchedVersion},
    sim::process::{InputMemory, Process, QUARTER, Stream},
    stats::{
        bootstrap::Resampling,
        budget::{Thresholds, Watch},
        reference::Reference,
    },
};

use crate::table::{Printer, Table, mean, share};

/// Quarters without a change, and with one.
pub const TABLE: Table = Table {
    name: "drift",
    says: "columns of five that are said to have drifted in a quarter; the budget is one",
    runs: 200,
    print,
};

const COLUMNS: usize = 5;
const WINDOW: usize = 100;

/// How many columns alarm in the quarter after `sessions` sessions of history, and when all have moved by a deviation; and how many
/// have no limit.
fn quarter(inputs: InputMemory, sessions: usize, seed: u64) -> (f64, usize, usize) {
    let sessions_drawn = sessions + 60 + QUARTER;
    let stream =
        Stream { inputs, columns: COLUMNS, ..Stream::healthy(Process::INDEPENDENT, 0.1, sessions_drawn, seed) };
    let drawn = stream.draw();
    let column = |from: usize, to: usize, place: usize| -> Vec<Option<f64>> {
        let range = drawn.iter().skip(from).take(to - from).flatten();
        range.map(|signal| signal.inputs.get(place).copied()).collect()
    };
    let history: Vec<_> = (0..COLUMNS).map(|place| column(0, sessions, place)).collect();
    let mut options = vigie::config::Config::builtin().map(|config| config.monitoring.watch).ok();
    let Some(options) = options.as_mut() else { return (0.0, 0, 0) };
    options.monitor.window = WINDOW;
    let resampling = Resampling { seed, ..options.budget.resampling };
    let budget = Budget { false_alarms: 1.0, resampling };
    let days = sessions as f64 / QUARTER as f64 * 365.25 / 4.0;
    let limits = WatchedVersion::thresholds(&history, days, &options.monitor, &budget);
    let references: Option<Vec<Reference>> = history.into_iter().map(Reference::of).collect();
    let Some(references) = references else { return (0.0, 0, 0) };
    let a_day = 10;
    let pace = Watch { window: WINDOW, every: a_day, quarter: QUARTER * a_day };
    let before = WINDOW / a_day;
    let alarms = |shift: f64| {
        let moved =
            |place| column(sessions + 60 - before, sessions_drawn, place).into_iter().map(|x| x.map(|x| x + shift));
        let now: Vec<Vec<Option<f64>>> = (0..COLUMNS).map(|place| moved(place).collect()).collect();
        let spoke = pace.alarms(&references, &limits, &now).unwrap_or_default();
        spoke.into_iter().filter(|spoke| *spoke).count()
    };
    (alarms(0.0) as f64, alarms(1.0), limits.iter().filter(|limits| **limits == Thresholds::NEVER).count())
}

fn print(printer: &mut Printer) {
    printer.columns(&[
        "inputs",
        "sessions of history",
        "false alarms a quarter",
        "columns found that moved by a deviation",
        "without a limit: history too short for their memory",
    ]);
    let memories = [
        ("independent", InputMemory::Independent),
        ("AR .98 a signal", InputMemory::PerSignal(0.98)),
        ("AR .97 a session", InputMemory::PerSession(0.97)),
    ];
    for (name, inputs) in memories {
        for sessions in [100, 400] {
            let quarters = printer.each(|seed| quarter(inputs, sessions, seed));
            let spoke: Vec<f64> = quarters.iter().map(|(false_alarms, ..)| *false_alarms).collect();
            let (total, most) = (spoke.iter().sum::<f64>(), 1.5 * quarters.len() as f64);
            // columns of one quarter share nothing, so their number is Poisson's at most
            let within = total <= most + 4.0 * most.sqrt();
            let told = format!("{total} of {} quarters, claimed at most 1.5 a quarter", quarters.len());
            printer.claim(&format!("{name}, {sessions} sessions"), within, &told);
            let found: usize = quarters.iter().map(|(_, found, _)| found).sum();
            let unlimited: usize = quarters.iter().map(|(.., unlimited)| unlimited).sum();
            let of = COLUMNS * quarters.len();
            printer.row(&[name.to_owned(), sessions.to_string(), mean(&spoke), share(found, of), share(unlimited, of)]);
        }
    }
}
