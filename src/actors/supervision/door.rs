//! Ways past the mailbox of a part: what is on the same thread asks it through a door, and a future of its own is watched as
//! its handlers are.

use std::{panic::AssertUnwindSafe, rc::Rc};

use actix::{Actor as _, Addr};
use futures_util::FutureExt as _;

use super::{
    Failures, Place, panic_text,
    shell::{Part, Shell, Slot, broke, guarded},
};

/// A way to a part that takes no mailbox: what is asked is answered before anything else is done on the thread. A panic
/// ends as it does in a handler, but that the shell hears of it by a message.
pub struct Door<P: Part> {
    part: Slot<P>,
    failures: Failures,
    shell: Addr<Shell<P>>,
}

impl<P: Part> Clone for Door<P> {
    fn clone(&self) -> Self {
        Self { part: Rc::clone(&self.part), failures: self.failures.clone(), shell: self.shell.clone() }
    }
}

impl<P: Part> Door<P> {
    /// Starts the actor; with its address comes the door to the part.
    pub fn open(shell: Shell<P>) -> (Addr<Shell<P>>, Self) {
        let (part, failures) = (Rc::clone(&shell.part), shell.failures.clone());
        let shell = shell.start();
        (shell.clone(), Self { part, failures, shell })
    }

    /// Lets the part do something. `None` when it panicked over it or is restarting: the caller gives the safe answer.
    pub fn call<R>(&self, place: Place, work: impl FnOnce(&mut P) -> R) -> Option<R> {
        match guarded(&self.part, &self.failures, place, work) {
            Ok(result) => result,
            Err(panic) => {
                // what is half changed answers nothing more
                self.part.take();
                broke(&self.shell, place, panic);
                None
            }
        }
    }
}

/// Begins a future that belongs to the part behind `shell`: a panic in it counts as one in a handler.
pub fn spawn<P: Part>(
    shell: &Addr<Shell<P>>,
    failures: &Failures,
    place: Place,
    work: impl Future<Output = ()> + 'static,
) {
    let (tripwire, shell) = (failures.tripwire.clone(), shell.clone());
    let work = async move {
        tripwire.pass(place);
        work.await;
    };
    actix::spawn(async move {
        if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
            broke(&shell, place, panic_text(&*panic));
        }
    });
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::actors::supervision::{Failure, Tripwire, shell::Factory};

    /// The n-th that was made.
    struct Numbered(usize);

    impl Part for Numbered {
        const NAME: &'static str = "numbered";
        const MAKE: Place = Place::ScorerMake;
        const INSTALL: Place = Place::ScorerInstall;
    }

    fn counted(mailbox: usize) -> (Shell<Numbered>, mpsc::Receiver<Failure>) {
        let factory: Factory<Numbered> = Rc::new(|| Box::pin(std::future::ready(Ok(Numbered(1)))));
        let (failures, counted) = Failures::new(Tripwire::default());
        (Shell::new(Numbered(0), factory, failures, || {}, mailbox), counted)
    }

    #[test]
    fn a_panic_behind_the_door_is_told_once_and_another_part_is_made() {
        actix::System::new().block_on(async {
            let (shell, mut failures) = counted(1);
            let (_shell, door) = Door::open(shell);
            tokio::task::yield_now().await;
            let ask = || door.call(Place::ScorerScore, |part| part.0);
            while ask().is_none() {
                tokio::task::yield_now().await;
            }
            assert_eq!(door.call(Place::ScorerScore, |_| -> usize { panic!("over it") }), None);
            assert_eq!(ask(), None, "what is half changed answers nothing more");
            while ask().is_none() {
                tokio::task::yield_now().await;
            }
            assert_eq!(ask(), Some(1));
            let failure = Failure { actor: "scorer", panic: "over it".to_owned(), is_last: false };
            assert_eq!(failures.recv().await.unwrap(), failure);
            assert!(failures.try_recv().is_err(), "once");
        });
    }

    #[test]
    fn a_panic_in_a_future_of_a_part_has_another_part_made() {
        actix::System::new().block_on(async {
            let (shell, mut failures) = counted(8);
            let watched = shell.failures.clone();
            let (shell, door) = Door::open(shell);
            spawn(&shell, &watched, Place::ScorerFold, async { panic!("later") });
            assert_eq!(failures.recv().await.unwrap().panic, "later");
            while door.call(Place::ScorerScore, |part| part.0) != Some(1) {
                tokio::task::yield_now().await;
            }
        });
    }
}
