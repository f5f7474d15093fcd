//! The trainer: one training or validation at a time, done by a child process of the same program and registered by the
//! guardian. Whatever happens to the child, serving goes on, and nothing but a whole, checked product is registered.

use std::{cell::RefCell, path::PathBuf, rc::Rc, sync::Arc, thread};

use actix::{Context, Handler, MailboxError, Message, MessageResult, Recipient};
use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::{sync::oneshot, time::sleep};

use super::{
    child::{self, Watched},
    journal::JournalHandle,
    supervision::{Failures, Part, Place, Shell, Tries},
};
use crate::{
    clock::Clock,
    config::Config,
    domain::{
        Event, EventKind, Timestamp, VersionId,
        event::{By, Level},
    },
    journal::Write,
    protocol::message::WireError,
    recall::learning::{Assignment, Job, Product, Refused},
    validation::ValidationReport,
};

/// Asks for a training or a validation. The answer is its number; what comes of it is seen in [`TrainerStatus`].
#[derive(Debug, Clone)]
pub struct Ask {
    /// What is to be done.
    pub job: Job,
    /// Why, in words; it is kept.
    pub reason: String,
    /// Who asks.
    pub by: By,
}

/// A product of the trainer, to be checked and registered.
#[derive(Debug, Clone)]
pub struct Register {
    /// What was made.
    pub product: Product,
    /// What it was made for.
    pub job: Job,
}

impl Message for Register {
    type Result = Result<(), WireError>;
}

/// Asks the trainer how far it is.
#[derive(Debug)]
pub struct ObserveTrainer;

/// How far the trainer is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TrainerStatus {
    /// What is being done.
    pub running: Option<Running>,
    /// What was done last since the daemon's start.
    pub last: Option<Ended>,
}

/// What is being done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Running {
    /// Its number since the daemon's start, from 1.
    pub number: u64,
    /// What.
    #[serde(flatten)]
    pub job: Job,
    /// Why.
    pub reason: String,
    /// Who asked.
    #[serde(skip)]
    pub by: By,
    /// Since when.
    pub since: Timestamp,
    /// Share done, 0 to 1.
    pub share: f64,
    /// What it is at.
    pub stage: String,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ended {
    /// Its number since the daemon's start.
    pub number: u64,
    /// When it ended.
    pub at: Timestamp,
    /// The version that was made or validated, unless nothing came of it.
    pub version: Option<VersionId>,
    /// Whether it was registered.
    pub registered: bool,
    /// What the validation found.
    pub report: Option<Box<ValidationReport>>,
    /// Why nothing came of it.
    pub refused: Option<Refused>,
}

impl Message for Ask {
    type Result = Result<u64, WireError>;
}
impl Message for ObserveTrainer {
    type Result = Option<TrainerStatus>;
}

/// The state of the trainer. What is under way outlives it: a trainer that restarts finds it on the desk.
pub struct Trainer(TrainerShared);

/// What the trainer works with.
#[derive(Clone)]
pub struct TrainerShared {
    /// The program whose child does the work.
    pub program: PathBuf,
    /// The journal's file, which the child reads.
    pub file: PathBuf,
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// Who registers versions.
    pub guardian: Recipient<Register>,
    /// Where alerts go.
    pub journal: JournalHandle,
    /// The daemon's clock.
    pub clock: Arc<dyn Clock>,
    /// Where panics are counted.
    pub failures: Failures,
    /// What is under way, and what was done last.
    pub desk: Rc<RefCell<Desk>>,
}

/// What is under way, and what was done last.
#[derive(Default)]
pub struct Desk {
    number: u64,
    running: Option<(Running, Arc<Watched>)>,
    last: Option<Ended>,
}

impl Desk {
    /// Ends what is under way, with the daemon.
    pub fn clear(&self) {
        if let Some((_, watched)) = &self.running {
            watched.end();
        }
    }
}

/// The end of a job, which is no longer under way when this is dropped, however it ended.
struct Ending {
    desk: Rc<RefCell<Desk>>,
    number: u64,
    at: Timestamp,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Ok(mut desk) = self.desk.try_borrow_mut() else { return };
        if desk.running.take_if(|(running, _)| running.number == self.number).is_some() {
            let refused = Some(Refused::new("internal_error", "the trainer failed over its end"));
            let (number, at) = (self.number, self.at);
            desk.last = Some(Ended { number, at, version: None, registered: false, report: None, refused });
        }
    }
}

impl Part for Trainer {
    const NAME: &'static str = "trainer";
    const MAKE: Place = Place::TrainerMake;
    const INSTALL: Place = Place::TrainerInstall;
}

impl Trainer {
    /// A trainer at the desk of `shared`.
    pub fn new(shared: TrainerShared) -> Self {
        Self(shared)
    }

