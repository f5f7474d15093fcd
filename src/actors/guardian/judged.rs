//! What the monitor finds, and what is done about it: alerts, influence that shrinks and comes back, a training, a rollback, a
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
    guard::{integrity::IntegrityFault, watch::Judgement},
    journal::Write,
    lifecycle::measures::broken,
    recall::learning::Job,
    state::step::Response,
    validation::training::Order,
};

/// Pause before what was found is told again to a guardian that is restarting.
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
        if matches!(fault, IntegrityFault::Score { .. }) && self.roster.silence().lock_for_good().is_some() {
            return;
        }
        let (alert, lock) = broken(&self.roster, fault);
        self.alert(alert);
        lock.into_iter().for_each(|lock| self.silence_and_forget(vec![lock]));
    }

    fn judged(&mut self, judgement: Judgement, address: Addr<Shell<Self>>) {
        let response = {
            let config = self.shared.config.load();
            self.shared.trade_news.risk().judged(&config.rules(), &self.roster, judgement)
        };
        let Some(Response { version, alerts, lock, train, judged, out, share }) = response else { return };
        alerts.into_iter().for_each(|alert| self.alert(alert));
        lock.into_iter().for_each(|lock| self.silence_and_forget(vec![lock]));
        if let Some(reason) = train {
            self.ask_for_training(&version, reason);
        }
        if self.shared.journal.write_behind(Write::Event(self.event(judged))).is_err() {
            tracing::warn!("a judgement found no room in the journal's queue");
        }
        out.into_iter().for_each(|moved| self.silence_and_forget(vec![moved]));
        if let Some((told, shared)) = share {
            self.alert(told);
            self.adjust(shared, address);
        }
    }

    fn alert(&self, event: EventKind) {
        if let EventKind::Alert { level, code, message } = event {
            alert(&self.shared, level, &code, message);
        }
    }

    /// Brings the share of a version to what its days call for.
    fn adjust(&mut self, shared: EventKind, address: Addr<Shell<Self>>) {
        let EventKind::Shared { version, share, .. } = &shared else { return };
        if *share < self.roster.share(version) {
            return self.silence_and_forget(vec![shared]);
        }
        let done = format!("{version} speaks to {:.0} % of its trades", 100.0 * share);
        // refused while an order is being carried out; then the next day tries again
        let given = self.commit(vec![self.event(shared)], Vec::new(), done, address.clone());
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
        if !self.is_there() && !matches!(finding, Finding::Broken(IntegrityFault::Score { .. })) {
            // of a score the next signal tells again; of a day and of a clock nobody does
            context.notify_later(finding, FOUND_AGAIN);
            return;
        }
        let _handled = self.handle_with(context, Place::GuardianFinding, |guardian| guardian.found(finding, address));
    }
}
