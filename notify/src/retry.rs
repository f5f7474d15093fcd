//! What becomes of a message that was sent: what an answer means, when it is tried again, and when it is given up.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// The longest pause that a receiver can ask for, and that can be configured.
pub const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// How often a message is tried that the receiver refuses for what it is.
pub const REFUSALS: u32 = 5;
/// How often one is tried at least before it is given up for its age: it may have waited behind another one.
pub const LEAST_TRIES: u32 = 3;

/// What came of one try.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// The receiver does not want this message, and says so.
    Refused(String),
    /// It was not delivered, or nobody knows.
    Failed {
        /// In words without secrets.
        why: String,
        /// The pause that the receiver asked for.
        pause: Option<SignedDuration>,
        /// Whether the receiver may have it all the same.
        in_doubt: bool,
    },
}

impl Verdict {
    /// It was not delivered.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into(), pause: None, in_doubt: false }
    }

    /// It may have been delivered.
    pub fn in_doubt(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into(), pause: None, in_doubt: true }
    }

    /// By the status of an HTTP answer that came at `now`. 408, 425, 429 and everything from 500 on pass; 400, 413 and 422 are about
    /// the message; what else is wrong lasts until somebody corrects it.
    pub fn of_status(status: u16, retry_after: Option<&str>, now: Timestamp) -> Self {
        match status {
            200..=299 => Self::Delivered,
            304 => Self::failed("it answers 304, which says nothing of a message; check the address"),
            300..=399 => Self::failed(format!("it answers {status}: it has moved; name the address where it is now")),
            400 | 413 | 422 => Self::Refused(format!("it answers {status}: it does not take this message")),
            401 | 403 => Self::failed(format!("it answers {status}: it does not let us in; check the secret")),
            404 | 410 => Self::failed(format!("it answers {status}: nobody is there; check the address")),
            502 | 504 => Self::Failed {
                why: format!("a proxy before it answers {status}"),
                pause: retry_after.and_then(|text| pause_of(text, now)),
                in_doubt: true,
            },
            _ => Self::Failed {
                why: format!("it answers {status}"),
                pause: retry_after.and_then(|text| pause_of(text, now)),
                in_doubt: false,
            },
        }
    }
}

