//! The reviews that the schedule has the daemon write: what [`period`] tells of the time since the review before, kept in the journal.
//!
//! A review is kept as it was told, and is not made again when it is read: the rules of then judged it.
#![deny(clippy::indexing_slicing)]

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::period;
use crate::{
    config::Config,
    domain::Timestamp,
    journal::{Reader, StoreError, Write},
    report::{Report, Scope, Words},
};

/// How far a first review looks back.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Under this name the journal has the list of reviews.
const LIST: &str = "reviews";
/// What money is counted in, which the daemon does not know.
pub const UNIT: &str = "account currency";

/// A review in the list of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewLine {
    /// Its number, from 1.
    pub number: u32,
    /// When it was written.
    pub at: Timestamp,
    /// The period it is of; its end does not belong to it.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// What came of it, in a sentence or two.
    pub lead: String,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// Its line in the list.
    #[serde(flatten)]
    pub line: ReviewLine,
    /// The figures, as `vigie report --json` has them.
    pub summary: serde_json::Value,
    /// What people read of them.
    pub report: Report,
}

impl ReviewLine {
    /// In a sentence.
    pub fn told(&self) -> String {
        let day = |at: Timestamp| at.to_string().chars().take(10).collect::<String>();
        format!("review {}, {} to {}: {}", self.number, day(self.since), day(self.until), self.lead)
    }
}

fn name_of(number: u32) -> String {
    format!("review:{number}")
}

/// All reviews, oldest first.
///
/// # Errors
/// When the list cannot be read.
pub fn list(reader: &Reader) -> Result<Vec<ReviewLine>, String> {
    let bytes = reader.checkpoint(LIST).map_err(|error| error.to_string())?;
    let parsed = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    parsed.map(Option::unwrap_or_default).map_err(|error| format!("the list of reviews cannot be read: {error}"))
}

/// The review of this number, or the latest.
///
/// # Errors
/// When there is none, with what there is, or it cannot be read.
pub fn load(reader: &Reader, number: Option<u32>) -> Result<Review, String> {
    let all = list(reader)?;
    let Some(last) = all.last().map(|line| line.number) else {
        return Err(
            "there is no review yet; the schedule writes one each week, and `vigie schedule run review` now".to_owned()
        );
    };
    let number = number.unwrap_or(last);
    let bytes =
        reader.checkpoint(&name_of(number)).map_err(|error| format!("review {number} cannot be read: {error}"))?;
    let bytes = bytes.ok_or_else(|| format!("there is no review {number}; the latest is {last}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("review {number} cannot be read: {error}"))
}

/// The review of the time since the one before, or of a week, up to `now`, and what is to be written.
///
/// # Errors
/// When the journal cannot be read.
pub fn write(reader: &Reader, config: &Config, now: Timestamp) -> Result<(Review, Vec<Write>), String> {
    // one that is damaged must not keep the next from being written
    let mut all = match reader.checkpoint(LIST) {
        Err(StoreError::BadRecord(_)) => Vec::new(),
        _ => list(reader)?,
    };
    let before = all.last().filter(|line| line.until < now);
    let week_ago = now.checked_sub(WEEK).unwrap_or(now);
    let since = before.map_or(week_ago, |line| line.until);
    let number = all.last().map_or(1, |line| line.number.saturating_add(1));
    let scope = Scope { since: Some(since), until: Some(now), symbol: None, version: None };
    let summary = period::summary(reader, config, &scope)?;
    let report = summary.report(&Words { unit: UNIT, calendar: &config.calendar });
    let line = ReviewLine { number, at: now, since, until: now, lead: report.lead.clone() };
    let summary = serde_json::to_value(&summary).map_err(|error| error.to_string())?;
    let review = Review { line, summary, report };
    all.push(review.line.clone());
    let body = serde_json::to_vec(&review).map_err(|error| error.to_string())?;
    let lines = serde_json::to_vec(&all).map_err(|error| error.to_string())?;
    let writes = [(name_of(number), body), (LIST.to_owned(), lines)];
    Ok((review, writes.map(|(name, bytes)| Write::Checkpoint { name, bytes }).into()))
}
