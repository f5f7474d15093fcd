//! Orders of people: what silences a model is in force at once, what gives it influence waits for the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use actix::{Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use jiff::SignedDuration;

use super::{Advance, Answer, Done, EndLock, Guardian, Order, alert, save::UnderWay, unanswered};
use crate::{
    actors::{
        acknowledge::retry,
        journal::Unavailable,
        kill_file,
        supervision::{Place, Shell},
    },
    domain::{
        Event, EventKind, Timestamp, VersionId,
        event::{By, Level},
        lifecycle::{State, Transition},
    },
    guard::gradual::Gradual,
    journal::Write,
    lifecycle::{gates::Gate, roster::Refusal},
    policy::serving::{Scope, Served},
    protocol::message::{Change, WireError},
    recall::{
        versions::{Unusable, record, served},
        watched::lacking,
    },
    trials::promotion::{EvidenceStep, Numbers, events, numbers},
};

/// Longest time ahead at which a lock ends by itself: more is a slip.
const LONGEST_LOCK: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Events of an order that are on disk and now take effect.
pub(super) struct Committed {
    pub(super) events: Vec<Event>,
    pub(super) loaded: BTreeMap<VersionId, Arc<Served>>,
}

impl Message for Committed {
    type Result = ();
}

impl Guardian {
    fn order(&mut self, order: &Order, address: Addr<Shell<Self>>) -> ResponseFuture<Answer<Done>> {
        let by = By::Uid(order.uid);
        let silenced = |durable: ResponseFuture<bool>, done: String| -> ResponseFuture<Answer<Done>> {
            Box::pin(async move { Ok(Done { done, durable: durable.await }) })
        };
        match &order.change {
            Change::Kill { reason } => {
                let mut kinds = self.killed(reason, &by);
                let done = format!("locked to the baseline; {} rolled back", plural(kinds.len(), "version"));
                kinds.push(EventKind::Locked { reason: format!("killed: {reason}"), by, until: None });
                let durable = self.silence(kinds);
                silenced(durable, done)
            }
            Change::Lock { reason, until, for_s } => match end_of_lock(self.shared.clock.now(), *until, *for_s) {
                Err(why) => refused(why),
                Ok(until) => {
                    let durable = self.silence(vec![EventKind::Locked { reason: reason.clone(), by, until }]);
                    silenced(durable, locked(until, self.roster.silence().until()))
                }
            },
            Change::Rollback { version, reason } => match self.roster.roll_back(version) {
                Err(refusal) => refused(refusal.to_string()),
                Ok(step) => {
                    let done = format!("{version} is {}", step.edge().1);
                    let durable = self.silence(vec![moved(version, step, reason, by, false, BTreeMap::new())]);
                    silenced(durable, done)
                }
            },
            Change::Resume { reason, same_day } => {
                let config = self.shared.config.load();
                let today = config.calendar.day_of(self.shared.clock.now());
                match self.roster.silence().may_resume(today, *same_day, config.account.paper) {
                    Err(why) => refused(why),
                    Ok(same_day) => {
                        let events = vec![self.event(EventKind::Resumed { reason: reason.clone(), by, same_day })];
                        let mark = if same_day {
                            " on the day of an emergency of the account, which is marked for ever"
                        } else {
                            ""
                        };
                        self.commit(events, Vec::new(), format!("the lock is lifted{mark}"), address)
                    }
                }
            }
            Change::Promote { version, reason, to, overridden } => {
                let steps = self.roster.promote(version, *to, *overridden, &order.gates);
                let evidence = evidence(&order.gates, *overridden);
                self.send(version, steps, reason, evidence, (&by, *overridden), address)
            }
            // past its gates: the gateway has the others judged first
            Change::Reinstate { version, reason, to, .. } => {
                let steps = self.roster.reinstate(version, to.unwrap_or(State::Production));
                self.send(version, steps, reason, BTreeMap::new(), (&by, true), address)
            }
        }
    }

