//! How a table is declared and printed.
#![allow(dead_code, reason = "not every table needs every way to print")]

use std::thread;

use statrs::distribution::{Binomial, DiscreteCDF};
use vigie::clock::Stopwatch;

/// A table.
pub struct Table {
    /// Its name on the command line.
    pub name: &'static str,
    /// The sentence that it tests.
    pub says: &'static str,
    /// Runs behind each figure.
    pub runs: usize,
    /// Computes and prints it.
    pub print: fn(&mut Printer),
}

/// Prints one table.
pub struct Printer {
    /// Runs behind each figure.
    pub runs: usize,
    first: u64,
    begun: Stopwatch,
    missed: Vec<String>,
}

/// A share is called other than claimed where chance alone would bring so many or more once in ten thousand tables.
const BEYOND_CHANCE: f64 = 1e-4;

impl Printer {
    /// With so many runs a figure, whose seeds begin at `first`.
    pub fn new(runs: usize, first: u64) -> Self {
        Self { runs, first, begun: Stopwatch::start(), missed: Vec::new() }
    }

    /// The heading of a table.
    pub fn title(&mut self, table: &Table) {
        println!("\n## {}: {} ({} runs)\n", table.name, table.says, self.runs);
    }

    /// The names of the columns, as Markdown.
    pub fn columns(&mut self, names: &[&str]) {
        println!("| {} |\n|{}", names.join(" | "), " --- |".repeat(names.len()));
    }

    /// One row.
    pub fn row(&mut self, cells: &[String]) {
        println!("| {} |", cells.join(" | "));
    }

    /// Claims that `hits` of `of` come from a share of at most `most`.
    pub fn at_most(&mut self, what: &str, (hits, of): (usize, usize), most: f64) {
        let chance = |of| Binomial::new(most, of as u64).map(|law| law.sf((hits as u64).saturating_sub(1)));
        if hits > 0 && chance(of).is_ok_and(|chance| chance < BEYOND_CHANCE) {
            self.claim(what, false, &format!("{hits} of {of}, claimed at most {:.2} %", 100.0 * most));
        }
    }

    /// Claims that `hits` of `of` come from a share of at least `least`.
    pub fn at_least(&mut self, what: &str, (hits, of): (usize, usize), least: f64) {
        let chance = Binomial::new(least, of as u64).map(|law| law.cdf(hits as u64));
        if of > 0 && chance.is_ok_and(|chance| chance < BEYOND_CHANCE) {
            self.claim(what, false, &format!("{hits} of {of}, claimed at least {:.2} %", 100.0 * least));
        }
    }

    /// Claims that something holds; `found` says what was found.
    pub fn claim(&mut self, what: &str, holds: bool, found: &str) {
        if !holds {
            self.missed.push(format!("{what}: {found}"));
        }
    }

    /// The first seed.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// What was claimed and does not hold, further from it than chance explains.
    pub fn missed(&self) -> &[String] {
        &self.missed
    }

    /// Seconds so far.
    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// What `run` gives for each seed, in their order, on two threads.
    pub fn each<T: Send>(&self, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
        let end = self.first + self.runs as u64;
        let half = |first: u64| (first..end).step_by(2).map(&run).collect::<Vec<T>>();
        let (odd, even) = thread::scope(|scope| {
            let odd = scope.spawn(|| half(self.first));
            let even = half(self.first + 1);
            (odd.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), even)
        });
        let mut even = even.into_iter();
        odd.into_iter().flat_map(|odd| [Some(odd), even.next()]).flatten().collect()
    }
}

/// A share in per cent with its standard error.
pub fn share(hits: usize, of: usize) -> String {
    if of == 0 {
        return "-".to_owned();
    }
    let p = hits as f64 / of as f64;
    format!("{:.1} +- {:.1} %", 100.0 * p, 100.0 * (p * (1.0 - p) / of as f64).sqrt())
}

/// A mean with its standard error.
pub fn mean(values: &[f64]) -> String {
    let n = values.len() as f64;
    if values.len() < 2 {
        return "-".to_owned();
    }
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    format!("{mean:.3} +- {:.3}", (variance / n).sqrt())
}

/// The median, of what was found in time; `never` counts as later than everything.
pub fn median(found: &[Option<usize>]) -> String {
    let mut sorted: Vec<usize> = found.iter().map(|found| found.unwrap_or(usize::MAX)).collect();
    sorted.sort_unstable();
    match sorted.get(sorted.len() / 2) {
        Some(&usize::MAX) | None => "not found".to_owned(),
        Some(middle) => middle.to_string(),
    }
}
