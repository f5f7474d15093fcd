//! The actor around a part: it makes the part, puts it in its place, lets it handle messages, and throws it away when it
//! panics.

use std::{cell::RefCell, future::Future, panic::AssertUnwindSafe, pin::Pin, rc::Rc};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use futures_util::FutureExt as _;

use super::{Failures, Place, Tries, panic_text};

/// What an actor is made of: state and the functions on it.
pub trait Part: Sized + Unpin + 'static {
    /// The actor's name, as in the log and in `status`.
    const NAME: &'static str;
    /// Where it is made.
    const MAKE: Place;
    /// Where it takes its place.
    const INSTALL: Place;

    /// Called each time a part takes its place in the shell, the first time too.
    fn installed(&mut self) {}
}

/// Makes a part from what the journal holds.
pub type Factory<P> = Rc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<P, String>>>>>;

/// Why there is no answer of the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// The part is restarting, or panicked over the message: nothing of what was asked goes on.
    Down,
    /// It panicked when the message was handled already: what was asked may have been done.
    Failed,
}

/// Where a part is, unless it is restarting.
pub(super) type Slot<P> = Rc<RefCell<Option<P>>>;

/// The actor around a part.
pub struct Shell<P> {
    pub(super) part: Slot<P>,
    /// A part is being made. There is never more than one, or an older one could take the place of a newer.
    being_made: bool,
    /// Something happened that the part being made may not know of.
    missed: bool,
    /// Makings and installations that failed in a row.
    tries: Tries,
    factory: Factory<P>,
    pub(super) failures: Failures,
    on_failure: Box<dyn Fn()>,
    mailbox: usize,
}

impl<P: Part> Shell<P> {
    /// A shell around `part`. `on_failure` runs at once when it panics, before anything else is handled.
    pub fn new(
        part: P,
        factory: Factory<P>,
        failures: Failures,
        on_failure: impl Fn() + 'static,
        mailbox: usize,
    ) -> Self {
        Self {
            part: Rc::new(RefCell::new(Some(part))),
            being_made: false,
            missed: false,
            tries: Tries::of_making(),
            factory,
            failures,
            on_failure: Box::new(on_failure),
            mailbox,
        }
    }

    /// Lets the part handle a message. `None` when it panicked over it or is restarting: the caller gives the safe
    /// answer.
    pub fn handle_with<R>(
        &mut self,
        context: &mut Context<Self>,
        place: Place,
        handler: impl FnOnce(&mut P) -> R,
    ) -> Option<R> {
        match guarded(&self.part, &self.failures, place, handler) {
            Ok(result) => result,
            Err(panic) => {
                self.fail(context, place, &panic);
                None
            }
        }
    }

    /// Lets the part handle a message and go on with it in a future. A panic in there counts as one in the handler, but that
    /// what was asked may have been done. `otherwise` gives the safe answer.
    pub fn answer_with<T: 'static>(
        &mut self,
        context: &mut Context<Self>,
        place: Place,
        otherwise: impl FnOnce(Unanswered) -> T + 'static,
        handler: impl FnOnce(&mut P) -> ResponseFuture<T>,
    ) -> ResponseFuture<T> {
        let Some(answer) = self.handle_with(context, place, handler) else {
            return Box::pin(std::future::ready(otherwise(Unanswered::Down)));
        };
        let (tripwire, shell) = (self.failures.tripwire.clone(), context.address());
        let answer = async move {
            tripwire.pass_future(place);
            answer.await
        };
        let answer = AssertUnwindSafe(answer).catch_unwind();
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer,
                Err(panic) => {
                    broke(&shell, place, panic_text(&*panic));
                    otherwise(Unanswered::Failed)
                }
            }
        })
    }

    /// Whether a part is there to handle a message.
    pub fn is_there(&self) -> bool {
        self.part.try_borrow().is_ok_and(|part| part.is_some())
    }

    /// Says that something was not handled that the part must learn from the journal.
    pub fn miss(&mut self) {
        self.missed = true;
    }

    /// Rebuilds the part and then puts it in its place; until then the present one goes on, if there is one. What is being
    /// made already is made once more when it is done, since it may have begun with what is out of date now.
    pub fn renew(&mut self, context: &mut Context<Self>) {
        if self.being_made { self.miss() } else { self.rebuild(context) }
    }

    /// Puts `part` in its place. One that panics there is thrown away, and another one made after a pause.
    fn install(&mut self, mut part: P, context: &mut Context<Self>) {
        let installed = self.failures.caught(P::INSTALL, || {
            part.installed();
            part
        });
        match installed {
            Ok(part) => {
                self.part.replace(Some(part));
                self.being_made = false;
                self.tries.succeed();
            }
            Err(panic) => {
                self.part.take();
                (self.on_failure)();
                self.try_again(context, &panic);
            }
        }
    }

    fn fail(&mut self, context: &mut Context<Self>, place: Place, panic: &str) {
        self.part.take();
        (self.on_failure)();
        self.failures.count(place, panic);
        self.renew(context);
    }

    fn rebuild(&mut self, context: &mut Context<Self>) {
        self.being_made = true;
        let (factory, failures) = (Rc::clone(&self.factory), self.failures.clone());
        let made = async move { failures.caught_future(P::MAKE, async move { factory().await }).await };
        let made = made.into_actor(self).map(|made, shell, context| match made.and_then(|made| made) {
            Ok(_) if shell.missed => {
                shell.missed = false;
                shell.rebuild(context);
            }
            Ok(part) => shell.install(part, context),
            Err(error) => shell.try_again(context, &error),
        });
        context.spawn(made);
    }

    /// Makes another one after a pause that grows, unless that was tried too often.
    fn try_again(&mut self, context: &mut Context<Self>, error: &str) {
        self.being_made = true;
        match self.tries.fail() {
            Some(pause) => {
                tracing::error!(actor = P::NAME, error, ?pause, "an actor could not be restarted; trying again");
                context.run_later(pause, |shell, context| shell.rebuild(context));
            }
            None => {
                let tries = self.tries.failed();
                self.failures.give_up(P::MAKE, format!("it could not be restarted in {tries} tries: {error}"));
            }
        }
    }
}