    /// Brings a version forward by the steps that an order comes to, if it comes to any.
    fn send(
        &mut self,
        version: &VersionId,
        steps: Result<Vec<(VersionId, Transition)>, Refusal>,
        reason: &str,
        evidence: Numbers,
        (by, overridden): (&By, bool),
        address: Addr<Shell<Self>>,
    ) -> ResponseFuture<Answer<Done>> {
        match steps {
            Err(refusal) => refused(refusal.to_string()),
            Ok(steps) => {
                let last = steps.last().map_or(Transition::Validate, |(_, step)| *step);
                let (version, reason) = (version.clone(), reason.to_owned());
                let step = EvidenceStep { version, step: last, reason, evidence, locks: false };
                self.bring(&step, steps, by, overridden, address)
            }
        }
    }

    /// Ends the lock that was to end by `now`. It gives models influence, so it takes effect when it is on disk, and not at all while
    /// anything is in its way; it is tried again.
    fn end_lock(&mut self, now: Timestamp, address: Addr<Shell<Self>>) -> ResponseFuture<Answer<Option<Done>>> {
        let Some(kind) = self.roster.silence().ends(now) else { return Box::pin(std::future::ready(Ok(None))) };
        let done = kind.to_string();
        tracing::info!("{done}");
        let committed = self.commit(vec![self.event(kind)], Vec::new(), done, address);
        Box::pin(async move { committed.await.map(Some) })
    }

    /// What rolls back every version that speaks, and every one that will when the order under way is on disk.
    pub(super) fn killed(&self, reason: &str, by: &By) -> Vec<EventKind> {
        let mut speaking: BTreeMap<VersionId, State> =
            self.roster.speaking().map(|(version, state)| (version.clone(), state)).collect();
        for event in &*self.shared.under_way.borrow() {
            if let EventKind::Moved { version, step, .. } = &event.kind
                && step.edge().1.may_influence()
            {
                speaking.insert(version.clone(), step.edge().1);
            }
        }
        let step = |(version, state): (VersionId, State)| {
            Some(moved(&version, state.out_of_service()?, reason, by.clone(), false, BTreeMap::new()))
        };
        speaking.into_iter().filter_map(step).collect()
    }

    /// A step on evidence: checked against where the version stands now.
    fn advance(&mut self, advance: Advance, address: Addr<Shell<Self>>) -> ResponseFuture<Answer<Done>> {
        let (step, by) = (advance.0, By::Daemon("ab_router".into()));
        let (version, to) = (&step.version, step.step.edge().1);
        if let Some(why) = step.held_back(&self.roster) {
            return refused(format!("{version} does not go on while models are silenced: {why}"));
        }
        match self.roster.advance(version, step.step) {
            Err(refusal) => refused(refusal.to_string()),
            Ok(steps) if matches!(to, State::RolledBack | State::Archived) => {
                let terms = self.shared.config.load().experiment.terms();
                tracing::warn!(%version, "{version} is {to}: {}", step.reason);
                let done = format!("{version} is {to}");
                let durable = self.silence(events(&step, steps, &terms, &by, false));
                Box::pin(async move { Ok(Done { done, durable: durable.await }) })
            }
            Ok(steps) => self.bring(&step, steps, &by, false, address),
        }
    }

    /// Brings a version forward by `steps`. A test takes the terms of now along with it.
    fn bring(
        &mut self,
        step: &EvidenceStep,
        steps: Vec<(VersionId, Transition)>,
        by: &By,
        overridden: bool,
        address: Addr<Shell<Self>>,
    ) -> ResponseFuture<Answer<Done>> {
        let state = steps.last().map_or(State::Trained, |(_, step)| step.edge().1);
        let terms = self.shared.config.load().experiment.terms();
        let mut kinds = events(step, steps, &terms, by, overridden);
        kinds.extend(self.cut(&step.version, state));
        let events = kinds.into_iter().map(|kind| self.event(kind)).collect();
        let symbol = &step.version.symbol;
        let silent = self.roster.silenced(symbol).filter(|_| state.may_influence());
        let silent = silent.map(|why| format!("; no model of {symbol} speaks until `vigie resume`: {why}"));
        let done = format!("{} is {state}{}", step.version, silent.unwrap_or_default());
        self.commit(events, vec![step.version.clone()], done, address)
    }

    /// What a decline has taken from a version before it may speak stays taken: it comes back as it recovers.
    fn cut(&self, version: &VersionId, to: State) -> Option<EventKind> {
        let allowed = self.shared.trade_news.risk().gradual.get(version).map_or(1.0, Gradual::share);
        let before = self.roster.standing(version).is_some_and(|standing| standing.state.may_influence());
        (to.may_influence() && !before && allowed < 1.0).then(|| EventKind::Shared {
            version: version.clone(),
            share: allowed,
            reason: format!("it declined before it was promoted: it influences {:.0} % of its trades", 100.0 * allowed),
            by: By::Daemon("guardian".into()),
        })
    }

