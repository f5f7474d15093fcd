//! A report as a person reads it in a terminal.

use std::fmt;

use super::{
    check::{Area, Outcome, Part, ValidationCheck},
    evidence::ValidationEvidence,
    figures::{ClassFigures, Figures, PolicyFigures, RealFigures},
    lift::Measure,
    report::ValidationReport,
    stability::Earned,
    verdict::ValidationVerdict,
};
use crate::stats::describe::{mean, standard_deviation};

/// Inputs shown of the importances.
const INPUTS_SHOWN: usize = 5;

impl fmt::Display for ValidationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            ValidationVerdict::Deployable => "deployable",
            ValidationVerdict::NotDeployable => "not deployable",
            ValidationVerdict::Insufficient => "insufficient: too few test trades for a verdict",
        };
        writeln!(f, "{}: {verdict}", self.goal)?;
        let failed = self.failed_gates().count();
        writeln!(
            f,
            "overall {:.2}, must exceed {:.2}; hard gates not passed: {failed}",
            self.overall, self.min_overall
        )?;
        parts(f, &self.evidence)?;
        figures(f, &self.evidence)?;
        policies(f, &self.evidence)?;
        regimes(f, &self.evidence)?;
        resampled(f, &self.evidence)?;
        checks(f, &self.checks)?;
        self.evidence.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

fn parts(f: &mut fmt::Formatter<'_>, evidence: &ValidationEvidence) -> fmt::Result {
    let parts = &evidence.parts;
    writeln!(
        f,
        "{} trades: {} learnt from (strength {} chosen on the last {}), {} purged, {} to test on in {} days",
        parts.trades, parts.learnt, evidence.strength, parts.chosen_on, parts.purged, parts.test, parts.test_days
    )?;
    match (parts.test_from, parts.test_to) {
        (Some(from), Some(to)) => writeln!(f, "test part: {from:.0} to {to:.0}"),
        _ => Ok(()),
    }
}

fn figures(f: &mut fmt::Formatter<'_>, evidence: &ValidationEvidence) -> fmt::Result {
    let rows = [
        ("training", Some(&evidence.train)),
        ("test", Some(&evidence.test)),
        ("test, guess", Some(&evidence.majority)),
        ("test, primary alone", evidence.primary.as_ref()),
    ];
    let heads: &[&str] = match evidence.test {
        Figures::Class(_) => {
            &["rows", "accuracy", "balanced", "precision", "recall", "F1", "AUC", "Brier", "log loss", "calib."]
        }
        Figures::Real(_) => &["rows", "R2", "corr.", "pnl corr."],
    };
    write!(f, "\n{:<20}", "")?;
    heads.iter().try_for_each(|head| write!(f, " {head:>9}"))?;
    writeln!(f)?;
    for (name, figures) in rows {
        let Some(figures) = figures else { continue };
        write!(f, "{name:<20}")?;
        let (rows, cells) = cells(figures);
        write!(f, " {rows:>9}")?;
        cells.into_iter().try_for_each(|cell| write!(f, " {:>9}", number(cell, 4)))?;
        writeln!(f)?;
    }
    Ok(())
}

fn cells(figures: &Figures) -> (usize, Vec<Option<f64>>) {
    match *figures {
        Figures::Class(ClassFigures {
            rows,
            accuracy,
            balanced_accuracy,
            precision,
            recall,
            f1,
            auc,
            brier,
            log_loss,
            calibration_error,
            ..
        }) => {
            let always = [brier, log_loss, calibration_error].map(Some);
            let cells = [Some(accuracy), balanced_accuracy, precision, recall, f1, auc];
            (rows, cells.into_iter().chain(always).collect())
        }
        Figures::Real(RealFigures { rows, r_squared, correlation, pnl_correlation }) => {
            (rows, vec![r_squared, correlation, pnl_correlation])
        }
    }
}

fn policies(f: &mut fmt::Formatter<'_>, evidence: &ValidationEvidence) -> fmt::Result {
    writeln!(
        f,
        "\n{:<20} {:>9} {:>9} {:>11} {:>11} {:>11}",
        "test part", "taken", "Sharpe", "pnl a trade", "drawdown", "total"
    )?;
    for (name, policy) in [("with the model", evidence.policy), ("every trade", evidence.every_trade)] {
        let Some(PolicyFigures { taken, total, expectancy, sharpe, max_drawdown, .. }) = policy else { continue };
        writeln!(
            f,
            "{name:<20} {taken:>9} {:>9} {:>11} {:>11} {total:>11.2}",
            number(sharpe, 2),
            number(expectancy, 2),
            number(max_drawdown, 2)
        )?;
    }
    Ok(())
}

