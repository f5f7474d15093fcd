//! How often the detectors on the streams of a version that is as good as validated speak in error, and how soon of one that has
//! fallen.

use vigie::{
    config::Config,
    domain::{Arm, Symbol, VersionId},
    guard::monitor::{Closed, Monitor, MonitorOptions, Said, Usual},
    models::{Facts, Question, Stake},
    sim::process::{Fate, InputMemory, Process, Scored, Stream, YEAR},
    stats::sessions::History,
};

use crate::table::{Printer, Table, mean, median};

/// What a person is told by a detector; none of them does anything.
pub const TABLE: Table = Table {
    name: "detectors",
    says: "alarms in a year as validated by the detectors of the streams, and trades until they speak of a fall of 20 points after half a year",
    runs: 400,
    print,
};

const DETECTORS: [&str; 3] = ["page_hinkley", "cusum", "adwin"];
/// Sessions by which a version was validated: a short validation, and a long one.
const VALIDATED: [usize; 3] = [40, 80, 400];
/// Years for which a healthy version serves.
const YEARS: usize = 4;
/// Sessions for which one serves that falls then.
const BEFORE_THE_FALL: usize = YEAR / 2;
/// Runs below which a mean of alarms says nothing: they come in clusters.
const ENOUGH: usize = 40;
/// Alarms a year beyond which a detector is noise.
const MOST_A_YEAR: f64 = 1.3;

struct Service {
    monitor: Monitor,
    options: MonitorOptions,
    version: VersionId,
    symbol: Symbol,
}

impl Service {
    /// A version goes into service that was validated on these.
    fn begin(validated: &[&Scored]) -> Option<Self> {
        let options = Config::builtin().ok()?.monitoring.watch.monitor;
        let version: VersionId = "ES/1".parse().ok()?;
        let trades: Vec<_> = validated.iter().map(|trade| (trade.session, trade.won, trade.pnl)).collect();
        let mut monitor = Monitor::default();
        monitor.begin(&options, &version, Usual::of(&History::of(&trades)), Question::default());
        Some(Self { monitor, options, version, symbol: Symbol::new("ES").ok()? })
    }

    /// Which detectors speak at a trade.
    fn closed(&mut self, trade: &Scored) -> [bool; 3] {
        let closed = Closed {
            said: vec![Said { version: self.version.clone(), score: trade.score, taken: true }],
            arm: Arm::Ml,
            symbol: self.symbol.clone(),
            regime: None,
            markets: Vec::new(),
            day: None,
            pnl: trade.pnl,
            facts: Facts { pnl: Some(trade.pnl), stake: Stake::default(), reached_target: false, bars: None },
        };
        let spoken = self.monitor.closed(&self.options, &closed, |_| true);
        DETECTORS.map(|detector| spoken.iter().any(|change| *change.detector == *detector))
    }
}

/// The trades of a process with a version in it that was validated on so many sessions: those, and those after.
fn drawn(process: Process, fate: Fate, validated: usize, service: usize, seed: u64) -> (Vec<Scored>, Vec<Scored>) {
    let (inputs, sessions) = (InputMemory::Independent, validated + service);
    let drawn = Stream { process, lift: 0.1, fate, inputs, columns: 0, sessions, seed }.draw();
    drawn.into_iter().flatten().filter(|trade| trade.taken).partition(|trade| trade.session < validated)
}

/// How often each detector speaks in a year as validated.
fn healthy(process: Process, validated: usize, seed: u64) -> Option<[f64; 3]> {
    let (before, after) = drawn(process, Fate::Healthy, validated, YEARS * YEAR, seed);
    let mut service = Service::begin(&before.iter().collect::<Vec<_>>())?;
    let mut alarms = [0.0; 3];
    for spoken in after.iter().map(|trade| service.closed(trade)) {
        alarms.iter_mut().zip(spoken).filter(|(_, spoke)| *spoke).for_each(|(count, _)| *count += 1.0 / YEARS as f64);
    }
    Some(alarms)
}

/// At which trade after a fall of 20 points each detector speaks first.
fn fallen(process: Process, validated: usize, seed: u64) -> Option<[Option<usize>; 3]> {
    let from = validated + BEFORE_THE_FALL;
    let (before, after) = drawn(process, Fate::Falls { by: 0.2, from }, validated, BEFORE_THE_FALL + 2 * YEAR, seed);
    let mut service = Service::begin(&before.iter().collect::<Vec<_>>())?;
    let (mut since, mut first) = (0, [None; 3]);
    for trade in &after {
        let spoken = service.closed(trade);
        since += usize::from(trade.session >= from);
        let new = first.iter_mut().zip(spoken).filter(|(first, spoke)| since > 0 && *spoke && first.is_none());
        new.for_each(|(first, _)| *first = Some(since));
    }
    Some(first)
}

fn print(printer: &mut Printer) {
    let fall = DETECTORS.map(|detector| format!("{detector}, fall"));
    let columns =
        ["process", "validated on sessions"].into_iter().chain(DETECTORS).chain(fall.iter().map(String::as_str));
    printer.columns(&columns.collect::<Vec<_>>());
    for process in Process::ALL.into_iter().chain([Process::HELD_OUT]) {
        VALIDATED.into_iter().for_each(|validated| row(printer, process, validated));
    }
}

fn row(printer: &mut Printer, process: Process, validated: usize) {
    let years: Vec<_> = printer.each(|seed| healthy(process, validated, seed)).into_iter().flatten().collect();
    let falls: Vec<_> = printer.each(|seed| fallen(process, validated, seed)).into_iter().flatten().collect();
    let mut cells = vec![process.name.to_owned(), validated.to_string()];
    for (place, detector) in DETECTORS.into_iter().enumerate() {
        let a_year: Vec<f64> = years.iter().filter_map(|alarms| alarms.get(place).copied()).collect();
        let often = a_year.iter().sum::<f64>() / a_year.len().max(1) as f64;
        let what = format!("{}, validated on {validated} sessions: {detector}", process.name);
        let holds = a_year.len() < ENOUGH || often <= MOST_A_YEAR;
        printer.claim(&what, holds, &format!("speaks {often:.2} times in a healthy year"));
        cells.push(mean(&a_year));
    }
    for place in 0..DETECTORS.len() {
        let found: Vec<_> = falls.iter().map(|first| first.get(place).copied().flatten()).collect();
        cells.push(median(&found));
    }
    printer.row(&cells);
}
