//! Between the socket and the actors: who may ask what, and how each answer is written.
#![deny(clippy::indexing_slicing)]

mod answers;
mod copy;
mod import;
mod pace;
mod read;
mod reading;
mod score;
mod signals;
mod unread;

pub use pace::{Pace, TRAINING};

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use actix::Addr;
use arc_swap::ArcSwap;
use serde_json::value::RawValue;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

use self::{
    answers::{BEGUN, NOTED, Performed},
    score::in_place,
};
use super::{
    ab_router::AbRouter,
    acknowledge::{all_stored, retry},
    alerts::AlertList,
    archivist::Archivist,
    guardian::{Guardian, Order, RecordOutcome, RecordSkip},
    jobs::{JobLog, NotOrdered},
    journal::JournalHandle,
    monitor::MonitorHandle,
    scorer::Scorer,
    subscriber,
    supervision::{Door, Failures, Place, Shell},
    trade_news::TradeNews,
    trainer::{Ask, Trainer},
};
use crate::{
    clock::{Clock, EventClock, Stopwatch},
    config::Config,
    domain::{Event, EventKind, InvalidLine, Timestamp, VersionId, event::By, lifecycle},
    features::pipeline::Pipeline,
    guard::plausibility::check_signal,
    journal::{LatestBackup, Write},
    policy::serving::Serving,
    protocol::{
        message::{self, Ack, Change, Envelope, Rejected, Request, Stream, Task, WireError},
        peer::{Peer, Role},
        server::{Connections, Service},
    },
    recall::learning::Job,
    state::step::State,
    validation::training::Order as TrainingOrder,
};

/// Of a version that is to come back.
const TO_PAST_GATES: &str =
    "a version that passes its gates goes on by the usual steps; `to` goes with `override`, which passes them over";

/// A wish to read the configuration again, and where to say what came of it.
pub type ReloadRequest = oneshot::Sender<Result<Reloaded, String>>;

/// What a configuration that was just taken leaves as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// The keys that wait for a restart.
    pub waiting: Vec<String>,
    /// Each version in service that keeps the policy it was validated by although another is configured, in words.
    pub kept: Vec<String>,
}

/// Answers the requests of all connections.
#[derive(Clone)]
pub struct Gateway(Rc<Wiring>);

/// What the gateway talks to.
pub struct Wiring {
    /// Scores.
    pub scorer: Door<Scorer>,
    /// What it carries forward.
    pub pipeline: Rc<RefCell<Option<Pipeline>>>,
    /// The actor around it.
    pub scorer_shell: Addr<Shell<Scorer>>,
    /// Judges, records and changes.
    pub guardian: Addr<Shell<Guardian>>,
    /// Trains.
    pub trainer: Addr<Shell<Trainer>>,
    /// Judges versions on trial.
    pub ab_router: Addr<Shell<AbRouter>>,
    /// Watches the versions in service.
    pub monitor: MonitorHandle,
    /// The trades under way.
    pub trade_news: TradeNews,
    /// What may be served.
    pub serving: Arc<ArcSwap<Serving>>,
    /// Reads.
    pub journal: JournalHandle,
    /// Moves old records out of the journal.
    pub archivist: Archivist,
    /// What took a model's word away and is not on disk yet.
    pub unsaved: Rc<RefCell<Vec<Event>>>,
    /// What people should know.
    pub alerts: AlertList,
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// The daemon's clock.
    pub clock: Arc<dyn Clock>,
    /// Set when time comes from the messages.
    pub event_clock: Option<Arc<EventClock>>,
    /// How far a replay is.
    pub pace: Pace,
    /// Open connections.
    pub connections: Rc<Connections>,
    /// Where a reload is asked for.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Restarts survived since the start, by actor.
    pub restarts: Rc<Cell<u64>>,
    /// When the daemon began to serve.
    pub started_at: Timestamp,
    /// The same, to measure by.
    pub started: Stopwatch,
    /// Whether the daemon is a drill.
    pub drill: bool,
    /// Requests at fault since the start.
    pub rejected: Cell<u64>,
    /// Where panics are counted.
    pub failures: Failures,
    /// What came of the jobs.
    pub jobs: JobLog,
    /// A place for each copy of the journal that may be under way.
    pub copies: Arc<Semaphore>,
}

