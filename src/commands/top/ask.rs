//! The daemon is asked on threads of their own: however long it takes to answer, a key is obeyed at once.

use std::{
    io::{self, Write as _},
    os::unix::net::UnixStream,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    super::found::Found,
    frame::{MOST, Seen},
};
use crate::protocol::client::{Client, ClientError};

/// Between two looks.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// Between two looks at tests, which take the daemon longer.
const TRIALS_PERIOD: Duration = Duration::from_secs(10);
/// How long the daemon is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// The same, for the tests: many of them take it seconds.
const TRIALS_PATIENCE: Duration = Duration::from_secs(20);

/// What came of asking.
pub(super) enum News {
    /// All but the tests.
    Now(Box<Seen>),
    /// The tests.
    Trials(Value),
    /// Why there was no answer.
    Away(String),
}

/// Begins to ask, and wakes by `waker` whoever waits for news.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn begin(socket: &Found, waker: UnixStream) -> io::Result<Asking> {
    let (tell, told) = sync_channel(4);
    let (status, trials) = (socket.client(PATIENCE), socket.client(TRIALS_PATIENCE));
    let hear = Teller { tell, waker };
    let other = Teller { tell: hear.tell.clone(), waker: hear.waker.try_clone()? };
    let threads = [
        thread::Builder::new().name("top".to_owned()).spawn(move || ask_now(status, &hear))?,
        thread::Builder::new().name("top-tests".to_owned()).spawn(move || ask_trials(trials, &other))?,
    ];
    Ok(Asking { told, threads })
}

/// The threads that ask, and what they say.
pub(super) struct Asking {
    told: Receiver<News>,
    threads: [thread::JoinHandle<()>; 2],
}

impl Asking {
    /// The next piece of news, where there is one.
    pub(super) fn news(&self) -> Option<News> {
        self.told.try_recv().ok()
    }

    /// Whether a thread has ended, which only a panic makes it do.
    pub(super) fn is_broken(&self) -> bool {
        self.threads.iter().any(thread::JoinHandle::is_finished)
    }
}

/// Asks for all that is shown but the tests. A list that the daemon refuses to give is a text that says why.
pub(super) fn now(client: &mut Client) -> Result<Seen, ClientError> {
    let mut ask = |request: &Value, part: &str| {
        client.request(request, PATIENCE).map(|mut answer| answer.remove(part).unwrap_or_default())
    };
    let status = ask(&json!({ "type": "status" }), "status")?;
    // while the journal cannot be read the rest is shown all the same
    let mut list = |part: &str| match ask(&json!({ "type": part, "limit": MOST }), part) {
        Err(ClientError::Refused(why)) => Ok(Value::String(why.to_string())),
        answered => answered,
    };
    Ok(Seen { status, alerts: list("alerts")?, signals: list("signals")?, ..Seen::default() })
}

/// Asks for the tests.
pub(super) fn trials(client: &mut Client) -> Result<Value, ClientError> {
    let answer = client.request(&json!({ "type": "experiment" }), TRIALS_PATIENCE);
    answer.map(|mut answer| answer.remove("trials").unwrap_or_default())
}

struct Teller {
    tell: SyncSender<News>,
    waker: UnixStream,
}

impl Teller {
    /// Whether somebody listens.
    fn says(&self, news: News) -> bool {
        let heard = self.tell.send(news).is_ok();
        let _woken_already = (&self.waker).write(&[1]);
        heard
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let _woken_already = (&self.waker).write(&[1]);
    }
}

fn ask_now(mut client: Client, teller: &Teller) {
    loop {
        super::panics_here("asking");
        let news = match now(&mut client) {
            Ok(seen) => News::Now(Box::new(seen)),
            Err(error) => News::Away(error.to_string()),
        };
        if !teller.says(news) {
            return;
        }
        thread::sleep(PERIOD);
    }
}

/// Whether the daemon is away the other thread says.
fn ask_trials(mut client: Client, teller: &Teller) {
    loop {
        let pause = match trials(&mut client) {
            Ok(trials) => {
                if !teller.says(News::Trials(trials)) {
                    return;
                }
                TRIALS_PERIOD
            }
            Err(_) => PERIOD,
        };
        thread::sleep(pause);
    }
}
