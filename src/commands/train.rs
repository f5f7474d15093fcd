//! `vigie train`: a new version from what the journal holds.

use std::{collections::BTreeMap, io};

use clap::Args;

use super::{
    ConfigArgs, Outcome, StateArgs,
    terminal::{self, tell},
};
use crate::{
    actors::{history, models::roster},
    clock::{Clock, WallClock},
    domain::{Event, EventKind, Symbol, VersionId},
    features::pipeline::Pipeline,
    journal::{Options, Store, Write},
    models::VersionRecord,
    validation::training::{Birth, train},
};

const EXAMPLES: &str = "\
Examples:
  vigie train
  vigie train --symbol NQ --state /var/lib/vigie --json
  vigie train --dry-run                 train and judge, keep nothing";

/// Train a model on the closed trades of the journal and register it
///
/// Logistic regression on profitability. The latest trades are kept apart and the model is judged on them. A new
/// version influences nothing: see `vigie promote`. The daemon of this state folder must not be running.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Train {
    /// Whose trades
    #[arg(long, default_value = "ES", value_parser = |text: &str| Symbol::new(text))]
    symbol: Symbol,
    /// Do not register what was trained
    #[arg(long)]
    dry_run: bool,
    /// Print the record's figures as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Train {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be used or the trades do not suffice.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        if !self.state.journal().exists() {
            self.state.reader(&config)?; // says what to do
        }
        let options = Options { cache_bytes: config.journal.cache_bytes, verify: false };
        let mut store = Store::open(&self.state.journal(), options)?;
        let reader = store.reader()?;
        let versions = roster(&reader).map_err(anyhow::Error::msg)?;
        let history = history::read(&reader).map_err(anyhow::Error::msg)?;
        let number = versions.next_number(&self.symbol);
        let parent = versions.plan().remove(&self.symbol).and_then(|plan| plan.production);
        let birth =
            Birth { id: VersionId { symbol: self.symbol.clone(), number }, created_at: WallClock.now(), parent };
        let pipeline = Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features)?;
        let record = train(birth, &history, pipeline, &config.features, &config.training)?;
        drop(reader);
        if !self.dry_run {
            register(&mut store, &record)?;
        }
        store.close()?;
        if self.json {
            let version = serde_json::json!({
                "version": record.id, "registered": !self.dry_run, "kind": record.model.kind(), "target": record.target,
                "training": record.training, "data_hash": record.data_hash, "metrics": record.metrics, "warnings": record.warnings,
            });
            tell(&version)?;
        } else {
            print(&record, self.dry_run)?;
        }
        Ok(())
    }
}

fn register(store: &mut Store, record: &VersionRecord) -> anyhow::Result<()> {
    let evidence: BTreeMap<_, _> = record.metrics.clone();
    let kind = EventKind::Trained { version: record.id.clone(), evidence };
    let event = Event { at: record.created_at, kind };
    store.apply(&[Write::Version { id: record.id.clone(), body: record.to_bytes()? }, Write::Event(event)])?;
    Ok(())
}

fn print(record: &VersionRecord, dry_run: bool) -> io::Result<()> {
    let VersionRecord { id, model, target, training, metrics, warnings, design, .. } = record;
    tell(format_args!("{id}: {} regression on {target}, {} columns", model.kind(), design.width()))?;
    tell(format_args!(
        "  trained on {} trades, {} of them won, {} to {}",
        training.rows, training.wins, training.first, training.last
    ))?;
    let cell = |name: &str| terminal::figure(metrics.get(name));
    let row = |title: &str, prefix: &str| -> Vec<String> {
        let names = ["accuracy", "auc", "brier", "log_loss"];
        std::iter::once(title.to_owned()).chain(names.map(|name| cell(&format!("{prefix}_{name}")))).collect()
    };
    let head = ["", "accuracy", "AUC", "Brier", "log loss"].map(str::to_owned).to_vec();
    let rows = [head, row("  training", "train"), row("  test", "test"), row("  always the majority", "majority")];
    tell(terminal::table(&rows).trim_end())?;
    let test_rows = metrics.get("test_rows").copied().unwrap_or_default();
    tell(format_args!("  the test part is the latest {test_rows:.0} trades, which the model has never seen"))?;
    warnings.iter().try_for_each(|warning| tell(format_args!("  note: {warning}")))?;
    if dry_run {
        tell("nothing was registered (--dry-run)")?;
    } else {
        tell(format_args!("registered as {id}, state trained; it influences nothing until it is promoted"))?;
    }
    Ok(())
}
