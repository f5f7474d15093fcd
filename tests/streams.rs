//! What commands hold in memory of a long journal: little of each trade, and none of its snapshots.
//!
//! `VIGIE_LONG=1` takes journals of 50,000 and 200,000 trades instead of 3,000 and 12,000, prints the peak of each command, and holds
//! each to 150 MiB. The figures are those of the program that is tested: an optimised one is meant.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, process::Stdio, time::Duration};

use common::{
    long::cases,
    place::{CONFIG, Place},
    process::vigie,
    spoken::journal,
    wait::until_passed,
};
use serde_json::json;
use vigie::clock::Stopwatch;

/// Most MiB of a command on 200,000 trades.
const MOST: usize = 150;
/// The same on the shorter journals of an export of snapshots, of which a part of the rows is in memory.
const MOST_OF_A_PART: usize = 100;
/// Most bytes that a command may hold of a trade. A snapshot takes two to three thousand.
const MOST_OF_A_TRADE: usize = 1_600;
/// Hardly a page of the journal in memory, and limits that are drawn soon.
const LITTLE: &str = "journal.cache_mib = 1\nmonitor.budget_resamples = 20\n";
/// The most memory that a command held, in bytes, and how long it took in seconds.
fn peak(place: &Place, arguments: &[&str]) -> (usize, f64) {
    let since = Stopwatch::start();
    let mut child = vigie(place, arguments).stdout(Stdio::null()).spawn().unwrap();
    let mut most = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let held = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        most = held.map_or(most, |held| 1024 * held.parse::<usize>().unwrap());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        until_passed(Stopwatch::start(), Duration::from_millis(1));
    };
    assert!(status.success() && most > 0, "{arguments:?}: {status}");
    (most, since.elapsed().as_secs_f64())
}

/// Holds a command on a long journal against the same on one of a quarter of its trades.
fn holds_little(commands: &[&[&str]]) {
    let [short, long] = cases([3_000, 12_000], [50_000, 200_000]);
    let places = [short, long].map(|trades| {
        let place = Place::new();
        place.file("config.toml", &format!("{CONFIG}{LITTLE}"));
        place.file("other.toml", &format!("{CONFIG}{LITTLE}[guardian]\nmax_loss_streak = 9\n"));
        journal(&place, trades);
        place
    });
    for command in commands {
        let [(few, _), (many, seconds)] = places.each_ref().map(|place| peak(place, command));
        let grown = many.saturating_sub(few) / (long - short);
        println!(
            "{}",
            json!({ "command": command[0], "trades": long, "peak_mib": many >> 20, "bytes_a_trade": grown, "s": seconds })
        );
        assert!(grown < MOST_OF_A_TRADE, "{command:?}: {grown} bytes a trade, {few} and {many}");
        assert!(many >> 20 < MOST, "{command:?}: {many} bytes");
    }
}

#[test]
fn what_reads_all_trades_once_holds_little_of_each() {
    holds_little(&[
        &["dataset", "--state", "state", "--config", "config.toml"],
        &["export", "--state", "state", "--config", "config.toml"],
        &["export", "--state", "state", "--config", "config.toml", "--format", "pickle"],
        &["export", "--state", "state", "--config", "config.toml", "--format", "parquet"],
        &["impact", "--state", "state", "--config", "config.toml"],
        &["phases", "--state", "state", "--config", "config.toml"],
        &["report", "--state", "state", "--config", "config.toml"],
        &["power", "--state", "state", "--config", "config.toml"],
    ]);
}

#[test]
fn what_tries_rules_on_the_past_holds_little_of_each_trade() {
    holds_little(&[
        &["drill", "--state", "state", "--config", "config.toml", "--runs", "2", "--trades", "100"],
        &["tune", "--state", "state", "--in-force", "config.toml", "--config", "other.toml"],
    ]);
}

#[test]
fn an_export_of_snapshots_holds_no_more_than_a_part_of_them() {
    let place = Place::new();
    place.file("config.toml", &format!("{CONFIG}{LITTLE}"));
    journal(&place, 12_000);
    let arguments =
        ["export", "--state", "state", "--config", "config.toml", "--what", "snapshots", "--format", "parquet"];
    let (held, _) = peak(&place, &arguments);
    assert!(held >> 20 < MOST_OF_A_PART, "{held} bytes");
}
