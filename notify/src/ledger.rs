//! What a receiver has: `receivers/NAME.json`, replaced as a whole before and after each try.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    disk,
    message::{Entry, Mark, Message},
    plan::{Rules, Windows},
    retry::{LONGEST_PAUSE, Retries, Verdict},
};

/// What is known of one receiver.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Everything up to this number of the spool is done.
    upto: u64,
    /// Of what comes after it, what is done too.
    also: BTreeSet<u64>,
    /// How far the daemon was followed with that.
    #[serde(default)]
    mark: Mark,
    windows: Windows,
    begun: Vec<Begun>,
    /// Failures since the last success.
    failures: u32,
    /// Nothing is tried before this.
    not_before: Option<Timestamp>,
    /// Whether messages were given up since the last success.
    has_given_up: bool,
}

/// A message that was begun. On disk before it is sent: so one that a process did not end is known to be in doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Begun {
    message: Message,
    /// When it was tried first.
    since: Option<Timestamp>,
    tries: u32,
    refusals: u32,
    /// Whether the receiver may have it.
    in_doubt: bool,
    /// Whether a try is under way.
    trying: bool,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// For whom.
    pub receiver: String,
    /// The message.
    pub message: Message,
    /// How often it was tried.
    pub tries: u32,
    /// When it was given up.
    pub at: Timestamp,
    /// What was wrong the last time.
    pub why: String,
    /// Whether it is to be sent once more.
    #[serde(default)]
    pub again: bool,
}

/// What a try came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is delivered.
    Delivered,
    /// It is tried again at this time.
    Again(Timestamp),
    /// It is given up; the first since a success if so.
    Dead(Box<Letter>, bool),
}

/// One try.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// What is sent.
    pub message: Message,
    /// Which try it is, from 1.
    pub number: u32,
    /// Whether an earlier one may have arrived.
    pub in_doubt: bool,
}

impl Ledger {
    /// Of a receiver that is new: what was taken in up to `upto` is not for it.
    pub fn new(upto: u64, mark: &Mark) -> Self {
        Self { upto, mark: mark.clone(), ..Self::default() }
    }

    /// Where it is kept.
    pub fn path(folder: &Path, receiver: &str) -> PathBuf {
        folder.join("receivers").join(format!("{receiver}.json"))
    }

