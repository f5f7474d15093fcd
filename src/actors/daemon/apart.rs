//! The work of what recurs by the clocks of the exchange: each run on a thread of its own that stands back behind all others.
//!
//! It reads a snapshot of the journal and hands the journal one write at its end: what it found is an event, which subscribers get,
//! and stands there together with what the next run must know. Nothing that serves waits for it.

use std::{sync::Arc, thread, time::Duration};

use actix::{MailboxError, Message, Recipient};
use arc_swap::ArcSwap;

use crate::{
    actors::{
        acknowledge::all_stored,
        jobs::Running,
        journal::JournalHandle,
        supervision::{Failures, Place},
        trainer::{Ask, Ended, ObserveTrainer},
    },
    clock::{Clock, Stopwatch},
    config::Config,
    domain::{
        Event, EventKind, Symbol,
        event::{By, Level},
    },
    journal::{Reader, Write},
    policy::serving::Serving,
    protocol::message::WireError,
    recall::{learning, quality, retraining, review},
    validation::training::Order,
};

/// The name of its thread.
pub(super) const NAME: &str = "schedule";
/// How much the thread stands back.
const NICE: i32 = 15;
/// Pause between two questions of how far a training is.
const POLL: Duration = Duration::from_millis(200);
/// How long a training is waited for beyond the time it may take: its product is registered then.
const GRACE: Duration = Duration::from_secs(60);

/// What the work is done with.
#[derive(Clone)]
pub(super) struct Apart {
    pub(super) journal: JournalHandle,
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) serving: Arc<ArcSwap<Serving>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) failures: Failures,
    /// Trains.
    pub(super) trainer: Recipient<Ask>,
    /// Says how far it is.
    pub(super) training: Recipient<ObserveTrainer>,
}

/// What a run found.
pub(super) struct Found {
    /// In a sentence.
    told: String,
    /// What is to be written with it.
    writes: Vec<Write>,
    /// What a person should look at, with its level and code.
    alert: Option<(Level, &'static str, String)>,
}

/// What a run does.
pub(super) type Doing = fn(&Apart) -> Result<Found, String>;

impl Found {
    fn told(told: String) -> Self {
        Self { told, writes: Vec::new(), alert: None }
    }
}

impl Apart {
    /// Begins a run of the job `name` and waits for nothing.
    pub(super) fn begin(&self, name: &'static str, running: Running, doing: Doing) {
        let this = self.clone();
        let begun = thread::Builder::new().name(NAME.to_owned()).spawn(move || this.run(name, running, doing));
        if let Err(error) = begun {
            // the run was dropped with the thread that is none, which notes that it broke off
            tracing::error!(name, %error, "no thread can be started for a run of the schedule");
        }
    }

    fn run(&self, name: &'static str, running: Running, doing: Doing) {
        // this thread alone; where it is refused, it only competes a little more
        let _it_is_only_polite = rustix::process::nice(NICE);
        let (began, why) = running.about();
        let found = self.failures.caught(Place::ApartJob, || doing(self)).flatten();
        let failed = found.is_err();
        let Found { told, mut writes, alert } = found.unwrap_or_else(|why| {
            let message = format!("{name} failed: {why}; `vigie schedule run {name}` runs it again");
            Found { alert: Some((Level::Warning, "schedule_failed", message)), ..Found::told(why) }
        });
        tracing::info!(name, failed, "{told}");
        let event = |kind| Write::Event(Event { at: self.clock.now(), kind });
        writes.extend(alert.map(|(level, code, message)| {
            tracing::warn!(code, "{message}");
            event(EventKind::Alert { level, code: code.into(), message })
        }));
        writes.push(event(EventKind::Ran { job: name.into(), began, why, found: told.clone(), failed }));
        let done = if failed { Err(told) } else { Ok(told.into()) };
        let stored = all_stored(self.journal.write_blocking(writes));
        running.end(done.and_then(|told| match stored {
            Ok(_) => Ok(told),
            Err(error) => Err(format!("what it found is not recorded ({error}): {told}")),
        }));
    }

