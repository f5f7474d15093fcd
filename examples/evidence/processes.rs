//! What the processes themselves look like.

use vigie::sim::process::{Process, Stream, YEAR};

use crate::table::{Printer, Table, mean};

/// Each process with a healthy model in it, a year a run.
pub const TABLE: Table =
    Table { name: "processes", says: "what a healthy model's trades look like in each process", runs: 100, print };

fn print(printer: &mut Printer) {
    printer.columns(&["process", "taken trades a year", "share of wins", "pnl a taken trade"]);
    for process in Process::ALL.into_iter().chain([Process::HELD_OUT]) {
        let years = printer.each(|seed| {
            let sessions = Stream::healthy(process, 0.1, YEAR, seed).draw();
            let taken: Vec<_> = sessions.iter().flatten().filter(|signal| signal.taken).collect();
            let count = taken.len() as f64;
            let won = taken.iter().filter(|signal| signal.won).count() as f64;
            [count, won / count, taken.iter().map(|signal| signal.pnl).sum::<f64>() / count]
        });
        let column = |place: usize| mean(&years.iter().filter_map(|year| year.get(place).copied()).collect::<Vec<_>>());
        printer.row(&[process.name.to_owned(), column(0), column(1), column(2)]);
    }
}
