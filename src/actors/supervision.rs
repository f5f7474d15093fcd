//! Our own supervision: an actor is a shell around a part, and a part that panics is thrown away and made anew.
//!
//! actix's own `Supervisor` does not survive a panic. Here the panic is caught inside the handler, the request in flight
//! gets its safe answer, and the part is rebuilt from the journal by a factory, so addresses never go stale. Too many
//! restarts in a short time end the daemon: locked to the baseline, with an exit status that says so.

use std::{
    any::Any,
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use tokio::sync::mpsc;

use crate::config::Supervision;

/// How long to wait before a factory that failed is asked again.
const FACTORY_RETRY: Duration = Duration::from_millis(250);

/// A part of the daemon that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub actor: &'static str,
    /// What the panic said.
    pub panic: String,
}

/// How many restarts were survived lately.
#[derive(Debug)]
pub struct Budget {
    max_restarts: usize,
    window: Duration,
    /// Times of the restarts within the window, since the daemon's start.
    restarts: VecDeque<Duration>,
}

/// A place where tests make a part fail: called with the actor's name and the message's before each message is handled.
/// In service there is none.
#[derive(Clone, Default)]
pub struct Tripwire(Option<Arc<dyn Fn(&'static str, &'static str) + Send + Sync>>);

/// What an actor is made of: state and the functions on it.
pub trait Part: Sized + Unpin + 'static {
    /// The actor's name, as in the log and in `status`.
    const NAME: &'static str;

    /// Called each time a part takes its place in the shell, the first time too.
    fn installed(&mut self) {}
}

/// Makes a part from what the journal holds.
pub type Factory<P> = Rc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<P, String>>>>>;

/// The actor around a part.
pub struct Shell<P> {
    part: Option<P>,
    /// A part is being made. There is never more than one, or an older one could take the place of a newer.
    being_made: bool,
    /// Something happened that the part being made may not know of.
    missed: bool,
    factory: Factory<P>,
    failures: mpsc::Sender<Failure>,
    on_failure: Box<dyn Fn()>,
    tripwire: Tripwire,
    mailbox: usize,
}

impl Budget {
    /// As the configuration has it.
    pub fn new(limits: &Supervision) -> Self {
        Self { max_restarts: limits.max_restarts, window: limits.window, restarts: VecDeque::new() }
    }

    /// Notes a restart at `now`, counted from the daemon's start. False when that is one more than the window allows.
    pub fn restart(&mut self, now: Duration) -> bool {
        self.restarts.push_back(now);
        while self.restarts.front().is_some_and(|first| now.saturating_sub(*first) > self.window) {
            self.restarts.pop_front();
        }
        self.restarts.len() <= self.max_restarts
    }
}

impl Tripwire {
    /// Calls `wire` before each message.
    pub fn new(wire: impl Fn(&'static str, &'static str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(wire)))
    }

    /// Lets a message pass, or not.
    pub fn pass(&self, actor: &'static str, message: &'static str) {
        if let Some(wire) = &self.0 {
            wire(actor, message);
        }
    }
}

impl std::fmt::Debug for Tripwire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Tripwire(set)" } else { "Tripwire(none)" })
    }
}

impl<P: Part> Shell<P> {
    /// A shell around `part`. `on_failure` runs at once when it panics, before anything else is handled.
    pub fn new(
        part: P,
        factory: Factory<P>,
        failures: mpsc::Sender<Failure>,
        on_failure: impl Fn() + 'static,
        tripwire: Tripwire,
        mailbox: usize,
    ) -> Self {
        Self {
            part: Some(part),
            being_made: false,
            missed: false,
            factory,
            failures,
            on_failure: Box::new(on_failure),
            tripwire,
            mailbox,
        }
    }

    /// Lets the part handle a message. `None` when it panicked over it or is being made anew: the caller gives the safe
    /// answer.
    pub fn handle_with<R>(
        &mut self,
        context: &mut Context<Self>,
        message: &'static str,
        handler: impl FnOnce(&mut P) -> R,
    ) -> Option<R> {
        let part = self.part.as_mut()?;
        let tripwire = &self.tripwire;
        let handled = catch_unwind(AssertUnwindSafe(|| {
            tripwire.pass(P::NAME, message);
            handler(part)
        }));
        match handled {
            Ok(result) => Some(result),
            Err(panic) => {
                self.fail(context, panic_text(&*panic));
                None
            }
        }
    }

    /// Says that something was not handled that the part must learn from the journal.
    pub fn miss(&mut self) {
        self.missed = true;
    }

    /// Makes the part anew and then puts it in its place; until then the present one goes on, if there is one. What is being
    /// made already is made once more when it is done, since it may have begun with what is out of date now.
    pub fn renew(&mut self, context: &mut Context<Self>) {
        if self.being_made { self.miss() } else { self.rebuild(context) }
    }

    fn install(&mut self, mut part: P) {
        part.installed();
        self.part = Some(part);
    }

    fn fail(&mut self, context: &mut Context<Self>, panic: String) {
        self.part = None;
        (self.on_failure)();
        tracing::error!(actor = P::NAME, panic, "an actor failed and is made anew");
        // a full channel holds more failures than any budget survives
        let _already_fatal = self.failures.try_send(Failure { actor: P::NAME, panic });
        self.renew(context);
    }

    fn rebuild(&mut self, context: &mut Context<Self>) {
        self.being_made = true;
        let made = (self.factory)().into_actor(self).map(|made, shell, context| match made {
            Ok(_) if shell.missed => {
                shell.missed = false;
                shell.rebuild(context);
            }
            Ok(part) => {
                shell.being_made = false;
                shell.install(part);
            }
            Err(error) => {
                tracing::error!(actor = P::NAME, error, "an actor could not be made anew; trying again");
                context.run_later(FACTORY_RETRY, |shell, context| shell.rebuild(context));
            }
        });
        context.spawn(made);
    }
}

impl<P: Part> Actor for Shell<P> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox);
        if let Some(part) = &mut self.part {
            part.installed();
        }
    }
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use actix::{Handler, Message, MessageResult};
    use tokio::sync::oneshot;

    use super::*;

    /// The n-th that was made.
    struct Numbered(usize);

    impl Part for Numbered {
        const NAME: &'static str = "numbered";
    }

    struct Renew;
    struct Which;

    impl Message for Renew {
        type Result = ();
    }
    impl Message for Which {
        type Result = Option<usize>;
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
            MessageResult(self.handle_with(context, "which", |part| part.0))
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
                    Ok(Numbered(number))
                })
            });
            let failures = mpsc::channel(8).0;
            let shell = Shell::new(Numbered(0), factory, failures, || {}, Tripwire::default(), 8).start();
            shell.send(Renew).await.unwrap();
            shell.send(Renew).await.unwrap();
            release.send(()).unwrap();
            while shell.send(Which).await.unwrap() != Some(2) {
                tokio::task::yield_now().await;
            }
            // nothing is left that could take its place
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!((shell.send(Which).await.unwrap(), begun.get()), (Some(2), 2));
        });
    }

    #[test]
    fn the_budget_counts_only_what_lies_within_its_window() {
        let mut budget = Budget::new(&Supervision { max_restarts: 3, window: Duration::from_secs(60) });
        let mut restart = |second| budget.restart(Duration::from_secs(second));
        assert!([0, 10, 20].into_iter().all(&mut restart));
        assert!(restart(61), "the first has left the window");
        assert!(!restart(62), "the fourth within a minute");
    }
}
