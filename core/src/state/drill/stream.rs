//! Streams of trades drawn from the past, as they were or with something broken.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::{
    domain::TradingDay,
    guard::emergency::Reported,
    models::{Facts, Question},
};

/// A closed trade that a version scored.
#[derive(Debug, Clone, PartialEq)]
pub struct PastTrade {
    /// The trading day of its signal.
    pub day: TradingDay,
    /// What the version said, 0 to 1.
    pub score: f64,
    /// The multiple of the strategy's size at which the version's policy takes such a trade; 0 where it does not.
    pub size: f64,
    /// After costs.
    pub pnl: f64,
    /// The daily limit that its signal carried.
    pub daily_loss_limit: Option<f64>,
    /// What its label is made of besides the pnl.
    pub facts: Facts,
    /// What else was reported of it.
    pub reported: Reported,
    /// What the version looked at, as many columns as there are names.
    pub row: Vec<Option<f64>>,
}

/// What is drawn from: trades by trading day, in the order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// The columns of the rows.
    pub names: Vec<Box<str>>,
    /// What the version is asked.
    pub question: Question,
    days: Vec<Vec<PastTrade>>,
    /// All of them, and those that were lost.
    all: Vec<PastTrade>,
    lost: Vec<PastTrade>,
}

/// What is broken in a model, or around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// The win rate is lower: some of the trades that won lose as others lost. The scores do not notice.
    Fading,
    /// The model knows nothing any more: scores are dealt out to the trades anew.
    Ignorant,
    /// Everything goes otherwise than it did: what was won is lost.
    Reversed,
    /// Every input has moved.
    Shifted,
}

/// How trades are drawn and broken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Streams<'a> {
    pub(super) past: &'a Past,
    /// Mean length of a block, in trading days.
    pub(super) block_days: f64,
    /// By how much the win rate falls, as a share.
    pub(super) fall: f64,
    /// By how many of its standard deviations each input moves.
    pub(super) shift: &'a [f64],
}

/// One stream, without end.
pub(super) struct Stream<'a> {
    streams: Streams<'a>,
    rng: Pcg64,
    place: Option<usize>,
}

impl PastTrade {
    /// Whether the version's policy takes such a trade.
    pub fn taken(&self) -> bool {
        self.size > 0.0
    }

    /// What its label is made of. One that lost reached no target.
    pub fn facts(&self) -> Facts {
        let reached_target = self.facts.reached_target && self.pnl > 0.0;
        Facts { pnl: Some(self.pnl), reached_target, ..self.facts }
    }
}

impl Past {
    /// Trades in the order of time, by their trading days.
    pub fn new(names: Vec<Box<str>>, mut trades: Vec<PastTrade>) -> Self {
        trades.sort_by_key(|trade| trade.day);
        let days = trades.chunk_by(|a, b| a.day == b.day).map(<[PastTrade]>::to_vec).collect();
        let lost = trades.iter().filter(|trade| trade.pnl <= 0.0).cloned().collect();
        Self { names, question: Question::default(), days, lost, all: trades }
    }

    /// The same of a version that is asked `question`.
    pub fn asked(self, question: Question) -> Self {
        Self { question, ..self }
    }

    /// All trades, in the order of time.
    pub fn trades(&self) -> impl Iterator<Item = &PastTrade> {
        self.all.iter()
    }

    /// Trading days.
    pub fn days(&self) -> usize {
        self.days.len()
    }

    /// One column, in the order of time.
    pub fn column(&self, place: usize) -> Vec<Option<f64>> {
        self.trades().map(|trade| trade.row.get(place).copied().flatten()).collect()
    }
}

impl<'a> Streams<'a> {
    pub(super) fn draw(self, seed: u64) -> Stream<'a> {
        Stream { streams: self, rng: Pcg64::seed_from_u64(seed), place: None }
    }

    /// A past as it might have been as well: as many days, drawn from it.
    pub(super) fn alike(self, seed: u64) -> Past {
        let mut stream = self.draw(seed);
        let days: Vec<_> = (0..self.past.days.len()).filter_map(|_| Some(stream.next_day()?.to_vec())).collect();
        let all = days.concat();
        Past { names: self.past.names.clone(), question: self.past.question, days, lost: Vec::new(), all }
    }
}

impl<'a> Stream<'a> {
    /// The trades of the next day.
    pub(super) fn next_day(&mut self) -> Option<&'a [PastTrade]> {
        let days = &self.streams.past.days;
        (!days.is_empty()).then_some(())?;
        let ends = self.rng.random::<f64>() * self.streams.block_days < 1.0;
        let place = match self.place.filter(|_| !ends) {
            Some(before) => (before + 1) % days.len(),
            None => self.rng.random_range(0..days.len() as u64) as usize,
        };
        self.place = Some(place);
        days.get(place).map(Vec::as_slice)
    }

    /// The same, with something broken.
    pub(super) fn next_broken_day(&mut self, damage: Damage) -> Option<Vec<PastTrade>> {
        let mut trades = self.next_day()?.to_vec();
        for trade in &mut trades {
            self.damage(damage, trade);
        }
        Some(trades)
    }

    fn damage(&mut self, damage: Damage, trade: &mut PastTrade) {
        let past = self.streams.past;
        match damage {
            Damage::Reversed => trade.pnl = -trade.pnl,
            Damage::Ignorant => {
                if let Some(other) = self.draw(&past.all) {
                    (trade.score, trade.size) = (other.score, other.size);
                }
            }
            Damage::Fading => {
                let rate = 1.0 - past.lost.len() as f64 / past.all.len() as f64;
                if trade.pnl > 0.0
                    && self.rng.random::<f64>() * rate < self.streams.fall
                    && let Some(loss) = self.draw(&past.lost)
                {
                    trade.pnl = loss.pnl;
                }
            }
            Damage::Shifted => {
                let moved = trade.row.iter_mut().zip(self.streams.shift);
                moved.for_each(|(value, by)| *value = value.map(|value| value + by));
            }
        }
    }

    fn draw<'b>(&mut self, from: &'b [PastTrade]) -> Option<&'b PastTrade> {
        let place = (!from.is_empty()).then(|| self.rng.random_range(0..from.len() as u64) as usize)?;
        from.get(place)
    }
}

impl Damage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fading, Self::Ignorant, Self::Reversed, Self::Shifted];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fading => "fading",
            Self::Ignorant => "ignorant",
            Self::Reversed => "reversed",
            Self::Shifted => "shifted",
        }
    }
}
