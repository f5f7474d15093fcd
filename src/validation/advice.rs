//! What would help a part that did not pass.

use super::{
    check::{Check, Part, counted},
    options::Options,
    report::Evidence,
};
use crate::stats::normal;

/// Words, and a number of closed trades where one can be given.
pub(super) struct Advice {
    pub help: String,
    pub more_trades: Option<usize>,
}

/// Beyond this many trades the effect is too small for more of them to be the answer.
const MOST: f64 = 100_000.0;
/// One-sided 5 % of the normal distribution.
const ONE_SIDED: f64 = 1.644_853_626_951_472_7;

/// For a part that failed or could not be found out.
pub(super) fn advice(check: &Check, evidence: &Evidence, options: &Options) -> Advice {
    let Some(value) = check.value else {
        return Advice { help: "it could not be found out; see the notes".to_owned(), more_trades: None };
    };
    let trades = evidence.parts.trades as f64;
    let limit = check.limit.number();
    match check.part {
        Part::TestTrades => counting((limit - value) / options.splits.test_share, "for a verdict".to_owned()),
        // spreads of an estimate shrink with the square root of what it rests on
        Part::CvDeviation | Part::BootstrapDeviation => {
            counting(trades * ((value / limit).powi(2) - 1.0), "if the spread is chance".to_owned())
        }
        Part::PValue => significance(evidence, trades),
        Part::DeflatedSharpe => track_record(evidence, options),
        _ => Advice { help: words(check, evidence, options), more_trades: None },
    }
}

fn words(check: &Check, evidence: &Evidence, options: &Options) -> String {
    let short = (check.value.unwrap_or_default() - check.limit.number()).abs();
    match check.part {
        Part::SingleInput => {
            let name = evidence.strongest_input.as_ref().map_or("an input", |(name, _)| name);
            format!("{name} alone tells too much: is it known when the signal fires?")
        }
        Part::Accuracy | Part::F1 | Part::Precision | Part::PnlCorrelation => {
            format!("{short:.3} short: better inputs or another kind of model; more trades alone do not raise it")
        }
        Part::LossSaved => "its probabilities are worse than a guess: calibrate, regularise or leave it".to_owned(),
        Part::SharpeGained => "taking every trade earned more for its risk: another threshold or no model".to_owned(),
        Part::LevelBelow => "a simpler model does as well: keep the simpler one".to_owned(),
        Part::Gap => "it learnt its trades by heart: more regularisation, fewer columns or more trades".to_owned(),
        Part::CurveStep => "a cliff beside the chosen strength: a finer grid or a stronger regularisation".to_owned(),
        Part::FeatureStability => "the folds disagree on what matters: fewer columns or more trades".to_owned(),
        Part::Overfitting => "what is best in one half is not in the other: try fewer configurations".to_owned(),
        Part::ImportanceStability => "no input clearly matters most: fewer columns or more test trades".to_owned(),
        Part::GoodMonths => "it works in too few months: look at what the bad ones have in common".to_owned(),
        Part::WorstRegime => {
            let groups = counted(&evidence.regimes, options.stability.min_regime_trades);
            let worst = groups.min_by(|a, b| a.1.total_cmp(&b.1)).map_or("a regime", |(group, _)| &group.name);
            format!("it misleads in {worst}: leave that regime to the strategy, or give the model the regime")
        }
        Part::GoodPaths => "other histories of the same trades favour taking every trade".to_owned(),
        Part::TestTrades | Part::CvDeviation | Part::BootstrapDeviation | Part::PValue | Part::DeflatedSharpe => {
            "more trades".to_owned()
        }
    }
}

/// How many trades until the observed lead over shuffled labels is significant, if it is real.
fn significance(evidence: &Evidence, trades: f64) -> Advice {
    let z = evidence.skill.zip(evidence.null.as_ref()).map(|(skill, null)| (skill - null.mean) / null.deviation);
    match z.filter(|z| *z > 0.0 && z.is_finite()) {
        Some(z) => counting(trades * ((ONE_SIDED / z).powi(2) - 1.0), "if what it shows is real".to_owned()),
        None => Advice {
            help: "it does no better than models of shuffled labels: more trades alone do not help".to_owned(),
            more_trades: None,
        },
    }
}

/// How many trades until the Sharpe ratio is significant, if it is real (the minimum track record length of Bailey and
/// Lopez de Prado 2012; the benchmark shrinks with the square root of the days).
fn track_record(evidence: &Evidence, options: &Options) -> Advice {
    let found = evidence.deflated.filter(|found| found.sharpe > 0.0);
    let needed = found.zip(normal::quantile(options.gates.min_deflated_sharpe)).map(|(found, z)| {
        let root = (found.days as f64 - 1.0).sqrt();
        let days = ((z * found.spread + found.benchmark * root) / found.sharpe).powi(2) + 1.0;
        (days / found.days as f64 - 1.0) * evidence.parts.trades as f64
    });
    match needed {
        Some(more) => counting(more, "at this Sharpe ratio and number of trials".to_owned()),
        None => Advice { help: "the policy lost money on the test part".to_owned(), more_trades: None },
    }
}

fn counting(more: f64, condition: String) -> Advice {
    let more = more.ceil().max(1.0);
    if more <= MOST {
        let help = format!("about {more:.0} more closed trades {condition}");
        return Advice { help, more_trades: Some(more as usize) };
    }
    Advice { help: "the effect is too small for more trades to be the answer".to_owned(), more_trades: None }
}
