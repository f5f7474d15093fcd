//! The thread of one receiver: takes what is due, sends it, notes what came of it, for ever.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;

use crate::{
    alert::{Alert, Level},
    clock,
    config::Receiver,
    dead::DeadLetters,
    desk::Desk,
    ledger::{Ledger, Letter, Outcome},
    log::say,
    message::Message,
    plan::{self, Step},
    send::Sender,
};

/// The longest wait for the bell: the clock may be set meanwhile, and somebody may ask for dead letters.
const GLANCE: Duration = Duration::from_millis(500);
/// After so many looks the list of dead letters is read whether it seems changed or not.
const LOOKS: u32 = 20;

/// One receiver, and what it has.
#[derive(Debug)]
pub struct Delivery {
    receiver: Receiver,
    sender: Sender,
    ledger: Ledger,
    path: PathBuf,
    dead: DeadLetters,
    /// Letters that are not on the list yet.
    unfiled: Vec<Letter>,
    /// Whether it was told that the disk takes nothing.
    is_unwritten: bool,
    looked: Option<SystemTime>,
    looks: u32,
}

impl Delivery {
    /// Of a receiver with what is known of it.
    pub fn new(receiver: Receiver, sender: Sender, ledger: Ledger, folder: &Path) -> Self {
        let (path, dead) = (Ledger::path(folder, &receiver.name), DeadLetters::new(folder));
        let (unfiled, is_unwritten, looked, looks) = (Vec::new(), false, None, 0);
        Self { receiver, sender, ledger, path, dead, unfiled, is_unwritten, looked, looks }
    }

    /// Delivers until it is over.
    pub fn run(mut self, desk: &Desk) {
        loop {
            self.collect(desk);
            self.file(desk);
            if !self.path.exists() {
                // somebody removed it
                self.save(desk);
            }
            self.advance(desk);
            let state = desk.lock();
            if state.is_over {
                return;
            }
            let now = clock::now();
            let paused = self.ledger.paused_until(now);
            let step = paused.map_or_else(
                || {
                    let (ledger, begun) = (&self.ledger, self.ledger.begun());
                    let entries = state.spool.since(ledger.upto() + 1);
                    let is_done = |number| ledger.is_done(number);
                    plan::next(&self.receiver.rules, ledger.windows(), &begun, is_done, entries, now)
                },
                Step::Wait,
            );
            let place = match step {
                Step::Continue(place) => place,
                Step::Begin(kind, numbers, left) => {
                    let entries = state.spool.since(numbers.first().copied().unwrap_or_default());
                    let chosen = entries.filter(|entry| numbers.contains(&entry.n));
                    let parts = chosen.filter_map(|entry| Some((entry.n, entry.alert.as_ref()?)));
                    self.ledger.begin(Message { left, ..Message::new(&self.receiver.name, kind, parts) })
                }
                Step::Wait(until) => {
                    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                    drop(desk.wait(state, left.clamp(Duration::from_millis(1), GLANCE)));
                    continue;
                }
                Step::Rest => {
                    drop(desk.wait(state, GLANCE));
                    continue;
                }
            };
            drop(state);
            self.attempt(desk, place);
        }
    }

    fn attempt(&mut self, desk: &Desk, place: usize) {
        let Some(attempt) = self.ledger.attempt(place, clock::now()) else { return };
        // whoever finds this knows that it may have been sent
        self.save(desk);
        let verdict = self.sender.send(&attempt);
        let now = clock::now();
        let name = &self.receiver.name.clone();
        let (id, count, tries) = (&attempt.message.id, attempt.message.alerts.len(), attempt.number);
        match self.ledger.settle(name, place, &verdict, &self.receiver.retries, now) {
            Some(Outcome::Delivered) => {
                say(Level::Info, &format!("{name}: delivered {id} ({count} alerts) with try {tries}"))
            }
            Some(Outcome::Again(until)) => {
                let why = why_of(&verdict);
                say(Level::Warning, &format!("{name}: try {tries} of {id} failed: {why}; again at {until:.1}"));
            }
            Some(Outcome::Dead(letter, is_first)) => {
                let why = letter.why.clone();
                say(Level::Critical, &format!("{name}: {id} ({count} alerts) is given up after {tries} tries: {why}"));
                self.unfiled.push(*letter);
                self.file(desk);
                if is_first {
                    let words = format!("{name}: given up after {tries} tries: {why}");
                    let alert = Alert::own(now, Level::Critical, "receiver_failed", words);
                    desk.take(Some(Alert { about: Some(name.clone()), ..alert }), |_| {});
                }
            }
            None => {}
        }
        self.save(desk);
    }

