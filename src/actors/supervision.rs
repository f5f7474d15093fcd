//! Our own supervision: whatever a part does is done where a panic is caught, counted and answered.
//!
//! actix's own `Supervisor` does not survive a panic. Here it is caught where it happens: in the making of a part, in its
//! installation, in a handler, in a future that a handler returned or began, and on a thread. The request in flight gets its
//! safe answer. [`Shell`] rebuilds the part from the journal, so addresses never go stale. Too many failures in a short time end
//! the daemon: locked to the baseline, with an exit status that says so. What failed is tried again after a pause that grows, a
//! bounded number of times, and then ends the daemon as well.

mod door;
mod place;
mod scans;
mod shell;

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

pub(super) use self::scans::AT_ONCE;
use self::scans::{Scans, Work};
pub use self::{
    door::{Door, spawn},
    place::Place,
    shell::{Factory, Part, Shell, Unanswered},
};
use crate::config::Supervision;

/// Failures that wait to be counted: more than any budget survives.
const MOST_UNTOLD: usize = 128;

/// A failure of a part of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The part's name.
    pub actor: &'static str,
    /// What the panic said.
    pub panic: String,
    /// Nothing more is tried: the daemon is to end, however few failures there were.
    pub is_last: bool,
}

/// How many failures were survived lately.
#[derive(Debug)]
pub struct Budget {
    max_restarts: usize,
    window: Duration,
    /// Times of the failures within the window, since the daemon's start.
    restarts: VecDeque<Duration>,
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

/// How often something that failed is tried again, and after which pause.
#[derive(Debug, Clone)]
pub struct Tries {
    failed: u32,
    first: Duration,
    longest: Duration,
    most: u32,
}

impl Tries {
    /// The longest pause.
    const LONGEST: Duration = Duration::from_secs(30);

    /// The pause before each new making of a part, whose 12 tries take two and a half minutes.
    pub fn of_making() -> Self {
        Self::new(Duration::from_millis(250), 12)
    }

    /// At most `most` tries. The first pause is `first`; each is twice the one before.
    pub fn new(first: Duration, most: u32) -> Self {
        Self { failed: 0, first, longest: Self::LONGEST.max(first), most }
    }

    /// Of what panics and is no part that the daemon needs: 5 tries, of which no more are within the window of the restarts than are
    /// survived. The pauses are by default 20 s, 40 s, 80 s and 160 s.
    pub fn of_panics(limits: &Supervision) -> Self {
        let restarts = u32::try_from(limits.max_restarts).unwrap_or(u32::MAX).max(1);
        Self { failed: 0, first: limits.window / restarts, longest: Duration::MAX, most: 5 }
    }

    /// It failed once more: how long to wait. `None` when it is not to be tried again.
    pub fn fail(&mut self) -> Option<Duration> {
        let pause = self.first.saturating_mul(1 << self.failed.min(16)).min(self.longest);
        self.failed += 1;
        (self.failed < self.most).then_some(pause)
    }

    /// It went well.
    pub fn succeed(&mut self) {
        self.failed = 0;
    }

    /// How often it failed in a row.
    pub fn failed(&self) -> u32 {
        self.failed
    }
}

/// Where tests make a part fail: called with the part's name and that of the place before anything happens there.
/// In service there is none.
#[derive(Clone, Default)]
pub struct Tripwire(Option<Arc<dyn Fn(&'static str, &'static str) + Send + Sync>>);

impl Tripwire {
    /// Calls `wire` at each place.
    pub fn new(wire: impl Fn(&'static str, &'static str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(wire)))
    }

    /// Lets what happens at `place` go on, or not.
    fn pass(&self, place: Place) {
        if let Some(wire) = &self.0 {
            wire(place.actor(), place.name());
        }
    }

    /// The same of the future that the handler at `place` returned.
    fn pass_future(&self, place: Place) {
        if let Some((wire, name)) = self.0.as_ref().zip(place.future()) {
            wire(place.actor(), name);
        }
    }
}

impl std::fmt::Debug for Tripwire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Tripwire(set)" } else { "Tripwire(none)" })
    }
}

/// Where panics are caught, and told to who counts them.
#[derive(Debug, Clone)]
pub struct Failures {
    told: mpsc::Sender<Failure>,
    tripwire: Tripwire,
    scans: Arc<Scans>,
    copies: Arc<Scans>,
}

impl Failures {
    /// Where to catch them, and where they are counted.
    pub fn new(tripwire: Tripwire) -> (Self, mpsc::Receiver<Failure>) {
        let (told, failures) = mpsc::channel(MOST_UNTOLD);
        (Self { told, tripwire, scans: Arc::new(Scans::new("scan")), copies: Arc::new(Scans::new("copy")) }, failures)
    }

    /// Counts a panic.
    pub fn count(&self, place: Place, panic: &str) {
        tracing::error!(actor = place.actor(), place = place.name(), panic, "a part failed");
        self.tell(place, panic.to_owned(), false);
    }

    /// Has the daemon end, since nothing more is tried at `place`.
    pub fn give_up(&self, place: Place, why: String) {
        self.tell(place, why, true);
    }

