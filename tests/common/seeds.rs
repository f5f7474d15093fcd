//! Numbers of the cases that a test is to run.

use std::env::var;

use super::long;

/// What to run: the numbers from 0 on, as many as [`long::cases`] says, or those that `VIGIE_SEEDS` names, such as `4280,20000..22000`.
pub fn seeds(short: usize, long: usize) -> Vec<usize> {
    let Ok(named) = var("VIGIE_SEEDS") else { return (0..long::cases(short, long)).collect() };
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