    /// Gives a model influence: loads it, records the events, and only then lets them take effect. One order at a time.
    pub(super) fn commit(
        &mut self,
        events: Vec<Event>,
        load: Vec<VersionId>,
        done: String,
        address: Addr<Shell<Self>>,
    ) -> ResponseFuture<Answer<Done>> {
        let is_resume =
            events.iter().any(|event| matches!(event.kind, EventKind::Resumed { .. } | EventKind::LockEnded { .. }));
        let speaking = will_speak(&events);
        let kill_file = self.shared.kill_file.clone().filter(|_| is_resume || !speaking.is_empty());
        let Ok(turn) = Arc::clone(&self.shared.turn).try_lock_owned() else {
            let error = WireError::new("retry", "another order is being carried out; try again");
            return Box::pin(std::future::ready(Err(error)));
        };
        let is_free = self.shared.unsaved.borrow().is_empty();
        let journal = self.shared.journal.clone();
        let (schema, config) = (self.shared.schema(), self.shared.config.load_full());
        let again = if is_resume { self.scopes() } else { BTreeMap::new() };
        let policy = config.policy;
        let under_way = is_free.then(|| UnderWay::begin(&self.shared.under_way, &events));
        let shared = self.shared.clone();
        Box::pin(async move {
            if let Some(path) = kill_file {
                let looked = shared.failures.blocking(Place::GuardianKillFile, move || {
                    kill_file::is_there(&path)
                        .then(|| format!("{} is there; remove it, then order it again", path.display()))
                });
                if let Some(why) = looked.await.map_err(|error| WireError::new("internal_error", error))? {
                    return Err(WireError::new("refused", why));
                }
            }
            if !is_free {
                let why = "an earlier lock or rollback is not on disk yet; try again when it is";
                return Err(WireError::new("retry", why));
            }
            let (mut unwatched, mut kept) = (Vec::new(), Vec::new());
            let committed = async {
                let schema = schema.map_err(|error| WireError::new("config", error))?;
                let reader = journal.read().await.map_err(|error| retry(&error))?;
                let loaded = shared.failures.blocking(Place::GuardianOrderRead, move || {
                    let lacks = speaking.iter().filter_map(|id| Some((id, lacking(&record(&reader, id).ok()?)?)));
                    let lacks: Vec<String> = lacks.map(|(id, lacks)| format!("{id}: {lacks}")).collect();
                    let loaded = load.iter().map(|id| Ok((id.clone(), served(&reader, id, &schema, &config)?)));
                    let loaded: Result<BTreeMap<VersionId, Arc<Served>>, Unusable> = loaded.collect();
                    loaded.map(|loaded| (loaded, lacks)).map_err(|error| match error {
                        Unusable::Unreadable(why) => retry(&Unavailable::not_recorded(why)),
                        Unusable::InputsChanged(_) => WireError::new("inputs_changed", error.to_string()),
                        _ => WireError::new("model_damaged", error.to_string()),
                    })
                });
                let loaded = loaded.await.map_err(|error| WireError::new("internal_error", error))?;
                let (loaded, lacks) = loaded?;
                if let Some((id, _)) = loaded.iter().find(|(_, served)| !served.scores()) {
                    return Err(WireError::new(
                        "refused",
                        format!(
                            "{id} predicts amounts, which cannot be blended with a confidence, so it can never influence a trade; train another target"
                        ),
                    ));
                }
                let writes = events.iter().cloned().map(Write::Event).collect();
                shared.write_order(writes, &events).await?;
                unwatched = lacks;
                let served = again.values().flat_map(Scope::served).chain(loaded.values());
                kept.extend(served.filter_map(|served| served.keeps(&policy)));
                Ok(Committed { events, loaded })
            };
            let committed: Answer<Committed> = committed.await;
            let delivered = address.send(committed?).await;
            drop(under_way);
            drop(turn);
            delivered.map_err(|error| WireError::new("internal_error", error.to_string()))?;
            for told in &unwatched {
                alert(&shared, Level::Warning, "unwatched", told.clone());
            }
            let done = std::iter::once(done).chain(unwatched).chain(kept).collect::<Vec<_>>().join("; ");
            Ok(Done { done, durable: true })
        })
    }
}

