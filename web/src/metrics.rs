//! What Prometheus is told: the latest status of the daemon, in its names and units. While the daemon does not answer nothing of it
//! is told but that, so that no old figure passes for a new one.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::{Registry, Unit},
};
use serde_json::Value;

use crate::hub::{Hub, Seen};

/// Values that one label may have; what is beyond is left out.
const MOST: usize = 64;

/// The registry of all of them.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// Of what `hub` knows.
    pub fn new(hub: Arc<Hub>) -> Self {
        let mut registry = Registry::with_prefix("vigie");
        registry.register_collector(Box::new(Latest(hub)));
        Self(registry)
    }

    /// In the OpenMetrics text format.
    ///
    /// # Errors
    /// When it cannot be written into memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct Latest(Arc<Hub>);

impl Collector for Latest {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.0.seen();
        let mut out = Out(encoder);
        out.gauge("up", "Whether the daemon answers: 1 or 0.", None, Some(flag(seen.silence.is_none())))?;
        out.gauge("web_pages", "Pages that are open.", None, Some(self.0.pages() as f64))?;
        let resyncs = Some(seen.resyncs as f64);
        out.counter("web_resyncs", "Snapshots that were sent to pages that had fallen behind.", None, resyncs)?;
        match &seen.status {
            Some((status, since)) if seen.silence.is_none() => {
                let age = Some(since.elapsed().as_secs_f64());
                out.gauge("web_status_age", "Age of the status that these figures are of.", Some(&Unit::Seconds), age)?;
                daemon(&mut out, status)?;
                serving(&mut out, status, &seen)?;
                trading(&mut out, status)?;
                journal(&mut out, status)
            }
            _ => Ok(()),
        }
    }
}

fn daemon(out: &mut Out<'_>, status: &Value) -> fmt::Result {
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_f64);
    let version = status.get("version").and_then(Value::as_str).unwrap_or_default();
    let info = [(vec![("version", version.to_owned())], 1.0)];
    out.family("build_info", "Version of the daemon.", None, MetricType::Gauge, &info)?;
    out.gauge("uptime", "Time since the daemon began to serve.", Some(&Unit::Seconds), number("/uptime_s"))?;
    out.gauge("connections", "Connections to the daemon's socket.", None, number("/connections"))?;
    out.counter("connections_refused", "Connections turned away.", None, number("/refused"))?;
    out.counter("requests_rejected", "Requests at fault.", None, number("/rejected"))?;
    out.counter("part_restarts", "Parts of the daemon that failed and were rebuilt.", None, number("/restarts"))?;
    let drill = Some(flag(status.get("drill") == Some(&Value::Bool(true))));
    out.gauge("drill", "Whether the daemon is a drill: 1 or 0.", None, drill)
}

fn serving(out: &mut Out<'_>, status: &Value, seen: &Seen) -> fmt::Result {
    let guardian = status.get("guardian");
    let known = Some(flag(guardian.is_some()));
    out.gauge("guardian_up", "Whether it is known what is served: 1 or 0.", None, known)?;
    let [info, warning, critical] = seen.alerts;
    let alerts = [("info", info), ("warning", warning), ("critical", critical)]
        .map(|(level, count)| (vec![("level", level.to_owned())], count as f64));
    out.family("alerts", "Alerts of the journal.", None, MetricType::Counter, &alerts)?;
    let Some(guardian) = guardian else { return Ok(()) };
    let locked = Some(flag(guardian.get("lock").is_some_and(|lock| !lock.is_null())));
    out.gauge("locked", "Whether all is locked to the baseline: 1 or 0.", None, locked)?;
    let symbols = list(guardian, "silenced").filter_map(Value::as_str);
    let silenced: Vec<_> = symbols.map(|symbol| (vec![("symbol", symbol.to_owned())], 1.0)).collect();
    out.family("symbol_silenced", "Symbols whose versions may not speak: 1.", None, MetricType::Gauge, &silenced)?;
    let emergencies = list(guardian, "emergencies").count() as f64;
    out.gauge("emergencies", "Emergencies in force.", None, Some(emergencies))?;
    let in_service = list(guardian, "versions").filter_map(|version| {
        let (name, state) = (version.get("version")?.as_str()?, version.get("state")?.as_str()?);
        let labels = vec![("version", name.to_owned()), ("state", state.to_owned())];
        ["staging", "ab_test", "production"].contains(&state).then_some((labels, 1.0))
    });
    let in_service: Vec<_> = in_service.collect();
    out.family("version_in_service", "Versions in service, by state: 1.", None, MetricType::Gauge, &in_service)?;
    for (name, help, field) in [
        ("loss_streak_trades", "Losses in a row of the trades that heard a version.", "loss_streak"),
        ("loss_streak_limit_trades", "Losses in a row that a version may have.", "streak_limit"),
        ("accuracy_ratio", "Share of its latest trades in which the score of a version was right.", "accuracy"),
        ("expected_accuracy_ratio", "The same as its validation foretells.", "expected_accuracy"),
        ("labelled_trades", "Trades that the accuracy is taken over.", "labelled"),
        (
            "gain_account_currency",
            "What following a version made more than the strategy alone, over its latest trades.",
            "gain",
        ),
    ] {
        let levels = list(guardian, "levels").filter_map(|level| {
            let version = level.get("version")?.as_str()?;
            Some((vec![("version", version.to_owned())], level.get(field)?.as_f64()?))
        });
        out.family(name, help, None, MetricType::Gauge, &levels.collect::<Vec<_>>())?;
    }
    for (name, help, field) in [
        ("rule_value", "Where a version stands by each emergency rule that judges it.", "value"),
        ("rule_limit", "What that is held against.", "limit"),
    ] {
        let of = |level: &Value| {
            let version = level.get("version")?.as_str()?.to_owned();
            let rules = list(level, "rules").filter_map(move |rule| {
                let labels = vec![("version", version.clone()), ("rule", rule.get("rule")?.as_str()?.to_owned())];
                Some((labels, rule.get(field)?.as_f64()?))
            });
            Some(rules.collect::<Vec<_>>())
        };
        let rules: Vec<_> = list(guardian, "levels").filter_map(of).flatten().collect();
        out.family(name, help, None, MetricType::Gauge, &rules)?;
    }
    Ok(())
}

