//! What a test says that cannot run here.

use std::{
    fs::File,
    io::{Write as _, stderr},
    panic::Location,
    path::Path,
};

/// Says that the caller, or a part of it, was skipped, and why: on standard error, which no test runner's capture of `print`
/// holds back, and in the file `target/tmp/skipped`, which `.ci/run` lists after the tests.
#[track_caller]
pub fn skipped(why: &str) {
    let (caller, why) = (Location::caller(), why.trim().replace('\n', " "));
    let line = format!("skipped: {}:{}: {why}\n", caller.file(), caller.line());
    let _nobody_reads_it = stderr().write_all(line.as_bytes());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    let file = File::options().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
}
