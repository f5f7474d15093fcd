//! `vigie archive`: old records go out of the journal into Parquet files.

use std::fs;

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::{ConfigArgs, Outcome, StateArgs, files::bar, terminal::tell};
use crate::{
    clock::{Clock as _, WallClock},
    config::Config,
    journal::{OpenError, Planned, Store, StoreOptions},
    recall::archiving::{self, Archiving, cut_at},
};

const BAR: &str = "{bar:40} {percent:>3} %  {msg}";

const EXAMPLES: &str = "\
Examples:
  vigie archive --before 2026-01-01 --dry-run          only say what would go
  vigie archive --state /var/lib/vigie --before 2026-01-01
  vigie archive --state /var/lib/vigie --check         read every archived file and compare it with its digest";

/// Move old records out of the journal into Parquet files, month by month; no daemon may run
///
/// Signals, outcomes and skips that came before a day go into the folder `archive` of the state folder, a file a month. Every command and
/// the daemon read them there as before. Events stay in the journal. Nothing leaves the journal before its file is on disk and was compared
/// with it; a kill at any moment loses nothing, and the command can be given again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Archive {
    /// First day, in UTC, that stays in the journal
    #[arg(long, value_name = "DATE", required_unless_present = "check")]
    before: Option<jiff::civil::Date>,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Compare every archived file with its digest, and change nothing
    #[arg(long, conflicts_with_all = ["before", "dry_run"])]
    check: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Archive {
    /// Runs the command.
    ///
    /// # Errors
    /// When a daemon has the journal open, the day is too late, or a file cannot be written; each record can be read as before.
    pub fn run(self) -> Outcome {
        let config = self.config.load()?;
        if self.check {
            return self.checked(&config);
        }
        let day = self.before.context("--before says up to which day")?;
        let before = cut_at(day, &config, WallClock.now()).map_err(anyhow::Error::msg)?;
        if self.dry_run {
            let planned = self.state.reader(&config)?.plan_archive(before)?;
            return self.say(&planned, None);
        }
        let path = self.state.journal();
        // it makes sure that there is one
        let size = fs::metadata(&path).with_context(|| format!("{}: there is no journal", path.display()))?.len();
        let options = StoreOptions { cache_bytes: config.journal.cache_bytes, verify: false };
        let mut store = match Store::open(&path, options) {
            Err(error @ OpenError::InUse { .. }) => {
                let why = format!(
                    "{error}; `vigie archive` needs the journal for itself, and the daemon reads what is archived when it is started again"
                );
                return Err(anyhow::Error::msg(why).into());
            }
            opened => opened?,
        };
        let bar = bar(0, BAR);
        let planned = archiving::run(&mut store, &config, before, &mut |done| {
            show(&bar, &done);
            true
        })?;
        bar.set_message("making the journal shorter");
        store.compact()?;
        store.close()?;
        bar.finish_and_clear();
        self.say(&planned, Some((size, fs::metadata(&path).map_err(anyhow::Error::from)?.len())))
    }

    fn checked(&self, config: &Config) -> Outcome {
        let files = self.state.reader(config)?.check_whole_archive()?;
        if self.json {
            return Ok(tell(json!({ "files": files, "whole": true }))?);
        }
        for file in &files {
            tell(format_args!("{}: {} records, {} bytes, whole", file.name, file.records, file.bytes))?;
        }
        Ok(tell(format_args!(
            "{} archived files, {} records",
            files.len(),
            records(files.iter().map(|file| file.records))
        ))?)
    }

    fn say(&self, planned: &[Planned], done: Option<(u64, u64)>) -> Outcome {
        if self.json {
            let bytes = done.map(|(before, after)| json!({ "before": before, "after": after }));
            return Ok(tell(json!({ "archived": done.is_some(), "files": planned, "journal_bytes": bytes }))?);
        }
        for Planned { month, records, first, last } in planned {
            tell(format_args!("{month}: {records} records, numbers {first} to {last}"))?;
        }
        let total = records(planned.iter().map(|planned| planned.records));
        match (planned, done) {
            ([], _) => tell(
                "nothing to archive: everything that came before that day is archived already, or there is nothing",
            )?,
            (_, None) => tell(format_args!("{total} records would go into {} files", planned.len()))?,
            (_, Some((before, after))) => tell(format_args!(
                "{total} records are in {} files now; the journal had {} KiB and has {} KiB",
                planned.len(),
                before.div_ceil(1024),
                after.div_ceil(1024)
            ))?,
        }
        Ok(())
    }
}

fn show(bar: &ProgressBar, done: &Archiving) {
    let (at, of, what) = match done {
        Archiving::Folding { at, cut } => (*at, *cut, "reading the journal"),
        Archiving::Moving { month, written, of, .. } => (*written, *of, month.as_str()),
    };
    bar.set_length(of);
    bar.set_position(at);
    bar.set_message(what.to_owned());
}

fn records(each: impl Iterator<Item = u64>) -> u64 {
    each.sum()
}
