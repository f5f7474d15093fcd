//! Validates a logistic regression on trades whose truth is known and prints `vigie,rows,seconds`: CPU seconds of the whole
//! suite. Run by `bench/suite.py`, which does the same with scikit-learn.
//!
//! `validate_planted ROWS`
#![expect(clippy::unwrap_used, reason = "the configuration that is compiled in can be read")]

#[path = "../tests/common/planted.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "not all of what the tests share is needed, and it may fail loudly")]
mod planted;
#[path = "../tests/common/suite.rs"]
#[allow(dead_code, reason = "not all of what the tests share is needed")]
mod suite;

use std::{env, error::Error, fs};

use vigie::config::Config;
use vigie::validation::{Goal, ValidationOptions, options::Effort, validate};

fn main() -> Result<(), Box<dyn Error>> {
    let rows = env::args().nth(1).ok_or("usage: validate_planted ROWS")?.parse()?;
    let examples = suite::planted(Goal::Profitability, 2, rows, &[0.4, -0.3, 0.2]);
    let design = planted::design();
    let mut options = ValidationOptions { strengths: vec![1.0, 2.0], ..Config::builtin().unwrap().validation.clone() };
    options.effort = Effort { bootstrap: 200, null: 20, importance: 30, ..options.effort };
    options.splits.groups = 3;
    let (mut repeats, before, mut seconds) = (0, cpu_seconds()?, 0.0);
    while seconds < 0.5 {
        validate(&examples, &suite::logistic(&design), &options, &mut |_, _| ())?;
        repeats += 1;
        seconds = cpu_seconds()? - before;
    }
    println!("vigie,{rows},{:.3}", seconds / f64::from(repeats));
    Ok(())
}

/// CPU time of this thread so far; a validation uses no other.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = stat.split(' ').next().ok_or("schedstat is empty")?.parse()?;
    Ok(nanoseconds / 1e9)
}
