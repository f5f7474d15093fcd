//! How a table is declared and printed.
#![allow(dead_code, reason = "not every table needs every way to print")]

use std::thread;

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
    begun: Stopwatch,
}

impl Printer {
    /// With so many runs a figure.
    pub fn new(runs: usize) -> Self {
        Self { runs, begun: Stopwatch::start() }
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

    /// Seconds so far.
    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// What `run` gives for the seeds 1 to `runs`, in their order, on two threads.
    pub fn each<T: Send>(&self, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
        let runs = self.runs as u64;
        let half = |first: u64| (first..=runs).step_by(2).map(&run).collect::<Vec<T>>();
        let (odd, even) = thread::scope(|scope| {
            let odd = scope.spawn(|| half(1));
            let even = half(2);
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
