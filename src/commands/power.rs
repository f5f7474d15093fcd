//! `vigie power`: how long an A/B test must be.

use clap::Args;

use super::{
    JournalArgs, Outcome, named,
    terminal::{self, tell},
};
use crate::{
    domain::{Symbol, VersionId},
    recall::test_plan::{Given, SeenTrades, seen_trades},
    stats::cluster::DesignEffect,
    trials::{
        experiment::{EvidenceMetric, View},
        sample_size::{Assumptions, Length, Outlook, Watched},
    },
};

/// Gains that are always shown.
const GAINS: [f64; 3] = [0.03, 0.05, 0.10];
const EXAMPLES: &str = "\
Examples:
  vigie power
  vigie power --uplift 4 --rate 60 --skipped 0.25
  vigie power --version ES/3 --state /var/lib/vigie --json";

/// Say how many trades, and weeks, an A/B test takes to find a gain of win rate
///
/// For both views: paired (the strategy's own trades under both policies) and randomised (the two arms), read once or
/// whenever a session closes. What the journal tells is used: how often signals come, the win rate, what wins and losses
/// are like, how trades of a session go together, and which share a version would have let go. What it does not tell is
/// assumed, and the output says so; without --state it works without a journal. Reads the journal, also beside the daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Power {
    /// True gain of win rate in points [default: experiment.min_win_rate_gain]
    #[arg(long, value_name = "POINTS", value_parser = points)]
    uplift: Option<f64>,
    /// Signals a week [default: as in the journal, or 100]
    #[arg(long, value_name = "TRADES", value_parser = positive)]
    rate: Option<f64>,
    /// Share of the trades that the policy lets go [default: as the version that watched most, or 0.3]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    skipped: Option<f64>,
    /// The version whose policy is looked at [default: the one that watched most]
    #[arg(long)]
    version: Option<VersionId>,
    /// Whose trades [default: those of the version's symbol, else ES]
    #[arg(long, value_parser = |text: &str| Symbol::new(text))]
    symbol: Option<Symbol>,
    #[command(flatten)]
    from: JournalArgs,
}

fn number(text: &str, allowed: impl Fn(f64) -> bool, must: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x| allowed(*x)).ok_or_else(|| must.to_owned())
}

fn points(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x < 100.0, "it must be above 0 and below 100 points").map(|points| points / 100.0)
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x.is_finite(), "it must be above 0")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x < 1.0, "it must be above 0 and below 1")
}

impl Power {
    /// Runs the command.
    ///
    /// # Errors
    /// When there is a journal, or `--state` says so, and it cannot be read.
    pub fn run(self) -> Outcome {
        let symbol = named::symbol_of(self.symbol.as_ref(), self.version.as_ref())?;
        let (config, seen) = if self.from.source.is_meant() {
            let (config, reader) = self.from.reader()?;
            if let Some(version) = &self.version {
                named::version(&reader, version)?;
            }
            let seen = seen_trades(&reader, &config, &symbol, self.version.as_ref()).map_err(anyhow::Error::msg)?;
            (config, seen)
        } else if let Some(version) = &self.version {
            return Err(
                anyhow::anyhow!("there is no journal that could know {version}; name its folder with --state").into()
            );
        } else {
            (self.from.config.load()?, SeenTrades::default())
        };
        named::symbol(&config, &symbol, seen.signals)?;
        let given = Given { skipped: self.skipped, per_week: self.rate };
        let (assumptions, notes) = seen.assumptions(given, &config);
        let mut gains = vec![self.uplift.unwrap_or(config.experiment.min_win_rate_gain)];
        gains.extend(GAINS);
        gains.retain(|gain| *gain > 0.0);
        gains.sort_by(f64::total_cmp);
        gains.dedup();
        let outlooks: Vec<Outlook> = gains.into_iter().map(|gain| assumptions.outlook(gain)).collect();
        if self.from.json {
            tell(serde_json::json!({
                "symbol": symbol, "seen": seen, "assumptions": assumptions, "outlooks": outlooks, "notes": notes,
            }))?;
            return Ok(());
        }
        self.print(&symbol, &seen, &assumptions, &outlooks, &notes)
    }

    fn print(
        &self,
        symbol: &Symbol,
        seen: &SeenTrades,
        assumptions: &Assumptions,
        outlooks: &[Outlook],
        notes: &[String],
    ) -> Outcome {
        let Assumptions { win_rate, skipped, allocation, per_week, level, power, effects, .. } = *assumptions;
        if seen.signals > 0 {
            let SeenTrades { signals, sessions, closed, .. } = seen;
            tell(format_args!(
                "{symbol}: {signals} signals of {sessions} sessions, {closed} closed trades of the strategy alone"
            ))?;
        } else {
            tell(format_args!("{symbol}: nothing in the journal"))?;
        }
        if let Some((version, watched)) = seen.version.as_ref().zip(seen.watched) {
            let Watched { trades, skipped, .. } = watched;
            let gone = 100.0 * skipped;
            tell(format_args!("{version} scored {trades} trades of the strategy alone and lets {gone:.1} % go"))?;
        }
        if let Some(effect) = &seen.design_effect {
            let DesignEffect { icc, session_size, effect } = effect;
            tell(format_args!(
                "trades of a session: correlation {icc:.3}, {session_size:.1} of them, design effect of a mean {effect:.2}"
            ))?;
        }
        tell(format_args!(
            "win rate {:.1} %, {:.1} % skipped, {per_week:.1} signals a week, {:.0} % of them in the ML arm",
            100.0 * win_rate,
            100.0 * skipped,
            100.0 * allocation
        ))?;
        tell(format_args!(
            "found with {:.0} % at an error rate of {:.1} %, read once or at every session;\n\
             design effects: paired win rate {:.2}, paired pnl {:.2}, arms 1",
            100.0 * power,
            100.0 * level,
            effects.paired_win_rate,
            effects.paired_pnl
        ))?;
        tell("")?;
        tell(terminal::table(&rows(outlooks)).trim_end())?;
        tell("")?;
        tell("trades are signals of both arms; every session: of a test planned for that many")?;
        notes.iter().try_for_each(|note| tell(format_args!("note: {note}")))?;
        Ok(())
    }
}

fn rows(outlooks: &[Outlook]) -> Vec<Vec<String>> {
    let head = ["gain", "worth/signal", "view", "by", "once: trades", "weeks", "every session: trades", "weeks"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for outlook in outlooks {
        let gain = format!("{:+.1} points", 100.0 * outlook.gain);
        if !outlook.possible {
            rows.push(vec![gain, "letting that share go cannot gain so much".to_owned()]);
            continue;
        }
        let worth = outlook.pnl_per_signal.map_or_else(|| "-".to_owned(), |pnl| format!("{pnl:+.2}"));
        for need in &outlook.needs {
            let metric = match need.metric {
                EvidenceMetric::WinRate => "win rate",
                EvidenceMetric::MeanPnl if outlook.pnl_per_signal.is_none() => continue,
                EvidenceMetric::MeanPnl => "pnl",
            };
            let mut row = vec![gain.clone(), worth.clone(), View::name(need.view).to_owned(), metric.to_owned()];
            for length in [need.once, need.every_session] {
                row.extend(cells(length));
            }
            rows.push(row);
        }
    }
    rows
}

fn cells(length: Option<Length>) -> [String; 2] {
    let cell = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [cell(length.map(|l| format!("{:.0}", l.trades))), cell(length.map(|l| format!("{:.1}", l.weeks)))]
}
