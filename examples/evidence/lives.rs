//! Whole lives of models: every scenario of `vigie demo` on the pure core, over many seeds.

#[path = "../../tests/common/core.rs"]
mod core;

use std::collections::BTreeMap;

use vigie::{
    config::Config,
    domain::{Symbol, Timestamp, lifecycle::State},
    report::Ending,
    sim::{
        Scenario, Venue,
        demo::{Demo, SETTINGS, Tally},
    },
};

use self::core::Core;
use crate::table::{Printer, Table};

/// A market with something to foretell, which stays so.
pub const HAPPY: Table =
    table("lives-happy", "a good version earns production and stays", |p| scenario(p, Scenario::Happy));
/// One whose relation turns slowly.
pub const DRIFT: Table =
    table("lives-drift", "a version that has declined goes, and one comes back by its gates", |p| {
        scenario(p, Scenario::Drift);
    });
/// One that is upside down for a while.
pub const CRASH: Table = table("lives-crash", "a version that does harm goes, and one comes back by its gates", |p| {
    scenario(p, Scenario::Crash);
});
/// One with nothing to foretell.
pub const NO_EDGE: Table = table("lives-no-edge", "nothing earns production where nothing can be foretold", |p| {
    scenario(p, Scenario::NoEdge);
});
/// One whose outcomes are reported wrong for a while.
pub const POISON: Table = table("lives-poison", "false reports take a version down and bring none up", |p| {
    scenario(p, Scenario::Poison);
});

/// Months of the simulation, after a year of history. What changes, changes after three fifths of them.
const MONTHS: u32 = 12;
/// Months that follow where a version is taken down, so that a year is left after that.
const WAY_BACK: u32 = 10;
/// Days of a year.
const YEAR: f64 = 365.25;
/// Seeds that are listed at most.
const LISTED: usize = 40;
/// Share of the lives in which a good version is taken down that is let pass.
const WRONGLY_DOWN: f64 = 0.02;
/// Share of the lives in which a version comes back by its gates after one was taken down, within a year.
const BACK: f64 = 0.8;
/// Alarms of drift beside those that the budget allows.
const ALARMS: f64 = 1.5;

const fn table(name: &'static str, says: &'static str, print: fn(&mut Printer)) -> Table {
    Table { name, says, runs: 200, print }
}

fn scenario(printer: &mut Printer, scenario: Scenario) {
    let budget = Config::builtin().map_or(f64::NAN, |config| config.monitoring.watch.budget.false_alarms);
    let more = if matches!(scenario, Scenario::Drift | Scenario::Crash) { WAY_BACK } else { 0 };
    let played = printer.each(|seed| tally(scenario, seed, more));
    scenario_says(printer, scenario, &played, budget);
}

fn tally(scenario: Scenario, seed: u64, more: u32) -> Result<Tally, String> {
    let config = Config::parse("demo", SETTINGS).map_err(|errors| errors.to_string())?;
    let symbol = Symbol::new("ES").map_err(|error| error.to_string())?;
    let instrument = *config.symbols.get(&symbol).ok_or("ES is not configured")?;
    let venue = Venue { symbol, instrument, calendar: config.calendar.clone() };
    let mut demo = Demo::longer(scenario, seed, MONTHS, more, venue).map_err(|error| error.to_string())?;
    let mut core = Core::new(config);
    core.play(&mut demo);
    Ok(demo.tally(&core.found))
}

/// The share of `some` in `of`, with its standard error, in per cent.
fn share(some: usize, of: usize) -> String {
    if of == 0 {
        return "-".to_owned();
    }
    let share = some as f64 / of as f64;
    let error = (share * (1.0 - share) / of as f64).sqrt();
    format!("{:.1} ± {:.1} % ({some} of {of})", 100.0 * share, 100.0 * error)
}

fn mean(values: &[f64]) -> String {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    format!("{mean:.2} ± {:.2}", (variance / n).sqrt())
}