fn resampled(f: &mut fmt::Formatter<'_>, evidence: &ValidationEvidence) -> fmt::Result {
    writeln!(f)?;
    let paths = format!("{} (every trade {})", spread(&evidence.paths, 2), number(evidence.paths_every_trade, 2));
    let lines = [
        ("cross-validation", spread(&evidence.folds, 4)),
        ("walk-forward, expanding", spread(&evidence.expanding, 4)),
        ("walk-forward, rolling", spread(&evidence.rolling, 4)),
        ("Sharpe ratio of paths", paths),
    ];
    for (name, text) in lines {
        writeln!(f, "{name:<25} {text}")?;
    }
    if let Some(null) = &evidence.null {
        let (skill, mean, sd) = (number(evidence.skill, 4), null.mean, null.deviation);
        writeln!(f, "{:<25} {skill} against {mean:.4} +- {sd:.4} of shifted labels", "skill on the test part")?;
    }
    if let Some(bootstrap) = &evidence.bootstrap {
        let (low, high) = bootstrap.range;
        let refits = bootstrap.refits;
        writeln!(f, "{:<25} {low:.4} to {high:.4} in nine of ten of {refits} refits", "skill over bootstraps")?;
    }
    if let Some(lift) = &evidence.lift {
        let of = match lift.measure {
            Measure::Precision => "precision over base rate",
            Measure::Accuracy => "accuracy over a guess",
            Measure::Correlation => "correlation with the pnl",
        };
        let (value, lower, point) = (lift.value, lift.lower, evidence.point);
        writeln!(f, "{of:<25} {value:.4}, at least {lower:.4} with 95 %; yes from a score of {point:.3} on")?;
    }
    if let Some(gain) = &evidence.gain {
        let (difference, error, days, probability) = (gain.difference, gain.error, gain.days, gain.probability);
        writeln!(
            f,
            "{:<25} {difference:.2} +- {error:.2} over {days} days: above 0 with {probability:.4}, with {:.4} after {:.1} looks",
            "Sharpe ratio gained", gain.deflated, gain.looks
        )?;
    }
    if let Some(found) = &evidence.deflated {
        let (sharpe, days, trials, benchmark) = (found.sharpe, found.days, found.trials, found.benchmark);
        writeln!(
            f,
            "{:<25} {sharpe:.3} over {days} days; chance gives the best of {trials} trials {benchmark:.3}",
            "Sharpe ratio a day"
        )?;
    }
    if let Some(standing) = &evidence.baselines {
        let of = |below: &super::baselines::Below| format!("{} {}", below.level, number(below.figure, 4));
        let below: Vec<String> = standing.below.iter().map(of).collect();
        let (own, p) = (number(standing.own, 4), number(standing.beats_linear_p, 4));
        let below = below.join(", ");
        writeln!(f, "{:<25} {own} against {below}; p-value against linear {p}", "the levels below")?;
    }
    let input = |found: &super::stability::Importance| format!("{} {:.4}", found.input, found.loss);
    let inputs: Vec<String> = evidence.importance.iter().take(INPUTS_SHOWN).map(input).collect();
    writeln!(f, "{:<25} {}", "skill lost without", inputs.join(", "))
}

/// What each regime held, on the trades of the walk-forward.
fn regimes(f: &mut fmt::Formatter<'_>, evidence: &ValidationEvidence) -> fmt::Result {
    let told: Vec<_> = evidence.regimes.iter().filter(|group| group.every_trade.is_some()).collect();
    if told.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\n{:<20} {:>7} {:>8}  {:<28} with the model",
        "a signal, by regime", "trades", "skill", "every trade"
    )?;
    let earned = |earned: Option<Earned>| {
        let range =
            |Earned { mean, interval }: Earned| format!("{mean:.2} ({:.2} to {:.2})", interval.low, interval.high);
        earned.map_or("-".to_owned(), range)
    };
    told.into_iter().try_for_each(|group| {
        let (skill, every) = (number(group.skill, 4), earned(group.every_trade));
        writeln!(f, "{:<20} {:>7} {skill:>8}  {every:<28} {}", group.name, group.trades, earned(group.policy))
    })
}

fn checks(f: &mut fmt::Formatter<'_>, checks: &[ValidationCheck]) -> fmt::Result {
    for (area, title) in [
        (Area::Data, "data"),
        (Area::Performance, "performance"),
        (Area::Overfitting, "overfitting"),
        (Area::Stability, "stability"),
    ] {
        writeln!(f, "\n{title:<31} {:>9}  {:<9} {:<10} credit", "value", "limit", "")?;
        for check in checks.iter().filter(|check| check.area == area) {
            let outcome = match (check.outcome, check.hard) {
                (Outcome::Pass, _) => "pass",
                (Outcome::Fail, true) => "FAIL",
                (Outcome::Undefined, true) => "UNDEFINED",
                (Outcome::Fail, false) => "fail",
                (Outcome::Undefined, false) => "undefined",
            };
            let digits = if check.part == Part::TestTrades { 0 } else { 4 };
            let (value, credit) = (number(check.value, digits), check.credit);
            writeln!(f, "  {:<29} {value:>9}  {:<9} {outcome:<10} {credit:.2}", check.part, check.limit)?;
            if let Some(help) = &check.help {
                writeln!(f, "      {help}")?;
            }
        }
    }
    Ok(())
}

fn spread(values: &[f64], digits: usize) -> String {
    let (mean, deviation) = (number(mean(values), digits), number(standard_deviation(values), digits));
    format!("{mean} +- {deviation} over {}", values.len())
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
