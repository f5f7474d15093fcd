//! The keys of a version's trials: its way through staging, the A/B test and production.
#![deny(clippy::indexing_slicing)]

use toml::de::DeValue;

use super::{
    Lifecycle,
    nearest::suggest,
    reader::{
        Effect::AtReload,
        Reader,
        section::{ListForm, Refusal, Section, above, quoted, refuse_repeat},
    },
};
use crate::{
    stats::sequential::MOST_SESSIONS,
    trials::{
        experiment::{EvidenceMetric, ExperimentOptions, StagingOptions, View},
        promotion::Automatic,
    },
};

pub(super) fn lifecycle(reader: &mut Reader<'_, '_>, ab_share: f64) -> Lifecycle {
    let mut at = reader.section("lifecycle", AtReload);
    let automatic = Automatic { decide: at.flag("automatic"), stage: at.flag("stage_validated") };
    let lifecycle = Lifecycle { automatic, verify: at.seconds("verify_s", 1..=86_400) };
    // signals that no trade can hear are no evidence, so such a test is never decided for its version
    let is_heard = ab_share > 0.0 || !automatic.decide;
    reader.demand(is_heard, ("scoring.ab_share", "must be above 0 for tests to be decided by", "lifecycle.automatic"));
    lifecycle
}

pub(super) fn staging(reader: &mut Reader<'_, '_>) -> StagingOptions {
    let mut at = reader.section("staging", AtReload);
    StagingOptions {
        min_hours: at.number("min_hours", 0.0..=8_760.0),
        min_trades: at.count("min_trades", 1..=1_000_000),
        max_drawdown_ratio: at.number("max_drawdown_ratio", 0.0..=100.0),
    }
}

pub(super) fn experiment(reader: &mut Reader<'_, '_>) -> ExperimentOptions {
    let views = [(View::Paired.name(), View::Paired), (View::Randomised.name(), View::Randomised)];
    let mut at = reader.section("experiment", AtReload);
    let options = ExperimentOptions {
        evidence: at.choice("evidence", View::Paired, &views),
        metrics: metrics(&mut at),
        level: at.number("level", above(0.0, 0.5)),
        planned_sessions: at.count("planned_sessions", 2..=MOST_SESSIONS as u64),
        first_look: at.count("first_look", 2..=MOST_SESSIONS as u64),
        min_days: at.number("min_days", 0.0..=3_650.0),
        min_trades: at.count("min_trades", 0..=1_000_000),
        min_win_rate_gain: at.number("min_win_rate_gain", -1.0..=1.0),
        min_sharpe_gain: at.number("min_sharpe_gain", -10.0..=10.0),
        max_drawdown_ratio: at.number("max_drawdown_ratio", 0.0..=100.0),
        harm_level: at.number("harm_level", above(0.0, 0.5)),
        sample_ratio_level: at.number("sample_ratio_level", above(0.0, 0.5)),
        outcome_wait_days: u32::try_from(at.whole("outcome_wait_days", 0..=60)).unwrap_or(60),
        power: at.number("power", 0.5..=0.99),
        resamples: at.count("resamples", 100..=100_000),
        seed: at.whole("seed", 0..=i64::MAX.unsigned_abs()),
        holdback_sessions: at.count("holdback_sessions", 1..=100_000),
        max_trades: at.count("max_trades", 10_000..=10_000_000),
    };
    let ordered = options.first_look <= options.planned_sessions;
    reader.demand(ordered, ("experiment.first_look", "must not be above", "experiment.planned_sessions"));
    let aimed = options.power > options.level;
    reader.demand(aimed, ("experiment.power", "must be above", "experiment.level"));
    let never = options.can_never_ship().map(|invalid| invalid.key);
    let proof = ("experiment.planned_sessions", "is too short for any proof at", "experiment.level");
    reader.demand(never != Some("planned_sessions"), proof);
    let lasts =
        ("experiment.min_days", "must not be longer than, at five sessions a week,", "experiment.planned_sessions");
    reader.demand(never != Some("min_days"), lasts);
    let kept = options.min_trades <= options.max_trades;
    reader.demand(kept, ("experiment.min_trades", "must not be above", "experiment.max_trades"));
    options
}

fn metrics(at: &mut Section<'_, '_, '_>) -> Vec<EvidenceMetric> {
    let known = [EvidenceMetric::MeanPnl, EvidenceMetric::WinRate];
    let form = ListForm { most: 2, item_kind: "text in quotes", item_allowed: "\"mean_pnl\" or \"win_rate\"" };
    let take = |value: &DeValue<'_>, before: &[EvidenceMetric]| {
        let name = value.as_str().ok_or(Refusal::Type)?;
        let metric = known.iter().find(|metric| metric.name() == name);
        let metric = metric.ok_or_else(|| Refusal::Range(suggest(name, known.iter().map(|metric| metric.name()))))?;
        let before: Vec<String> = before.iter().map(|metric| metric.name().to_owned()).collect();
        refuse_repeat(name, &before)?;
        Ok(*metric)
    };
    at.full_list("metrics", &form, take, |metric| quoted(metric.name()))
}