fn scenario_says(printer: &mut Printer, scenario: Scenario, played: &[Result<Tally, String>], budget: f64) {
    let all: Vec<(u64, &Tally)> =
        (printer.first()..).zip(played).filter_map(|(seed, tally)| Some((seed, tally.as_ref().ok()?))).collect();
    let count = |has: &dyn Fn(&Tally) -> bool| all.iter().filter(|(_, tally)| has(tally)).count();
    printer.claim("every life can be played", all.len() == played.len(), &format!("{} of {}", all.len(), played.len()));
    printer.columns(&["what", "share or mean, with its standard error"]);
    let row = |printer: &mut Printer, what: &str, figure: String| printer.row(&[what.to_owned(), figure]);
    for (what, ending) in [("as told", Ending::AsTold), ("better than told", Ending::Better), ("worse", Ending::Worse)]
    {
        row(printer, what, share(count(&|tally| tally.ending == ending), all.len()));
    }
    row(printer, "a version earned production", share(count(&|tally| tally.promoted > 0), all.len()));
    row(
        printer,
        "a version earned production after the change",
        share(count(&|tally| tally.promoted_after > 0), all.len()),
    );
    if scenario == Scenario::Poison {
        row(
            printer,
            "a version earned production while reports were false",
            share(count(&|tally| tally.promoted_falsely > 0), all.len()),
        );
    }
    let down = |from: State| count(&|tally| tally.blamed_before.iter().any(|blamed| blamed.from == from));
    row(printer, "taken down from production before any change", share(down(State::Production), all.len()));
    let wrong =
        |from: State| count(&|tally| tally.blamed_before.iter().any(|blamed| blamed.from == from && blamed.wrongly()));
    row(
        printer,
        "of these, while what it took had lost less than ten points of its true chance",
        share(wrong(State::Production), all.len()),
    );
    row(printer, "taken out of its test before any change", share(down(State::AbTest), all.len()));
    row(printer, "of these, likewise, or after too few trades to tell", share(wrong(State::AbTest), all.len()));
    let gone = count(&|tally| tally.gone.is_some());
    row(printer, "taken down after the change", share(gone, all.len()));
    let by = |tally: &Tally, at: Option<Timestamp>, last: f64| {
        tally.gone.as_ref().zip(at).is_some_and(|((_, gone), at)| days(*gone, at) <= last)
    };
    let within = |tally: &Tally, at: Option<Timestamp>| by(tally, at, YEAR);
    row(
        printer,
        "of these, a test begun again by its gates",
        share(count(&|tally| within(tally, tally.tested_again)), gone),
    );
    row(printer, "of these, in production again within a year", share(count(&|tally| within(tally, tally.back)), gone));
    row(
        printer,
        "of these, in production again within half a year",
        share(count(&|tally| by(tally, tally.back, YEAR / 2.0)), gone),
    );
    let tested = count(&|tally| within(tally, tally.tested_again));
    match scenario {
        Scenario::Happy => {
            printer.at_most("good versions taken down", (wrong(State::Production), all.len()), WRONGLY_DOWN);
        }
        Scenario::Drift | Scenario::Crash => printer.at_least("tested again by its gates", (tested, gone), BACK),
        Scenario::NoEdge => {
            printer.at_most(
                "production earned with nothing to foretell",
                (count(&|t| t.promoted > 0), all.len()),
                0.005,
            );
        }
        Scenario::Poison => {
            let falsely = count(&|tally| tally.promoted_falsely > 0);
            printer.at_most("production earned by false reports", (falsely, all.len()), 0.005);
        }
    }
    let alarms: usize = all.iter().map(|(_, tally)| tally.false_alarms).sum();
    let quarters: f64 = all.iter().map(|(_, tally)| tally.watched_quarters).sum();
    row(
        printer,
        "alarms of drift while nothing had drifted",
        format!("{alarms} in {quarters:.0} watched quarters; {:.0} budgeted", budget * quarters),
    );
    let most = ALARMS * budget * quarters;
    let within_budget = alarms as f64 <= most + 4.0 * most.sqrt();
    printer.claim("alarms of drift", within_budget, &format!("{alarms}, claimed at most {most:.0}"));
    row(printer, "emergencies a run", mean(&all.iter().map(|(_, tally)| tally.emergencies as f64).collect::<Vec<_>>()));
    row(
        printer,
        "steps by which influence shrank, a run",
        mean(&all.iter().map(|(_, tally)| tally.shrunk as f64).collect::<Vec<_>>()),
    );
    println!();
    let mut failed: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut better: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (seed, tally) in &all {
        for check in &tally.checks {
            match check.ending {
                Ending::AsTold => {}
                Ending::Better => better.entry(&check.what).or_default().push(*seed),
                Ending::Worse => failed.entry(&check.what).or_default().push(*seed),
            }
        }
    }
    for (word, seeds) in [("better", better), ("worse", failed)] {
        for (what, seeds) in seeds {
            let listed: Vec<String> = seeds.iter().take(LISTED).map(u64::to_string).collect();
            let more = if seeds.len() > LISTED { ", ..." } else { "" };
            println!("{word}: {what}: seeds {}{more}", listed.join(" "));
        }
    }
    let reasons = all.iter().flat_map(|(seed, tally)| tally.blamed_before.iter().map(move |blamed| (seed, blamed)));
    for (seed, blamed) in reasons.take(LISTED) {
        let truth = blamed.chances.map_or_else(
            || "too few trades before it to know their true chance".to_owned(),
            |(before, lately)| format!("true chance of what was taken {before:.3}, {lately:.3} in the month before"),
        );
        println!("taken down: seed {seed}: {} from {}: {}; {truth}", blamed.version, blamed.from, blamed.reason);
    }
    for (seed, error) in (printer.first()..).zip(played).filter_map(|(seed, tally)| Some((seed, tally.as_ref().err()?)))
    {
        println!("seed {seed} could not be played: {error}");
    }
}

fn days(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() / 86_400.0
}
