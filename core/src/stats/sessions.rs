//! Taken trades summed up by session, as declines are looked for in them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{autocorrelation, bootstrap::block_length, describe::standard_deviation};

/// Fewest sessions with trades that say how far chance goes.
pub const FEWEST: usize = 30;
/// A pnl counts at most so many standard deviations either way, so that one trade decides nothing.
pub const CLIP: f64 = 3.0;

/// What the trades of one closed session add.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionTrades {
    /// How many there were.
    pub trades: f64,
    /// Those of them of which nobody knows whether they went as the score said: they count for the pnl alone. A validation has none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlabelled: f64,
    /// Those that went as the score said.
    pub hits: f64,
    /// Sum of their pnl in standard deviations of the validated pnl, each clipped at [`CLIP`].
    pub pnl: f64,
}

/// The trades of a validation that the policy takes, each scored by a model that had not learnt from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Share of the trades that made money; `None` when all did, or none.
    pub win_rate: Option<f64>,
    /// Standard deviation of the pnl of a trade, above 0, in account currency; `None` when it does not vary.
    pub pnl_sd: Option<f64>,
    /// Its sessions in the order of time.
    pub sessions: Vec<SessionTrades>,
}

/// Why a history does not say how far chance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLittle {
    /// It has trades in so many sessions only.
    Sessions(usize),
    /// Its sessions do not differ.
    Alike,
}

impl SessionTrades {
    /// Of one trade, whose pnl is in account currency; `sd` is the validated standard deviation, above 0.
    pub fn of(hit: bool, pnl: f64, sd: f64) -> Self {
        let pnl = if sd > 0.0 { (pnl / sd).clamp(-CLIP, CLIP) } else { 0.0 };
        Self { trades: 1.0, unlabelled: 0.0, hits: f64::from(u8::from(hit)), pnl }
    }

    /// Of one trade that may have no label.
    pub fn scored(hit: Option<bool>, pnl: f64, sd: f64) -> Self {
        let unlabelled = f64::from(u8::from(hit.is_none()));
        Self { unlabelled, ..Self::of(hit.unwrap_or(false), pnl, sd) }
    }