impl Gateway {
    /// A gateway to `wiring`.
    pub fn new(wiring: Wiring) -> Self {
        Self(Rc::new(wiring))
    }

    /// What came of the jobs.
    pub fn jobs(&self) -> &JobLog {
        &self.0.jobs
    }

    /// Where panics are counted.
    pub fn failures(&self) -> &Failures {
        &self.0.failures
    }

    /// What the parts that serve know and act by, for who compares it with what the journal comes to. What is carried forward and the
    /// feeds that are lost are not in it.
    pub fn state(&self) -> State {
        self.0.trade_news.state()
    }

    /// The time by which a time in the future is told; none where time comes from the messages.
    fn wall_time(&self) -> Option<Timestamp> {
        self.0.event_clock.is_none().then(|| self.0.clock.now())
    }

    /// Why a signal's time cannot be right, if so.
    fn refuse_time(&self, at: Timestamp) -> Option<InvalidLine> {
        check_signal(at, self.wall_time()?, &self.0.config.load().bounds()).err().map(InvalidLine::from)
    }

    async fn change(&self, change: Change, peer: Peer, id: Option<&RawValue>, out: &mut Vec<u8>) {
        let done = match may_operate(peer) {
            Ok(()) => {
                let gates = self.gates(&change).await;
                self.0.guardian.send(Order { change, uid: peer.uid, gates }).await
            }
            Err(error) => Ok(Err(error)),
        };
        match done {
            Ok(Ok(done)) => message::write_ok(out, id, &done),
            Ok(Err(error)) => message::write_error(out, id, &error),
            Err(error) => message::write_error(out, id, &WireError::new("internal_error", error.to_string())),
        }
    }

    async fn operate(&self, task: Task, peer: Peer, id: Option<&RawValue>, out: &mut Vec<u8>) {
        let done = match may_operate(peer) {
            Ok(()) => self.perform(task, peer).await,
            Err(error) => Err(error),
        };
        told(done, id, out);
    }

    /// A version that is to come back through its gates is judged first, as a training is done.
    async fn reinstate(
        &self,
        version: VersionId,
        reason: String,
        to: Option<lifecycle::State>,
        peer: Peer,
        id: Option<&RawValue>,
        out: &mut Vec<u8>,
    ) {
        let begun = match may_operate(peer).map(|()| to) {
            Ok(None) => self.train(Job::Reinstate { version }, reason, peer).await,
            Ok(Some(_)) => Err(WireError::new("refused", TO_PAST_GATES)),
            Err(error) => Err(error),
        };
        told(begun, id, out);
    }

    async fn perform(&self, task: Task, peer: Peer) -> Result<Performed, WireError> {
        match task {
            Task::Reload => {
                let Reloaded { waiting, kept } = self.reload().await?;
                Ok(Performed::Reload { done: "the new configuration is in force", kept, notes: waiting })
            }
            Task::Archive { before } => {
                let number = self.0.archivist.begin(before, &By::Uid(peer.uid))?;
                Ok(Performed::Archive { archiving: number, done: BEGUN })
            }
            Task::ScheduleRun { job } => self.run_now(&job, peer),
            Task::BackedUp { at, last_seq, created_at } => {
                let reader = self.0.journal.read().await.map_err(|error| retry(&error))?;
                if self.blocking(move || reader.created_at().ok()).await? != Some(created_at) {
                    return Err(WireError::new("refused", "it is a backup of another journal"));
                }
                let latest = LatestBackup { at, last_seq };
                all_stored(self.0.journal.write(vec![latest.write()]).await)?;
                Ok(NOTED)
            }
            Task::Imported { file, lines, stored, rejected } => {
                let kind = EventKind::Imported { file, lines, stored, rejected };
                let event = Event { at: self.0.clock.now(), kind };
                all_stored(self.0.journal.write(vec![Write::Event(event)]).await)?;
                Ok(NOTED)
            }
            Task::Train { symbol, model, target, days, dry_run, keep, reason } => {
                let order = TrainingOrder { symbol, model, target, days };
                self.train(Job::Train { order, dry_run, keep }, reason, peer).await
            }
            Task::Validate { version, reason } => self.train(Job::Validate { version }, reason, peer).await,
        }
    }

