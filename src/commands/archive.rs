//! `vigie archive`: old records go out of the journal into Parquet files.

use std::{fs, path::PathBuf, thread, time::Duration};

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{
    ConfigArgs, Outcome, PATIENCE, change, files::bar, found::OwnStateArgs, source::of_folder, terminal::tell,
};
use crate::{
    clock::{Clock as _, WallClock},
    config::Config,
    journal::{OpenError, Planned, Store, StoreOptions},
    protocol::client::Client,
    recall::archiving::{self, Archiving, cut_at},
};

/// How often the daemon is asked how far it is.
const POLL: Duration = Duration::from_millis(100);

const BAR: &str = "{bar:40} {percent:>3} %  {msg}";

const EXAMPLES: &str = "\
Examples:
  vigie archive --before 2026-01-01 --dry-run          only say what would go
  vigie archive --state /var/lib/vigie --before 2026-01-01
  vigie archive --state /var/lib/vigie --check         read every archived file and compare it with its digest";

/// Move old records out of the journal into Parquet files, month by month
///
/// Signals, outcomes and skips that came before a day go into the folder `archive` of the state folder, a file a month. Every command and
/// the daemon read them there as before. Events stay in the journal. Nothing leaves the journal before its file is on disk and was compared
/// with it; a kill at any moment loses nothing, and the command can be given again. A daemon that has the journal open does it itself,
/// behind all that serves; the journal's file becomes shorter only when it is done without a daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Archive {
    /// First day, in UTC, that stays in the journal
    #[arg(long, value_name = "DATE", required_unless_present = "check")]
    before: Option<Date>,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Compare every archived file with its digest, and change nothing
    #[arg(long, conflicts_with_all = ["before", "dry_run"])]
    check: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Socket of the daemon that has the journal open [default: vigie.sock in the state folder]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["dry_run", "check"])]
    socket: Option<PathBuf>,
    #[command(flatten)]
    state: OwnStateArgs,
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
        if let Some(socket) = &self.socket {
            return self.by_the_daemon(day, socket.clone());
        }
        let before = cut_at(day, &config, WallClock.now()).map_err(anyhow::Error::msg)?;
        if self.dry_run {
            let planned = of_folder(&self.state.found(), &config)?.plan_archive(before)?;
            return self.say(&planned, None);
        }
        let path = self.state.found().journal();
        // it makes sure that there is one
        let size = fs::metadata(&path).with_context(|| format!("{}: there is no journal", path.display()))?.len();
        let options = StoreOptions { cache_bytes: config.journal.cache_bytes, verify: false };
        let mut store = match Store::open_audited(&path, options) {
            Err(in_use @ OpenError::InUse { .. }) => {
                let socket = self.state.found().socket().path;
                if socket.exists() {
                    return self.by_the_daemon(day, socket);
                }
                let why =
                    "nothing was archived; name the socket of its daemon with --socket, or stop what uses the journal";
                return Err(anyhow::Error::new(in_use).context(why).into());
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

    /// Lets the daemon do it, and waits.
    fn by_the_daemon(&self, day: Date, socket: PathBuf) -> Outcome {
        self.config.is_not_used();
        let mut client = Client::new(socket, PATIENCE);
        let begun = change::send(&mut client, &json!({ "type": "archive", "before": day }))?;
        let number = begun.get("archiving").and_then(Value::as_u64);
        let bar = bar(1000, BAR);
        loop {
            let answer = client.request(&json!({ "type": "status" }), PATIENCE)?;
            let order = answer.get("status").and_then(|status| status.get("archiving")).cloned().unwrap_or_default();
            let text = |name: &str| order.get(name).and_then(Value::as_str).unwrap_or_default();
            if order.get("number").and_then(Value::as_u64) != number {
                bar.finish_and_clear();
                let why = "the daemon does not know any more what came of it; see `vigie status` and `vigie alerts`";
                return Err(anyhow::Error::msg(why).into());
            }
            if order.get("running") == Some(&Value::Bool(true)) {
                bar.set_position((order.get("share").and_then(Value::as_f64).unwrap_or_default() * 1000.0) as u64);
                bar.set_message(text("stage").to_owned());
                thread::sleep(POLL);
                continue;
            }
            bar.finish_and_clear();
            if let Some(why) = order.get("failed").and_then(Value::as_str) {
                return Err(anyhow::Error::msg(why.to_owned()).into());
            }
            if self.json {
                return Ok(tell(json!({ "archived": true, "done": text("done") }))?);
            }
            return Ok(tell(text("done"))?);
        }
    }

    fn checked(&self, config: &Config) -> Outcome {
        let files = of_folder(&self.state.found(), config)?.check_whole_archive()?;
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
        Archiving::Finishing => (0, 1, "finishing an earlier run"),
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
