//! The demonstration: a simulated trader and an operator drive a daemon through the life of its models.
//!
//! A [`Demo`] says what is to be done next and is told what came of it. It reads no clock and knows no socket: who
//! performs its steps one by one on a daemon whose time is that of the messages sees the same story each time. Whenever
//! something may follow in the daemon by itself, the next step is to wait until nothing does any more.
#![deny(clippy::indexing_slicing)]

mod drift;
mod ledger;
mod operator;
mod reading;
mod settings;
mod silence;
mod story;
mod tally;
mod telling;
mod verdict;

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use self::{
    operator::{Operator, Order, in_state},
    reading::{Looks, Reading},
    silence::Silence,
    story::Story,
};
use super::{
    Scenario, Sessions, Shift, SimulationOptions, Tape, Venue,
    execution::{Answered, Execution},
    options::{InvalidOptions, SESSIONS_PER_MONTH},
    tape::{Action, ActionKind},
    trade::TradedSession,
    wire,
};
use vigie_core::{
    domain::{
        Event, EventKind, Timestamp, TradeId, TradingDay, VersionId,
        event::Level,
        lifecycle::{State, Transition},
    },
    lifecycle::roster::Roster,
    report::Chronicle,
};

pub use self::{
    ledger::Ledger,
    settings::SETTINGS,
    tally::{Blamed, Progress, Tally},
    telling::NOTICE,
};

/// Sessions of the history.
const HISTORY_SESSIONS: usize = HISTORY as usize * SESSIONS_PER_MONTH;
/// Sessions of a test between two sentences about it.
const TELL_TEST: usize = 5;
/// How wide a crash swings at most, and how much longer it lasts.
const MILD_SWING: f64 = 1.5;
const MORE_SESSIONS: usize = 2;
/// Session of a test, or after an emergency, in which the daemon is killed in the scenario of that name.
const KILL_AFTER: usize = 4;

/// Months of past trades that are imported before it begins.
pub const HISTORY: u32 = 12;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send past trades. All must be taken.
    Import {
        /// The requests.
        lines: Vec<String>,
    },
    /// Send a signal, and give the answer to [`Demo::answered`].
    Score {
        /// The trade.
        trade_id: TradeId,
        /// The request.
        line: String,
    },
    /// Send an outcome, or that a signal was let go. It must be acknowledged.
    Record {
        /// The request.
        line: String,
    },
    /// Wait until nothing follows in the daemon any more, and give all new events to [`Demo::event`].
    Settle,
    /// Send an order, and give what came of it to [`Demo::ordered`].
    Order {
        /// The request.
        line: String,
    },
    /// Ask how the tests stand, and give the trials to [`Demo::assessed`].
    Assess,
    /// Kill the daemon as a power cut would, and start it again.
    Kill,
    /// It is over.
    Over,
}

/// A demonstration under way.
#[derive(Debug, Clone)]
pub struct Demo {
    scenario: Scenario,
    options: SimulationOptions,
    venue: Venue,
    tape: Tape,
    span: Option<(Timestamp, Timestamp)>,
    due: VecDeque<Step>,
    over: bool,
    day: Option<TradingDay>,
    /// Trading days so far.
    session: usize,
    /// When each session opens, by its number.
    openings: Vec<Timestamp>,
    /// How each test stood last: sessions and evidence.
    stood: BTreeMap<VersionId, (usize, Option<f64>)>,
    now: Timestamp,
    signals: usize,
    acknowledged: u64,
    execution: Execution,
    operator: Operator,
    roster: Roster,
    story: Story,
    chronicle: Chronicle,
    looks: Looks,
    lines: Vec<(Timestamp, String)>,
    /// Lines that were given out.
    told: usize,
    /// Sessions of a test that were told of last.
    told_test: usize,
    kills: Vec<Kill>,
    /// The account of what was silent.
    silent: Vec<Silence>,
    /// When an input was found to have drifted.
    drifts: Vec<Timestamp>,
    /// Versions that were rolled back for what they did themselves.
    blamed: Vec<Blamed>,
    /// How often a version lost a part of its influence.
    shrunk: usize,
    failed: Vec<String>,
}

/// A kill: when, and what stood before and after.
#[derive(Debug, Clone, PartialEq)]
struct Kill {
    during_test: bool,
    before: String,
    after: Option<String>,
}

impl Demo {
    /// A demonstration of `scenario` at `venue`.
    ///
    /// # Errors
    /// [`InvalidOptions`].
    pub fn new(scenario: Scenario, seed: u64, months: u32, venue: Venue) -> Result<Self, InvalidOptions> {
        Self::longer(scenario, seed, months, 0, venue)
    }

