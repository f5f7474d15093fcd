//! Streams of trades drawn from the past, as they were or with something broken.

use std::ops::Range;

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
    /// What the version is asked.
    pub question: Question,
    /// The columns of the rows.
    names: Vec<Box<str>>,
    /// All of them, without their rows.
    all: Vec<PastTrade>,
    /// Their rows by columns, one a name: a row of its own for each would take twice the memory.
    columns: Vec<Vec<Option<f64>>>,
    /// The place of the first trade of each day.
    days: Vec<usize>,
    /// The places of those that were lost.
    lost: Vec<usize>,
}

/// As many days as a past has, drawn from it, or all of it.
#[derive(Debug, Clone)]
pub(super) struct Sample<'a> {
    pub(super) past: &'a Past,
    days: Vec<usize>,
}

/// What is broken in a model, or around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// The win rate is lower: some of the trades that won lose as others lost. The scores do not notice.
    Fading,
    /// The model knows nothing any more: scores are dealt out to the trades again.
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
    /// Trades in any order of their trading days; those of a day are in the order of time.
    pub fn new(names: Vec<Box<str>>, mut trades: Vec<PastTrade>) -> Self {
        trades.sort_by_key(|trade| trade.day);
        let mut past = Self::of(names);
        trades.into_iter().for_each(|trade| past.push(trade));
        past
    }

    /// No trades yet, whose rows have the columns `names`.
    pub fn of(names: Vec<Box<str>>) -> Self {
        Self { columns: vec![Vec::new(); names.len()], names, ..Self::default() }
    }

    /// Takes in the next trade in the order of time.
    pub fn push(&mut self, trade: PastTrade) {
        let PastTrade { row, .. } = &trade;
        for (place, column) in self.columns.iter_mut().enumerate() {
            column.push(row.get(place).copied().flatten());
        }
        let place = self.all.len();
        if self.all.last().is_none_or(|last| last.day != trade.day) {
            self.days.push(place);
        }
        if trade.pnl <= 0.0 {
            self.lost.push(place);
        }
        self.all.push(PastTrade { row: Vec::new(), ..trade });
    }

    /// The same of a version that is asked `question`.
    pub fn asked(self, question: Question) -> Self {
        Self { question, ..self }
    }

    /// The same without the columns that no more than the share `least` of the trades knows.
    #[must_use]
    pub fn known(mut self, least: f64) -> Self {
        let enough = least * self.all.len() as f64;
        let is_known = |column: &Vec<Option<f64>>| column.iter().flatten().count() as f64 > enough;
        let named = self.names.into_iter().zip(self.columns).filter(|(_, column)| is_known(column));
        (self.names, self.columns) = named.unzip();
        self
    }

    /// The columns of the rows.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// Trading days.
    pub fn days(&self) -> usize {
        self.days.len()
    }

    /// All trades, in the order of time, without their rows.
    pub(super) fn trades(&self) -> impl ExactSizeIterator<Item = &PastTrade> {
        self.all.iter()
    }

    /// Their rows by columns.
    pub(super) fn columns(&self) -> &[Vec<Option<f64>>] {
        &self.columns
    }

    /// All of it.
    pub(super) fn whole(&self) -> Sample<'_> {
        Sample { past: self, days: (0..self.days()).collect() }
    }

    /// The places of the trades of a day.
    fn day(&self, day: usize) -> Range<usize> {
        let next = self.days.get(day + 1).copied().unwrap_or(self.all.len());
        self.days.get(day).map_or(0..0, |first| *first..next)
    }

    /// A trade with its row.
    fn trade(&self, place: usize) -> Option<PastTrade> {
        let row = self.columns.iter().map(|column| column.get(place).copied().flatten()).collect();
        Some(PastTrade { row, ..self.all.get(place)?.clone() })
    }
}

impl<'a> Sample<'a> {
    fn places(&self) -> impl Iterator<Item = usize> {
        self.days.iter().flat_map(|day| self.past.day(*day))
    }

    /// Its trades, without their rows.
    pub(super) fn trades(&self) -> impl Iterator<Item = &'a PastTrade> {
        let past = self.past;
        self.places().filter_map(|place| past.all.get(place))
    }

    /// One column.
    pub(super) fn column(&self, name: usize) -> impl Iterator<Item = Option<f64>> {
        let column = self.past.columns.get(name);
        self.places().filter_map(move |place| column?.get(place).copied())
    }
}

impl<'a> Streams<'a> {
    pub(super) fn draw(self, seed: u64) -> Stream<'a> {
        Stream { streams: self, rng: Pcg64::seed_from_u64(seed), place: None }
    }

    /// A past as it might have been as well: as many days, drawn from it.
    pub(super) fn alike(self, seed: u64) -> Sample<'a> {
        let mut stream = self.draw(seed);
        Sample { past: self.past, days: (0..self.past.days()).filter_map(|_| stream.turn()).collect() }
    }
}

impl<'a> Stream<'a> {
    /// The next day.
    fn turn(&mut self) -> Option<usize> {
        let days = self.streams.past.days();
        (days > 0).then_some(())?;
        let ends = self.rng.random::<f64>() * self.streams.block_days < 1.0;
        let place = match self.place.filter(|_| !ends) {
            Some(before) => (before + 1) % days,
            None => self.rng.random_range(0..days as u64) as usize,
        };
        self.place = Some(place);
        Some(place)
    }

    /// The trades of the next day.
    pub(super) fn next_day(&mut self) -> Option<Vec<PastTrade>> {
        let (past, day) = (self.streams.past, self.turn()?);
        Some(past.day(day).filter_map(|place| past.trade(place)).collect())
    }

    /// The same, with something broken.
    pub(super) fn next_broken_day(&mut self, damage: Damage) -> Option<Vec<PastTrade>> {
        let mut trades = self.next_day()?;
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
                if let Some(other) = self.draw(past.all.len()).and_then(|place| past.all.get(place)) {
                    (trade.score, trade.size) = (other.score, other.size);
                }
            }
            Damage::Fading => {
                let rate = 1.0 - past.lost.len() as f64 / past.all.len() as f64;
                if trade.pnl > 0.0
                    && self.rng.random::<f64>() * rate < self.streams.fall
                    && let Some(lost) = self.draw(past.lost.len()).and_then(|place| past.lost.get(place))
                    && let Some(loss) = past.all.get(*lost)
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

    /// One of so many places.
    fn draw(&mut self, places: usize) -> Option<usize> {
        (places > 0).then(|| self.rng.random_range(0..places as u64) as usize)
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
