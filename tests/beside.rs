//! What the work of others costs a score: its round trip beside each command against that beside none, by turns in one run.
//!
//! In the long form only, with the program as it is released, on a machine that does nothing else:
//!
//! ```text
//! VIGIE_LONG=1 cargo test --release --test beside -- --nocapture
//! ```
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{process::Stdio, time::Duration};

use common::{
    long::cases,
    place::{CONFIG, Place},
    process::{Process, vigie},
    skip::skipped,
    spoken::journal,
    wait::until_passed,
    wire::{Wire, score},
};
use serde_json::json;
use vigie::clock::Stopwatch;

const TRADES: usize = 200_000;
/// Round trips of one stretch, and stretches of each kind for each command.
const TRIPS: usize = 1_500;
const TURNS: usize = 4;
/// From one signal to the next.
const PACE: Duration = Duration::from_millis(1);
/// The most that the 99th percentile may be beside a command, as a multiple of that beside none.
const MOST: f64 = 1.2;
const COMMANDS: [&[&str]; 14] = [
    &["status", "--state", "state"],
    &["models", "--state", "state"],
    &["events", "--state", "state"],
    &["dataset", "--state", "state", "--config", "config.toml"],
    &["export", "--state", "state", "--config", "config.toml"],
    &["export", "--state", "state", "--config", "config.toml", "--what", "snapshots", "--format", "parquet"],
    &["impact", "--state", "state", "--config", "config.toml"],
    &["phases", "--state", "state", "--config", "config.toml"],
    &["report", "--state", "state", "--config", "config.toml"],
    &["power", "--state", "state", "--config", "config.toml"],
    &["drill", "--state", "state", "--config", "config.toml", "--runs", "2", "--trades", "100"],
    &["tune", "--state", "state", "--in-force", "config.toml", "--config", "other.toml"],
    &["backup", "NEW", "--state", "state"],
    &["train", "--state", "state", "--symbol", "ES"],
];

/// Scores at an even pace, and their round trips in us.
fn trips(wire: &mut Wire, next: &mut usize, count: usize) -> Vec<f64> {
    let trip = |_| {
        let line = score(&format!("beside-{next}"));
        *next += 1;
        let since = Stopwatch::start();
        assert_eq!(wire.ask(&line)["ok"], true);
        let took = since.elapsed().as_secs_f64() * 1e6;
        until_passed(since, PACE);
        took
    };
    (0..count).map(trip).collect()
}

fn percentile(times: &[f64], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn place() -> Place {
    let place = Place::new();
    place.file("config.toml", CONFIG);
    place.file("other.toml", &format!("{CONFIG}[guardian]\nmax_loss_streak = 9\n"));
    journal(&place, TRADES);
    place
}

#[test]
fn a_score_beside_a_command_is_answered_as_soon_as_beside_none() {
    if !cases(false, true) {
        return skipped("measured in the long form only, on a machine that does nothing else");
    }
    let place = place();
    let daemon = Process::start(&place, &[]);
    let (mut wire, mut next, mut slow) = (daemon.connect(), 0, Vec::new());
    trips(&mut wire, &mut next, 2 * TRIPS);
    for command in COMMANDS {
        let (mut without, mut with, mut ran) = (Vec::new(), Vec::new(), 0);
        for _ in 0..TURNS {
            without.extend(trips(&mut wire, &mut next, TRIPS));
            let end = with.len() + TRIPS;
            while with.len() < end {
                ran += 1;
                let named = command
                    .iter()
                    .map(|&word| if word == "NEW" { format!("copy-{ran}") } else { word.to_owned() })
                    .collect::<Vec<_>>();
                let arguments: Vec<&str> = named.iter().map(String::as_str).collect();
                let mut child = vigie(&place, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                let status = loop {
                    if let Some(status) = child.try_wait().unwrap() {
                        break status;
                    }
                    with.extend(trips(&mut wire, &mut next, 10));
                };
                assert!(status.success(), "{command:?}: {status}");
            }
        }
        let of = |share| (percentile(&without, share), percentile(&with, share));
        let [(quiet, beside), (quiet_99, beside_99)] = [of(0.5), of(0.99)];
        let ratio = beside_99 / quiet_99;
        println!(
            "{}",
            json!({ "command": command[0], "begun": ran, "p50_us": [quiet.round(), beside.round()],
                "p99_us": [quiet_99.round(), beside_99.round()], "p99_ratio": (1e3 * ratio).round() / 1e3 })
        );
        if ratio > MOST {
            slow.push((command, ratio));
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}
