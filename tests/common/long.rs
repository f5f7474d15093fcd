//! The long form of the tests: more seeds, rounds and repeats of the same.

use std::env::{VarError, var};

/// `short`, or `long` if `VIGIE_LONG` is 1. It may also be 0, empty or unset; any other value fails the test.
pub fn cases<T>(short: T, long: T) -> T {
    let asked = var("VIGIE_LONG");
    let known = matches!(asked.as_deref(), Ok("1" | "0" | "") | Err(VarError::NotPresent));
    assert!(known, "VIGIE_LONG may be 1 or 0, and is {asked:?}");
    if asked.as_deref() == Ok("1") { long } else { short }
}

/// What to run: the numbers from 0 on, as many as [`cases`] says, or those that `VIGIE_SEEDS` names, such as `4280,20000..22000`.
#[allow(dead_code, reason = "one test takes numbers")]
pub fn seeds(short: usize, long: usize) -> Vec<usize> {
    let Ok(named) = var("VIGIE_SEEDS") else { return (0..cases(short, long)).collect() };
    let number = |text: &str| -> usize {
        let number = text.trim().parse();
        assert!(number.is_ok(), "VIGIE_SEEDS names {text:?}");
        number.unwrap_or_default()
    };
    let range = |part: &str| match part.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(part)..number(part) + 1,
    };
    named.split(',').flat_map(range).collect()
}
