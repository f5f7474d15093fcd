//! The rules tried on what is known: how often each speaks of a healthy model, and how late of a broken one.
//!
//! Streams of trades are drawn from the past in blocks of whole trading days, so that what goes together within a day, and
//! from one to the next, stays together. A stream as it is stands for a healthy model; in a broken one something has
//! changed from a known trade on. The rules are the real ones, and are told of each trade as they would be.
//!
//! What a version is validated against is drawn again for each stream: what a validation does not know for sure is part of
//! what its rules do. Pure and seeded.

mod runner;
mod stream;

use std::collections::BTreeMap;

use serde::Serialize;

pub use stream::{Damage, Past, PastTrade};

use self::{
    runner::{OF_MONITOR, Runner, TriedRule, subject},
    stream::Streams,
};
use crate::{
    guard::{
        emergency::{EmergencyOptions, EmergencyRule},
        monitor::Usual,
        watch::{WatchOptions, WatchedVersion},
    },
    stats::{
        budget::Thresholds,
        describe::{mean, quantile, standard_deviation},
    },
};

/// Trading days of a quarter.
const QUARTER_SESSIONS: f64 = 63.0;
/// Rules that look at the inputs and not at outcomes.
const OF_INPUTS: [&str; 2] = ["drift", "novelty"];

/// How rules are tried.
#[derive(Debug, Clone)]
pub struct DrillOptions {
    /// The emergency rules.
    pub rules: &'static [&'static EmergencyRule],
    /// Their thresholds.
    pub emergency: EmergencyOptions,
    /// The monitor's.
    pub watch: WatchOptions,
    /// Streams of each sort, at least 1.
    pub runs: usize,
    /// Trades of a stream of a healthy model, and trades after which one that is broken counts as not found.
    pub trades: usize,
    /// Mean length of the blocks of trading days that streams are made of, at least 1.
    pub block_days: f64,
    /// By how much the win rate of a fading model falls, above 0 to below 1.
    pub fall: f64,
    /// By how many of its standard deviations each input moves.
    pub shift: f64,
    /// Seed of all draws.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrillReport {
    /// Trades that were drawn from.
    pub trades: usize,
    /// Of these, those that the policy takes.
    pub taken: usize,
    /// Their trading days.
    pub days: usize,
    /// What the model is taken to have been validated with: accuracy, precision and expectancy of the trades taken.
    pub validated: Option<crate::guard::health::Validated>,
    /// What is usual for them.
    pub usual: Usual,
    /// Inputs whose limits could be found out.
    pub inputs: usize,
    /// Rule by rule.
    pub rules: Vec<RuleReport>,
}

/// What one rule does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleReport {
    /// Its name: as in trips and alerts.
    pub rule: Box<str>,
    /// How often it speaks of a healthy model, in 1,000 trades.
    pub false_alarms: f64,
    /// Standard error of that; `None` for a single stream.
    pub error: Option<f64>,
    /// The same in a quarter of the pace of the past.
    pub per_quarter: f64,
    /// How late it speaks of a broken one. What does not concern it is not there.
    pub delays: BTreeMap<Damage, Delay>,
}

/// How late a rule speaks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Delay {
    /// Share of the streams in which it spoke at all.
    pub found: f64,
    /// Trades after the damage by which it had spoken in half of the streams; `None` when it never had.
    pub median: Option<f64>,
    /// The same in nine of ten.
    pub nine_of_ten: Option<f64>,
}

/// Tries every rule on streams drawn from `past`. `progress` is told the share that is done. `None` without a trade that
/// is taken.
pub fn drill(past: &Past, options: &DrillOptions, mut progress: impl FnMut(f64)) -> Option<DrillReport> {
    let taken = past.trades().filter(|trade| trade.taken()).count();
    (taken > 0 && options.runs > 0).then_some(())?;
    let (limits, score_limit) = limits(past, options);
    let shift: Vec<f64> = past.columns().iter().map(|column| options.shift * deviation(column)).collect();
    let streams = Streams { past, block_days: options.block_days, fall: options.fall, shift: &shift };
    let tried = TriedRule::all(options);
    let rules: Vec<&str> = tried.iter().map(|rule| &*rule.name).chain(OF_MONITOR).collect();
    let (mut healthy, mut late): (Vec<Counts<'_>>, BTreeMap<Damage, Vec<Counts<'_>>>) = (Vec::new(), BTreeMap::new());
    let sorts = 1 + Damage::ALL.len();
    for run in 0..options.runs {
        let seed = options.seed.wrapping_add((run as u64) << 8);
        let trial = DrillRun { options, tried: &tried, rules: &rules, streams, limits: &limits, score_limit, seed };
        healthy.push(trial.healthy());
        for (done, damage) in Damage::ALL.into_iter().enumerate() {
            late.entry(damage).or_default().push(trial.broken(damage));
            progress((run * sorts + done + 2) as f64 / (options.runs * sorts) as f64);
        }
    }
    let itself = subject(&past.whole(), &limits, score_limit, &options.watch.health.decline);
    let pace = taken as f64 / past.days() as f64 * QUARTER_SESSIONS / 1000.0;
    let reports = rules.iter().map(|rule| rule_report(rule, options, &healthy, &late, pace)).collect();
    Some(DrillReport {
        trades: past.trades().len(),
        taken,
        days: past.days(),
        validated: itself.validated,
        usual: itself.usual,
        inputs: limits.len(),
        rules: reports,
    })
}

