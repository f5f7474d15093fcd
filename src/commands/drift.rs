//! `vigie drift`: what the monitor measures of the versions in service.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Outcome, PATIENCE, SocketArgs,
    terminal::{figure, table, tell},
};
use crate::stats::budget::Thresholds;

/// Stands in the place of a limit.
const NOT_WATCHED: &str = "none";
/// Why.
const TOO_SHORT: &str = "  none: what it learnt from is too short for how slowly this input moves, so no limit would keep to the budget of false \
    alarms; a longer history gives it one";

/// Show how the signals and the trades of each version in service look against its validation
///
/// Of each input: how far the latest signals have moved from those it learnt from, and how far they may; of the trades: their
/// figures against those of the validation.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vigie drift\n  vigie drift --json | jq .versions")]
pub struct Drift {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Drift {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers, or its monitor does not.
    pub fn run(self) -> Outcome {
        let answer = self.socket.client().request(&json!({ "type": "drift" }), PATIENCE)?;
        if self.json {
            tell(Value::Object(answer))?;
            return Ok(());
        }
        let versions = answer.get("versions").and_then(Value::as_object);
        let versions = versions.into_iter().flatten().collect::<Vec<_>>();
        if versions.is_empty() {
            tell("no version is in service")?;
        }
        for (version, view) in versions {
            tell(version)?;
            tell(trades(view).trim_end())?;
            let regimes = regimes(view);
            if !regimes.is_empty() {
                tell(regimes.trim_end())?;
            }
            tell(inputs(view).trim_end())?;
            if inputs_without_limits(view) {
                tell(TOO_SHORT)?;
            }
            tell("")?;
        }
        Ok(())
    }
}

fn number(of: &Value, pointer: &str) -> String {
    figure(of.pointer(pointer).and_then(Value::as_f64).as_ref())
}

fn trades(view: &Value) -> String {
    if view.get("health").is_none_or(Value::is_null) {
        return "  nothing is known of its validation".to_owned();
    }
    let row = |name: &str, measured: &str, reference: &str| {
        [format!("  {name}"), number(view, measured), number(view, reference)].to_vec()
    };
    let mut rows = vec![["  trades", "now", "as validated"].map(str::to_owned).to_vec()];
    // mostly those are closed to which it said yes: its test part as a whole is something else
    rows.push(row("accuracy", "/health/figures/accuracy/value", "/health/expected_accuracy"));
    rows.push(row("  in its whole test part", "", "/health/validated/accuracy"));
    let figures = ["precision", "expectancy"];
    rows.extend(
        figures.map(|name| row(name, &format!("/health/figures/{name}/value"), &format!("/health/validated/{name}"))),
    );
    rows.push(row("variance of the score", "/health/score_variance", "/health/validated/score_variance"));
    rows.push(row("composite", "/health/figures/composite/value", ""));
    rows.push(row("its standard error", "/health/figures/composite/error", ""));
    rows.push(row("expected accuracy", "/inputs/expected/accuracy", ""));
    rows.push(row("unusual inputs", "/novelty", ""));
    // a pointer to nothing is the whole
    rows.iter_mut().filter(|row| row.get(2).is_some_and(|cell| cell == "-")).for_each(|row| row.truncate(2));
    table(&rows)
}

/// Its latest trades in each regime that the market shows.
fn regimes(view: &Value) -> String {
    let Some(all) = view.get("regimes").and_then(Value::as_object).filter(|all| !all.is_empty()) else {
        return String::new();
    };
    let head = ["  regime", "trades", "accuracy", "precision", "expectancy", "Brier"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, of) in all {
        let trades = of.get("trades").and_then(Value::as_u64).unwrap_or_default().to_string();
        let cell = |name: &str| number(of, &format!("/{name}"));
        rows.push(vec![
            format!("  {name}"),
            trades,
            cell("accuracy"),
            cell("precision"),
            cell("expectancy"),
            cell("brier"),
        ]);
    }
    table(&rows)
}

fn inputs_without_limits(view: &Value) -> bool {
    let limits = view.pointer("/thresholds").and_then(Value::as_object);
    limits.into_iter().flat_map(|limits| limits.values()).any(|limits| !is_limited(limits))
}

fn is_limited(limits: &Value) -> bool {
    limits.get("ks").and_then(Value::as_f64).is_none_or(|ks| ks < Thresholds::NEVER.ks)
}

fn inputs(view: &Value) -> String {
    let columns = view.pointer("/inputs/columns").and_then(Value::as_object);
    let Some(columns) = columns else { return "  no signal was scored yet".to_owned() };
    let head = ["  input", "PSI", "may be", "KS", "may be", "Wasserstein", "missing"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, drift) in columns {
        let limits = view.pointer(&format!("/thresholds/{name}")).unwrap_or(&Value::Null);
        let limit = |of: &str| {
            if is_limited(limits) { number(limits, &format!("/{of}")) } else { NOT_WATCHED.to_owned() }
        };
        rows.push(vec![
            format!("  {name}"),
            number(drift, "/psi"),
            limit("psi"),
            number(drift, "/ks/statistic"),
            limit("ks"),
            number(drift, "/wasserstein"),
            number(drift, "/missing"),
        ]);
    }
    if let Some(score) = view.pointer("/inputs/score").filter(|score| !score.is_null()) {
        let cell = |pointer: &str| number(score, pointer);
        let dash = || "-".to_owned();
        let (psi, ks, moved) = (cell("/psi"), cell("/ks/statistic"), cell("/wasserstein"));
        rows.push(vec!["  the score".to_owned(), psi, dash(), ks, dash(), moved, cell("/missing")]);
    }
    table(&rows)
}
