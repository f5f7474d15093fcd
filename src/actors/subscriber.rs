//! One subscriber: what it has not seen comes from the journal first and from the event stream then.
//!
//! Each is told what it can take, at its own pace; one that falls too far behind reads from the journal again, or is sent
//! away when that does not hold what it missed. Nobody waits for it.
#![deny(clippy::indexing_slicing)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{broadcast, mpsc},
    time::sleep,
};

use super::{
    acknowledge::retry,
    alerts::number_of,
    event_stream::{Line, Notice, Post, event_line, line},
    journal::JournalHandle,
    supervision::{Failures, Place},
};
use crate::{
    journal::{BadRecord, Reader, StoreError, StoredEvent},
    protocol::message::{self, Subscribe, WireError},
};

/// Lines that wait for one connection.
const LINES: usize = 64;
/// Events that are read from the journal at once: no snapshot of it is held while a client reads.
const PAGE: usize = 256;
/// How often in a row a journal that cannot be read is asked again, and the pause between.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// Begins to tell a subscriber what happens: the answer goes to `out`, the lines after it come from what is returned. They
/// end when no more can be told. Of a drill, the answer and every line say that it is one.
pub async fn subscribe(
    journal: &JournalHandle,
    failures: &Failures,
    drill: bool,
    wanted: Subscribe,
    id: Option<&RawValue>,
    out: &mut Vec<u8>,
) -> Option<mpsc::Receiver<Vec<u8>>> {
    match Subscriber::new(journal, failures, wanted).await {
        Ok((subscriber, last)) => {
            message::write_ok(out, id, &Begun { drill, from: subscriber.next, last_seq: last });
            let (sender, receiver) = mpsc::channel(LINES);
            let outlet = Outlet { sender, drill };
            let failures = failures.clone();
            actix::spawn(async move {
                let telling = failures.caught_future(Place::SubscriberTell, subscriber.tell(&outlet));
                tokio::select! {
                    told = telling => if let Err(error) = told.unwrap_or_else(|panic| Err(failed(panic))) {
                        let mut last_word = Vec::new();
                        message::write_error(&mut last_word, None, &error);
                        let _may_be_gone = outlet.send(last_word).await;
                    },
                    () = outlet.sender.closed() => {}
                }
            });
            Some(receiver)
        }
        Err(error) => {
            message::write_error(out, id, &error);
            None
        }
    }
}

/// What is said when the telling of events failed.
fn failed(panic: String) -> WireError {
    WireError::new("internal_error", format!("{panic}; subscribe again"))
}

#[derive(Serialize)]
struct Begun {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    drill: bool,
    from: u64,
    last_seq: u64,
}

/// The one way to a subscriber, so that no line of a drill goes out without its mark.
struct Outlet {
    sender: mpsc::Sender<Vec<u8>>,
    drill: bool,
}

impl Outlet {
    async fn send(&self, mut line: Vec<u8>) -> Result<(), mpsc::error::SendError<Vec<u8>>> {
        if self.drill {
            // each line is one object, and none is empty
            line.splice(1..1, *br#""drill":true,"#);
        }
        self.sender.send(line).await
    }
}

struct Subscriber {
    journal: JournalHandle,
    failures: Failures,
    posts: broadcast::Receiver<Post>,
    /// Events from here on were not told yet.
    next: u64,
    /// Decisions are told from here on, if at all.
    decisions: Option<(u64, Counted)>,
}

/// One who wants decisions, as long as it is held.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Subscriber {
    /// Listens first and looks at the journal then, so that nothing falls between the two.
    async fn new(journal: &JournalHandle, failures: &Failures, wanted: Subscribe) -> Result<(Self, u64), WireError> {
        let event_stream = journal.event_stream();
        let (posts, count) =
            (event_stream.posts.subscribe(), wanted.decisions.then(|| Counted::new(&event_stream.decisions)));
        let reader = journal.read().await.map_err(|error| retry(&error))?;
        let last = failures.blocking(Place::SubscriberPage, move || reader.last_seq()).await.map_err(failed)?;
        let last = last.map_err(|error| WireError::new("retry", error.to_string()))?;
        let next = wanted.from.unwrap_or(last + 1);
        if next > last + 1 {
            let message = format!("from: {next} lies ahead of this journal, whose last number is {last}; begin with 0");
            return Err(WireError { field: Some("from".to_owned()), ..WireError::new("out_of_range", message) });
        }
        let decisions = count.map(|counted| (last + 1, counted));
        Ok((Self { journal: journal.clone(), failures: failures.clone(), posts, next, decisions }, last))
    }