    /// Answers as soon as it has begun; how it goes on is told to `training`.
    async fn train(&self, job: Job, reason: String, peer: Peer) -> Result<Performed, WireError> {
        let begun = self.0.trainer.send(Ask { job, reason, by: By::Uid(peer.uid) }).await;
        let number = begun.map_err(|error| WireError::new("internal_error", error.to_string()))??;
        Ok(Performed::Train { done: BEGUN, training: number })
    }

    /// Answers when it is announced; it begins when the journal knows of it.
    fn run_now(&self, job: &str, peer: Peer) -> Result<Performed, WireError> {
        let of_job = |error: WireError| WireError { field: Some("job".to_owned()), ..error };
        match self.order_run(job, peer) {
            Err(error @ NotOrdered::Unknown { .. }) => Err(of_job(WireError::new("out_of_range", error.to_string()))),
            Err(error @ NotOrdered::UnderWay { .. }) => Err(WireError::new("busy", error.to_string())),
            Err(error @ NotOrdered::Emergency { .. }) => Err(WireError::new("refused", error.to_string())),
            Ok(job) => Ok(Performed::Run { done: BEGUN, job }),
        }
    }

    fn order_run(&self, job: &str, peer: Peer) -> Result<&'static str, NotOrdered> {
        let why = format!("ordered by {}", By::Uid(peer.uid));
        self.0.jobs.order(job, why, &self.0.config.load(), self.0.serving.load().emergency())
    }

    async fn reload(&self) -> Result<Reloaded, WireError> {
        let (sender, receiver) = oneshot::channel();
        let asked = self.0.reload.try_send(sender);
        asked.map_err(|_| WireError::new("retry", "another reload is under way; order it again"))?;
        let read = receiver.await.map_err(|_| WireError::new("internal_error", "the daemon is stopping"))?;
        read.map_err(|error| WireError::new("config", error))
    }
}

fn told(done: Result<Performed, WireError>, id: Option<&RawValue>, out: &mut Vec<u8>) {
    match done {
        Ok(done) => message::write_ok(out, id, &done),
        Err(error) => message::write_error(out, id, &error),
    }
}

fn may_operate(peer: Peer) -> Result<(), WireError> {
    let message = || format!("uid {} may not change what is served; see access.operator_users", peer.uid);
    if peer.role < Role::Operator { Err(WireError::new("forbidden", message())) } else { Ok(()) }
}

impl Service for Gateway {
    async fn answer(&self, peer: Peer, envelope: Envelope<'_>, line: &[u8], received: Stopwatch, out: &mut Vec<u8>) {
        let id = envelope.id;
        let length = out.len();
        let answered = match envelope.body {
            Ok(Request::Score(request)) => {
                let turn = self.pass_to(request.signal.at).await;
                // the time that the replay needed to catch up is not the trader's
                let received = if turn.is_some() { Stopwatch::start() } else { received };
                let answer = || self.answer_score(&request, id, line, received, out);
                self.0.failures.caught(Place::GatewayScore, answer).map_err(|_| Some(*request))
            }
            body => {
                // on the heap: a score has no use for its room
                let answer = Box::pin(self.answer_other(peer, id, body, out));
                self.0.failures.caught_future(Place::GatewayAnswer, answer).await.map_err(|_| None)
            }
        };
        if let Err(request) = answered {
            out.truncate(length);
            in_place(request, id, out);
        }
    }

