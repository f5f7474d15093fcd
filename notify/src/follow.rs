//! The two threads that talk to the daemon: one follows its events, the other looks whether it is there.

use std::{collections::VecDeque, path::Path, thread, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    alert::{Alert, Level, Line},
    clock::{self, Stopwatch},
    desk::Desk,
    keeper::Keeper,
    log::say,
    message::{Mark, Seen},
    replay::Replay,
    wire::{Wire, WireError},
};

/// Pauses between two tries to subscribe.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often it is looked whether the daemon is there.
const GLANCE: Duration = Duration::from_secs(2);
/// Events without an alert after which the mark is brought to the disk all the same.
const MOST_UNMARKED: u32 = 200;

/// Follows the daemon's events for ever, however often it goes and comes back.
pub fn follow(desk: &Desk, socket: &Path) {
    let (mut pause, mut said) = (FIRST_PAUSE, String::new());
    loop {
        let came = subscribed(desk, socket);
        let words = came.as_ref().err().map(ToString::to_string).unwrap_or_default();
        if words != said && !words.is_empty() {
            say(Level::Warning, &words);
        }
        said = words;
        pause = if came.is_ok() { FIRST_PAUSE } else { (2 * pause).min(LONGEST_PAUSE) };
        thread::sleep(pause);
    }
}

/// One subscription to its end. An error is one that never began.
fn subscribed(desk: &Desk, socket: &Path) -> Result<(), WireError> {
    let mut course = Course::of(desk);
    let request = json!({ "type": "subscribe", "from": course.begin().unwrap_or(1) });
    let answer = match Wire::ask(socket, &request) {
        // the number is of another journal, or it is empty and the last one was not
        Err(WireError::Refused { code, .. }) if code == "out_of_range" => {
            if course.begin().is_some_and(|from| from > 1) {
                course.give_up(desk);
            }
            return Ok(());
        }
        answer => answer,
    };
    let (mut wire, answer) = answer?;
    if course.mark.next.is_none() {
        // the first time: what came before is read, to know the journal by it, and not told
        let last = answer.get("last_seq").and_then(serde_json::Value::as_u64).unwrap_or_default();
        course.mark.next = Some(last + 1);
        desk.take(None, |mark| mark.next = Some(last + 1));
        say(Level::Info, &format!("following the daemon at {} from event {}", socket.display(), last + 1));
    }
    while let Ok(Some(line)) = wire.next() {
        if line.get("error").is_some() || !course.take(desk, &line) {
            break;
        }
    }
    Ok(())
}

/// One subscription.
struct Course {
    mark: Mark,
    /// What was seen of this journal and has not come again yet.
    expected: VecDeque<Seen>,
    unmarked: u32,
    /// What is there already of a journal that may be another one.
    replay: Option<Replay>,
}

impl Course {
    fn of(desk: &Desk) -> Self {
        let state = desk.lock();
        let mark = state.spool.mark().clone();
        let replay = mark.is_replay.then(|| Replay::new(state.spool.passed(), mark.told));
        Self { expected: mark.seen.clone(), mark, unmarked: 0, replay }
    }

    /// The number from which on events are asked for: from the oldest that was seen, to know the journal again.
    fn begin(&self) -> Option<u64> {
        self.expected.front().map(|seen| seen.seq).or(self.mark.next)
    }

    /// Takes a line in. False if the subscription is of no use any more.
    fn take(&mut self, desk: &Desk, value: &serde_json::Value) -> bool {
        let line = Line::of(value, clock::now());
        if let Some(seen) = &line.seen
            && let Some(expected) = self.expected.front()
        {
            if !expected.is(seen) {
                self.give_up(desk);
                return false;
            }
            self.expected.pop_front();
            return true;
        }
        if line.is_caught_up {
            if !self.expected.is_empty() {
                self.give_up(desk);
                return false;
            }
            match self.replay.take() {
                Some(replay) => self.end_replay(desk, replay),
                None if self.unmarked > 0 => self.keep(desk, None),
                None => {}
            }
            return true;
        }
        let Some(seen) = line.seen else { return true };
        if self.mark.seen.back().is_some_and(|last| seen.seq <= last.seq) {
            // the daemon read its journal once more
            return true;
        }
        let is_past = self.mark.next.is_some_and(|next| seen.seq < next);
        self.mark.pass(seen.clone());
        self.unmarked += 1;
        if is_past {
            return true;
        }
        if let Some(replay) = &mut self.replay {
            replay.take(seen, line.alert);
            return true;
        }
        let alert = line.alert.filter(|_| !desk.lock().spool.has(&seen));
        if alert.is_some() || self.unmarked >= MOST_UNMARKED {
            if let Some(alert) = &alert {
                self.mark.told = self.mark.told.max(Some(alert.at));
            }
            self.keep(desk, alert);
        }
        true
    }

