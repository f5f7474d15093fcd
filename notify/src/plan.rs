//! What is to be sent to a receiver next: a function of what was taken in, of what is done, and of the time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::{
    alert::{Alert, Level},
    message::{Entry, Kind, Message, digits},
    quiet::Quiet,
};

/// Alerts that one message has at most.
pub const MOST_ALERTS: usize = 200;

/// What a receiver wants.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Its name.
    pub name: String,
    /// Nothing less urgent than this.
    pub least: Level,
    /// Only these codes; all if there are none.
    pub only: Vec<String>,
    /// None of these.
    pub except: Vec<String>,
    /// For how long alerts of one code become one message after the first.
    pub window: SignedDuration,
    /// For how long critical alerts of the same code and words do. One that says something else is sent at once.
    pub critical_window: SignedDuration,
    /// When all but critical alerts are held back.
    pub quiet: Option<Quiet>,
}

impl Rules {
    /// Whether an alert is for this receiver.
    pub fn wants(&self, alert: &Alert) -> bool {
        let is_own = alert.seq.is_none();
        alert.level >= self.least
            && (self.only.is_empty() || is_own || self.only.contains(&alert.code))
            && !self.except.contains(&alert.code)
            && alert.about.as_ref() != Some(&self.name)
    }

    fn quiet_until(&self, at: Timestamp) -> Option<Timestamp> {
        self.quiet.as_ref().and_then(|quiet| quiet.until(at))
    }
}

/// The windows that are open: for each code, and for the words of each critical alert.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Windows(BTreeMap<String, Window>);

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Window {
    since: Timestamp,
    /// Whether it has repeats.
    repeated: bool,
}

/// In which message an alert is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    /// In one of its own, now.
    Single(u64),
    /// With the other repeats of a window, when that is over.
    Repeats(String, Timestamp),
    /// In the summary of the quiet hours that end then.
    Summary(Timestamp),
}

impl Windows {
    /// Takes the next alert in.
    fn take(&mut self, rules: &Rules, number: u64, alert: &Alert) -> Slot {
        let is_critical = alert.level == Level::Critical;
        if !is_critical && let Some(end) = rules.quiet_until(alert.at) {
            return Slot::Summary(end);
        }
        let length = if is_critical { rules.critical_window } else { rules.window };
        if length.is_zero() {
            return Slot::Single(number);
        }
        let key = if is_critical { words(alert) } else { alert.code.clone() };
        let fresh = Window { since: alert.at, repeated: false };
        let window = self.0.entry(key.clone()).or_insert(Window { since: Timestamp::MIN, repeated: false });
        let age = alert.at.duration_since(window.since);
        if age > -length && age < length {
            window.repeated = true;
        } else if window.repeated && age >= length && age < length + length {
            // it goes on: once more a message for all of a window
            *window = Window { since: end_of(window.since, length), repeated: true };
        } else {
            *window = fresh;
            return Slot::Single(number);
        }
        Slot::Repeats(key, end_of(window.since, length))
    }

    /// Takes alerts in that are done with, and forgets the windows that no alert can fall into any more.
    pub fn pass(&mut self, rules: &Rules, entries: &[(u64, &Alert)]) {
        for (number, alert) in entries {
            self.take(rules, *number, alert);
        }
        let (Some((_, last)), longest) = (entries.last(), rules.window.max(rules.critical_window)) else { return };
        self.0.retain(|_, window| last.at.duration_since(window.since).abs() < longest + longest);
    }
}

/// The name of what a critical alert says: nothing new is in one that says the same.
fn words(alert: &Alert) -> String {
    let hashed = digest::digest(&digest::SHA256, alert.message.as_bytes());
    format!("{}!{}", alert.code, digits(hashed.as_ref(), 8))
}