    /// The same, which goes on for `more` months: what changes, changes as early as in `months`.
    ///
    /// # Errors
    /// [`InvalidOptions`].
    pub fn longer(scenario: Scenario, seed: u64, months: u32, more: u32, venue: Venue) -> Result<Self, InvalidOptions> {
        let mut options = after_history(SimulationOptions::of(scenario, seed, months));
        options.months += more;
        let mut sessions = Sessions::new(options.clone(), venue.clone())?;
        let openings: Vec<Timestamp> = sessions.clone().map(|session| session.opening).collect();
        let past: Vec<TradedSession> = sessions.by_ref().take(HISTORY_SESSIONS).collect();
        let past = past.iter().flat_map(|session| &session.trades).filter(|trade| !trade.delivered.lost);
        let lines: Vec<String> = past.map(|trade| wire::past_trade(&trade.signal, &trade.outcome)).collect();
        let tape = Tape::of(sessions);
        let span = openings.get(HISTORY_SESSIONS).copied().zip(openings.last().copied());
        let now = span.map_or(Timestamp::UNIX_EPOCH, |(from, _)| from);
        let count = lines.len() as u64;
        let imported = format!("{count} trades of the {HISTORY} months before are imported.");
        Ok(Self {
            scenario,
            options,
            venue,
            tape,
            span,
            due: VecDeque::from([Step::Import { lines }]),
            over: false,
            day: None,
            session: 0,
            openings,
            stood: BTreeMap::new(),
            now,
            signals: 0,
            acknowledged: count,
            execution: Execution::default(),
            operator: Operator::default(),
            roster: Roster::default(),
            story: Story::default(),
            chronicle: Chronicle::default(),
            looks: Looks::default(),
            lines: vec![(now, imported)],
            told: 0,
            told_test: 0,
            kills: Vec::new(),
            silent: Vec::new(),
            drifts: Vec::new(),
            blamed: Vec::new(),
            shrunk: 0,
            failed: Vec::new(),
        })
    }

    /// What is to be done next.
    pub fn next_step(&mut self) -> Step {
        loop {
            if let Some(step) = self.due.pop_front() {
                if step == Step::Kill {
                    let during_test = !self.chronicle.is_silent();
                    self.kills.push(Kill { during_test, before: self.standing(), after: None });
                }
                return step;
            }
            match self.tape.next() {
                Some(action) => self.act(&action),
                None if self.over => return Step::Over,
                None => {
                    self.over = true;
                    self.due.extend([Step::Settle, Step::Assess]);
                }
            }
        }
    }

    fn act(&mut self, action: &Action) {
        self.now = action.at;
        let day = self.venue.calendar.day_of(action.at);
        let turned = self.day != Some(day);
        if turned {
            self.day = Some(day);
            self.session += 1;
        }
        let request = self.execution.request(action);
        match (action.kind, request) {
            (ActionKind::Signal, Some(line)) => {
                self.signals += usize::from(!action.again);
                self.due.push_back(Step::Score { trade_id: action.trade_id.clone(), line });
            }
            (ActionKind::Outcome, Some(line)) => {
                self.acknowledged += u64::from(!action.again);
                self.due.push_back(Step::Record { line });
            }
            (_, None) => {}
        }
        self.execution.closed(action);
        let watched = !in_state(&self.roster, State::Staging).is_empty();
        let late = action.kind == ActionKind::Outcome && action.truth.day != day;
        if turned || late || (watched && action.kind == ActionKind::Outcome) {
            self.due.push_back(Step::Settle);
        }
        if turned {
            self.plan();
        }
    }

    /// What a person does at the beginning of a day.
    fn plan(&mut self) {
        if !in_state(&self.roster, State::AbTest).is_empty() {
            self.due.push_back(Step::Assess);
        }
        if self.is_to_be_killed() {
            self.due.extend([Step::Kill, Step::Settle, Step::Assess]);
        }
        for order in self.operator.orders(self.session, &self.roster) {
            let symbol = &self.venue.symbol;
            let order = match order {
                Order::Train(days, reason) => {
                    json!({ "type": "train", "symbol": symbol, "days": days, "reason": reason })
                }
                Order::Validate(version, reason) => {
                    json!({ "type": "validate", "version": version, "reason": reason })
                }
                Order::Resume(reason) => json!({ "type": "resume", "reason": reason }),
            };
            self.due.extend([Step::Order { line: order.to_string() }, Step::Settle]);
        }
    }

    /// In the scenario of a crash the daemon is killed once in a test and once in an emergency.
    fn is_to_be_killed(&self) -> bool {
        let killed = |during_test| self.kills.iter().any(|kill| kill.during_test == during_test);
        let testing = !in_state(&self.roster, State::AbTest).is_empty() && self.looks.most() > KILL_AFTER;
        self.scenario == Scenario::Crash
            && ((testing && !killed(true)) || (self.chronicle.is_silent() && !killed(false)))
    }