    /// Takes an alert in, if there is one, and keeps how far this is.
    fn keep(&mut self, desk: &Desk, alert: Option<Alert>) {
        self.unmarked = 0;
        desk.take(alert, |mark| *mark = Mark { silent: mark.silent, ..self.mark.clone() });
    }

    /// All that the journal has was read: what is to be told of it is.
    fn end_replay(&mut self, desk: &Desk, replay: Replay) {
        let (left_out, held) = replay.end();
        let begin = Mark { told: self.mark.told, ..Mark::replay() };
        let mut alerts: Vec<(Alert, Mark)> = Vec::new();
        if let Some(left_out) = left_out {
            say(Level::Critical, &left_out);
            alerts.push((Alert::own(clock::now(), Level::Critical, "journal_replaced", left_out), begin));
        }
        for (seen, alert) in held {
            self.mark.told = self.mark.told.max(Some(alert.at));
            // a kill between two of them goes on behind the first
            let mark = Mark { told: self.mark.told, next: Some(seen.seq + 1), seen: [seen].into(), ..Mark::replay() };
            alerts.push((alert, mark));
        }
        desk.take_all(alerts);
        self.mark.is_replay = false;
        self.keep(desk, None);
    }

    /// The journal is another one: it is read from its beginning, and what is not known to have been told is told.
    fn give_up(&mut self, desk: &Desk) {
        say(Level::Critical, "the daemon's journal is another one than before; it is read from its beginning");
        let words = "its events are not those that were seen; those of its alerts that were not told before follow";
        let alert = Alert::own(clock::now(), Level::Critical, "journal_replaced", words.to_owned());
        desk.take(Some(alert), |mark| *mark = Mark { told: mark.told, silent: mark.silent, ..Mark::replay() });
    }
}

/// Looks for ever whether the daemon answers, tells when it does not, and brings to the disk what that did not take.
///
/// Ends when another process took the state folder over.
pub fn watch(desk: &Desk, mut keeper: Keeper, socket: &Path, silent_after: SignedDuration) {
    let mut silence = Silence::begin(clock::now());
    let glance = GLANCE.min(silent_after.unsigned_abs() / 4);
    loop {
        let looked = Stopwatch::start();
        let why = Wire::ask(socket, &json!({ "type": "ping" })).err();
        let (now, told) = (clock::now(), desk.lock().spool.mark().silent);
        match why {
            None => {
                silence = Silence::begin(now);
                if told {
                    tell_silence(
                        desk,
                        Alert::own(now, Level::Info, "daemon_back", "it answers again".to_owned()),
                        false,
                    );
                }
            }
            Some(why) => {
                let (from, silent) = (silence.since, silence.watch.elapsed());
                if !told && silent >= silent_after.unsigned_abs() {
                    let words = format!("for {} s, since {from:.0}: {why}", silent.as_secs());
                    tell_silence(desk, Alert::own(now, Level::Critical, "daemon_silent", words), true);
                }
            }
        }
        desk.catch_up();
        if let Err(error) = keeper.look(desk) {
            return say(Level::Critical, &format!("{error:#}"));
        }
        // one that is asked and says nothing was waited for already
        thread::sleep(glance.saturating_sub(looked.elapsed()));
    }
}

/// Since when nothing was heard: from the last answer on, or from the start.
struct Silence {
    since: Timestamp,
    watch: Stopwatch,
}

impl Silence {
    fn begin(since: Timestamp) -> Self {
        Self { since, watch: Stopwatch::start() }
    }
}

fn tell_silence(desk: &Desk, alert: Alert, silent: bool) {
    say(alert.level, &format!("{}: {}", alert.code, alert.message));
    desk.take(Some(alert), |mark| mark.silent = silent);
}