    fn tell(&self, place: Place, panic: String, is_last: bool) {
        // a full channel holds more failures than any budget survives
        let _already_fatal = self.told.try_send(Failure { actor: place.actor(), panic, is_last });
    }

    /// Does `work`. What it leaves half changed when it panics must be thrown away.
    ///
    /// # Errors
    /// What a panic said. It is not counted yet.
    fn attempt<T>(&self, place: Place, work: impl FnOnce() -> T) -> Result<T, String> {
        let done = catch_unwind(AssertUnwindSafe(|| {
            self.tripwire.pass(place);
            work()
        }));
        done.map_err(|panic| panic_text(&*panic))
    }

    /// Does `work`. What it leaves half changed when it panics must be thrown away.
    ///
    /// # Errors
    /// What a panic said, which is counted.
    pub fn caught<T>(&self, place: Place, work: impl FnOnce() -> T) -> Result<T, String> {
        self.attempt(place, work).inspect_err(|panic| self.count(place, panic))
    }

    /// The same of a future.
    ///
    /// # Errors
    /// As there.
    pub async fn caught_future<T>(&self, place: Place, work: impl Future<Output = T>) -> Result<T, String> {
        let work = async {
            self.tripwire.pass(place);
            work.await
        };
        let done = AssertUnwindSafe(work).catch_unwind().await;
        done.map_err(|panic| panic_text(&*panic)).inspect_err(|panic| self.count(place, panic))
    }

    /// The same on a thread that may wait for a disk.
    ///
    /// # Errors
    /// As there.
    pub async fn blocking<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        self.answered(place, work, |work| tokio::task::spawn_blocking(work)).await
    }

    /// The same of a question about the journal that may take its time: few are answered at once, behind all that serves.
    ///
    /// # Errors
    /// As there.
    pub async fn scan<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        self.answered(place, work, |work| self.scans.begin(work)).await
    }

    /// The same of a copy, which may take minutes and leaves the questions their threads.
    ///
    /// # Errors
    /// As there.
    pub async fn copy<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        self.answered(place, work, |work| self.copies.begin(work)).await
    }

    /// What came of `work`, which `begin` has a thread do. To the threads all work is of one type: a task is compiled once.
    async fn answered<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
        begin: impl FnOnce(Work) -> JoinHandle<()>,
    ) -> Result<T, String> {
        let (failures, (answer, answered)) = (self.clone(), oneshot::channel());
        let begun = begin(Box::new(move || {
            let _nobody_may_wait = answer.send(failures.caught(place, work));
        }));
        begun.await.map_err(|error| error.to_string())?;
        answered.await.map_err(|error| error.to_string())?
    }

    /// Begins a future that nobody waits for.
    pub fn spawn(&self, place: Place, work: impl Future<Output = ()> + 'static) {
        begin(self.clone(), place, Box::pin(work));
    }
}

/// All futures that nobody waits for are of one type: a task is compiled once.
fn begin(failures: Failures, place: Place, work: Pin<Box<dyn Future<Output = ()>>>) {
    actix::spawn(async move {
        let _counted = failures.caught_future(place, work).await;
    });
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_counts_only_what_lies_within_its_window() {
        let mut budget = Budget::new(&Supervision { max_restarts: 3, window: Duration::from_secs(60) });
        let mut restart = |second| budget.restart(Duration::from_secs(second));
        assert!([0, 10, 20].into_iter().all(&mut restart));
        assert!(restart(61), "the first has left the window");
        assert!(!restart(62), "the fourth within a minute");
    }

    #[test]
    fn what_panics_on_and_on_is_given_up_before_it_ends_the_daemon() {
        for (max_restarts, window) in [(3, 60), (1, 10), (100, 60), (2, 3600)] {
            let limits = Supervision { max_restarts, window: Duration::from_secs(window) };
            let (mut tries, mut budget, mut now) = (Tries::of_panics(&limits), Budget::new(&limits), Duration::ZERO);
            let mut panics = 1;
            assert!(budget.restart(now));
            while let Some(pause) = tries.fail() {
                // a look takes a little time itself
                now += pause + Duration::from_millis(1);
                panics += 1;
                assert!(budget.restart(now), "{panics} panics, the last at {now:?}, of {max_restarts} in {window} s");
            }
            assert_eq!(panics, 5);
        }
    }

    #[test]
    fn the_pause_grows_to_a_longest_one_and_the_tries_end() {
        let mut tries = Tries::of_making();
        let pauses: Vec<Duration> = std::iter::from_fn(|| tries.fail()).collect();
        assert_eq!((pauses.len(), pauses[0], pauses[10]), (11, Duration::from_millis(250), Duration::from_secs(30)));
        assert!(pauses.is_sorted() && tries.failed() == 12, "{pauses:?}");
        let all: Duration = pauses.iter().sum();
        assert!((120..180).contains(&all.as_secs()), "{all:?}");
        tries.succeed();
        assert_eq!(tries.fail(), Some(Duration::from_millis(250)));
    }
}
