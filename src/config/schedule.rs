//! The keys of what recurs by the clocks of the exchange.

#![deny(clippy::indexing_slicing)]

use jiff::civil::Weekday;

use super::reader::{
    Effect::AtReload,
    Reader,
    section::{Section, above},
};
use crate::schedule::{Appointment, Quiet, Rhythm};

const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// What recurs by the clocks of the exchange; a job that is off is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// When the signals and outcomes that came are looked at.
    pub data_quality: Option<Appointment>,
    /// When a review is written.
    pub review: Option<Appointment>,
    /// When a retraining is considered.
    pub retraining: Option<Appointment>,
    /// When none of them begins by itself.
    pub quiet: Quiet,
    /// Closed trades since the latest training of a symbol that are reason for another.
    pub min_new_trades: u64,
    /// Composite of the version in production below which it has declined.
    pub min_composite: f64,
}

pub(super) fn schedule(reader: &mut Reader<'_, '_>) -> Schedule {
    let mut at = reader.section("schedule", AtReload);
    let data_quality = appointment(&mut at, ["data_quality", "data_quality_at"], |_| Rhythm::Weekdays);
    let review = appointment(&mut at, ["review", "review_at"], |at| Rhythm::Weekly(day(at, "review_day")));
    let retraining =
        appointment(&mut at, ["retraining", "retraining_at"], |at| Rhythm::FourWeekly(day(at, "retraining_day")));
    let quiet = Quiet { from: at.time("quiet_from"), until: at.time("quiet_until") };
    Schedule {
        data_quality,
        review,
        retraining,
        quiet,
        min_new_trades: at.whole("min_new_trades", 1..=1_000_000),
        min_composite: at.number("min_composite", above(0.0, 1.0)),
    }
}

/// Every key is read, that of a job that is off too.
fn appointment(
    at: &mut Section<'_, '_, '_>,
    [is_on, time_of]: [&str; 2],
    rhythm: impl FnOnce(&mut Section<'_, '_, '_>) -> Rhythm,
) -> Option<Appointment> {
    let (is_on, time, rhythm) = (at.flag(is_on), at.time(time_of), rhythm(at));
    is_on.then_some(Appointment { rhythm, time })
}

fn day(at: &mut Section<'_, '_, '_>, key: &str) -> Weekday {
    at.choice(key, Weekday::Sunday, &DAYS)
}
