//! Prints the tables that the rules and gates are held to: false alarms, delays, power, coverage, each with its standard
//! error, on processes whose truth is known (`vigie::sim::process`).
//!
//! `cargo run --release --example evidence -- [TABLE...] [--runs N]`: all tables, or those named; `--runs` replaces each
//! table's own number of runs (a small one is the short form).

mod coverage;
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
const TABLES: [Table; 11] = [
    processes::TABLE,
    emergencies::TABLE,
    gate::EDGE,
    gate::NO_EDGE,
    drift::TABLE,
    ladder::HEALTHY,
    ladder::DELAYS,
    lives::TABLE,
    power::TABLE,
    coverage::TABLE,
    untold::TABLE,
];

fn main() -> ExitCode {
    let (mut names, mut runs) = (Vec::new(), None);
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--runs" {
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
    for table in TABLES.iter().filter(asked) {
        let mut printer = Printer::new(runs.unwrap_or(table.runs));
        printer.title(table);
        (table.print)(&mut printer);
    }
    ExitCode::SUCCESS
}

fn usage(fault: &str) -> ExitCode {
    eprintln!("{fault}\nusage: evidence [TABLE...] [--runs N]\ntables:");
    TABLES.iter().for_each(|table| eprintln!("  {:<16} {}", table.name, table.says));
    ExitCode::from(2)
}
