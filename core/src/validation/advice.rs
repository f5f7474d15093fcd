//! What would help a part that did not pass.

use super::{
    check::{Measured, Part},
    evidence::ValidationEvidence,
    figures::Figures,
    options::ValidationOptions,
    stability::counted,
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
pub(super) fn advice(check: &Measured, evidence: &ValidationEvidence, options: &ValidationOptions) -> Advice {
    let Some(value) = check.value else {
        let help = match check.part {
            Part::PrecisionLift => "the model predicts yes for no test trade, or there are too few trading days",
            Part::Gain | Part::Money if evidence.policy.is_some_and(|policy| policy.taken == 0) => {
                "its policy takes no trade of the test part: lower scoring.trade_threshold or raise scoring.blend_weight"
            }
            _ => "it could not be found out; see the notes",
        };
        return Advice { help: help.to_owned(), more_trades: None };
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
        Part::Gain => gained(evidence, options, trades),
        Part::PrecisionLift | Part::AccuracyLift | Part::CorrelationLift => lifted(evidence, trades),
        _ => Advice { help: words(check, evidence, options), more_trades: None },
    }
}

fn words(check: &Measured, evidence: &ValidationEvidence, options: &ValidationOptions) -> String {
    let short = (check.value.unwrap_or_default() - check.limit.number()).abs();
    match check.part {
        Part::SingleInput => {
            let name = evidence.strongest_input.as_ref().map_or("an input", |(name, _)| name);
            format!("{name} alone tells too much: is it known when the signal fires?")
        }
        Part::Accuracy | Part::F1 | Part::Precision | Part::PnlCorrelation => {
            format!(
                "{short:.3} short of the goal: better inputs or another kind of model; more trades alone do not raise it"
            )
        }
        Part::LossSaved => no_loss_saved(check.value < Some(0.0), matches!(evidence.test, Figures::Real(_))).to_owned(),
        Part::SharpeGained => "taking every trade earned more for its risk: another threshold or no model".to_owned(),
        Part::LevelBelow => {
            let reached = evidence.baselines.as_ref().and_then(|standing| standing.own.zip(standing.best_below));
            format!("{short:.2} short: {}", reached.map_or("the simpler models are not defined", below_the_bar))
        }
        Part::Gap => {
            let worst = evidence.gaps().into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
            let name = worst.map_or("score", |(name, _)| name);
            format!("its {name} is that much better where it learnt: more regularisation, fewer columns or more trades")
        }
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
        Part::TestTrades | Part::CvDeviation | Part::BootstrapDeviation | Part::PValue => "more trades".to_owned(),
        Part::PrecisionLift | Part::AccuracyLift | Part::CorrelationLift => "more trades".to_owned(),
        Part::Money => money(evidence),
        Part::Gain | Part::DeflatedSharpe => "more trades".to_owned(),
    }
}

/// `worse` than a guess, or as good as one; `amounts` are no probabilities, and their guess is the mean.
fn no_loss_saved(worse: bool, amounts: bool) -> &'static str {
    match (worse, amounts) {
        (true, false) => "its probabilities are worse than a guess: calibrate, regularise or leave it",
        (false, false) => "its probabilities are no better than a guess",
        (true, true) => "its amounts are farther off than their mean would be: regularise or leave it",
        (false, true) => "its amounts are no nearer than their mean would be",
    }
}

/// What is true of a model that reached `own` where the best simpler one reached `below`, and less than was asked for.
fn below_the_bar((own, below): (f64, f64)) -> &'static str {
    match (own > below, own.max(below) > 0.0) {
        (true, true) => "better than a simpler model, but by less than was asked for",
        (true, false) => "better than a simpler model, and it gains nothing all the same",
        (false, true) => "a simpler model does as well, keep the simpler one",
        (false, false) => "a simpler model does as well, and neither gains anything",
    }
}

/// How many trades until the observed lead over shifted labels is significant, if it is real.
fn significance(evidence: &ValidationEvidence, trades: f64) -> Advice {
    let z = evidence.skill.zip(evidence.null.as_ref()).map(|(skill, null)| (skill - null.mean) / null.deviation);
    match z.filter(|z| *z > 0.0 && z.is_finite()) {
        Some(z) => counting(trades * ((ONE_SIDED / z).powi(2) - 1.0), "if what it shows is real".to_owned()),
        None => Advice {
            help: "it does no better than on labels shifted in a circle: more trades alone do not help".to_owned(),
            more_trades: None,
        },
    }
}

/// What following the model made less, or hardly more.
fn money(evidence: &ValidationEvidence) -> String {
    match evidence.money.map(|money| money.per_signal) {
        Some(less) if less < 0.0 => format!("taking every trade made {:.2} more per signal on the test part", -less),
        _ => "it made hardly more than taking every trade: more trades, or a bolder policy".to_owned(),
    }
}

/// How many trades until the gain over every trade suffices, if it is real: its standard errors grow with the square root
/// of the trades.
fn gained(evidence: &ValidationEvidence, options: &ValidationOptions, trades: f64) -> Advice {
    let Some(gain) = evidence.gain.filter(|gain| gain.difference > 0.0) else {
        return Advice {
            help: "taking every trade earned more for its risk on the test part".to_owned(),
            more_trades: None,
        };
    };
    let needed = options.gates.min_gain_probability.powf(1.0 / gain.looks);
    let z = normal::quantile(needed).map(|z| z * gain.error / gain.difference);
    match z.filter(|z| z.is_finite()) {
        // as many as it takes for few blocks, whose t is wider than the normal
        Some(z) => counting(
            trades * (z.powi(2) - 1.0).max(0.05),
            format!("at this gain of {:.2} and {:.1} looks at these trades", gain.difference, gain.looks),
        ),
        None => Advice { help: "no number of trades gives that probability".to_owned(), more_trades: None },
    }
}

/// How many trades until the lift is surely above 0, if it is real.
fn lifted(evidence: &ValidationEvidence, trades: f64) -> Advice {
    match evidence.lift.filter(|lift| lift.value > 0.0) {
        Some(lift) => counting(
            trades * ((ONE_SIDED * lift.error / lift.value).powi(2) - 1.0).max(0.05),
            format!("if its lift of {:.3} is real", lift.value),
        ),
        None => {
            Advice { help: "it does no better than a guess that knows the base rate".to_owned(), more_trades: None }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simpler_model_does_as_well_only_where_it_does_and_is_kept_only_where_it_gains() {
        for (own, below, says) in [
            (1.0, 1.2, "a simpler model does as well, keep the simpler one"),
            (1.0, 1.0, "a simpler model does as well, keep the simpler one"),
            (1.2, 1.19, "better than a simpler model, but by less than was asked for"),
            (-1.0, -2.0, "better than a simpler model, and it gains nothing all the same"),
            // the simpler one took no trade
            (-1.0, 0.0, "a simpler model does as well, and neither gains anything"),
            (0.0, 0.0, "a simpler model does as well, and neither gains anything"),
        ] {
            assert_eq!(below_the_bar((own, below)), says, "{own} {below}");
        }
    }

    #[test]
    fn only_what_is_worse_than_a_guess_is_told_so_and_amounts_are_no_probabilities() {
        for (worse, amounts) in [(true, false), (false, false), (true, true), (false, true)] {
            let said = no_loss_saved(worse, amounts);
            assert_eq!(said.contains("worse than") || said.contains("farther off"), worse, "{said}");
            assert_eq!(said.contains("probabilities"), !amounts, "{said}");
        }
    }
}
