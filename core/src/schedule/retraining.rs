//! Whether a symbol is to be trained again, and why or why not.
//!
//! Each training looks at a test part, and whoever looks often finds something by chance. So a model is trained again when it has
//! declined or when there is enough that no training has seen, and not because four weeks are over.

use std::fmt;

use serde::Serialize;

use crate::domain::{Timestamp, TradingDay, VersionId, lifecycle::State};

/// From what on a symbol is trained again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Closed trades that have come since its latest training.
    pub new_trades: u64,
    /// Composite of the version in production against its validation, below which it has declined when that is more than chance.
    pub composite: f64,
    /// Closed trades that a first training needs.
    pub first_trades: u64,
}

/// What is known of a symbol.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known {
    /// Closed trades with a known pnl.
    pub closed: u64,
    /// Its latest training of which a version was kept.
    pub latest: Option<Latest>,
    /// The version in production.
    pub production: Option<VersionId>,
    /// The latest judgement of that version.
    pub judged: Option<Judged>,
    /// A version of it that is on trial: in staging or under test.
    pub on_trial: Option<(VersionId, State)>,
}

/// A training.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// The version that came of it.
    pub version: VersionId,
    /// When it was.
    pub at: Timestamp,
    /// Closed trades with a known pnl that there were.
    pub closed: u64,
}

/// A judgement of a version at the close of a trading day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Of which day.
    pub day: TradingDay,
    /// Its composite against its validation, 1 is as validated.
    pub composite: Option<f64>,
    /// Whether that is below 1 by more than chance.
    pub degraded: bool,
}

/// Whether a symbol is trained again, with the reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Consideration {
    /// Due: the version in production has declined, and no other was trained since it.
    Declined {
        /// Which.
        version: VersionId,
        /// The day it was judged on.
        day: TradingDay,
        /// Its composite.
        composite: f64,
        /// What that must not fall below.
        least: f64,
    },
    /// Due: enough has come that no training has seen.
    EnoughNew {
        /// Closed trades since the latest training.
        new: u64,
        /// What is enough.
        needed: u64,
        /// The version of that training.
        since: VersionId,
    },
    /// Due: nothing was trained yet, and the trades suffice.
    First {
        /// Closed trades.
        closed: u64,
        /// What suffices.
        needed: u64,
    },
    /// Not due: a version is on trial that is to follow.
    OnTrial {
        /// Which.
        version: VersionId,
        /// Where it stands.
        state: State,
    },
    /// Not due: nothing was trained yet, and the trades do not suffice.
    TooFew {
        /// Closed trades.
        closed: u64,
        /// What suffices.
        needed: u64,
    },
    /// Not due: nothing has declined that was not trained for, and too little has come.
    NotYet {
        /// Closed trades since the latest training.
        new: u64,
        /// What is enough.
        needed: u64,
        /// The version of that training.
        since: VersionId,
        /// The composite of the version in production, where it was judged.
        composite: Option<f64>,
        /// What that must not fall below.
        least: f64,
    },
}

impl Consideration {
    /// What follows from what is `known` of a symbol.
    pub fn of(known: &Known, terms: &Terms) -> Self {
        let Known { closed, latest, production, judged, on_trial } = known;
        if let Some((version, state)) = on_trial.clone() {
            return Self::OnTrial { version, state };
        }
        let Some(latest) = latest else {
            let (closed, needed) = (*closed, terms.first_trades);
            return if closed >= needed { Self::First { closed, needed } } else { Self::TooFew { closed, needed } };
        };
        let (new, needed, since) = (closed.saturating_sub(latest.closed), terms.new_trades, latest.version.clone());
        if new >= needed {
            return Self::EnoughNew { new, needed, since };
        }
        let (least, composite) = (terms.composite, judged.and_then(|judged| judged.composite));
        let has_fallen = judged.filter(|judged| judged.degraded).zip(composite.filter(|composite| *composite < least));
        match (production, has_fallen) {
            // one that was trained since then has seen the decline already
            (Some(version), Some((judged, composite))) if *version == latest.version && new > 0 => {
                Self::Declined { version: version.clone(), day: judged.day, composite, least }
            }
            _ => Self::NotYet { new, needed, since, composite, least },
        }
    }

    /// Whether it is trained.
    pub fn is_due(&self) -> bool {
        matches!(self, Self::Declined { .. } | Self::EnoughNew { .. } | Self::First { .. })
    }
}

