//! The gate for deployment, on markets whose truth is known: who passes.

use jiff::{SignedDuration, civil, tz::TimeZone};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    config::Config,
    domain::{Timestamp, TradingCalendar},
    features::{DesignOptions, Scaling, row::Schema},
    models::{Kind, Solver, Target},
    sim::process::{InputMemory, Process, Stream},
    validation::{
        Example, Examples, Goal, Life, Recipe, ValidationOptions, ValidationReport,
        check::{Outcome, Part},
        options::Effort,
        validate,
    },
};

use crate::table::{Printer, Table, mean, share};

/// Markets with something to foretell.
pub const EDGE: Table = Table {
    name: "gate",
    says: "a model of a market with something to foretell is deployable",
    runs: 400,
    print: edge,
};
/// Markets with nothing to foretell.
pub const NO_EDGE: Table = Table {
    name: "gate-no-edge",
    says: "a model of a market with nothing to foretell is not deployable, whatever its labels and inputs remember",
    runs: 600,
    print: no_edge,
};

/// Inputs of a signal, besides the strategy's confidence.
const INPUTS: usize = 12;
/// How much the first inputs say, relative to each other.
const WEIGHTS: [f64; 5] = [1.0, -0.9, 0.8, -0.7, 0.5];
/// Signals of a session.
const SIGNALS: usize = 10;
/// The parts that decide, in the order of the columns.
const DECIDING: [Part; 3] = [Part::PValue, Part::Gain, Part::PrecisionLift];

fn edge(printer: &mut Printer) {
    printer.columns(&[
        "Bayes accuracy",
        "trades",
        "deployable",
        "beats chance",
        "earns more",
        "lift",
        "AUC",
        "overall",
    ]);
    for (accuracy, trades, least) in [(0.58, 4000, 0.5), (0.58, 8000, 0.8), (0.65, 1000, 0.6), (0.65, 4000, 0.95)] {
        let spread = spread_of(accuracy);
        let reports = printer.each(|seed| judged(planted(spread, trades, seed), seed));
        let names = [format!("{accuracy}"), trades.to_string()];
        let passed = print_row(printer, &names, &reports.into_iter().flatten().collect::<Vec<_>>());
        printer.at_least(&format!("deployable, {accuracy} and {trades} trades"), passed, least);
    }
}

fn no_edge(printer: &mut Printer) {
    printer.columns(&["process", "trades", "deployable", "beats chance", "earns more", "lift", "AUC", "overall"]);
    for process in Process::ALL.into_iter().chain([Process::HELD_OUT]) {
        let reports = printer.each(|seed| judged(unrelated(process, 2000, seed), seed));
        let reports: Vec<ValidationReport> = reports.into_iter().flatten().collect();
        let passed = print_row(printer, &[process.name.to_owned(), "2000".to_owned()], &reports);
        printer.at_most(&format!("deployable without an edge, {}", process.name), passed, 0.01);
    }
}

/// Prints a row and gives how many are deployable, of how many.
fn print_row(printer: &mut Printer, names: &[String], reports: &[ValidationReport]) -> (usize, usize) {
    let runs = reports.len();
    let passes = |part: Part| {
        let passed = |report: &&ValidationReport| {
            report.checks.iter().any(|check| check.part == part && check.outcome == Outcome::Pass)
        };
        share(reports.iter().filter(passed).count(), runs)
    };
    let mut cells = names.to_vec();
    let deployable = reports.iter().filter(|report| report.is_deployable()).count();
    cells.push(share(deployable, runs));
    cells.extend(DECIDING.into_iter().map(passes));
    cells.push(mean(&reports.iter().filter_map(|report| report.evidence.skill).collect::<Vec<_>>()));
    cells.push(mean(&reports.iter().map(|report| report.overall).collect::<Vec<_>>()));
    printer.row(&cells);
    (deployable, runs)
}

/// Repeats are few where they do not decide.
fn judged(examples: Option<Examples>, seed: u64) -> Option<ValidationReport> {
    let mut options = ValidationOptions {
        effort: Effort { bootstrap: 5, null: 200, importance: 3, blocks: 8 },
        strengths: vec![1.0, 10.0, 100.0, 1000.0],
        seed,
        ..Config::builtin().unwrap().validation.clone()
    };
    (options.splits.groups, options.splits.steps) = (5, 5);
    let design = design();
    let (kind, target) = (Kind::Logistic, Target::Profitability);
    let fitter = Recipe { kind, target, solver: Solver::Newton, design: &design, seed: 7 }.fitter();
    validate(&examples?, &fitter, &options, &mut |_, _| ()).ok()
}

