//! Prints the tables that the rules and gates are held to: false alarms, delays, power, coverage, each with its standard
//! error, on processes whose truth is known (`vigie::sim::process`).
//!
//! `cargo run --release --example evidence -- [TABLE...] [--runs N] [--first N]`: all tables, or those named; `--runs` replaces each
//! table's own number of runs (a small one is the short form), `--first` is the first seed, 1 unless said. It ends with 1 when something that is claimed does not hold, by
//! more than chance explains at that number of runs.
#![expect(clippy::unwrap_used, reason = "the configuration that is compiled in can be read")]

mod coverage;
mod detectors;
mod drift;
mod emergencies;
mod gate;
mod ladder;
mod lives;
mod power;
mod processes;
mod table;
mod untold;

use std::{env, process::ExitCode};

use table::{Printer, Table};

/// Every table: a file each.
const TABLES: [Table; 16] = [
    processes::TABLE,
    emergencies::TABLE,
    gate::EDGE,
    gate::NO_EDGE,
    drift::TABLE,
    detectors::TABLE,
    ladder::HEALTHY,
    ladder::DELAYS,
    lives::HAPPY,
    lives::DRIFT,
    lives::CRASH,
    lives::NO_EDGE,
    lives::POISON,
    power::TABLE,
    coverage::TABLE,
    untold::TABLE,
];

fn main() -> ExitCode {
    let (mut names, mut runs, mut first) = (Vec::new(), None, 1);
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--first" {
            let Some(seed) = words.next().and_then(|seed| seed.parse::<u64>().ok()) else {
                return usage("--first takes a seed");
            };
            first = seed;
        } else if word == "--runs" {
            runs = words.next().and_then(|count| count.parse::<usize>().ok()).filter(|count| *count > 0);
            if runs.is_none() {
                return usage("--runs takes a number above 0");
            }
        } else if TABLES.iter().any(|table| table.name == word) {
            names.push(word);
        } else {
            return usage(&format!("there is no table {word:?}"));
        }
    }
    let asked = |table: &&Table| names.is_empty() || names.iter().any(|name| *name == table.name);
    let mut missed = Vec::new();
    for table in TABLES.iter().filter(asked) {
        let mut printer = Printer::new(runs.unwrap_or(table.runs), first);
        printer.title(table);
        (table.print)(&mut printer);
        println!("\n{} took {:.0} s", table.name, printer.seconds());
        missed.extend(printer.missed().iter().map(|missed| format!("{}: {missed}", table.name)));
    }
    missed.iter().for_each(|missed| println!("not as claimed: {missed}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(fault: &str) -> ExitCode {
    eprintln!("{fault}\nusage: evidence [TABLE...] [--runs N] [--first SEED]\ntables:");
    TABLES.iter().for_each(|table| eprintln!("  {:<16} {}", table.name, table.says));
    ExitCode::from(2)
}