    fn reader(&self) -> Result<Reader, String> {
        self.journal.read_blocking().map_err(|error| error.to_string())
    }

    /// Looks at what came since it last did.
    pub(super) fn data_quality(&self) -> Result<Found, String> {
        let (reader, config) = (self.reader()?, self.config.load_full());
        let checked = quality::check(&reader, &config, self.clock.now())?;
        let told = checked.news.told(checked.signals);
        let is_news = !checked.news.new.is_empty();
        let alert = is_news.then(|| (Level::Warning, "data_quality", format!("{told}; `vigie dataset` shows all")));
        Ok(Found { told, writes: vec![checked.write], alert })
    }

    /// Writes the review of the time since the one before.
    pub(super) fn review(&self) -> Result<Found, String> {
        let (reader, config) = (self.reader()?, self.config.load_full());
        let (review, writes) = review::write(&reader, &config, self.clock.now())?;
        Ok(Found { told: review.line.told(), writes, alert: None })
    }

    /// Considers for each symbol whether it is to be trained again, and has that done, one after the other.
    pub(super) fn retraining(&self) -> Result<Found, String> {
        let config = self.config.load_full();
        let considered = retraining::consider(&self.reader()?, &config)?;
        let mut lines = Vec::new();
        for (symbol, considered) in &considered {
            let mut line = retraining::told(symbol, considered);
            if considered.is_due() {
                let came = self.train(symbol, &considered.to_string(), config.trainer.wall + GRACE);
                line += &format!("; {}", came.unwrap_or_else(|why| format!("it was not trained: {why}")));
            }
            lines.push(line);
        }
        if lines.is_empty() {
            lines.push("no trade of a configured symbol has closed".to_owned());
        }
        Ok(Found::told(lines.join(". ")))
    }

    /// Asks the trainer for a successor as the guardian does of one that declines, and waits for it.
    fn train(&self, symbol: &Symbol, reason: &str, patience: Duration) -> Result<String, String> {
        let order = Order { symbol: symbol.clone(), model: None, target: None, days: None };
        let job = learning::Job::Train { order, dry_run: false, keep: false };
        let by = By::Daemon(NAME.into());
        let (waited, mut number) = (Stopwatch::start(), None);
        while waited.elapsed() < patience {
            if self.journal.has_ended() {
                return Err("the daemon stopped".to_owned());
            }
            let Some(begun) = number else {
                if let Some(emergency) = self.serving.load().emergency() {
                    return Err(emergency);
                }
                let ask = Ask { job: job.clone(), reason: reason.to_owned(), by: by.clone() };
                match asked(&self.trainer, ask)? {
                    Ok(begun) => number = Some(begun),
                    Err(WireError { code, .. }) if code == "busy" || code == "retry" => thread::sleep(POLL),
                    Err(error) => return Err(error.message),
                }
                continue;
            };
            let status = asked(&self.training, ObserveTrainer)?.unwrap_or_default();
            match status.last.filter(|last| last.number >= begun) {
                Some(last) if last.number == begun => return ended(last),
                Some(_) => {
                    return Err(format!("what came of training {begun} is not known any more; see `vigie models`"));
                }
                None => thread::sleep(POLL),
            }
        }
        Err(format!("waited for {patience:?}; see `vigie status`"))
    }
}

/// What came of a training.
fn ended(last: Ended) -> Result<String, String> {
    match last {
        Ended { refused: Some(refused), .. } => Err(refused.message),
        Ended { version: Some(version), report: Some(report), .. } => {
            Ok(format!("{version} was trained: {}", report.summary()))
        }
        _ => Err("nothing came of it".to_owned()),
    }
}

/// The answer of a part, for a thread that may wait.
fn asked<M>(part: &Recipient<M>, message: M) -> Result<M::Result, String>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    runtime.block_on(part.send(message)).map_err(|error: MailboxError| error.to_string())
}
