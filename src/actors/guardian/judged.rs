//! What the monitor finds, and what is done about it: alerts, a say that shrinks and comes back, a training, a rollback, a
//! lock.
//!
//! What takes a version's word away is in force at once; what gives some of it back waits for the disk.

use std::time::Duration;

use actix::{Addr, AsyncContext, Context, Handler};

use super::{Guardian, alert};
use crate::{
    actors::{
        monitor::Finding,
        supervision::{Place, Shell, spawn},
        trainer::Ask,
    },
    domain::{
        EventKind, VersionId,
        event::{By, Level},
    },
    guard::{
        gradual::{Gradual, next_share},
        integrity::IntegrityFault,
        watch::Judgement,
    },
    journal::Write,
    lifecycle::measures::{Measures, adjustment, broken, measures},
    recall::learning::Job,
    validation::training::Order,
};

/// Pause before what was found is told again to a guardian that is being made anew.
const FOUND_AGAIN: Duration = Duration::from_millis(50);

impl Guardian {
    fn found(&mut self, finding: Finding, address: Addr<Shell<Self>>) {
        match finding {
            Finding::Judged(judgement) => self.judged(*judgement, address),
            Finding::Broken(fault) => self.broken(&fault),
            Finding::Alert(alert) => self.alert(alert),
        }
    }

    fn broken(&mut self, fault: &IntegrityFault) {
        // signals that were answered before the first of them was heard here tell of it again
        if matches!(fault, IntegrityFault::Score { .. }) && self.roster.lock().is_some() {
            return;
        }
        let (alert, lock) = broken(&self.roster, fault);
        self.alert(alert);
        lock.into_iter().for_each(|lock| self.silence_and_forget(vec![lock]));
    }

    fn judged(&mut self, judgement: Judgement, address: Addr<Shell<Self>>) {
        let (version, unstable) = (judgement.version.clone(), judgement.day_close.unstable);
        let Some(Measures { alerts, lock, train, judged, out }) = measures(&self.roster, judgement) else { return };
        alerts.into_iter().for_each(|alert| self.alert(alert));
        lock.into_iter().for_each(|lock| self.silence_and_forget(vec![lock]));
        if let Some(reason) = train {
            self.ask_for_training(&version, reason);
        }
        self.note(judged);
        match out {
            Some(moved) => self.silence_and_forget(vec![moved]),
            None => self.adjust(&version, unstable, address),
        }
    }

    fn alert(&self, event: EventKind) {
        if let EventKind::Alert { level, code, message } = event {
            alert(&self.shared, level, &code, message);
        }
    }

    /// Brings the share of a version to what its days call for.
    fn adjust(&mut self, version: &VersionId, unstable: bool, address: Addr<Shell<Self>>) {
        let (before, roster) = (self.roster.share(version), &self.roster);
        let allowed = self.shared.trade_news.risk().gradual.get(version).map_or(1.0, Gradual::share);
        let called_for = next_share(before, allowed);
        let Some((told, event)) = adjustment(roster, version, called_for, unstable) else { return };
        self.alert(told);
        if called_for < before {
            return self.silence_and_forget(vec![event]);
        }
        // refused while an order is being carried out; then the next day tries again
        let done = format!("{version} speaks to {:.0} % of its trades", 100.0 * called_for);
        let given = self.commit(vec![self.event(event)], Vec::new(), done, address.clone());
        spawn(&address, &self.shared.failures, Place::GuardianForget, async move {
            if let Err(error) = given.await {
                tracing::warn!(%error, "a share was not given back today");
            }
        });
    }

    fn ask_for_training(&self, version: &VersionId, reason: String) {
        let Some(trainer) = self.shared.trainer.get() else { return };
        let order = Order { symbol: version.symbol.clone(), model: None, target: None, days: None };
        let job = Job::Train { order, dry_run: false, keep: false };
        let asked = trainer.send(Ask { job, reason, by: By::Daemon("guardian".into()) });
        let (shared, version) = (self.shared.clone(), version.clone());
        self.shared.failures.spawn(Place::GuardianForget, async move {
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
    fn note(&self, kind: EventKind) {
        let event = self.event(kind);
        let config = self.shared.config.load();
        self.shared.trade_news.risk().follow(&config.rules(), &self.roster, &event.kind);
        if self.shared.journal.write_behind(Write::Event(event)).is_err() {
            tracing::warn!("a judgement found no room in the journal's queue");
        }
    }

    pub(super) fn silence_and_forget(&mut self, kinds: Vec<EventKind>) {
        let durable = self.silence(kinds);
        self.shared.failures.spawn(Place::GuardianForget, async move {
            let _it_is_written_until_it_is = durable.await;
        });
    }
}

impl Handler<Finding> for Shell<Guardian> {
    type Result = ();

    fn handle(&mut self, finding: Finding, context: &mut Context<Self>) {
        let address = context.address();
        if !self.is_there() && !matches!(finding, Finding::Broken(_)) {
            // the monitor tells of a day once; of a fault the next signal tells again
            context.notify_later(finding, FOUND_AGAIN);
            return;
        }
        let _handled = self.handle_with(context, Place::GuardianFinding, |guardian| guardian.found(finding, address));
    }
}