impl<P: Part> Actor for Shell<P> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox);
        let part = self.part.borrow_mut().take();
        if let Some(part) = part {
            self.install(part, context);
        }
    }
}

/// A part panicked outside of its shell.
struct Broke(Place, String);

impl Message for Broke {
    type Result = ();
}

impl<P: Part> Handler<Broke> for Shell<P> {
    type Result = ();

    fn handle(&mut self, Broke(place, panic): Broke, context: &mut Context<Self>) {
        self.fail(context, place, &panic);
    }
}

/// Tells a shell that its part panicked.
#[expect(clippy::disallowed_methods, reason = "a full mailbox must not keep a part that failed in its place")]
pub(super) fn broke<P: Part>(shell: &Addr<Shell<P>>, place: Place, panic: String) {
    shell.do_send(Broke(place, panic));
}

/// Lets the part in `slot` do something; `Ok(None)` when there is none, and what a panic said.
pub(super) fn guarded<P: Part, R>(
    slot: &Slot<P>,
    failures: &Failures,
    place: Place,
    work: impl FnOnce(&mut P) -> R,
) -> Result<Option<R>, String> {
    // nobody else works on it: a part knows no way back to itself
    let Ok(mut part) = slot.try_borrow_mut() else { return Ok(None) };
    let Some(part) = part.as_mut() else { return Ok(None) };
    failures.attempt(place, || work(part)).map(Some)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        time::Duration,
    };

    use actix::{Handler, Message, MessageResult};
    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::actors::supervision::{Failure, Tripwire};

    /// The n-th that was made; it may panic when it takes its place.
    struct Numbered(usize, bool);

    impl Part for Numbered {
        const NAME: &'static str = "numbered";
        const MAKE: Place = Place::ScorerMake;
        const INSTALL: Place = Place::ScorerInstall;

        fn installed(&mut self) {
            assert!(!self.1, "at the installation");
        }
    }

    struct Renew;
    struct Which;
    struct Later(oneshot::Receiver<()>);

    impl Message for Renew {
        type Result = ();
    }
    impl Message for Which {
        type Result = Option<usize>;
    }
    impl Message for Later {
        type Result = Result<usize, Unanswered>;
    }

    impl Handler<Renew> for Shell<Numbered> {
        type Result = ();

        fn handle(&mut self, _: Renew, context: &mut Context<Self>) {
            self.renew(context);
        }
    }

    impl Handler<Which> for Shell<Numbered> {
        type Result = MessageResult<Which>;

        fn handle(&mut self, _: Which, context: &mut Context<Self>) -> Self::Result {
            MessageResult(self.handle_with(context, Place::ScorerObserve, |part| part.0))
        }
    }

    impl Handler<Later> for Shell<Numbered> {
        type Result = ResponseFuture<Result<usize, Unanswered>>;

        fn handle(&mut self, Later(until): Later, context: &mut Context<Self>) -> Self::Result {
            self.answer_with(context, Place::ScorerObserve, Err, |part| {
                let number = part.0;
                Box::pin(async move {
                    until.await.expect("in the future");
                    Ok(number)
                })
            })
        }
    }

    /// A shell with the tries of `patience`, whose `make` makes the n-th from 1 on.
    fn shell(
        patience: Tries,
        mailbox: usize,
        make: impl Fn(usize) -> Result<Numbered, String> + 'static,
    ) -> (Shell<Numbered>, mpsc::Receiver<Failure>, Rc<Cell<usize>>) {
        let made = Rc::new(Cell::new(0));
        let count = Rc::clone(&made);
        let make = Rc::new(make);
        let factory: Factory<Numbered> = Rc::new(move || {
            count.set(count.get() + 1);
            let (make, number) = (Rc::clone(&make), count.get());
            Box::pin(async move { make(number) })
        });
        let (failures, counted) = Failures::new(Tripwire::default());
        let shell = Shell::new(Numbered(0, false), factory, failures, || {}, mailbox);
        (Shell { tries: patience, ..shell }, counted, made)
    }

    fn quick(most: u32) -> Tries {
        Tries::new(Duration::from_millis(1), most)
    }

    async fn until(shell: &Addr<Shell<Numbered>>, number: usize) {
        while shell.send(Which).await.unwrap() != Some(number) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn what_was_begun_before_the_last_call_never_takes_the_place_of_what_was_begun_after_it() {
        actix::System::new().block_on(async {
            let (release, held) = oneshot::channel::<()>();
            let (begun, held) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Some(held))));
            let count = Rc::clone(&begun);
            // the first takes its time, all others are there at once
            let factory: Factory<Numbered> = Rc::new(move || {
                let number = count.get() + 1;
                count.set(number);
                let held = held.borrow_mut().take();
                Box::pin(async move {
                    if let Some(held) = held {
                        held.await.unwrap();
                    }
                    Ok(Numbered(number, false))
                })
            });
            let failures = Failures::new(Tripwire::default()).0;
            let shell = Shell::new(Numbered(0, false), factory, failures, || {}, 8).start();
            shell.send(Renew).await.unwrap();
            shell.send(Renew).await.unwrap();
            release.send(()).unwrap();
            until(&shell, 2).await;
            // nothing is left that could take its place
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!((shell.send(Which).await.unwrap(), begun.get()), (Some(2), 2));
        });
    }

    #[test]
    fn a_panic_in_a_future_counts_and_the_part_is_rebuilt() {
        actix::System::new().block_on(async {
            let (shell, mut failures, _) = shell(quick(9), 8, |number| Ok(Numbered(number, false)));
            let shell = shell.start();
            let (go_on, held) = oneshot::channel();
            let answer = shell.send(Later(held));
            drop(go_on);
            assert_eq!(answer.await.unwrap(), Err(Unanswered::Failed));
            assert!(failures.recv().await.unwrap().panic.contains("in the future"));
            until(&shell, 1).await;
            let (go_on, held) = oneshot::channel();
            go_on.send(()).unwrap();
            assert_eq!(shell.send(Later(held)).await.unwrap(), Ok(1));
        });
    }

    #[test]
    fn a_making_and_an_installation_that_panic_are_counted_and_tried_again() {
        actix::System::new().block_on(async {
            let (shell, mut failures, made) = shell(quick(9), 8, |number| {
                assert!(number != 1, "in the making");
                Ok(Numbered(number, number == 2))
            });
            let shell = shell.start();
            shell.send(Renew).await.unwrap();
            until(&shell, 3).await;
            let mut said = Vec::new();
            while let Ok(Failure { panic, is_last: false, .. }) = failures.try_recv() {
                said.push(panic);
            }
            assert_eq!((said, made.get()), (vec!["in the making".to_owned(), "at the installation".to_owned()], 3));
        });
    }

    #[test]
    fn a_part_that_can_never_be_made_is_given_up_after_its_tries() {
        actix::System::new().block_on(async {
            let (shell, mut failures, made) = shell(quick(3), 8, |_| Err("no disk".to_owned()));
            let shell = shell.start();
            shell.send(Renew).await.unwrap();
            let failure = failures.recv().await.unwrap();
            assert!(failure.is_last && failure.panic.contains("in 3 tries: no disk"), "{failure:?}");
            assert_eq!((made.get(), shell.send(Which).await.unwrap()), (3, Some(0)), "the one before goes on");
        });
    }
}