/// The pause that a `Retry-After` asks for: seconds, or a date. At most [`LONGEST_PAUSE`]; none if it is neither.
pub fn pause_of(text: &str, now: Timestamp) -> Option<SignedDuration> {
    let text = text.trim();
    let pause = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            SignedDuration::try_from_secs_f64(seconds.min(LONGEST_PAUSE.as_secs_f64())).ok()?
        }
        Ok(_) => return None,
        Err(_) => {
            let date = date_of(text)?;
            date.duration_since(now).max(SignedDuration::ZERO)
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// A date of HTTP, also of the two old ways to write one. The weekday says nothing that the date does not.
fn date_of(text: &str) -> Option<Timestamp> {
    let usual = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok();
    let rest = text.split_once(", ").map_or(text, |(_, rest)| rest);
    let of_850 = || DateTime::strptime("%d-%b-%y %H:%M:%S GMT", rest).ok();
    let of_c = || DateTime::strptime("%b %e %H:%M:%S %Y", text.split_once(' ')?.1).ok();
    let old = || of_850().or_else(of_c)?.to_zoned(TimeZone::UTC).ok();
    usual.or_else(|| Some(old()?.timestamp()))
}

/// How it is tried again.
#[derive(Debug, Clone)]
pub struct Retries {
    /// The pause after the first failure; each further one doubles it.
    pub first: SignedDuration,
    /// The longest pause.
    pub longest: SignedDuration,
    /// For how long a message is tried.
    pub give_up_after: SignedDuration,
    /// How often it is tried; 0 for without limit.
    pub tries: u32,
    /// What the pauses are drawn by.
    pub seed: u64,
}

impl Retries {
    /// The pause after `failures` in a row, 1 or more: drawn between half of the pause that is due and all of it.
    pub fn pause(&self, failures: u32, key: &str) -> SignedDuration {
        let doubled = 2f64.powi(i32::try_from(failures.saturating_sub(1).min(60)).unwrap_or(60));
        let whole = (self.first.as_secs_f64() * doubled).min(self.longest.as_secs_f64());
        let drawn = draw(self.seed, key, failures);
        SignedDuration::try_from_secs_f64(whole * (0.5 + 0.5 * drawn)).unwrap_or(self.longest)
    }

    /// Whether a message is given up after `tries`, of which `refusals` were about it; it was due at `since`.
    pub fn are_over(&self, tries: u32, refusals: u32, since: Timestamp, now: Timestamp) -> bool {
        refusals >= REFUSALS
            || (self.tries > 0 && tries >= self.tries)
            || (tries >= LEAST_TRIES && now.duration_since(since) >= self.give_up_after)
    }
}

/// A number from 0 up to 1, the same for the same arguments: FNV-1a, then the finalizer of splitmix64.
fn draw(seed: u64, key: &str, turn: u32) -> f64 {
    let bytes = key.bytes().chain(turn.to_le_bytes());
    let hashed = bytes
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hashed ^ (hashed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries() -> Retries {
        Retries {
            first: SignedDuration::from_secs(1),
            longest: SignedDuration::from_secs(300),
            give_up_after: SignedDuration::from_hours(24),
            tries: 0,
            seed: 1,
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_drawn_by_the_seed() {
        let pauses: Vec<f64> = (1..=12).map(|failures| retries().pause(failures, "m").as_secs_f64()).collect();
        for (index, pause) in pauses.iter().enumerate() {
            let whole = 2f64.powi(index as i32).min(300.0);
            assert!(*pause >= whole / 2.0 && *pause < whole, "{pauses:?}");
        }
        assert_eq!(retries().pause(5, "m"), retries().pause(5, "m"));
        let other = Retries { seed: 2, ..retries() };
        assert!(other.pause(5, "m") != retries().pause(5, "m") && retries().pause(5, "n") != retries().pause(5, "m"));
        assert!(retries().pause(u32::MAX, "m") <= retries().longest);
        // spread, not only different
        let drawn: Vec<f64> = (0..1000).map(|turn| draw(3, "m", turn)).collect();
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean) && drawn.iter().all(|x| (0.0..1.0).contains(x)), "{mean}");
    }

    #[test]
    fn a_message_is_given_up_for_its_age_its_tries_or_what_it_is() {
        let (since, retries) = (Timestamp::UNIX_EPOCH, retries());
        let later = |hours| since.checked_add(SignedDuration::from_hours(hours)).unwrap();
        assert!(!retries.are_over(10_000, 4, since, later(23)));
        assert!(retries.are_over(3, 0, since, later(24)) && !retries.are_over(2, 0, since, later(99)));
        assert!(retries.are_over(5, 5, since, later(0)));
        let few = Retries { tries: 3, ..retries };
        assert!(!few.are_over(2, 0, since, since) && few.are_over(3, 0, since, since));
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date_and_nothing_else() {
        let now: Timestamp = "2026-11-29T08:00:00Z".parse().unwrap();
        let seconds = |text: &str| pause_of(text, now).map(|pause| pause.as_secs_f64());
        for (text, expected) in [
            ("7", Some(7.0)),
            (" 0.5 ", Some(0.5)),
            ("Sun, 29 Nov 2026 08:01:00 GMT", Some(60.0)),
            ("Sun, 29 Nov 2026 07:00:00 GMT", Some(0.0)),
            ("Mon, 29 Nov 2026 08:01:00 GMT", Some(60.0)),
            ("Sunday, 29-Nov-26 08:01:00 GMT", Some(60.0)),
            ("Sun Nov 29 08:01:00 2026", Some(60.0)),
            ("Wed Dec  2 08:00:00 2026", Some(3600.0)),
            ("99999999999999999999999", Some(3600.0)),
            ("Sun, 29 Nov 2099 07:00:00 GMT", Some(3600.0)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_status_says_whether_to_try_again() {
        let now = Timestamp::UNIX_EPOCH;
        let verdict = |status| Verdict::of_status(status, Some("3"), now);
        assert!([200, 204, 299].into_iter().all(|status| verdict(status) == Verdict::Delivered));
        assert!([400, 413, 422].into_iter().all(|status| matches!(verdict(status), Verdict::Refused(_))));
        for (status, paused, doubt) in [
            (301, false, false),
            (403, false, false),
            (429, true, false),
            (500, true, false),
            (503, true, false),
            (504, true, true),
        ] {
            let Verdict::Failed { pause, in_doubt, .. } = verdict(status) else { panic!("{status}") };
            assert_eq!((pause.is_some(), in_doubt), (paused, doubt), "{status}");
        }
    }
}
