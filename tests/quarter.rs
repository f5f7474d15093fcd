//! A quarter in which the market drifts away from a version and comes back, then turns on it: what the daemon does about
//! it, day by day, as its journal tells it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeMap;

use common::{
    daemon::{Daemon, Setup},
    place::{CONFIG, Place, model},
    wait::until,
    wire::{RESUME, Wire, promote, score_with},
};
use serde_json::json;
use vigie::{
    actors::daemon::Time,
    config::Config,
    domain::{Event, EventKind, VersionId, lifecycle::State},
    guard::gradual::{DayClose, Gradual},
};

/// Windows of three days, no steps but by the rules, and a fall of the composite that leads to steps and not to a rollback.
/// The signals are too much alike to have the variance of the examples.
const WATCHED: &str = "lifecycle.automatic = false\nguardian.literal = true\nguardian.accuracy_window = 24\nguardian.accuracy_min_trades = 20\n\
    guardian.min_accuracy = 0.1\nguardian.max_loss_streak = 10\nguardian.daily_loss_limit = 1000000.0\n\
    monitor.window = 24\nmonitor.budget_resamples = 20\nhealth.min_trades = 20\nhealth.large_fall = 0.5\n\
    health.score_psi = 10\nhealth.variance_factor = 1000\nhealth.act_level = 0.005\n";
const A_DAY: usize = 8;

/// Trades of each day that win, in the order of the days: in order, a slow decline, a recovery, and a turn.
const WINS: [usize; 44] = [
    6, 6, 6, 5, 6, 6, 6, 5, 6, 6, // as it should be
    5, 5, 4, 4, 4, 3, 3, 3, 2, 2, 2, 2, 2, 2, // away from it
    3, 4, 5, 6, 6, 7, 7, 7, 6, 6, 7, 6, 6, 6, 6, 6, // and back
    0, 0, 5, 5, // against it
];

struct Quarter<'a> {
    place: &'a Place,
    wire: Wire,
    config: Config,
}

impl Quarter<'_> {
    /// The `day`-th business day, of which `wins` trades are won: the lost ones last.
    fn trade(&mut self, day: usize, wins: usize) {
        let start: jiff::civil::Date = "2025-09-01".parse().unwrap();
        let date = start + jiff::Span::new().days((day / 5 * 7 + day % 5) as i64);
        for number in 0..A_DAY {
            let (id, at) = (format!("Q-{day}-{number}"), format!("{date}T15:0{number}:00Z"));
            let line = score_with(&id, "2025-09-01T15:00:00Z", &at);
            self.wire.ask_ok(line.replace("\"recent_momentum\":-0.2", &format!("\"recent_momentum\":0.{number}")));
            if number == 0 {
                // the first signal of a day closes the one before
                self.settle();
            }
            let pnl = if number < wins { 150.0 } else { -50.0 };
            let metrics = json!({ "exit_at": at, "pnl": pnl, "exit_reason": "signal" });
            self.wire.ask_ok(json!({ "type": "outcome", "trade_id": id, "outcome_metrics": metrics }).to_string());
        }
        self.settle();
    }

    /// Waits until the monitor has heard everything and what follows from it has been done.
    fn settle(&mut self) {
        let mut quiet = None;
        until("a daemon at rest", || {
            let status = self.wire.status();
            let heard = status["monitor"]["waiting"] == 0 && status["trials"]["settled"] == true;
            let at_rest = heard && status["training"].is_null() && status["journal"]["waiting"] == 0;
            let events = at_rest.then(|| status["counts"]["events"].as_u64().unwrap());
            let same = events.is_some() && quiet == events && self.shares_are_as_called_for();
            quiet = events;
            same.then_some(())
        });
    }

    /// Whether the last share of each version is what its days call for.
    fn shares_are_as_called_for(&self) -> bool {
        let mut known = BTreeMap::<VersionId, Gradual>::new();
        let mut shares = BTreeMap::<VersionId, f64>::new();
        for event in self.place.events() {
            match event {
                EventKind::Judged { version, day, composite, degraded, unstable, .. } => {
                    let close = DayClose { day, composite, degraded, unstable };
                    known.entry(version).or_default().close_day(&self.config.gradual, &close);
                }
                EventKind::Shared { version, share, .. } => {
                    shares.insert(version, share);
                }
                EventKind::Moved { version, .. } => {
                    known.remove(&version);
                    shares.remove(&version);
                }
                _ => {}
            }
        }
        known.iter().all(|(version, gradual)| gradual.share() == shares.get(version).copied().unwrap_or(1.0))
    }
}

/// An event as `events` prints it, without what differs from run to run.
fn told(Event { at, kind }: Event) -> Option<String> {
    match kind {
        // what was done before the quarter, and the program's own
        EventKind::Started { .. } | EventKind::Stopped | EventKind::Trained { .. } => None,
        _ if at < "2025-09-01T00:00:00Z".parse().unwrap() => None,
        kind => {
            let words = kind.to_string();
            let words: Vec<&str> = words.split("uid ").collect();
            let words = words.iter().enumerate().map(|(n, part)| match n {
                0 => (*part).to_owned(),
                _ => format!("uid N{}", part.trim_start_matches(|c: char| c.is_ascii_digit())),
            });
            Some(format!("{} {}", at.strftime("%m-%d %H:%M"), words.collect::<String>()))
        }
    }
}

#[test]
fn a_drifting_quarter_is_told_line_by_line() {
    let place = Place::with_model(State::Production);
    let mut second = model().clone();
    second.id.number = 2;
    place.register("ES/2", second.to_bytes().unwrap(), State::Trained);
    let text = format!("{CONFIG}{WATCHED}");
    let config = Config::parse("quarter", &text).unwrap();
    let daemon = Daemon::start_with(&place, Setup { config: text, time: Time::Event, ..Setup::default() });
    let mut quarter = Quarter { place: &place, wire: daemon.connect(), config };
    quarter.settle();
    let turn = WINS.len() - 3;
    for (day, wins) in WINS.into_iter().enumerate() {
        if day == turn + 1 {
            quarter.wire.ask_ok(RESUME);
            quarter.wire.ask_ok(promote("ES/2"));
            quarter.settle();
        }
        quarter.trade(day, wins);
    }
    drop(quarter);
    daemon.stop();
    let events = place.reader();
    let lines = events.events(0).unwrap().filter_map(|stored| told(stored.unwrap().event)).collect::<Vec<_>>();
    insta::assert_snapshot!(lines.join("\n"));
}
