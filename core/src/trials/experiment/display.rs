//! The report as text.

use std::fmt::{self, Display, Formatter};

use super::{
    decide::Ruling,
    impact::{Comparing, Group, Impact},
    metric::{Horizon, Measure, Metric},
    report::{PowerLine, TestReport, ViewReport},
};

impl Display for TestReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { sessions, planned_sessions, trades, open_trades, late, days, .. } = self;
        let of = if self.is_measured_only { String::new() } else { format!(" of {planned_sessions}") };
        writeln!(f, "{sessions}{of} sessions closed, {trades} trades, {days:.1} days")?;
        writeln!(f, "{open_trades} trades in open sessions, {late} came too late to count")?;
        if self.left_out + self.given_up > 0 {
            let Self { left_out, given_up, .. } = self;
            writeln!(
                f,
                "experiment.max_trades: {left_out} signals left out, {given_up} trades of old sessions given up"
            )?;
        }
        if late > trades {
            writeln!(
                f,
                "most came after their session was over: an old tape is to be played to a `vigie run --clock event`"
            )?;
        }
        if let Some(test) = self.sample_ratio {
            let (found, expected) = (self.in_ml, self.expected_in_ml);
            writeln!(
                f,
                "sample ratio: {found} in the ML arm, {expected:.1} expected, {} over all looks",
                p_value(Some(test.p))
            )?;
        }
        if let Some(effect) = self.design_effect {
            writeln!(f, "trades of a session: correlation {:.3}, design effect {:.2}", effect.icc, effect.effect)?;
        }
        for view in &self.views {
            writeln!(f)?;
            let decides = view.view == self.evidence && !self.is_measured_only;
            let decides = if decides { ", which decides" } else { "" };
            writeln!(f, "{} view{decides}", view.view.name())?;
            self.write_view(f, view)?;
        }
        write!(f, "\n{}", self.ruling)
    }
}

impl TestReport {
    fn write_view(&self, f: &mut Formatter<'_>, view: &ViewReport) -> fmt::Result {
        let ([ml, baseline], [ml_taken, baseline_taken]) = (view.signals, view.taken);
        writeln!(f, "  signals: ML {ml} ({ml_taken} traded), baseline {baseline} ({baseline_taken} traded)")?;
        head(f, ["ML", "baseline"], self.confidence)?;
        for metric in &view.metrics {
            writeln!(f, "  {metric}")?;
        }
        for line in &view.power {
            self.write_power(f, line)?;
        }
        Ok(())
    }

    fn write_power(&self, f: &mut Formatter<'_>, line: &PowerLine) -> fmt::Result {
        let PowerLine { power_at_end, trades_needed, trades_missing, weeks_missing, detectable_pnl, .. } = line;
        let how = if line.sequential { "looked at every session" } else { "looked at once" };
        let (gain, power) = (100.0 * self.min_win_rate_gain, 100.0 * self.power);
        writeln!(f, "  {how}: finds +{gain:.1} points by the planned end with {:.0} %;", 100.0 * power_at_end)?;
        write!(
            f,
            "    {power:.0} % takes {trades_needed:.0} trades, {trades_missing:.0} more, {weeks_missing:.1} weeks"
        )?;
        match detectable_pnl {
            Some(pnl) => writeln!(f, "; by the end it finds {pnl:.2} per signal"),
            None => writeln!(f),
        }
    }
}

/// The line above metrics, whose two groups are called `groups`.
fn head(f: &mut Formatter<'_>, [first, second]: [&str; 2], confidence: f64) -> fmt::Result {
    let (name, difference, level) = ("metric", "difference", format!("{:.0} % interval", 100.0 * confidence));
    writeln!(f, "  {name:<14} {first:>10} {second:>10} {difference:>10}  {level:<24} {:<10} holds for", "p")
}

impl Display for Impact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names = match self.comparing {
            Comparing::Arms => ["ML", "baseline"],
            Comparing::Periods => ["since", "before"],
        };
        for (name, group) in names.iter().zip([self.ml, self.baseline]) {
            let Group { signals, taken, sessions, pnl, design_effect } = group;
            write!(f, "{name}: {signals} signals of {sessions} sessions, {taken} traded, pnl {pnl:.2}")?;
            match design_effect {
                Some(effect) => {
                    writeln!(f, "; correlation {:.3}, design effect {:.2}", effect.icc, effect.effect)?;
                }
                None => writeln!(f)?,
            }
        }
        writeln!(f)?;
        head(f, names, self.confidence)?;
        self.metrics.iter().try_for_each(|metric| writeln!(f, "  {metric}"))
    }
}

impl Display for Metric {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (name, scale, digits) = match self.measure {
            Measure::WinRate => ("win rate %", 100.0, 1),
            Measure::PnlPerSignal => ("pnl/signal", 1.0, 2),
            Measure::PnlPerTaken => ("pnl/trade", 1.0, 2),
            Measure::Sharpe => ("Sharpe", 1.0, 2),
            Measure::SharpeEven => ("Sharpe, even", 1.0, 2),
            Measure::DrawdownRatio => ("drawdown ratio", 1.0, 2),
            Measure::DrawdownEven => ("drawdown, even", 1.0, 2),
            Measure::Slippage => ("slippage ticks", 1.0, 2),
        };
        let number = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{:.digits$}", scale * x));
        let interval = self.interval.map_or("-".to_owned(), |interval| {
            format!("{:.digits$} to {:.digits$}", scale * interval.low, scale * interval.high)
        });
        let (ml, baseline, difference) = (number(self.ml), number(self.baseline), number(self.difference));
        let p = self
            .chance_worse
            .map_or_else(|| p_value(self.p), |chance| format!("deeper in {:.0} % of resamples", 100.0 * chance));
        let horizon = match self.horizon {
            Horizon::Fixed => "one look",
            Horizon::Sequential => "every look",
            Horizon::OpenEnded => "ever",
        };
        let method = &self.method;
        write!(f, "{name:<14} {ml:>10} {baseline:>10} {difference:>10}  {interval:<24} {p:<10} {horizon}: {method}")
    }
}

impl Display for Ruling {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.verdict.name(), self.verdict.why())?;
        self.checks.iter().try_for_each(|check| writeln!(f, "  {check}"))
    }
}

fn p_value(p: Option<f64>) -> String {
    match p {
        Some(p) if p < 1e-4 => "p < 0.0001".to_owned(),
        Some(p) => format!("p {p:.4}"),
        None => "-".to_owned(),
    }
}