    /// Moves on over what is done, first in the own file, then in the spool.
    fn advance(&mut self, desk: &Desk) {
        let has_moved = {
            let state = desk.lock();
            self.ledger.advance(&self.receiver.rules, state.spool.since(self.ledger.upto() + 1))
        };
        if has_moved && self.save(desk) {
            // a disk that does not take a shorter file keeps the longer one
            let _stays_long = desk.lock().spool.pass(&self.receiver.name, self.ledger.upto());
        }
    }

    /// Puts the letters that were given up on the list. Until they are there, the own file says that they are under way.
    fn file(&mut self, desk: &Desk) {
        while let Some(letter) = self.unfiled.first() {
            match self.dead.add(letter) {
                Ok(()) => drop(self.unfiled.remove(0)),
                Err(error) => return self.lament(desk, &error.to_string()),
            }
        }
    }

    /// Takes up the dead letters that somebody wants to be sent once more.
    fn collect(&mut self, desk: &Desk) {
        let changed = self.dead.changed();
        self.looks += 1;
        if changed == self.looked && self.looks < LOOKS {
            return;
        }
        (self.looked, self.looks) = (changed, 0);
        let name = self.receiver.name.clone();
        let chosen = |letter: &Letter| letter.again && letter.receiver == name;
        let letters = self.dead.read().unwrap_or_default();
        let ids: Vec<String> =
            letters.iter().filter(|letter| chosen(letter)).map(|letter| letter.message.id.clone()).collect();
        if ids.is_empty() {
            return;
        }
        for letter in letters.into_iter().filter(|letter| chosen(letter)) {
            say(Level::Info, &format!("{name}: {} is sent once more", letter.message.id));
            self.ledger.begin(letter.message);
        }
        self.ledger.hurry();
        let is_known = |letter: &Letter| chosen(letter) && ids.contains(&letter.message.id);
        if !self.save(desk) || self.dead.remove(is_known).is_err() {
            self.looked = None;
        }
    }

    /// Whether the disk has what is known here.
    fn save(&mut self, desk: &Desk) -> bool {
        if !self.unfiled.is_empty() {
            return false;
        }
        match self.ledger.save(&self.path) {
            Ok(()) => {
                self.is_unwritten = false;
                true
            }
            Err(error) => {
                self.lament(desk, &error.to_string());
                false
            }
        }
    }

    fn lament(&mut self, desk: &Desk, why: &str) {
        if !std::mem::replace(&mut self.is_unwritten, true) {
            desk.lament(&format!("what {} has: {why}", self.receiver.name));
        }
    }
}

fn why_of(verdict: &crate::retry::Verdict) -> &str {
    match verdict {
        crate::retry::Verdict::Delivered => "",
        crate::retry::Verdict::Refused(why) | crate::retry::Verdict::Failed { why, .. } => why,
    }
}

/// How long a receiver is behind, in alerts: what it wants of the spool and does not have.
pub fn waiting<'a>(
    receiver: &Receiver,
    ledger: &Ledger,
    entries: impl Iterator<Item = &'a crate::message::Entry>,
) -> (usize, Option<Timestamp>) {
    let wanted = |entry: &&crate::message::Entry| {
        !ledger.is_done(entry.n) && entry.alert.as_ref().is_some_and(|alert| receiver.rules.wants(alert))
    };
    entries.filter(wanted).fold((0, None), |(count, oldest), entry| (count + 1, oldest.or(Some(entry.taken))))
}