impl fmt::Display for Consideration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declined { version, day, composite, least } => {
                write!(
                    f,
                    "{version} has declined by more than chance: composite {composite:.3} on {day}, below {least}"
                )
            }
            Self::EnoughNew { new, needed, since } => {
                write!(f, "{new} closed trades have come since {since} was trained, at least {needed} are enough")
            }
            Self::First { closed, needed } => {
                write!(f, "no version was trained yet, and {closed} closed trades suffice (at least {needed})")
            }
            Self::OnTrial { version, state } => write!(f, "{version} is in {state}: its trial is awaited"),
            Self::TooFew { closed, needed } => {
                write!(f, "no version was trained yet, and {closed} closed trades do not suffice (at least {needed})")
            }
            Self::NotYet { new, needed, since, composite, least } => {
                write!(
                    f,
                    "{new} closed trades have come since {since} was trained, at least {needed} would be enough; "
                )?;
                match composite {
                    Some(composite) if composite < least => {
                        write!(
                            f,
                            "composite {composite:.3}, below {least} by no more than chance or trained for already"
                        )
                    }
                    Some(composite) => write!(f, "composite {composite:.3}, not below {least}"),
                    None => f.write_str("the version in production was not judged yet, or there is none"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { new_trades: 200, composite: 0.95, first_trades: 300 };

    fn version(number: u32) -> VersionId {
        format!("ES/{number}").parse().unwrap()
    }

    fn trained(number: u32, closed: u64) -> Option<Latest> {
        Some(Latest { version: version(number), at: "2025-06-01T09:00:00Z".parse().unwrap(), closed })
    }

    fn judged(composite: f64, degraded: bool) -> Option<Judged> {
        Some(Judged { day: serde_json::from_str("\"2025-06-20\"").unwrap(), composite: Some(composite), degraded })
    }

    fn told(known: &Known) -> (bool, String) {
        let found = Consideration::of(known, &TERMS);
        (found.is_due(), found.to_string())
    }

    #[test]
    fn enough_new_trades_are_a_reason_and_one_less_is_none() {
        let known =
            |closed| Known { closed, latest: trained(3, 1000), production: Some(version(3)), ..Known::default() };
        assert_eq!(
            told(&known(1200)),
            (true, "200 closed trades have come since ES/3 was trained, at least 200 are enough".to_owned())
        );
        let (due, why) = told(&known(1199));
        assert!(!due && why.starts_with("199 closed trades have come since ES/3 was trained, at least 200 would be"));
        // of a journal whose old records are gone
        assert!(!told(&known(10)).0);
    }

    #[test]
    fn a_decline_is_a_reason_when_it_is_more_than_chance_and_was_not_trained_for() {
        let known = |judged, latest| Known {
            closed: 1050,
            latest: trained(latest, 1000),
            production: Some(version(3)),
            judged,
            on_trial: None,
        };
        assert_eq!(
            told(&known(judged(0.9, true), 3)),
            (true, "ES/3 has declined by more than chance: composite 0.900 on 2025-06-20, below 0.95".to_owned())
        );
        for (judged, latest) in [
            (judged(0.9, false), 3),
            (judged(0.95, true), 3),
            (judged(0.9, true), 4),
            (None, 3),
            (Some(Judged { composite: None, ..judged(0.9, true).unwrap() }), 3),
        ] {
            assert!(!told(&known(judged, latest)).0, "{judged:?} {latest}");
        }
        let nothing_new = Known { closed: 1000, ..known(judged(0.9, true), 3) };
        assert!(!told(&nothing_new).0, "the same trades again say the same");
    }

    #[test]
    fn a_version_on_trial_is_awaited_and_a_first_one_needs_its_trades() {
        let trial = |state| Known {
            closed: 9000,
            latest: trained(3, 10),
            on_trial: Some((version(4), state)),
            ..Known::default()
        };
        assert_eq!(told(&trial(State::AbTest)), (false, "ES/4 is in ab_test: its trial is awaited".to_owned()));
        assert!(!told(&trial(State::Staging)).0);
        let first = |closed| told(&Known { closed, ..Known::default() });
        assert_eq!(
            first(300),
            (true, "no version was trained yet, and 300 closed trades suffice (at least 300)".to_owned())
        );
        assert!(!first(299).0 && first(299).1.contains("299 closed trades do not suffice"));
    }
}
