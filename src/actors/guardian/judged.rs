//! What the monitor finds, and what is done about it: alerts, a say that shrinks and comes back, a training, a rollback, a
//! lock.
//!
//! What takes a version's word away is in force at once; what gives some of it back waits for the disk.

use std::collections::BTreeMap;

use actix::{Addr, AsyncContext, Context, Handler};

use super::{Guardian, alert, orders::moved};
use crate::{
    actors::{learning::Job, monitor::Finding, supervision::Shell, trainer::Ask},
    domain::{
        EventKind, VersionId,
        event::{By, Level},
        lifecycle::State,
    },
    journal::Write,
    rules::{
        alarm::Turn,
        gradual::{DayClose, Gradual, GradualOptions},
        health::Response,
        integrity::Fault,
        watch::Judgement,
    },
    validation::training::Order,
};

/// The alarms at which a new version is asked for.
const CALL_FOR_TRAINING: [&str; 2] = ["composite_retrain", "composite_rollback"];

/// Takes an event of the log into what is known of the versions that are judged.
pub(super) fn follow(known: &mut BTreeMap<VersionId, Gradual>, options: &GradualOptions, event: &EventKind) {
    match event {
        EventKind::Judged { version, day, composite, degraded, unstable, .. } => {
            let close = DayClose { day: *day, composite: *composite, degraded: *degraded, unstable: *unstable };
            known.entry(version.clone()).or_default().close_day(options, &close);
        }
        // wherever it goes it begins with its whole say
        EventKind::Moved { version, .. } => drop(known.remove(version)),
        _ => {}
    }
}

impl Guardian {
    fn found(&mut self, finding: Finding, address: Addr<Shell<Self>>) {
        match finding {
            Finding::Judged(judgement) => self.judged(*judgement, address),
            Finding::Broken(fault) => self.broken(&fault),
        }
    }

    fn broken(&mut self, fault: &Fault) {
        alert(&self.shared, Level::Critical, "integrity", format!("{fault}; serving is locked, look and then resume"));
        if self.roster.lock().is_none() {
            let by = By::Daemon("monitor".into());
            self.silence_and_forget(vec![EventKind::Locked { reason: fault.to_string(), by }]);
        }
    }

    fn judged(&mut self, judgement: Judgement, address: Addr<Shell<Self>>) {
        let Judgement { version, day_close, turns, response, faults, evidence } = judgement;
        let Some(state) = self.roster.standing(&version).map(|standing| standing.state) else { return };
        for turn in &turns {
            let (Turn::Raised(alarm) | Turn::Cleared(alarm)) = turn;
            let level = if matches!(turn, Turn::Raised(_)) { alarm.condition.level } else { Level::Info };
            alert(&self.shared, level, &alarm.condition.code, turn.message());
        }
        faults.iter().for_each(|fault| self.broken(fault));
        let DayClose { day, composite, degraded, unstable } = day_close;
        let closed = EventKind::Judged {
            version: version.clone(),
            day,
            composite,
            degraded,
            unstable,
            evidence: evidence.clone(),
        };
        let raised =
            |code: &str| turns.iter().any(|turn| matches!(turn, Turn::Raised(a) if *a.condition.code == *code));
        if CALL_FOR_TRAINING.into_iter().any(raised) {
            self.ask_for_training(&version, &evidence);
        }
        if !state.may_speak() {
            return self.note(closed);
        }
        let out = state.out_of_service().filter(|_| response == Some(Response::RollBack));
        if let Some(step) = out {
            let figure = evidence.get("composite").copied().unwrap_or_default();
            let reason = format!("its composite is {figure:.3} of its validation, by more than chance");
            let by = By::Daemon("guardian".into());
            let moved = moved(&version, step, &reason, by, false, evidence);
            self.note(closed);
            return self.silence_and_forget(vec![moved]);
        }
        self.note(closed);
        self.adjust(&version, state, unstable, address);
    }

    /// Brings the share of a version to what its days call for.
    fn adjust(&mut self, version: &VersionId, state: State, unstable: bool, address: Addr<Shell<Self>>) {
        let (share, called_for) = (self.roster.share(version), self.gradual.get(version).map_or(1.0, Gradual::share));
        if share == called_for || !state.may_speak() {
            return;
        }
        let why = match called_for < share {
            true if unstable => "its score is unstable",
            true => "its composite has been falling",
            false => "it has recovered",
        };
        let reason =
            format!("{why}: it speaks to {:.0} % of its trades instead of {:.0} %", 100.0 * called_for, 100.0 * share);
        alert(&self.shared, Level::Warning, "share", format!("{version}: {reason}; nothing is to be done"));
        let by = By::Daemon("guardian".into());
        let event = EventKind::Shared { version: version.clone(), share: called_for, reason: reason.clone(), by };
        if called_for < share {
            return self.silence_and_forget(vec![event]);
        }
        // refused while an order is being carried out; then the next day tries again
        let given = self.commit(vec![self.event(event)], Vec::new(), reason, address);
        actix::spawn(async move {
            if let Err(error) = given.await {
                tracing::warn!(%error, "a share was not given back today");
            }
        });
    }

    fn ask_for_training(&self, version: &VersionId, evidence: &BTreeMap<Box<str>, f64>) {
        let Some(trainer) = self.shared.trainer.get() else { return };
        let figure = evidence.get("composite").copied().unwrap_or_default();
        let order = Order { symbol: version.symbol.clone(), model: None, target: None, days: None };
        let job = Job::Train { order, dry_run: false, keep: false };
        let reason = format!("the composite of {version} is {figure:.3} of its validation");
        let asked = trainer.send(Ask { job, reason, by: By::Daemon("guardian".into()) });
        let (shared, version) = (self.shared.clone(), version.clone());
        actix::spawn(async move {
            let message = match asked.await {
                Ok(Ok(number)) => format!("a successor of {version} is being trained: training {number}"),
                Ok(Err(error)) => {
                    format!("a successor of {version} could not be trained: {error}; order it by `vigie train`")
                }
                Err(error) => {
                    format!("a successor of {version} could not be trained: {error}; order it by `vigie train`")
                }
            };
            alert(&shared, Level::Warning, "retrain", message);
        });
    }

    /// An event that changes nothing about who may speak today.
    fn note(&mut self, kind: EventKind) {
        let event = self.event(kind);
        follow(&mut self.gradual, &self.shared.config.load().gradual, &event.kind);
        if self.shared.journal.write_behind(Write::Event(event)).is_err() {
            tracing::warn!("a judgement found no room in the journal's queue");
        }
    }

    fn silence_and_forget(&mut self, kinds: Vec<EventKind>) {
        let durable = self.silence(kinds);
        actix::spawn(async move {
            let _it_is_written_until_it_is = durable.await;
        });
    }
}

impl Handler<Finding> for Shell<Guardian> {
    type Result = ();

    fn handle(&mut self, finding: Finding, context: &mut Context<Self>) {
        let address = context.address();
        // one that is missed is made again when the next day closes
        let _handled = self.handle_with(context, "finding", |guardian| guardian.found(finding, address));
    }
}
