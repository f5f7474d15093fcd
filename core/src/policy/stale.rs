//! Feeds that are lost, told once: when too little of what a version looks at is measured, and when it is again.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::serving::Scored;
use crate::domain::{EventKind, VersionId, event::Level};

/// Code of the alert that a version is not asked because too little was measured.
const STALE: &str = "stale_inputs";
/// Code of the alert that it is asked again.
const MEASURED: &str = "inputs_measured";

/// Signals in a row that were measured well enough, after which a feed counts as back.
const BACK: u32 = 20;

/// Which versions lack their inputs, a fold over the answers. What it told and did not get through is told again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StaleWatch {
    /// How many signals in a row each of them could score since.
    open: BTreeMap<VersionId, u32>,
}

impl StaleWatch {
    /// Takes in an event of the past: an alert of a feed.
    pub fn follow(&mut self, event: &EventKind) {
        let EventKind::Alert { code, message, .. } = event else { return };
        let version = || message.split_whitespace().next()?.parse::<VersionId>().ok();
        match &**code {
            STALE => drop(version().map(|version| self.open.insert(version, 0))),
            MEASURED => drop(version().map(|version| self.open.remove(&version))),
            _ => {}
        }
    }

    /// Takes in an answer, and hands each alert that follows from it to `tell`, which says whether it got through.
    pub fn take(&mut self, scored: &Scored, mut tell: impl FnMut(EventKind) -> bool) {
        for (version, missing) in &scored.stale {
            if let Some(measured) = self.open.get_mut(version) {
                *measured = 0;
            } else if tell(stale(version, missing)) {
                self.open.insert(version.clone(), 0);
            }
        }
        if self.open.is_empty() {
            return;
        }
        for opinion in scored.opinions.iter().filter(|opinion| opinion.score.is_some()) {
            let Some(measured) = self.open.get_mut(&opinion.version) else { continue };
            *measured = measured.saturating_add(1);
            if *measured >= BACK && tell(back(&opinion.version)) {
                self.open.remove(&opinion.version);
            }
        }
    }
}

fn stale(version: &VersionId, missing: &[Box<str>]) -> EventKind {
    let message = format!(
        "{version} does not score: of what it looks at these came with no signal and would have been filled in: {}; look \
         at the feed (carry.max_filled_share, carry.required)",
        missing.join(" ")
    );
    EventKind::Alert { level: Level::Warning, code: STALE.into(), message }
}

fn back(version: &VersionId) -> EventKind {
    let message = format!("{version} scores again: its inputs came with the last {BACK} signals");
    EventKind::Alert { level: Level::Info, code: MEASURED.into(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Decision, Opinion, Probability, Reason, TradeId};

    fn answer(stale: bool) -> Scored {
        let version: VersionId = "ES/3".parse().unwrap();
        let decision = Decision::baseline(TradeId::new("T").unwrap(), None, None, Reason::Shadow);
        let score = (!stale).then_some(Probability::NEUTRAL);
        let opinions = vec![Opinion { version: version.clone(), split: None, score, size: 1.0 }];
        let mut scored = Scored::of(decision, opinions);
        if stale {
            scored.stale.push((version, vec!["recent_momentum".into()]));
        }
        scored
    }

    /// The codes told of so many answers; what was told is kept.
    fn told(watch: &mut StaleWatch, stale: bool, times: u32, log: &mut Vec<EventKind>) -> Vec<String> {
        let before = log.len();
        for _ in 0..times {
            watch.take(&answer(stale), |event| {
                log.push(event);
                true
            });
        }
        let code = |event: &EventKind| match event {
            EventKind::Alert { code, .. } => code.to_string(),
            other => panic!("{other:?}"),
        };
        log[before..].iter().map(code).collect()
    }

    fn of(log: &[EventKind]) -> StaleWatch {
        let mut watch = StaleWatch::default();
        log.iter().for_each(|event| watch.follow(event));
        watch
    }

    #[test]
    fn a_feed_that_is_lost_is_told_once_also_over_a_restart_and_once_when_it_is_back() {
        let (mut watch, mut log) = (StaleWatch::default(), Vec::new());
        assert!(told(&mut watch, false, 5, &mut log).is_empty());
        assert_eq!(told(&mut watch, true, 300, &mut log), [STALE]);
        assert!(told(&mut watch, false, BACK - 1, &mut log).is_empty());
        assert!(told(&mut watch, true, 1, &mut log).is_empty());
        watch = of(&log);
        assert!(told(&mut watch, true, 300, &mut log).is_empty());
        assert_eq!(told(&mut watch, false, 100, &mut log), [MEASURED]);
        watch = of(&log);
        assert_eq!(told(&mut watch, true, 2, &mut log), [STALE]);
        let EventKind::Alert { message, .. } = &log[0] else { panic!() };
        assert!(message.starts_with("ES/3 does not score") && message.contains("recent_momentum"), "{message}");
    }

    #[test]
    fn what_did_not_get_through_is_told_again() {
        let mut watch = StaleWatch::default();
        let mut asked = 0;
        for _ in 0..3 {
            watch.take(&answer(true), |_| {
                asked += 1;
                asked == 3
            });
        }
        watch.take(&answer(true), |_| panic!("told already"));
        assert_eq!(asked, 3);
    }
}