    /// How many have a label.
    pub fn labelled(&self) -> f64 {
        self.trades - self.unlabelled
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            trades: self.trades + other.trades,
            unlabelled: self.unlabelled + other.unlabelled,
            hits: self.hits + other.hits,
            pnl: self.pnl + other.pnl,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

impl History {
    /// Of trades in the order of time: the session of each, whether it went as the score said, and its pnl in account currency.
    pub fn of<Session: PartialEq>(trades: &[(Session, bool, f64)]) -> Self {
        let pnl: Vec<f64> = trades.iter().map(|(.., pnl)| *pnl).collect();
        let wins = pnl.iter().filter(|pnl| **pnl > 0.0).count();
        let pnl_sd = standard_deviation(&pnl).filter(|sd| *sd > 0.0);
        let session = |day: &[(Session, bool, f64)]| {
            let each = day.iter().map(|(_, hit, pnl)| SessionTrades::of(*hit, *pnl, pnl_sd.unwrap_or(0.0)));
            each.fold(SessionTrades::default(), SessionTrades::and)
        };
        Self {
            win_rate: (wins > 0 && wins < pnl.len()).then(|| wins as f64 / pnl.len() as f64),
            pnl_sd,
            sessions: trades.chunk_by(|a, b| a.0 == b.0).map(session).collect(),
        }
    }

    /// How many times as much the sums of its trades vary as those of independent trades would, at least 1: by what the trades of a
    /// session share, and by what sessions carry on. The larger of what the hits and the pnl show. `None` below 50 sessions, which
    /// do not show what is carried on, or when they do not vary.
    pub fn inflation(&self) -> Option<f64> {
        let all = self.trades();
        let size = all.trades / self.sessions.len() as f64;
        let of = |each: &dyn Fn(&SessionTrades) -> f64, variance: f64| {
            let series: Vec<f64> = self.sessions.iter().map(each).collect();
            let error = autocorrelation::inflation(&series)? * standard_deviation(&series)?;
            (size > 0.0 && variance > 0.0).then(|| error * error / (size * variance))
        };
        let (rate, mean) = (all.hits / all.trades, all.pnl / all.trades);
        let hits = of(&|day| day.hits - rate * day.trades, rate * (1.0 - rate));
        // the pnl is in its own standard deviations
        let pnl = of(&|day| day.pnl - mean * day.trades, 1.0);
        Some(hits?.max(pnl.unwrap_or(1.0)).max(1.0))
    }

    /// The standard error of its share of trades that made money. `None` where that share or [`inflation`](Self::inflation) is.
    pub fn win_rate_error(&self) -> Option<f64> {
        let rate = self.win_rate?;
        Some((rate * (1.0 - rate) * self.inflation()? / self.trades().trades).sqrt())
    }

    fn trades(&self) -> SessionTrades {
        self.sessions.iter().copied().fold(SessionTrades::default(), SessionTrades::and)
    }

    /// What it lacks for declines to be looked for, if it lacks anything.
    pub fn lacks(&self) -> Option<TooLittle> {
        let sessions: Vec<SessionTrades> = self.sessions.iter().copied().filter(|day| day.trades > 0.0).collect();
        if sessions.len() < FEWEST {
            return Some(TooLittle::Sessions(sessions.len()));
        }
        let all = self.trades();
        let rate = all.hits / all.trades;
        let hits: Vec<f64> = sessions.iter().map(|day| day.hits - rate * day.trades).collect();
        block_length(&hits).is_none().then_some(TooLittle::Alike)
    }
}

impl fmt::Display for TooLittle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("declines are not looked for: ")?;
        match self {
            Self::Sessions(0) => f.write_str("its record keeps no taken trades of its validation")?,
            Self::Sessions(n) => write!(f, "its validation took trades on {n} trading days, and {FEWEST} are needed")?,
            Self::Alike => {
                f.write_str("all trades of its validation went alike, which does not tell how far chance goes")?
            }
        }
        f.write_str("; the emergency rules watch it all the same")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trades_are_summed_by_session_and_a_history_says_what_it_lacks() {
        let trade = |n: usize| {
            (n / 3, n.is_multiple_of(3) || n.is_multiple_of(7), if n.is_multiple_of(2) { 100.0 } else { -100.0 })
        };
        let history = History::of(&(0..120).map(trade).collect::<Vec<_>>());
        assert_eq!((history.sessions.len(), history.win_rate), (40, Some(0.5)));
        assert_eq!(history.sessions[0].trades, 3.0);
        assert_eq!(history.lacks(), None);
        let sd = history.pnl_sd.unwrap();
        assert!((history.sessions[0].pnl - 100.0 / sd).abs() < 1e-12);
        let short = History { sessions: history.sessions[..29].to_vec(), ..history.clone() };
        assert_eq!(short.lacks(), Some(TooLittle::Sessions(29)));
        assert!(short.lacks().unwrap().to_string().contains("on 29 trading days, and 30 are needed"));
        let alike = History {
            sessions: vec![SessionTrades { trades: 5.0, hits: 3.0, ..SessionTrades::default() }; 60],
            ..history
        };
        assert_eq!(alike.lacks(), Some(TooLittle::Alike));
        assert_eq!(History::of::<u8>(&[]).lacks(), Some(TooLittle::Sessions(0)));
    }

    #[test]
    fn sums_vary_as_much_more_as_the_trades_of_a_session_share() {
        // of n trades a session that all go alike a sum varies n times as much as that of independent ones
        let mut state = 1_u64;
        let mut coin = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 63) == 1
        };
        let days: Vec<bool> = (0..4_000).map(|_| coin()).collect();
        let trades = |size: usize, alike: bool, coin: &mut dyn FnMut() -> bool| -> Vec<(usize, bool, f64)> {
            let won = |place: usize, coin: &mut dyn FnMut() -> bool| if alike { days[place / size] } else { coin() };
            (0..4_000 * size)
                .map(|place| (place / size, won(place, coin)))
                .map(|(day, won)| (day, won, if won { 1.0 } else { -1.0 }))
                .collect()
        };
        let inflation = |trades: &[(usize, bool, f64)]| History::of(trades).inflation().unwrap();
        assert!((inflation(&trades(5, true, &mut coin)) - 5.0).abs() < 0.5);
        assert!(inflation(&trades(5, false, &mut coin)) < 1.1);
        let history = History::of(&trades(5, true, &mut coin));
        assert!((history.win_rate_error().unwrap() - 0.5 / 4_000_f64.sqrt()).abs() < 1e-3);
        let short = History { sessions: history.sessions[..49].to_vec(), ..history };
        assert_eq!((short.inflation(), short.win_rate_error()), (None, None));
    }
}
