//! Lines on standard error: with a priority under a service manager, else with a time.

use std::io::{Write as _, stderr};

use crate::{alert::Level, clock};

/// Says something to whoever reads the log.
pub fn say(level: Level, words: &str) {
    let is_kept = std::env::var_os("JOURNAL_STREAM").is_some();
    let line = if is_kept {
        let priority = match level {
            Level::Info => 6,
            Level::Warning => 4,
            Level::Critical => 3,
        };
        format!("<{priority}>{words}\n")
    } else {
        format!("{:.3} {:8} {words}\n", clock::now(), level.name())
    };
    let _nobody_listens = stderr().lock().write_all(line.as_bytes());
}