    /// Reads one; none if there is none. A try that was under way is in doubt.
    ///
    /// # Errors
    /// When it cannot be read, or says nothing.
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        let Some(bytes) = disk::read(path)? else { return Ok(None) };
        let mut ledger: Self = serde_json::from_slice(&bytes)?;
        for begun in &mut ledger.begun {
            begun.in_doubt |= begun.trying;
            begun.trying = false;
        }
        Ok(Some(ledger))
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        disk::replace(path, &serde_json::to_vec(self)?)
    }

    /// Everything up to this is done.
    pub fn upto(&self) -> u64 {
        self.upto
    }

    /// How far the daemon was followed with [`Self::upto`].
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// The highest number that is known here.
    pub fn highest(&self) -> u64 {
        let begun = self.begun.iter().map(|begun| begun.message.last()).max().unwrap_or_default();
        self.upto.max(begun).max(self.also.last().copied().unwrap_or_default())
    }

    /// Whether an alert is done with.
    pub fn is_done(&self, number: u64) -> bool {
        number <= self.upto || self.also.contains(&number)
    }

    /// Failures since the last success, and until when nothing is tried, if it is.
    pub fn trouble(&self) -> (u32, Option<Timestamp>) {
        (self.failures, self.not_before)
    }

    /// What came before [`Self::upto`].
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The messages that were begun.
    pub fn begun(&self) -> Vec<Message> {
        self.begun.iter().map(|begun| begun.message.clone()).collect()
    }

    /// Until when nothing is tried. A time that is further away than any pause is one before the clock was set back.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_before.filter(|until| *until > now && until.duration_since(now) <= LONGEST_PAUSE)
    }

    /// Begins a message, and gives back its place. One that is begun already stays as it is.
    pub fn begin(&mut self, message: Message) -> usize {
        if let Some(place) = self.begun.iter().position(|begun| begun.message.id == message.id) {
            return place;
        }
        self.begun.push(Begun { message, since: None, tries: 0, refusals: 0, in_doubt: false, trying: false });
        self.begun.len() - 1
    }

    /// Ends a pause: somebody wants to see what comes of it.
    pub fn hurry(&mut self) {
        self.not_before = None;
    }

    /// Notes that the message at `place` is tried at `now`.
    pub fn attempt(&mut self, place: usize, now: Timestamp) -> Option<Attempt> {
        let begun = self.begun.get_mut(place)?;
        begun.since.get_or_insert(now);
        begun.tries += 1;
        begun.trying = true;
        Some(Attempt { message: begun.message.clone(), number: begun.tries, in_doubt: begun.in_doubt })
    }

    /// Takes in what came of a try that ended at `now`.
    pub fn settle(
        &mut self,
        receiver: &str,
        place: usize,
        verdict: &Verdict,
        retries: &Retries,
        now: Timestamp,
    ) -> Option<Outcome> {
        let begun = self.begun.get_mut(place)?;
        begun.trying = false;
        let (why, asked) = match verdict {
            Verdict::Delivered => {
                let begun = self.begun.remove(place);
                self.also.extend(begun.message.numbers.iter().filter(|number| **number > self.upto));
                (self.failures, self.not_before, self.has_given_up) = (0, None, false);
                return Some(Outcome::Delivered);
            }
            Verdict::Refused(why) => {
                begun.refusals += 1;
                (why, None)
            }
            Verdict::Failed { why, pause, in_doubt } => {
                begun.in_doubt |= *in_doubt;
                (why, *pause)
            }
        };
        self.failures = self.failures.saturating_add(1);
        let own = retries.pause(self.failures, &begun.message.id);
        let since = begun.since.unwrap_or(now);
        // to wait longer than it is tried for would be to give it up without a word
        let left = retries.give_up_after.checked_sub(now.duration_since(since)).unwrap_or_default();
        let asked = asked.map(|asked| asked.min(left.max(SignedDuration::ZERO)));
        let until = now.checked_add(asked.map_or(own, |asked| asked.max(own))).unwrap_or(now);
        self.not_before = Some(until);
        if !retries.are_over(begun.tries, begun.refusals, since, now) {
            return Some(Outcome::Again(until));
        }
        let begun = self.begun.remove(place);
        self.also.extend(begun.message.numbers.iter().filter(|number| **number > self.upto));
        if begun.refusals > 0 {
            // it was about this message: the next one is not to wait for it
            (self.failures, self.not_before) = (0, asked.and_then(|asked| now.checked_add(asked).ok()));
        }
        let is_first = !std::mem::replace(&mut self.has_given_up, true);
        let (receiver, why) = (receiver.to_owned(), why.clone());
        let letter = Letter { receiver, message: begun.message, tries: begun.tries, at: now, why, again: false };
        Some(Outcome::Dead(Box::new(letter), is_first))
    }

    /// Moves on over everything that is done or not wanted. `entries` are what was taken in after [`Self::upto`]. Gives back whether
    /// it moved.
    pub fn advance<'a>(&mut self, rules: &Rules, entries: impl Iterator<Item = &'a Entry>) -> bool {
        let before = self.upto;
        let (mut passed, mut last) = (Vec::new(), None);
        for entry in entries {
            let wanted = entry.alert.as_ref().filter(|alert| rules.wants(alert));
            if wanted.is_some() && !self.also.contains(&entry.n) {
                break;
            }
            passed.extend(wanted.map(|alert| (entry.n, alert)));
            (self.upto, last) = (entry.n, Some(&entry.mark));
        }
        self.mark = last.unwrap_or(&self.mark).clone();
        self.windows.pass(rules, &passed);
        self.also = self.also.split_off(&(self.upto + 1));
        self.upto > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::{Alert, Level},
        message::{Kind, Mark},
    };

    const RETRIES: Retries = Retries {
        first: SignedDuration::from_secs(1),
        longest: SignedDuration::from_secs(60),
        give_up_after: SignedDuration::from_secs(100),
        tries: 0,
        seed: 1,
    };

    fn message(number: u64) -> Message {
        Message::new("r", Kind::Alert, [(number, &Alert::own(at(0), Level::Warning, "drift", String::new()))])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn rules() -> Rules {
        let (window, critical_window) = (SignedDuration::ZERO, SignedDuration::ZERO);
        Rules {
            name: "r".to_owned(),
            least: Level::Info,
            only: Vec::new(),
            except: Vec::new(),
            window,
            critical_window,
            quiet: None,
        }
    }

    #[test]
    fn a_process_that_ended_in_the_middle_of_a_try_leaves_it_in_doubt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        let mut ledger = Ledger::new(3, &Mark::default());
        let place = ledger.begin(message(4));
        assert!(!ledger.attempt(place, at(0)).unwrap().in_doubt);
        ledger.save(&path).unwrap();
        let mut again = Ledger::load(&path).unwrap().unwrap();
        // it is the same message, tried for the second time
        assert_eq!((again.begin(message(4)), again.highest()), (place, 4));
        let attempt = again.attempt(place, at(0)).unwrap();
        assert_eq!((attempt.in_doubt, attempt.number), (true, 2));
        again.settle("r", place, &Verdict::failed("x"), &RETRIES, at(1)).unwrap();
        again.save(&path).unwrap();
        // one that was answered is not
        let mut ledger = Ledger::new(3, &Mark::default());
        let place = ledger.begin(message(4));
        ledger.attempt(place, at(0)).unwrap();
        ledger.settle("r", place, &Verdict::failed("x"), &RETRIES, at(1)).unwrap();
        ledger.save(&path).unwrap();
        let mut again = Ledger::load(&path).unwrap().unwrap();
        assert!(again == ledger && !again.attempt(place, at(0)).unwrap().in_doubt);
        assert_eq!(Ledger::load(&folder.path().join("none")).unwrap(), None);
        std::fs::write(&path, "{").unwrap();
        assert!(Ledger::load(&path).is_err());
    }

    #[test]
    fn a_failure_pauses_for_what_the_receiver_asks_and_ends_on_the_list_of_the_dead() {
        let mut ledger = Ledger::new(0, &Mark::default());
        let place = ledger.begin(message(1));
        ledger.attempt(place, at(0)).unwrap();
        let asked =
            Verdict::Failed { why: "429".to_owned(), pause: Some(SignedDuration::from_secs(30)), in_doubt: false };
        assert_eq!(ledger.settle("r", place, &asked, &RETRIES, at(0)), Some(Outcome::Again(at(30))));
        assert_eq!((ledger.paused_until(at(29)), ledger.paused_until(at(30))), (Some(at(30)), None));
        // the clock was set back by years
        assert_eq!(ledger.paused_until(at(-100_000_000)), None);
        ledger.attempt(place, at(0)).unwrap();
        ledger.attempt(place, at(0)).unwrap();
        let Some(Outcome::Dead(letter, true)) = ledger.settle("r", place, &Verdict::failed("down"), &RETRIES, at(100))
        else {
            panic!("{ledger:?}")
        };
        assert_eq!((letter.tries, &*letter.why, letter.message), (3, "down", message(1)));
        assert!(ledger.is_done(1) && ledger.begun().is_empty());
        let place = ledger.begin(message(2));
        (0..3).for_each(|_| drop(ledger.attempt(place, at(0))));
        let outcome = ledger.settle("r", place, &Verdict::failed("down"), &RETRIES, at(200));
        assert!(matches!(outcome, Some(Outcome::Dead(_, false))), "only the first one is news");
        let place = ledger.begin(message(3));
        assert_eq!(ledger.settle("r", place, &Verdict::Delivered, &RETRIES, at(201)), Some(Outcome::Delivered));
        assert!(!ledger.has_given_up && ledger.failures == 0 && ledger.paused_until(at(201)).is_none());
    }

    #[test]
    fn a_message_is_given_up_by_when_it_was_tried_first_and_no_wait_goes_beyond_that() {
        // it waited for days behind another one
        let mut ledger = Ledger::new(0, &Mark::default());
        let place = ledger.begin(message(1));
        let asks =
            Verdict::Failed { why: String::new(), pause: Some(SignedDuration::from_secs(3000)), in_doubt: false };
        for (now, until) in [(900_000, 900_100), (900_060, 900_100)] {
            ledger.attempt(place, at(now)).unwrap();
            assert_eq!(ledger.settle("r", place, &asks, &RETRIES, at(now)), Some(Outcome::Again(at(until))));
        }
        ledger.attempt(place, at(900_099)).unwrap();
        assert!(matches!(ledger.settle("r", place, &asks, &RETRIES, at(900_099)), Some(Outcome::Again(_))));
        ledger.attempt(place, at(900_100)).unwrap();
        assert!(matches!(ledger.settle("r", place, &asks, &RETRIES, at(900_100)), Some(Outcome::Dead(..))));
    }

    #[test]
    fn a_message_that_is_refused_for_what_it_is_does_not_hold_the_next_one_up() {
        let mut ledger = Ledger::new(0, &Mark::default());
        let place = ledger.begin(message(1));
        for refusal in 1..=5 {
            ledger.attempt(place, at(0)).unwrap();
            let outcome = ledger.settle("r", place, &Verdict::Refused("400".to_owned()), &RETRIES, at(1)).unwrap();
            assert_eq!(matches!(outcome, Outcome::Dead(..)), refusal == 5);
        }
        assert_eq!(ledger.paused_until(at(1)), None);
    }

    #[test]
    fn it_moves_on_over_what_is_done_and_what_nobody_wants() {
        let entry = |n, code: &str| {
            let alert = Some(Alert::own(at(0), Level::Warning, code, String::new()));
            let mark = Mark { next: Some(10 * n), ..Mark::default() };
            Entry { n, taken: at(0), alert: alert.filter(|_| code != "mark"), mark }
        };
        let entries = [entry(1, "x"), entry(2, "mark"), entry(3, "drift"), entry(4, "drift"), entry(5, "drift")];
        let rules = Rules { except: vec!["x".to_owned()], ..rules() };
        let mut ledger = Ledger::new(0, &Mark::default());
        assert!(ledger.advance(&rules, entries.iter()) && ledger.upto() == 2 && ledger.mark().next == Some(20));
        for number in [4, 3] {
            let place = ledger.begin(message(number));
            ledger.settle("r", place, &Verdict::Delivered, &RETRIES, at(0)).unwrap();
            ledger.advance(&rules, entries.iter().filter(|entry| entry.n > 2));
            assert_eq!(ledger.upto(), if number == 4 { 2 } else { 4 });
            assert!(ledger.is_done(4) && !ledger.is_done(5));
        }
        assert!(ledger.also.is_empty());
    }
}