/// The versions that `events` give influence, each once, however many steps it takes.
fn will_speak(events: &[Event]) -> BTreeSet<VersionId> {
    let speaks = |event: &Event| match &event.kind {
        EventKind::Moved { version, step, .. } if step.edge().1.may_influence() => Some(version.clone()),
        _ => None,
    };
    events.iter().filter_map(speaks).collect()
}

fn moved(
    version: &VersionId,
    step: Transition,
    reason: &str,
    by: By,
    overridden: bool,
    evidence: BTreeMap<Box<str>, f64>,
) -> EventKind {
    let (version, reason) = (version.clone(), reason.to_owned());
    EventKind::Moved { version, step, reason, by, overridden, evidence }
}

/// What was known of the gates that a promotion passed, or passed over.
fn evidence(gates: &[Gate], overridden: bool) -> BTreeMap<Box<str>, f64> {
    let relevant = gates.iter().filter(|gate| gate.passed || overridden);
    relevant.flat_map(|gate| numbers(&gate.checks)).collect()
}

/// When a lock that is ordered `now` ends by itself, if it does.
///
/// # Errors
/// In words, of an end that is none.
fn end_of_lock(now: Timestamp, until: Option<Timestamp>, for_s: Option<u64>) -> Result<Option<Timestamp>, String> {
    let end = match (until, for_s) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err("a lock ends at `until` or after `for_s` seconds, and not both".to_owned()),
        (Some(until), None) => until,
        (None, Some(seconds)) => {
            let ahead = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            now.checked_add(ahead).unwrap_or(Timestamp::MAX)
        }
    };
    if end <= now {
        return Err(format!("{end} has passed: it is {now}; nothing was locked"));
    }
    if end.duration_since(now) > LONGEST_LOCK {
        let days = LONGEST_LOCK.as_hours() / 24;
        return Err(format!("{end} is more than {days} days ahead; leave the end out for a lock until `vigie resume`"));
    }
    Ok(Some(end))
}

/// What is answered to an order for a lock until `ordered`, when one until `held` is in force.
fn locked(ordered: Option<Timestamp>, held: Option<Timestamp>) -> String {
    let words = |until: Option<Timestamp>| {
        until.map_or_else(|| "until `vigie resume`".to_owned(), |until| format!("until {until}"))
    };
    match ordered {
        None => "locked to the baseline".to_owned(),
        _ if ordered == held => format!("locked to the baseline {}", words(held)),
        _ => format!("locked to the baseline {}: that lock was there and is longer", words(held)),
    }
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("{count} {what}") } else { format!("{count} {what}s") }
}

fn refused<T: 'static>(why: String) -> ResponseFuture<Answer<T>> {
    Box::pin(std::future::ready(Err(WireError::new("refused", why))))
}

impl Handler<Order> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Done>>;

    fn handle(&mut self, message: Order, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        let safe = |why| Err(unanswered(why));
        self.answer_with(context, Place::GuardianOrder, safe, |guardian| guardian.order(&message, address))
    }
}

impl Handler<EndLock> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Option<Done>>>;

    fn handle(&mut self, message: EndLock, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        let safe = |why| Err(unanswered(why));
        self.answer_with(context, Place::GuardianLockEnd, safe, |guardian| guardian.end_lock(message.0, address))
    }
}

impl Handler<Advance> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Done>>;

    fn handle(&mut self, message: Advance, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        let safe = |why| Err(unanswered(why));
        self.answer_with(context, Place::GuardianAdvance, safe, |guardian| guardian.advance(message, address))
    }
}

impl Handler<Committed> for Shell<Guardian> {
    type Result = ();

    fn handle(&mut self, message: Committed, context: &mut Context<Self>) {
        let taken = self.handle_with(context, Place::GuardianCommitted, |guardian| {
            for served in message.loaded.values() {
                guardian.shared.trade_news.risk().emergency.ask(
                    served.version(),
                    *served.question(),
                    served.standard().copied(),
                );
            }
            guardian.loaded.extend(message.loaded);
            guardian.follow(&message.events);
        });
        if taken.is_none() {
            self.miss();
        }
    }
}
