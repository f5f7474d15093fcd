//! Panics of libraries, caught where they are called and told there in other words.
#![deny(clippy::indexing_slicing)]

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    /// How many calls of [`caught`] this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

struct Inside;

impl Inside {
    fn begin() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Runs `work`. What it leaves half done when it panics must not be used any more.
///
/// # Errors
/// What a panic in it said.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let _inside = Inside::begin();
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| said(&*panic).to_owned())
}

/// Whether a panic of this thread would be caught by [`caught`] now: whoever prints panics need not print it.
pub fn are_caught() -> bool {
    DEPTH.get() > 0
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_and_known_to_be_caught_only_within() {
        let within = caught(|| (are_caught(), caught(|| panic!("number {}", 7)), are_caught()));
        let (before, told, after): (bool, Result<(), String>, bool) = within.unwrap();
        assert_eq!((before, told, after), (true, Err("number 7".to_owned()), true));
        assert_eq!(caught(|| panic!("a word")), Err::<(), _>("a word".to_owned()));
        assert!(!are_caught());
    }
}
