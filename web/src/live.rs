//! The stream of a page: a snapshot, then what happens. A page that does not keep up gets a snapshot again; it never makes the others
//! wait, and what waits for it is bounded.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{
    hub::{Hub, Page, Update},
    places::Seat,
};

/// Pages that may be open at once; one more takes the place of the oldest.
pub const PAGES: usize = 48;
/// How often a page is told that the stream is alive.
pub const HEARTBEAT: Duration = Duration::from_secs(2);

/// Opens the stream. `Last-Event-ID` is that of the last update that the page has.
pub fn open(hub: &Arc<Hub>, request: &Request) -> Response {
    let page = hub.open_page(PAGES);
    // an open page does not give way to who opens connections and asks nothing
    let _has_room = request.extensions().get::<Arc<Seat>>().is_some_and(|seat| seat.keep());
    let last = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    let (first, receiver) = hub.join(last);
    let mut heart = interval(HEARTBEAT);
    heart.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // how soon a browser comes back, in milliseconds
    let waiting = std::iter::once("retry: 1000\n\n".to_owned()).chain(first).collect();
    let reader = Reader { hub: Arc::clone(hub), receiver, waiting, heart, page };
    let lines = stream::unfold(reader, |mut reader| async move {
        let text = reader.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), reader))
    });
    // one that gives way leaves its connection too
    let close = (header::CONNECTION, "close");
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store"), close];
    (kind, Body::from_stream(lines)).into_response()
}

struct Reader {
    hub: Arc<Hub>,
    receiver: broadcast::Receiver<Arc<Update>>,
    waiting: VecDeque<String>,
    heart: Interval,
    page: Page,
}

impl Reader {
    /// What is sent next. It is asked for only when the connection has room.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(text) = self.waiting.pop_front() {
                return Some(text);
            }
            tokio::select! {
                () = self.page.given_up() => return None,
                update = self.receiver.recv() => match update {
                    Ok(update) => return Some(update.text().to_owned()),
                    Err(RecvError::Lagged(_)) => {
                        let (first, receiver) = self.hub.resync();
                        self.receiver = receiver;
                        self.waiting.extend(first);
                    }
                    Err(RecvError::Closed) => return None,
                },
                _ = self.heart.tick() => return Some("event: heartbeat\ndata: {}\n\n".to_owned()),
            }
        }
    }
}