    async fn stream(
        &self,
        wanted: Stream,
        id: Option<&RawValue>,
        out: &mut Vec<u8>,
    ) -> Option<mpsc::Receiver<Vec<u8>>> {
        match wanted {
            Stream::Subscribe(wanted) => {
                subscriber::subscribe(&self.0.journal, &self.0.failures, self.0.drill, wanted, id, out).await
            }
            Stream::Copy => self.copy(id, out).await,
        }
    }

    fn epoch(&self) -> u64 {
        self.0.serving.load().epoch
    }

    async fn caught(&self, connection: impl Future<Output = ()>) {
        let _it_is_closed = self.0.failures.caught_future(Place::Connection, connection).await;
    }

    fn record(&self, peer: Peer, id: Option<Box<RawValue>>, request: Request) -> JoinHandle<Vec<u8>> {
        let gateway = self.clone();
        actix::spawn(async move {
            let recording = Box::pin(gateway.recording(peer, request));
            let recorded = gateway.0.failures.caught_future(Place::GatewayRecord, recording).await;
            let mut out = Vec::new();
            match recorded {
                Ok(Ok(ack)) => message::write_ok(&mut out, id.as_deref(), &ack),
                Ok(Err(error)) => message::write_error(&mut out, id.as_deref(), &error),
                Err(_) => {
                    let message = "the gateway failed over it, and whether it is recorded is not known; send it again";
                    message::write_error(&mut out, id.as_deref(), &WireError::new("retry", message));
                }
            }
            out
        })
    }
}

impl Gateway {
    async fn answer_other(
        &self,
        peer: Peer,
        id: Option<&RawValue>,
        body: Result<Request, Rejected>,
        out: &mut Vec<u8>,
    ) {
        match body {
            Err(rejected) => {
                self.0.rejected.set(self.0.rejected.get() + 1);
                match self.refuse(rejected, peer).await {
                    Ok(rejected) => message::write_rejected(out, id, &rejected),
                    Err(error) => message::write_error(out, id, &error),
                }
            }
            Ok(Request::Read(read)) => self.read(read, id, out).await,
            Ok(Request::Change(Change::Reinstate { version, reason, overridden: false, to })) => {
                self.reinstate(version, reason, to, peer, id, out).await;
            }
            Ok(Request::Change(change)) => self.change(change, peer, id, out).await,
            Ok(Request::Task(task)) => self.operate(task, peer, id, out).await,
            // the server hands these to `answer_score`, `stream` and `record`
            Ok(Request::Score(_) | Request::Stream(_)) => {
                message::write_error(out, id, &WireError::new("internal_error", "this is answered elsewhere"))
            }
            Ok(request @ (Request::Outcome(_) | Request::Skip(_) | Request::Import(_))) => {
                let recorded = self.record(peer, id.map(ToOwned::to_owned), request).await;
                out.extend(recorded.unwrap_or_default());
            }
        }
    }

    async fn recording(&self, peer: Peer, request: Request) -> Result<Ack, WireError> {
        let guardian = &self.0.guardian;
        let recorded = match request {
            Request::Outcome(request) => {
                let turn = self.close_at(request.outcome.exit_at).await;
                let answer = guardian.send(RecordOutcome { request: *request, recalled: None });
                self.recorded(turn, answer).await
            }
            Request::Skip(skip) => {
                let turn = self.pass_to(self.0.clock.now()).await;
                self.recorded(turn, guardian.send(RecordSkip(skip))).await
            }
            Request::Import(import) => Ok(self.import(*import, peer).await),
            Request::Score(_) | Request::Read(_) | Request::Stream(_) | Request::Change(_) | Request::Task(_) => {
                Ok(Err(WireError::new("internal_error", "this is not to be recorded")))
            }
        };
        recorded.unwrap_or_else(|error| Err(WireError::new("retry", error.to_string())))
    }
}