fn end_of(since: Timestamp, length: SignedDuration) -> Timestamp {
    since.checked_add(length).unwrap_or(Timestamp::MAX)
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send what was begun: its place in the list.
    Continue(usize),
    /// Begin a message of these numbers; so many more that belong to it come in a further one.
    Begin(Kind, Vec<u64>, usize),
    /// Nothing before this time, unless an alert comes.
    Wait(Timestamp),
    /// Nothing until an alert comes.
    Rest,
}

/// What is to be sent next at `now`. `entries` are what was taken in and is not done, from the oldest on, alerts that nobody wants
/// included; `windows` is what came before them.
pub fn next<'a>(
    rules: &Rules,
    windows: &Windows,
    begun: &[Message],
    is_done: impl Fn(u64) -> bool,
    entries: impl Iterator<Item = &'a Entry>,
    now: Timestamp,
) -> Step {
    let quiet = rules.quiet_until(now);
    // what was begun is finished first, unless it is to wait for the morning
    if let Some(place) = begun.iter().position(|message| quiet.is_none() || !message.may_be_held()) {
        return Step::Continue(place);
    }
    let under_way: BTreeSet<u64> = begun.iter().flat_map(|message| &message.numbers).copied().collect();
    let mut windows = windows.clone();
    let mut slots: BTreeMap<Slot, Vec<(&Entry, Level)>> = BTreeMap::new();
    for entry in entries {
        let Some(alert) = entry.alert.as_ref().filter(|alert| rules.wants(alert)) else { continue };
        let slot = windows.take(rules, entry.n, alert);
        if !is_done(entry.n) && !under_way.contains(&entry.n) {
            slots.entry(slot).or_default().push((entry, alert.level));
        }
    }
    let longest = rules.window.max(rules.critical_window);
    let release = |slot: &Slot, is_critical: bool| match (slot, quiet) {
        (_, Some(end)) if !is_critical => end,
        // an end that is further away than any window is: the clock was set back
        (Slot::Repeats(_, due), _) if due.duration_since(now) <= longest => *due,
        _ => now,
    };
    let due = slots.iter().map(|(slot, parts)| {
        let is_critical = parts.iter().any(|(_, level)| *level == Level::Critical);
        (release(slot, is_critical), slot, parts)
    });
    let (ready, later): (Vec<_>, Vec<_>) = due.partition(|(at, ..)| *at <= now);
    let first = ready.into_iter().min_by_key(|(_, _, parts)| parts.last().map(|(entry, _)| entry.n));
    if let Some((_, slot, parts)) = first {
        let kind = match slot {
            Slot::Summary(_) => Kind::Summary,
            Slot::Repeats(..) if parts.len() > 1 => Kind::Repeats,
            _ => Kind::Alert,
        };
        let numbers = parts.iter().take(MOST_ALERTS).map(|(entry, _)| entry.n).collect();
        return Step::Begin(kind, numbers, parts.len().saturating_sub(MOST_ALERTS));
    }
    later.into_iter().map(|(at, ..)| at).chain(quiet.filter(|_| !begun.is_empty())).min().map_or(Step::Rest, Step::Wait)
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan as _, civil::Time, tz::TimeZone};

    use super::*;
    use crate::{message::Mark, quiet::Period};

    fn at(seconds: i64) -> Timestamp {
        // midnight, UTC, of a Monday
        Timestamp::from_second(1_767_571_200).unwrap().checked_add(seconds.seconds()).unwrap()
    }

    fn rules() -> Rules {
        Rules {
            name: "r".to_owned(),
            least: Level::Info,
            only: Vec::new(),
            except: Vec::new(),
            window: SignedDuration::from_secs(600),
            critical_window: SignedDuration::from_secs(60),
            quiet: None,
        }
    }

    /// Quiet from 22:00 to 06:00 each day.
    fn nights() -> Rules {
        use jiff::civil::Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
        let days = vec![Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
        let period = Period { days, from: Time::constant(22, 0, 0, 0), to: Time::constant(6, 0, 0, 0) };
        Rules { quiet: Quiet::new(TimeZone::UTC, vec![period]), ..rules() }
    }

    fn entries(alerts: &[(i64, Level, &str)]) -> Vec<Entry> {
        let entry = |(index, (seconds, level, code)): (usize, &(i64, Level, &str))| {
            let n = index as u64 + 1;
            let alert = Alert { seq: Some(n), ..Alert::own(at(*seconds), *level, code, "the same".to_owned()) };
            Entry { n, taken: at(*seconds), alert: Some(alert), mark: Mark::default() }
        };
        alerts.iter().enumerate().map(entry).collect()
    }

    /// What a receiver that takes everything at once is sent, each with the second at which it is.
    fn sent(rules: &Rules, entries: &[Entry], from: i64) -> Vec<(i64, Kind, Vec<u64>)> {
        let (mut now, mut done, mut sent) = (at(from), BTreeSet::new(), Vec::new());
        loop {
            let known = entries.iter().filter(|entry| entry.taken <= now);
            let coming = entries.iter().map(|entry| entry.taken).filter(|taken| *taken > now).min();
            match next(rules, &Windows::default(), &[], |n| done.contains(&n), known, now) {
                Step::Begin(kind, numbers, _) => {
                    done.extend(numbers.iter().copied());
                    sent.push((now.duration_since(at(0)).as_secs(), kind, numbers));
                }
                Step::Wait(until) => now = coming.map_or(until, |coming| coming.min(until)),
                Step::Rest => match coming {
                    Some(coming) => now = coming,
                    None => return sent,
                },
                Step::Continue(_) => panic!("nothing was begun"),
            }
        }
    }

    use Level::{Critical, Info, Warning};

    #[test]
    fn repeats_of_a_code_become_one_message_when_their_window_is_over() {
        let entries = entries(&[
            (36_000, Warning, "a"),
            (36_010, Warning, "b"),
            (36_020, Warning, "a"),
            (36_030, Info, "a"),
            (36_605, Warning, "a"),
            (39_000, Warning, "a"),
        ]);
        let expected = [
            (36_000, Kind::Alert, vec![1]),
            (36_010, Kind::Alert, vec![2]),
            (36_600, Kind::Repeats, vec![3, 4]),
            // it went on, so the next one waits as well; then it was over
            (37_200, Kind::Alert, vec![5]),
            (39_000, Kind::Alert, vec![6]),
        ];
        assert_eq!(sent(&rules(), &entries, 36_000), expected);
        // one who comes late gets the same, at once and in order
        let late: Vec<_> = sent(&rules(), &entries, 90_000).into_iter().map(|(_, _, numbers)| numbers).collect();
        assert_eq!(late, [vec![1], vec![2], vec![3, 4], vec![5], vec![6]]);
        let none = Rules { window: SignedDuration::ZERO, ..rules() };
        assert_eq!(sent(&none, &entries, 36_000).len(), 6);
    }

    #[test]
    fn a_critical_alert_waits_only_behind_one_that_says_the_same() {
        let mut entries = entries(&[
            (50, Critical, "c"),
            (51, Critical, "c"),
            (52, Critical, "c"),
            (53, Critical, "c"),
            (54, Warning, "c"),
        ]);
        entries[2].alert.as_mut().unwrap().message = "another trade".to_owned();
        let expected = [
            (50, Kind::Alert, vec![1]),
            (52, Kind::Alert, vec![3]),
            (54, Kind::Alert, vec![5]),
            (110, Kind::Repeats, vec![2, 4]),
        ];
        assert_eq!(sent(&rules(), &entries, 0), expected);
    }

    #[test]
    fn quiet_hours_hold_back_all_but_critical_alerts_and_end_with_one_summary() {
        let day = 86_400;
        let entries = entries(&[
            (21 * 3600, Warning, "a"),
            (22 * 3600, Warning, "a"),
            (23 * 3600, Critical, "c"),
            (23 * 3600 + 5, Critical, "c"),
            (day + 3600, Info, "b"),
            (day + 2 * 3600, Warning, "a"),
            (day + 7 * 3600, Warning, "a"),
        ]);
        let expected = [
            (21 * 3600, Kind::Alert, vec![1]),
            (23 * 3600, Kind::Alert, vec![3]),
            (23 * 3600 + 60, Kind::Alert, vec![4]),
            (day + 6 * 3600, Kind::Summary, vec![2, 5, 6]),
            (day + 7 * 3600, Kind::Alert, vec![7]),
        ];
        assert_eq!(sent(&nights(), &entries, 0), expected);
        // a message that was begun before the night and failed waits, and lets a critical one pass
        let begun = [Message::new("r", Kind::Alert, [(1, entries[0].alert.as_ref().unwrap())])];
        let step = |now, known: usize| {
            next(&nights(), &Windows::default(), &begun, |_| false, entries.iter().take(known), at(now))
        };
        assert_eq!(step(21 * 3600 + 1, 1), Step::Continue(0));
        assert_eq!(step(22 * 3600, 2), Step::Wait(at(day + 6 * 3600)));
        assert_eq!(step(23 * 3600, 3), Step::Begin(Kind::Alert, vec![3], 0));
        assert_eq!(step(day + 6 * 3600, 3), Step::Continue(0));
    }

    #[test]
    fn each_alert_that_is_wanted_is_in_one_message_whatever_comes() {
        let mut state = 7u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for round in 0..40 {
            let mut seconds = 60_000;
            let alerts: Vec<(i64, Level, &str)> = (0..60)
                .map(|_| {
                    // the clock goes back now and then
                    seconds += draw(400) as i64 - if draw(20) == 0 { 5_000 } else { 0 };
                    let level = [Info, Warning, Critical][draw(3) as usize];
                    (seconds, level, ["a", "b", "c"][draw(3) as usize])
                })
                .collect();
            let entries = entries(&alerts);
            let rules = if round % 2 == 0 { nights() } else { rules() };
            let rules = Rules { except: vec!["c".to_owned()], ..rules };
            let told: Vec<u64> = sent(&rules, &entries, 0).into_iter().flat_map(|(.., numbers)| numbers).collect();
            let mut sorted = told.clone();
            sorted.sort_unstable();
            let wanted: Vec<u64> =
                entries.iter().filter(|entry| entry.alert.as_ref().unwrap().code != "c").map(|entry| entry.n).collect();
            assert_eq!(sorted, wanted, "round {round}: {alerts:?}");
        }
    }

    #[test]
    fn a_receiver_is_not_told_of_itself() {
        let failed =
            Alert { about: Some("r".to_owned()), ..Alert::own(at(0), Critical, "receiver_failed", String::new()) };
        let other = Rules { name: "s".to_owned(), ..rules() };
        assert!(!rules().wants(&failed) && other.wants(&failed));
    }

    #[test]
    fn a_crowd_is_split_and_what_was_passed_leaves_the_same_windows() {
        let crowd: Vec<_> = (0..500).map(|n| (n, Warning, "a")).collect();
        let entries = entries(&crowd);
        let sizes: Vec<usize> = sent(&rules(), &entries, 5_000).iter().map(|(.., numbers)| numbers.len()).collect();
        assert_eq!(sizes, [1, 200, 200, 99]);
        let step = next(&rules(), &Windows::default(), &[], |n| n == 1, entries.iter(), at(5_000));
        assert!(matches!(step, Step::Begin(Kind::Repeats, _, 299)), "{step:?}");
        // the first one is done and forgotten: its window still holds the others
        let mut windows = Windows::default();
        windows.pass(&rules(), &[(1, entries[0].alert.as_ref().unwrap())]);
        let step = next(&rules(), &windows, &[], |_| false, entries.iter().skip(1), at(500));
        assert_eq!(step, Step::Wait(at(600)));
    }
}
