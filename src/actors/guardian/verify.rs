//! Whether what is served is what the journal says is live.
//!
//! A deployment that went half-way, or a record that was changed underneath, shows as a difference of checksums. Then
//! nothing but the baseline is served until a person has looked.

use std::{collections::BTreeMap, sync::Arc};

use actix::{Context, Handler, ResponseFuture};

use super::{Guardian, LockNow, Verified, Verify};
use crate::{
    actors::supervision::{Place, Shell},
    domain::{VersionId, event::By},
    journal::Reader,
    policy::serving::Serving,
    recall::versions,
};

type Sums = BTreeMap<VersionId, [u8; 32]>;

impl Guardian {
    /// Compares in the background. Nothing is compared while something is on its way to the disk.
    fn verify(&self, again: actix::Addr<Shell<Self>>) -> ResponseFuture<Verified> {
        let shared = self.shared.clone();
        let before = shared.serving.load_full();
        Box::pin(async move {
            // what is being changed cannot be compared; the next time will do
            let Ok(turn) = Arc::clone(&shared.turn).try_lock_owned() else { return Verified::NotCompared };
            if before.lock.is_some() || !shared.unsaved.borrow().is_empty() {
                return Verified::NotCompared;
            }
            let Ok(reader) = shared.journal.read().await else { return Verified::NotCompared };
            let read = shared.failures.blocking(Place::GuardianVerifyRead, move || live(&reader)).await;
            let Ok(Ok(live)) = read else { return Verified::NotCompared };
            drop(turn);
            if shared.serving.load().epoch != before.epoch {
                return Verified::NotCompared;
            }
            let Some(difference) = difference(&held(&before), &live) else { return Verified::Same };
            let reason = format!("what is served is not what the journal says is live: {difference}");
            tracing::error!(code = "serving_differs", "{reason}");
            super::alert(&shared, crate::domain::event::Level::Critical, "serving_differs", reason.clone());
            let lock = LockNow { reason, by: By::Daemon("guardian".into()), kill: false };
            let _a_guardian_rebuilt_reads_the_journal = again.send(lock).await;
            Verified::Differs
        })
    }
}

/// The checksums of what is in service by the journal.
fn live(reader: &Reader) -> Result<Sums, String> {
    let mut live = Sums::new();
    for plan in versions::roster(reader)?.plan().into_values() {
        for version in plan.production.into_iter().chain(plan.test).chain(plan.shadows) {
            let stored = reader.version(&version).map_err(|error| error.to_string())?;
            live.extend(stored.map(|stored| (version, stored.checksum)));
        }
    }
    Ok(live)
}

/// The checksums of what the scorer holds.
fn held(serving: &Serving) -> Sums {
    let all = serving.scopes.values().flat_map(|scope| scope.served());
    all.map(|served| (served.version().clone(), *served.checksum())).collect()
}

/// The first version that is held and not live as it is held. One that is live and not held does not speak, and was told
/// of when it could not be loaded.
fn difference(held: &Sums, live: &Sums) -> Option<String> {
    let differs = |(version, sum): (&VersionId, &[u8; 32])| match live.get(version) {
        None => Some(format!("{version} is held and not live")),
        Some(stored) if stored != sum => {
            let short = |sum: &[u8; 32]| sum.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
            Some(format!("{version} is held as {} and stored as {}", short(sum), short(stored)))
        }
        Some(_) => None,
    };
    held.iter().find_map(differs)
}

impl Handler<Verify> for Shell<Guardian> {
    type Result = ResponseFuture<Verified>;

    fn handle(&mut self, _: Verify, context: &mut Context<Self>) -> Self::Result {
        let address = actix::AsyncContext::address(context);
        self.answer_with(context, Place::GuardianVerify, |_| Verified::NotCompared, |guardian| guardian.verify(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_otherwise_than_stored_or_not_live_is_a_difference() {
        let (one, two): (VersionId, VersionId) = ("ES/1".parse().unwrap(), "ES/2".parse().unwrap());
        let sums = |of: &[(&VersionId, u8)]| of.iter().map(|(id, byte)| ((*id).clone(), [*byte; 32])).collect::<Sums>();
        assert_eq!(difference(&sums(&[(&one, 1)]), &sums(&[(&one, 1), (&two, 2)])), None);
        assert!(difference(&sums(&[(&one, 1)]), &sums(&[(&one, 2)])).unwrap().contains("0101010101010101"));
        assert_eq!(difference(&sums(&[(&two, 1)]), &sums(&[(&one, 1)])).unwrap(), "ES/2 is held and not live");
    }
}