    /// Begins a job, unless one is under way.
    fn ask(&self, ask: Ask) -> Result<u64, WireError> {
        let Self(shared) = self;
        let mut desk = shared.desk.borrow_mut();
        if let Some((running, _)) = &desk.running {
            let message = format!(
                "training {} is under way since {:.0}; ask again when it is done",
                running.number, running.since
            );
            return Err(WireError::new("busy", message));
        }
        let (now, number) = (shared.clock.now(), desk.number + 1);
        let watched = Arc::new(Watched::default());
        let done = shared.start(&ask.job, now, &watched)?;
        tracing::info!(number, reason = ask.reason, by = ?ask.by, "a training began");
        desk.number = number;
        let Ask { job, reason, by } = ask;
        let running = Running { number, job: job.clone(), reason, by, since: now, share: 0.0, stage: String::new() };
        desk.running = Some((running, watched));
        let (failures, shared) = (shared.failures.clone(), shared.clone());
        let ending = Ending { desk: Rc::clone(&shared.desk), number, at: now };
        failures.spawn(Place::TrainerEnd, async move {
            let _whatever_happens = ending;
            let ended = match done.await {
                Ok(done) => done,
                Err(_) => Err(Refused::new("internal_error", "the thread of the training is gone")),
            };
            shared.end(number, job, ended).await;
        });
        Ok(number)
    }

    fn status(&self) -> TrainerStatus {
        let desk = self.0.desk.borrow();
        let running = desk.running.as_ref().map(|(running, watched)| {
            let progress = watched.progress();
            Running { share: progress.share, stage: progress.stage, ..running.clone() }
        });
        TrainerStatus { running, last: desk.last.clone() }
    }
}

impl TrainerShared {
    /// Lets a thread of its own wait for the child, so that nothing here does.
    fn start(
        &self,
        job: &Job,
        at: Timestamp,
        watched: &Arc<Watched>,
    ) -> Result<oneshot::Receiver<Result<Product, Refused>>, WireError> {
        let config = self.config.load();
        let limits = config.trainer.clone();
        let assignment = Assignment {
            job: job.clone(),
            journal: self.file.clone(),
            config: config.to_toml(),
            at,
            memory_bytes: limits.memory_bytes,
            nice: limits.nice,
        };
        let (program, watched) = (self.program.clone(), Arc::clone(watched));
        let (sender, receiver) = oneshot::channel();
        let failures = self.failures.clone();
        let started = thread::Builder::new().name("trainer".to_owned()).spawn(move || {
            let work = || child::supervise(&program, &assignment, limits.wall, &watched);
            let done = failures.caught(Place::TrainerThread, work).unwrap_or_else(|panic| {
                watched.end();
                Err(Refused::new("internal_error", format!("the thread of the training failed: {panic}")))
            });
            let _the_daemon_may_be_gone = sender.send(done);
        });
        started.map_err(|error| WireError::new("internal_error", format!("no thread can be started: {error}")))?;
        Ok(receiver)
    }

    /// Has the guardian register a product. One that is restarting, or whose disk fails, is told again.
    async fn register(&self, register: Register) -> Result<Result<(), WireError>, MailboxError> {
        let mut tries = Tries::of_making();
        loop {
            let registered = self.guardian.send(register.clone()).await?;
            match registered {
                Err(error) if error.code == "retry" => match tries.fail() {
                    Some(pause) => sleep(pause).await,
                    None => return Ok(Err(error)),
                },
                registered => return Ok(registered),
            }
        }
    }

    async fn end(&self, number: u64, job: Job, done: Result<Product, Refused>) {
        let dry = matches!(job, Job::Train { dry_run: true, .. });
        let ended =
            Ended { number, at: self.clock.now(), version: None, registered: false, report: None, refused: None };
        let ended = match done {
            Err(refused) => Ended { refused: Some(refused), ..ended },
            Ok(product) => {
                let (version, report) = (product.version.clone(), Box::new(product.report.clone()));
                match self.register(Register { product, job }).await {
                    Ok(Ok(())) => Ended { version: Some(version), registered: !dry, report: Some(report), ..ended },
                    Ok(Err(error)) => Ended { refused: Some(Refused::new(&error.code, &error.message)), ..ended },
                    Err(error) => Ended { refused: Some(Refused::new("internal_error", error)), ..ended },
                }
            }
        };
        if let Some(refused) = &ended.refused {
            let message = format!("training {number} came to nothing: {refused}");
            tracing::warn!(code = refused.code, "{message}");
            let kind = EventKind::Alert { level: Level::Warning, code: "training_refused".into(), message };
            let _it_is_logged = self.journal.write_behind(Write::Event(Event { at: ended.at, kind }));
        }
        let mut desk = self.desk.borrow_mut();
        desk.running = None;
        desk.last = Some(ended);
    }
}

impl Handler<Ask> for Shell<Trainer> {
    type Result = Result<u64, WireError>;

    fn handle(&mut self, ask: Ask, context: &mut Context<Self>) -> Self::Result {
        let asked = self.handle_with(context, Place::TrainerAsk, |trainer| trainer.ask(ask));
        asked.unwrap_or_else(|| Err(WireError::new("retry", "the trainer is restarting; ask again")))
    }
}

impl Handler<ObserveTrainer> for Shell<Trainer> {
    type Result = MessageResult<ObserveTrainer>;

    fn handle(&mut self, _: ObserveTrainer, context: &mut Context<Self>) -> Self::Result {
        MessageResult(self.handle_with(context, Place::TrainerObserve, |trainer| trainer.status()))
    }
}
