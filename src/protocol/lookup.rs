//! The groups of who comes, asked of the account database while others are let in.

use std::{cell::Cell, fmt, pin::Pin, rc::Rc, time::Duration};

use tokio::{net::UnixStream, sync::mpsc, time::timeout};

use super::peer::Accounts;

/// How long the account database may take to say whose groups are whose.
const LOOKUP: Duration = Duration::from_secs(5);
/// Connections that may wait for it at once; one more is turned away.
pub(super) const MOST: usize = 64;

/// A connection whose user was looked up.
pub(super) struct LookedUp {
    pub(super) stream: UnixStream,
    /// `None` when the account database did not answer.
    pub(super) groups: Option<Vec<u32>>,
}

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// What is under way, and where it comes back.
pub(super) struct Lookups {
    accounts: Accounts,
    /// Does a work to its end; what panics in it is told to who counts panics.
    caught: Rc<dyn Fn(Work) -> Work>,
    under_way: Rc<Cell<usize>>,
    back: mpsc::UnboundedSender<LookedUp>,
    found: mpsc::UnboundedReceiver<LookedUp>,
}

impl Lookups {
    pub(super) fn new(accounts: Accounts, caught: impl Fn(Work) -> Work + 'static) -> Self {
        let (back, found) = mpsc::unbounded_channel();
        Self { accounts, caught: Rc::new(caught), under_way: Rc::default(), back, found }
    }

    /// Whether no more may wait.
    pub(super) fn is_full(&self) -> bool {
        self.under_way.get() >= MOST
    }

    /// Asks for the groups of a user of this number and primary group.
    pub(super) fn begin(&self, stream: UnixStream, uid: u32, gid: u32) {
        let (accounts, back, caught) = (self.accounts.clone(), self.back.clone(), Rc::clone(&self.caught));
        let counted = Counted::new(&self.under_way);
        tokio::task::spawn_local(async move {
            let groups = Rc::new(Cell::new(None));
            let found = Rc::clone(&groups);
            let work = async move { found.set(timeout(LOOKUP, accounts.groups(uid, gid)).await.ok().flatten()) };
            caught(Box::pin(work)).await;
            drop(counted);
            let _it_may_have_ended = back.send(LookedUp { stream, groups: groups.take() });
        });
    }

    /// The next one that was looked up.
    pub(super) async fn next(&mut self) -> Option<LookedUp> {
        self.found.recv().await
    }
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

/// One of a number, while it is held.
pub(super) struct Counted(Rc<Cell<usize>>);

impl Counted {
    pub(super) fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