    /// Where everything stands, in one line, to be compared before and after a kill.
    fn standing(&self) -> String {
        let versions = self.roster.versions().map(|(version, standing)| format!("{version} {}", standing.state));
        let tests = self.stood.iter().map(|(version, figures)| format!("test of {version} {figures:?}"));
        let silent = if self.chronicle.is_silent() { "silent" } else { "not silent" };
        versions.chain(tests).chain([silent.to_owned()]).collect::<Vec<_>>().join(", ")
    }

    /// Takes in the answer to a signal.
    pub fn answered(&mut self, trade_id: &TradeId, answer: Answered) {
        if let Some(line) = self.execution.answered(trade_id, answer) {
            self.due.push_front(Step::Record { line });
        }
    }

    /// Takes in what came of an order: the word for why it was refused, if so.
    pub fn ordered(&mut self, line: &str, refused: Option<&str>) {
        if ["\"train\"", "\"validate\""].iter().any(|order| line.contains(order)) {
            self.operator.trained(self.session);
        }
        if let Some(why) = refused {
            self.say(format!("An order is refused: {why}."));
        }
    }

    /// Takes in an event of the journal.
    pub fn event(&mut self, seq: u64, event: &Event) {
        let (was_silent, before) = (self.chronicle.is_silent(), self.roster.clone());
        self.roster.apply(&event.kind);
        self.chronicle.event(seq, event);
        match &event.kind {
            EventKind::Latched { .. } | EventKind::Locked { .. } => self.operator.silenced(self.session),
            EventKind::Moved { version, step, .. } if step.edge().1 == State::AbTest => self.looks.begin(version),
            EventKind::Moved {
                version,
                step: step @ (Transition::RollBack | Transition::RollBackTest),
                reason,
                ..
            } if !reason.contains("of the account") => {
                let (version, from, at, reason) = (version.clone(), step.edge().0, event.at, reason.clone());
                let chances = self.execution.chances_taken(at - tally::LATELY);
                self.blamed.push(Blamed { version, from, at, reason, chances });
            }
            EventKind::Resumed { .. } => self.operator.resumed(),
            EventKind::Shared { version, share, .. } => self.shrunk += usize::from(*share < before.share(version)),
            EventKind::Trained { .. } => self.operator.trained(self.session),
            EventKind::Alert { code, level, .. } if &**code == "drift" && *level > Level::Info => {
                self.drifts.push(event.at);
            }
            _ => {}
        }
        silence::follow(&mut self.silent, seq, &event.kind, was_silent, self.chronicle.is_silent());
        if let Some(sentence) = self.story.sentence(event) {
            self.lines.push((event.at, sentence));
        }
    }

    /// Takes in how the trials stand.
    pub fn assessed(&mut self, trials: &Value) {
        for reading in trials.as_array().into_iter().flatten().filter_map(Reading::of) {
            self.looks.read(&reading);
            self.stood.insert(reading.version.clone(), (reading.sessions, reading.statistic));
            let news = reading.sessions > 0 && reading.sessions % TELL_TEST == 0 && reading.sessions != self.told_test;
            if news {
                self.told_test = reading.sessions;
                self.say(story::test(&reading));
            }
        }
        let standing = self.standing();
        if let Some(kill) = self.kills.last_mut()
            && kill.after.is_none()
        {
            let same = kill.before == standing;
            kill.after = Some(standing);
            let word = if same { "as it stood" } else { "otherwise" };
            self.say(format!("The daemon was killed like by a power cut and started again: all stands {word}."));
        }
    }

    /// Something that must not happen.
    pub fn fault(&mut self, what: String) {
        self.failed.push(what);
    }

    /// Sentences that were not given out yet.
    pub fn news(&mut self) -> Vec<(Timestamp, String)> {
        let news = self.lines.get(self.told..).unwrap_or_default().to_vec();
        self.told = self.lines.len();
        news
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let seconds = |at: Timestamp| at.as_second() as f64;
        let share = self.span.map_or(0.0, |(from, until)| {
            ((seconds(self.now) - seconds(from)) / (seconds(until) - seconds(from))).clamp(0.0, 1.0)
        });
        let closed = self.execution.all_closed();
        let (traded, own) = (closed.iter().map(|trade| trade.traded).sum(), closed.iter().map(|trade| trade.own).sum());
        Progress { share, at: self.now, signals: self.signals, traded, own }
    }

    fn say(&mut self, sentence: String) {
        self.lines.push((self.now, sentence));
    }
}

/// The same with a history before it, in which nothing changes.
fn after_history(mut options: SimulationOptions) -> SimulationOptions {
    options.months += HISTORY;
    for change in &mut options.changes {
        // a crash is milder and longer, so that the way back fits into a year
        if let Shift::Volatility(swing) = &mut change.what {
            *swing = swing.min(MILD_SWING);
        }
        change.until = change.until.map(|until| until + MORE_SESSIONS);
        change.from += HISTORY_SESSIONS;
        change.until = change.until.map(|until| until + HISTORY_SESSIONS);
    }
    if let Some(poison) = &mut options.poison {
        poison.from += HISTORY_SESSIONS;
    }
    options
}
