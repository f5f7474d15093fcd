//! How often the emergency rules take down a version that is as good as validated, and how late they see a broken one.

use jiff::{SignedDuration, civil, tz::TimeZone};
use vigie::{
    domain::{Money, Probability, Timestamp, TradeId, TradingCalendar, VersionId},
    guard::emergency::{ClosedTrade, Emergency, EmergencyOptions, Reported, VersionScore},
    models::{Facts, Labeller, Question, Standard, Target, standard::Validated},
    sim::process::{Fate, Process, QUARTER, Scored, Stream, YEAR},
};

use crate::table::{Printer, Table, median, share};

/// Alarms a year of healthy versions by rule, and delays of broken ones.
pub const TABLE: Table = Table {
    name: "emergencies",
    says: "emergency rules: false alarms a year by rule (budget `guardian.false_alarms_per_year`), and trades until a broken version is found",
    runs: 400,
    print,
};

const RULES: [&str; 3] = ["accuracy", "loss_streak", "harm"];

/// Which closed trades there are to see: in production those that were taken, with a test those that the baseline took too.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    Taken,
    All,
}

/// At what multiple of the strategy's size a trade is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sizes {
    /// Its own.
    Unit,
    /// Half of it.
    Half,
    /// The surer the larger, up to twice.
    Bet,
}

impl Sizes {
    fn of(self, signal: &Scored, process: &Process) -> f64 {
        let surer = (signal.score - process.base_rate) / (1.0 - process.base_rate);
        match self {
            _ if !signal.taken => 0.0,
            Self::Unit => 1.0,
            Self::Half => 0.5,
            Self::Bet => (4.0 * surer).clamp(0.1, 2.0),
        }
    }
}

fn print(printer: &mut Printer) {
    printer.columns(&[
        "process",
        "lift",
        "validated on",
        "seen",
        "sizes",
        "accuracy",
        "streak",
        "harm",
        "any",
        "fall of 20 points",
        "reversed",
        "frozen",
    ]);
    for process in Process::ALL.into_iter().chain([Process::HELD_OUT]) {
        for (lift, reference) in [(0.08, 2000), (0.15, 200)] {
            for seen in [Seen::Taken, Seen::All] {
                row(printer, process, lift, reference, (seen, Sizes::Unit));
            }
            for sizes in [Sizes::Half, Sizes::Bet].into_iter().filter(|_| reference == 2000) {
                row(printer, process, lift, reference, (Seen::Taken, sizes));
            }
        }
    }
}

fn row(printer: &mut Printer, process: Process, lift: f64, reference: usize, (seen, sizes): (Seen, Sizes)) {
    let from = QUARTER;
    let years = printer.each(|seed| first(process, lift, reference, (seen, sizes), Fate::Healthy, seed));
    let alarms = |rule: &str| share(years.iter().flatten().filter(|(by, _)| *by == rule).count(), years.len());
    let late = |printer: &Printer, fate: Fate| {
        let found = printer.each(|seed| {
            let (_, after) = first(process, lift, reference, (seen, sizes), fate, seed)?;
            after
        });
        median(&found)
    };
    let down = (years.iter().filter(|found| found.is_some()).count(), years.len());
    let any = share(down.0, down.1);
    let most = 1.0 - (-EmergencyOptions::default().false_alarms_per_year).exp();
    printer.at_most(
        &format!("{}, {lift}, {reference}, {seen:?}, {sizes:?}: healthy and down", process.name),
        down,
        most,
    );
    let cells = [
        process.name.to_owned(),
        format!("{lift}"),
        format!("{reference}"),
        format!("{seen:?}").to_lowercase(),
        format!("{sizes:?}").to_lowercase(),
        alarms(RULES[0]),
        alarms(RULES[1]),
        alarms(RULES[2]),
        any,
        late(printer, Fate::Falls { by: 0.2, from }),
        late(printer, Fate::Reversed { from }),
        late(printer, Fate::Frozen { from }),
    ];
    printer.row(&cells);
}

/// The first rule that trips in a year, and after how many trades since the version broke; `None` in there before that.
fn first(
    process: Process,
    lift: f64,
    reference: usize,
    (seen, sizes): (Seen, Sizes),
    fate: Fate,
    seed: u64,
) -> Option<(String, Option<usize>)> {
    let calendar = TradingCalendar::new(TimeZone::UTC, civil::Time::midnight());
    let at = |session: usize| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * session as i64 + 12);
    let question = Question::new(Labeller::bare(Target::Profitability), process.base_rate);
    let day = |session: usize| calendar.day_of(at(session));
    let sessions = reference / 5;
    let past = Stream::healthy(process, lift, sessions, seed.wrapping_mul(2) + 1_000_003).draw();
    let told = |signal: &Scored| Validated {
        session: day(signal.session),
        yes: question.says_yes(signal.score),
        label: signal.won,
        taken: signal.taken,
        won: signal.won,
    };
    let standard = Standard::of(&past.iter().flatten().map(told).collect::<Vec<_>>());
    let version: VersionId = "ES/1".parse().ok()?;
    let (options, mut emergency) = (EmergencyOptions::default(), Emergency::default());
    emergency.ask(&version, question, standard);
    emergency.begin(&version);
    let stream = Stream { fate, ..Stream::healthy(process, lift, YEAR, seed) };
    let broke = if fate == Fate::Healthy { usize::MAX } else { QUARTER };
    let mut since = 0;
    for (session, signals) in stream.draw().iter().enumerate() {
        for (place, signal) in signals.iter().enumerate() {
            if seen == Seen::Taken && !signal.taken {
                continue;
            }
            since += usize::from(session >= broke);
            let score = Probability::new(signal.score).ok()?;
            let say = VersionScore { version: version.clone(), score, size: sizes.of(signal, &process) };
            let when = at(session) + SignedDuration::from_secs(place as i64);
            let closed = ClosedTrade {
                trade_id: TradeId::new(format!("T{session}-{place}")).ok()?,
                at: when,
                day: day(session),
                pnl: Money::new(signal.pnl).ok(),
                ml: signal.taken.then(|| say.clone()),
                scores: vec![say],
                facts: Facts { pnl: Some(signal.pnl), ..Facts::default() },
                reported: Reported::default(),
                daily_loss_limit: Some(1e9),
            };
            let trips = emergency.judge(&options, &closed);
            if let Some(trip) = trips.iter().find(|trip| trip.version.is_some()) {
                return Some((trip.breach.rule.to_string(), (session >= broke).then_some(since)));
            }
        }
    }
    None
}
