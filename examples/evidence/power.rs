//! The power that is told of a test that is read at every session, against simulated tests.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::stats::{
    normal,
    power::Reading,
    sequential::{Plan, crossing_power, reflection_constant},
};

use crate::table::{Printer, Table, share};

/// Told against found, by sessions, size of the effect and shape of the sessions.
pub const TABLE: Table = Table {
    name: "power",
    says: "chance that a test read at every session finds its effect at 5 %: as told, and as simulated",
    runs: 10_000,
    print,
};

const LEVEL: f64 = 0.05;

fn print(printer: &mut Printer) {
    printer.columns(&[
        "sessions",
        "effect in standard errors at the end",
        "told",
        "normal sessions",
        "sessions of Student's t, 4 degrees",
        "told if the variance were known",
    ]);
    let known = reflection_constant(LEVEL).unwrap_or(f64::NAN);
    for sessions in [20, 40, 60, 100, 250] {
        for drift in [1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0] {
            let told = Reading::Sequential.power(drift, sessions as f64, LEVEL);
            let found = |heavy: bool| {
                printer.each(|seed| finds(sessions, drift, heavy, seed)).into_iter().filter(|hit| *hit).count()
            };
            let (hits, heavy) = (found(false), found(true));
            if let Some(told) = told {
                let simulated = hits as f64 / printer.runs as f64;
                let near = (told - simulated).abs() <= 0.013 + 4.0 * (0.25 / printer.runs as f64).sqrt();
                let says = format!("told {told:.3}, simulated {simulated:.3}");
                printer.claim(&format!("power of {sessions} sessions, {drift}"), near, &says);
            }
            let per_cent = |chance: f64| format!("{:.1} %", 100.0 * chance);
            let cells = [
                sessions.to_string(),
                drift.to_string(),
                told.map_or_else(|| "-".to_owned(), per_cent),
                share(hits, printer.runs),
                share(heavy, printer.runs),
                per_cent(crossing_power(drift, f64::INFINITY, known)),
            ];
            printer.row(&cells);
        }
    }
}

/// Whether one test claims a gain at any close.
fn finds(sessions: usize, drift: f64, heavy: bool, seed: u64) -> bool {
    let Some(plan) = Plan::new(sessions, 2) else { return false };
    let effect = drift / (sessions as f64).sqrt();
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut sum, mut squares) = (0.0, 0.0_f64);
    (1..=sessions).any(|closed| {
        let session = effect + if heavy { student(&mut rng) } else { draw(&mut rng) };
        (sum, squares) = (sum + session, squares + session * session);
        plan.p_value(closed, sum / squares.sqrt()).is_some_and(|p| p <= LEVEL) && sum > 0.0
    })
}

fn draw(rng: &mut Pcg64) -> f64 {
    normal::quantile(rng.random::<f64>().clamp(1e-16, 1.0 - 1e-16)).unwrap_or_default()
}

/// Student's t with 4 degrees of freedom, of variance 1.
fn student(rng: &mut Pcg64) -> f64 {
    let squares: f64 = (0..4).map(|_| draw(rng).powi(2)).sum();
    draw(rng) / (squares / 4.0).sqrt() / std::f64::consts::SQRT_2
}