fn design() -> DesignOptions {
    DesignOptions {
        scaling: Scaling::Standardise,
        clip_quantile: 0.001,
        indicator_min_missing: 0.01,
        max_missing: 0.99,
        fill_max_age_hours: 23.0,
        interactions: Vec::new(),
        extra: Vec::new(),
        derived: Vec::new(),
        carry: Default::default(),
    }
}

/// Independent trades whose log-odds of a win are normal with this standard deviation, and known from the inputs.
fn planted(spread: f64, trades: usize, seed: u64) -> Option<Examples> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let size = WEIGHTS.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
    let row = |place: usize| {
        let inputs: Vec<f64> = (0..INPUTS).map(|_| normal(&mut rng)).collect();
        let log_odds = spread / size * inputs.iter().zip(WEIGHTS).map(|(x, weight)| x * weight).sum::<f64>();
        let won = rng.random::<f64>() < 1.0 / (1.0 + (-log_odds).exp());
        let amount = 100.0 * (0.5 + rng.random::<f64>());
        let confidence = rng.random_range(0.35..0.65);
        (place / SIGNALS, inputs, won, if won { amount } else { -amount }, confidence)
    };
    examples((0..trades).map(row))
}

/// Labels and money of one stream, inputs of another: each remembers its own past and knows nothing of the other.
fn unrelated(process: Process, trades: usize, seed: u64) -> Option<Examples> {
    let labels = Stream::healthy(process, 0.0, trades, 2 * seed).draw();
    let inputs = InputMemory::PerSession(0.97);
    let inputs = Stream { inputs, columns: INPUTS, ..Stream::healthy(process, 0.0, trades, 2 * seed + 1) }.draw();
    let mut rng = Pcg64::seed_from_u64(seed);
    let pairs = labels.into_iter().flatten().zip(inputs.into_iter().flatten()).take(trades);
    examples(
        pairs.map(|(label, input)| (label.session, input.inputs, label.won, label.pnl, rng.random_range(0.35..0.65))),
    )
}

/// Rows of session, inputs, win, pnl and confidence, a day a session.
fn examples(rows: impl Iterator<Item = (usize, Vec<f64>, bool, f64, f64)>) -> Option<Examples> {
    let calendar = TradingCalendar::new(TimeZone::UTC, civil::time(0, 0, 0, 0));
    let start: Timestamp = "2015-01-05T00:10:00Z".parse().ok()?;
    let (mut last, mut number) = (usize::MAX, 0);
    let rows = rows.map(|(session, inputs, won, pnl, confidence)| {
        number = if session == last { number + 1 } else { 0 };
        last = session;
        let at = start + SignedDuration::from_mins((24 * 60 * session + 15 * number) as i64);
        let exit_at = at + SignedDuration::from_mins(10);
        Example {
            values: inputs.into_iter().chain([confidence]).map(Some).collect(),
            life: Life { at, exit_at, known_at: exit_at },
            truth: f64::from(u8::from(won)),
            pnl,
            confidence: Some(confidence),
            heard: false,
            volatility: None,
            trend: None,
            day: calendar.day_of(exit_at),
        }
    });
    Examples::new(Goal::Profitability, Schema::new(&[]).ok()?, rows.collect()).ok()
}

/// The standard deviation of normal log-odds at which knowing them is right so often.
fn spread_of(accuracy: f64) -> f64 {
    let reached = |spread: f64| {
        let steps = (-800..=800).map(|step| f64::from(step) / 100.0);
        let density = |z: f64| (-0.5 * z * z).exp();
        let weight: f64 = steps.clone().map(density).sum();
        steps.map(|z| density(z) / (1.0 + (-(spread * z).abs()).exp())).sum::<f64>() / weight
    };
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if reached(middle) < accuracy { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Box and Muller.
fn normal(rng: &mut Pcg64) -> f64 {
    let (a, b) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}
