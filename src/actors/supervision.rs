//! Our own supervision: an actor is a shell around a part, and a part that panics is thrown away and made anew.
//!
//! actix's own `Supervisor` does not survive a panic. Here the panic is caught inside the handler, the request in flight
//! gets its safe answer, and the part is rebuilt from the journal by a factory, so addresses never go stale. Too many
//! restarts in a short time end the daemon: locked to the baseline, with an exit status that says so.

use std::{
    any::Any,
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
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

/// Where a part is, unless it is being made anew.
type Slot<P> = Rc<RefCell<Option<P>>>;

/// The actor around a part.
pub struct Shell<P> {
    part: Slot<P>,
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
            part: Rc::new(RefCell::new(Some(part))),
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
        match guarded(&self.part, &self.tripwire, message, handler) {
            Ok(result) => result,
            Err(panic) => {
                self.fail(context, panic);
                None
            }
        }
    }

    /// Starts the actor; with its address comes the door to the part, for who is on the same thread.
    pub fn open(self) -> (Addr<Self>, Door<P>) {
        let (part, tripwire) = (Rc::clone(&self.part), self.tripwire.clone());
        let shell = self.start();
        let door = Door { part, tripwire, untold: Rc::default(), shell: shell.clone() };
        (shell, door)
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
        self.part.replace(Some(part));
    }

    fn fail(&mut self, context: &mut Context<Self>, panic: String) {
        self.part.take();
        (self.on_failure)();
        tracing::error!(actor = P::NAME, panic, "an actor failed and is restarted from the journal");
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
                tracing::error!(actor = P::NAME, error, "an actor could not be restarted; trying again");
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
        if let Some(part) = self.part.borrow_mut().as_mut() {
            part.installed();
        }
    }
}

/// A way to a part that takes no mailbox: what is asked is answered before anything else is done on the thread. A panic
/// ends as it does in a handler, but that the shell hears of it by a message.
pub struct Door<P: Part> {
    part: Slot<P>,
    tripwire: Tripwire,
    /// A panic that the shell's mailbox had no room for; it is told with the next call.
    untold: Rc<RefCell<Option<String>>>,
    shell: Addr<Shell<P>>,
}

impl<P: Part> Door<P> {
    /// Lets the part do something. `None` when it panicked over it or is being made anew: the caller gives the safe answer.
    pub fn call<R>(&self, message: &'static str, work: impl FnOnce(&mut P) -> R) -> Option<R> {
        match guarded(&self.part, &self.tripwire, message, work) {
            Ok(Some(result)) => return Some(result),
            Ok(None) => {}
            Err(panic) => {
                // what is half changed answers nothing more
                self.part.take();
                self.untold.replace(Some(panic));
            }
        }
        if let Some(panic) = self.untold.take()
            && self.shell.try_send(Broke(panic.clone())).is_err()
        {
            self.untold.replace(Some(panic));
        }
        None
    }
}

/// A part panicked outside of its shell.
struct Broke(String);

impl Message for Broke {
    type Result = ();
}

impl<P: Part> Handler<Broke> for Shell<P> {
    type Result = ();

    fn handle(&mut self, Broke(panic): Broke, context: &mut Context<Self>) {
        self.fail(context, panic);
    }
}

/// Lets the part in `slot` do something; `Ok(None)` when there is none, and what a panic said.
fn guarded<P: Part, R>(
    slot: &Slot<P>,
    tripwire: &Tripwire,
    message: &'static str,
    work: impl FnOnce(&mut P) -> R,
) -> Result<Option<R>, String> {
    // nobody else works on it: a part knows no way back to itself
    let Ok(mut part) = slot.try_borrow_mut() else { return Ok(None) };
    let Some(part) = part.as_mut() else { return Ok(None) };
    let done = catch_unwind(AssertUnwindSafe(|| {
        tripwire.pass(P::NAME, message);
        work(part)
    }));
    done.map(Some).map_err(|panic| panic_text(&*panic))
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
    fn a_panic_behind_the_door_is_told_even_when_the_mailbox_is_full_at_that_time() {
        actix::System::new().block_on(async {
            let factory: Factory<Numbered> = Rc::new(|| Box::pin(std::future::ready(Ok(Numbered(1)))));
            let (failed, mut failures) = mpsc::channel(8);
            let (shell, door) = Shell::new(Numbered(0), factory, failed, || {}, Tripwire::default(), 1).open();
            shell.send(Which).await.unwrap();
            assert_eq!(door.call("which", |part| part.0), Some(0));
            while shell.try_send(Which).is_ok() {}
            assert_eq!(door.call("fail", |_| -> usize { panic!("over it") }), None);
            assert_eq!(door.call("which", |part| part.0), None, "what is half changed answers nothing more");
            while door.call("which", |part| part.0).is_none() {
                tokio::task::yield_now().await;
            }
            assert_eq!(door.call("which", |part| part.0), Some(1));
            assert_eq!(failures.recv().await.unwrap(), Failure { actor: "numbered", panic: "over it".to_owned() });
            assert!(failures.try_recv().is_err(), "once");
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