    /// Ends without an error when nobody listens any more or the journal's thread has ended.
    async fn tell(mut self, to: &Outlet) -> Result<(), WireError> {
        let mut tries = 0;
        loop {
            match self.catch_up(to).await {
                Ok(()) => tries = 0,
                // a journal that failed is opened again before long
                Err(_) if tries < TRIES => {
                    tries += 1;
                    sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            }
            if !self.follow(to).await? {
                return Ok(());
            }
        }
    }

    /// Tells the events that the journal holds.
    async fn catch_up(&mut self, to: &Outlet) -> Result<(), WireError> {
        loop {
            let reader = self.journal.read().await.map_err(|error| retry(&error))?;
            let from = self.next;
            let page = self.failures.scan(Place::SubscriberPage, move || page(&reader, from)).await;
            let page = page.map_err(failed)?;
            let page = page.map_err(|error| WireError::new("retry", error.to_string()))?;
            for line in page.lines {
                if to.send(line).await.is_err() {
                    return Ok(());
                }
            }
            self.next = page.next;
            if page.is_last {
                let _may_be_gone = to.send(line(&Notice::CaughtUp { seq: page.next - 1 })).await;
                return Ok(());
            }
        }
    }

    /// Tells what is posted. True when the journal must be looked at again.
    async fn follow(&mut self, to: &Outlet) -> Result<bool, WireError> {
        loop {
            let lines = match self.posts.recv().await {
                Ok(Post::Commit(lines)) => lines,
                Ok(Post::Gap) => return Ok(true),
                Err(broadcast::error::RecvError::Lagged(_)) if self.decisions.is_none() => return Ok(true),
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let message =
                        format!("decisions came faster than they were read; subscribe again from {}", self.next);
                    return Err(WireError::new("too_slow", message));
                }
                Err(broadcast::error::RecvError::Closed) => return Ok(false),
            };
            for line in lines.iter().filter(|line| self.is_wanted(line)) {
                if to.send(line.text.clone()).await.is_err() {
                    return Ok(false);
                }
            }
            if let Some(last) = lines.iter().rev().find(|line| !line.is_decision) {
                self.next = self.next.max(last.seq + 1);
            }
        }
    }

    fn is_wanted(&self, line: &Line) -> bool {
        if line.is_decision {
            self.decisions.as_ref().is_some_and(|(from, _)| line.seq >= *from)
        } else {
            line.seq >= self.next
        }
    }
}

/// Some events of the journal.
struct Page {
    lines: Vec<Vec<u8>>,
    /// Where to go on.
    next: u64,
    is_last: bool,
}

fn page(reader: &Reader, from: u64) -> Result<Page, StoreError> {
    let mut page = Page { lines: Vec::new(), next: from, is_last: true };
    for stored in reader.events(from)? {
        if page.lines.len() == PAGE {
            page.is_last = false;
            return Ok(page);
        }
        match stored {
            Ok(StoredEvent { seq, event }) => {
                page.lines.push(event_line(seq, &event));
                page.next = seq + 1;
            }
            Err(StoreError::BadRecord(bad)) => {
                page.next = number_of(&bad).map_or(page.next, |seq| seq + 1);
                page.lines.push(unreadable_line(&bad));
            }
            Err(error) => return Err(error),
        }
    }
    page.next = page.next.max(reader.last_seq()? + 1);
    Ok(page)
}

fn unreadable_line(bad: &BadRecord) -> Vec<u8> {
    line(&Notice::Unreadable { seq: number_of(bad), what: bad.to_string() })
}
