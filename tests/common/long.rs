//! The long form of the tests: more seeds, rounds and repeats of the same.

use std::env::{VarError, var};

/// `short`, or `long` if `VIGIE_LONG` is 1. It may also be 0, empty or unset; any other value fails the test.
pub fn cases<T>(short: T, long: T) -> T {
    let asked = var("VIGIE_LONG");
    let known = matches!(asked.as_deref(), Ok("1" | "0" | "") | Err(VarError::NotPresent));
    assert!(known, "VIGIE_LONG may be 1 or 0, and is {asked:?}");
    if asked.as_deref() == Ok("1") { long } else { short }
}