/// By rule: how often it spoke of a healthy model, or after how many trades of a broken one.
type Counts<'a> = BTreeMap<&'a str, usize>;

/// One stream of each sort.
struct DrillRun<'a> {
    options: &'a DrillOptions,
    tried: &'a [TriedRule],
    /// The names of all rules.
    rules: &'a [&'a str],
    streams: Streams<'a>,
    limits: &'a [Thresholds],
    score_limit: Option<Thresholds>,
    seed: u64,
}

impl<'a> DrillRun<'a> {
    fn runner(&self) -> Runner<'a> {
        let alike = self.streams.alike(self.seed);
        let subject = subject(&alike, self.limits, self.score_limit, &self.options.watch.health.decline);
        Runner::new(self.options, self.tried, subject)
    }

    /// How often each rule speaks in so many trades, those before the windows are full not counted.
    fn healthy(&self) -> Counts<'a> {
        let (mut runner, mut stream) = (self.runner(), self.streams.draw(self.seed + 1));
        runner.warm_up(&mut stream);
        let mut spoken = Counts::new();
        let until = runner.taken() + self.options.trades;
        while runner.taken() < until {
            let Some(day) = stream.next_day() else { break };
            for rule in runner.day(&day) {
                *spoken.entry(rule).or_insert(0) += 1;
            }
        }
        spoken
    }

    /// After how many trades each rule speaks first. One whose alarm holds from before says nothing new, and is taken to
    /// have spoken at once.
    fn broken(&self, damage: Damage) -> Counts<'a> {
        let (mut runner, mut stream) = (self.runner(), self.streams.draw(self.seed + 2 + damage as u64));
        runner.warm_up(&mut stream);
        let mut first: Counts<'a> = runner.holding().map(|rule| (rule, 0)).collect();
        let begun = runner.taken();
        let wanted = self.rules.iter().filter(|rule| concerns(damage, rule)).count();
        while runner.taken() < begun + self.options.trades {
            let Some(day) = stream.next_broken_day(damage) else { break };
            let spoken = runner.day(&day);
            let after = runner.taken() - begun;
            for rule in spoken {
                first.entry(rule).or_insert(after);
            }
            if first.keys().filter(|rule| concerns(damage, rule)).count() == wanted {
                break;
            }
        }
        first
    }
}

/// Whether what is broken can be seen by a rule.
fn concerns(damage: Damage, rule: &str) -> bool {
    (damage == Damage::Shifted) == OF_INPUTS.contains(&rule)
}

/// How far each input may move, and the scores, from the whole past.
fn limits(past: &Past, options: &DrillOptions) -> (Vec<Thresholds>, Option<Thresholds>) {
    let days = past.days() as f64 * 365.25 / 4.0 / QUARTER_SESSIONS;
    let WatchOptions { monitor, health, budget, .. } = &options.watch;
    let scores: Vec<f64> = past.trades().map(|trade| trade.score).collect();
    (
        WatchedVersion::thresholds(past.columns(), days, monitor, budget),
        WatchedVersion::score_limit(&scores, days, monitor, budget, health.act_level),
    )
}

fn deviation(column: &[Option<f64>]) -> f64 {
    let known: Vec<f64> = column.iter().flatten().copied().collect();
    standard_deviation(&known).unwrap_or(0.0)
}

fn rule_report(
    rule: &str,
    options: &DrillOptions,
    healthy: &[Counts<'_>],
    late: &BTreeMap<Damage, Vec<Counts<'_>>>,
    thousands_a_quarter: f64,
) -> RuleReport {
    let thousands = options.trades as f64 / 1000.0;
    let spoken: Vec<f64> =
        healthy.iter().map(|counts| counts.get(rule).copied().unwrap_or(0) as f64 / thousands).collect();
    let false_alarms = mean(&spoken).unwrap_or(0.0);
    let delay = |runs: &Vec<Counts<'_>>| {
        // one that never spoke is later than all that did
        let never = f64::MAX;
        let after: Vec<f64> = runs.iter().map(|counts| counts.get(rule).map_or(never, |after| *after as f64)).collect();
        let found = after.iter().filter(|after| **after < never).count() as f64 / after.len() as f64;
        let at = |share: f64| quantile(&after, share).filter(|after| *after <= options.trades as f64 * 2.0);
        Delay { found, median: at(0.5), nine_of_ten: at(0.9) }
    };
    let own = late.iter().filter(|(damage, _)| concerns(**damage, rule));
    RuleReport {
        rule: rule.into(),
        false_alarms,
        error: standard_deviation(&spoken).map(|sd| sd / (spoken.len() as f64).sqrt()),
        per_quarter: false_alarms * thousands_a_quarter,
        delays: own.map(|(damage, runs)| (*damage, delay(runs))).collect(),
    }
}