fn trading(out: &mut Out<'_>, status: &Value) -> fmt::Result {
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_f64);
    let day = "What the account made in this trading day.";
    out.gauge("day_pnl_account_currency", day, None, number("/guardian/day_pnl"))?;
    let limit = "What the account may lose in a trading day.";
    out.gauge("day_loss_limit_account_currency", limit, None, number("/guardian/day_loss_limit"))?;
    let reasons = status.pointer("/scorer/by_reason").and_then(Value::as_object);
    let decisions = reasons
        .into_iter()
        .flatten()
        .filter_map(|(reason, count)| Some((vec![("reason", reason.clone())], count.as_f64()?)));
    let decisions: Vec<_> = decisions.collect();
    out.family("decisions", "Signals answered, by reason.", None, MetricType::Counter, &decisions)?;
    let times = [("0.5", "/scorer/p50_us"), ("0.99", "/scorer/p99_us"), ("1", "/scorer/max_us")];
    let times = times
        .into_iter()
        .filter_map(|(quantile, pointer)| Some((vec![("quantile", quantile.to_owned())], number(pointer)? / 1e6)));
    let help = "Time from the arrival of a signal to its decision, since the daemon began to serve.";
    let times: Vec<_> = times.collect();
    out.family("decision_duration", help, Some(&Unit::Seconds), MetricType::Gauge, &times)?;
    out.gauge("trials_tests", "Versions under test.", None, number("/trials/tests"))?;
    out.gauge("trials_staging", "Versions in staging.", None, number("/trials/staging"))?;
    out.gauge("open_signals", "Signals without an outcome that the monitor waits for.", None, number("/monitor/open"))?;
    let alarms = status.pointer("/monitor/alarms").and_then(Value::as_array).map(|alarms| alarms.len() as f64);
    out.gauge("monitor_alarms", "Conditions of drift and health that hold.", None, alarms)?;
    out.counter("monitor_dropped", "News that the monitor had no room for.", None, number("/monitor/dropped"))
}

fn journal(out: &mut Out<'_>, status: &Value) -> fmt::Result {
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_f64);
    let ok = Some(flag(status.pointer("/journal/ok") == Some(&Value::Bool(true))));
    out.gauge("journal_ok", "Whether the journal can be written: 1 or 0.", None, ok)?;
    out.gauge("journal_waiting_records", "Records that wait for the disk.", None, number("/journal/waiting"))?;
    out.counter("journal_dropped_signals", "Signals that could not be stored.", None, number("/journal/dropped"))?;
    out.counter("journal_commits", "Commits.", None, number("/journal/commits"))?;
    out.counter("journal_reopened", "Times that the journal was opened again.", None, number("/journal/reopened"))?;
    out.gauge("journal_size", "Size of the journal's file.", Some(&Unit::Bytes), number("/storage/bytes"))?;
    let age = number("/storage/backup/age_s");
    out.gauge("backup_age", "Age of the last backup; absent without one.", Some(&Unit::Seconds), age)?;
    let counts = status.get("counts").and_then(Value::as_object);
    let records =
        counts.into_iter().flatten().filter_map(|(kind, count)| Some((vec![("kind", kind.clone())], count.as_f64()?)));
    out.family(
        "journal_records",
        "Records of the journal, by kind.",
        None,
        MetricType::Gauge,
        &records.collect::<Vec<_>>(),
    )
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of.get(name).and_then(Value::as_array).into_iter().flatten()
}

type Labels = Vec<(&'static str, String)>;

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn family(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        members: &[(Labels, f64)],
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in members.iter().take(MOST) {
            let labels: Vec<(String, String)> =
                labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            self::encode_member(&mut metric, &labels, kind, *value)?;
        }
        Ok(())
    }
}

fn encode_member(
    metric: &mut prometheus_client::encoding::MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    kind: MetricType,
    value: f64,
) -> fmt::Result {
    let mut member = metric.encode_family(labels)?;
    match kind {
        MetricType::Counter => member.encode_counter::<NoLabelSet, _, u64>(&value, None),
        _ => member.encode_gauge(&value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_silent_daemon_leaves_no_figure_of_before() {
        let hub = Arc::new(Hub::new("r".to_owned()));
        let metrics = Metrics::new(Arc::clone(&hub));
        hub.take_status(json!({ "version": "1", "uptime_s": 3.5, "guardian": { "lock": null, "silenced": ["ES"] },
            "scorer": { "by_reason": { "locked": 2 }, "p99_us": 250.0 } }));
        let text = metrics.text().unwrap();
        for line in [
            "vigie_up 1.0",
            "vigie_uptime_seconds 3.5",
            "vigie_locked 0.0",
            "vigie_symbol_silenced{symbol=\"ES\"} 1.0",
            "vigie_decisions_total{reason=\"locked\"} 2.0",
            "vigie_decision_duration_seconds{quantile=\"0.99\"} 0.00025",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(text.ends_with("# EOF\n"));
        hub.take_silence("it is gone");
        let text = metrics.text().unwrap();
        assert!(text.contains("vigie_up 0.0") && !text.contains("uptime") && !text.contains("locked"), "{text}");
    }
}
