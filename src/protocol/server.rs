//! Connections: their limits, their order and their end.
//!
//! Each connection is one task on the serving thread. Lines are answered strictly in the order in which they came. A run
//! of outcomes is started together, so that they share a commit; anything else is begun only when all before it have
//! been answered. A score is thus worked out at the moment it is its turn, never earlier, and what was true when it is
//! written is true of it.
#![deny(clippy::indexing_slicing)]

use std::{collections::VecDeque, future::Future, io, os::unix::net::UnixStream as Socket, rc::Rc};

use serde_json::value::RawValue;
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{timeout, timeout_at},
};

use super::{
    admission::Admission,
    codec::{Frame, LineBuffer},
    lateness,
    lookup::Lookups,
    message::{self, Request, Stream, WireError},
    peer::{AccessList, Accounts, Peer},
    seats::{Seat, Taken},
    socket::{read_some, wait_for_room, watch_for, write, write_at_once},
};
use crate::{clock::Stopwatch, config::Server as Limits};

pub use super::seats::Connections;

/// Bytes asked for in one read.
const READ_BYTES: usize = 16 * 1024;

/// What answers the requests of all connections.
pub trait Service: Clone + 'static {
    /// Answers anything that is not to be recorded: appends exactly one line to `out`. `line` is the request as it came,
    /// `received` when it did.
    fn answer(
        &self,
        peer: Peer,
        envelope: message::Envelope<'_>,
        line: &[u8],
        received: Stopwatch,
        out: &mut Vec<u8>,
    ) -> impl Future<Output = ()>;

    /// Answers what a stream follows on: appends exactly one line to `out`. When it is granted, what is returned gives what is to
    /// be written after it, in pieces; the connection ends with them.
    fn stream(
        &self,
        wanted: Stream,
        id: Option<&RawValue>,
        out: &mut Vec<u8>,
    ) -> impl Future<Output = Option<mpsc::Receiver<Vec<u8>>>>;

    /// A number that changes whenever what may be served does.
    fn epoch(&self) -> u64;

    /// Attends to a connection, whose task ends with it, or finds out who comes: what panics in there is told to who counts panics.
    fn caught(&self, connection: impl Future<Output = ()>) -> impl Future<Output = ()>;

    /// Starts to record an outcome, a skip or a past trade; the answer, one line, is there when it is durable or has failed.
    fn record(&self, peer: Peer, id: Option<Box<RawValue>>, request: Request) -> JoinHandle<Vec<u8>>;
}

/// Accepts connections, on the latest of `listeners` once there is one, until `stop` turns true; then lets each finish what it
/// has been sent in full, and returns when all are closed or the drain time is over.
pub async fn serve<S: Service>(
    listener: UnixListener,
    mut listeners: mpsc::UnboundedReceiver<UnixListener>,
    service: S,
    access: watch::Receiver<AccessList>,
    limits: Rc<Limits>,
    connections: Rc<Connections>,
    mut stop: watch::Receiver<bool>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    let counting = service.clone();
    let lookups = Lookups::new(Accounts::default(), move |work| {
        let counting = counting.clone();
        Box::pin(async move { counting.caught(work).await })
    });
    let mut admission = Admission::new(listener, access, Rc::clone(&limits), Rc::clone(&connections), lookups);
    loop {
        let (stream, peer) = tokio::select! {
            admitted = admission.next() => admitted,
            _ = tasks.join_next(), if !tasks.is_empty() => continue,
            Some(listener) = listeners.recv() => { admission.listen_on(listener); continue },
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let taken = connections.seat();
        let seat = Rc::clone(&taken.seat);
        match Connection::new(stream, peer, service.clone(), Rc::clone(&limits), stop.clone(), seat) {
            Ok(connection) => {
                let service = service.clone();
                drop(tasks.spawn_local(async move { service.caught(connection.attend(taken)).await }));
            }
            Err(error) => tracing::warn!(%error, "a connection could not be watched"),
        }
    }
    drop(admission);
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(limits.drain, all).await.is_err() {
        tracing::warn!(open = connections.open.get(), "connections were cut off when the drain time was over");
    }
}

struct Connection<S> {
    /// Watched for input only. A socket that is also watched for room to write wakes its task each time the client reads
    /// an answer, which would cost a context switch a request.
    stream: AsyncFd<Socket>,
    peer: Peer,
    service: S,
    limits: Rc<Limits>,
    stop: watch::Receiver<bool>,
    scratch: Box<[u8]>,
    out: Vec<u8>,
    recording: VecDeque<JoinHandle<Vec<u8>>>,
    seat: Rc<Seat>,
}

enum Read {
    /// Some bytes, after which the socket was empty or not.
    Some {
        emptied: bool,
    },
    End,
    HalfLine,
}

/// What became of the lines in the buffer.
enum Round {
    /// Each whole line was answered; whether there was one.
    Answered { any: bool },
    /// The connection is to be closed.
    Close,
}

impl<S: Service> Connection<S> {
    fn new(
        stream: UnixStream,
        peer: Peer,
        service: S,
        limits: Rc<Limits>,
        stop: watch::Receiver<bool>,
        seat: Rc<Seat>,
    ) -> io::Result<Self> {
        let stream = watch_for(stream.into_std()?, Interest::READABLE)?;
        let scratch = vec![0; READ_BYTES].into_boxed_slice();
        let (out, recording) = (Vec::with_capacity(512), VecDeque::new());
        Ok(Self { stream, peer, service, limits, stop, scratch, out, recording, seat })
    }

    /// Runs until it ends, or until it has to give way.
    async fn attend(mut self, taken: Taken) {
        let hears_why = tokio::select! {
            biased;
            () = self.run() => false,
            hears_why = taken.seat.must_leave() => hears_why,
        };
        if hears_why {
            self.give_way();
        }
    }

    async fn run(&mut self) {
        let mut buffer = LineBuffer::new(self.limits.max_line_bytes);
        let mut half_line_since: Option<Stopwatch> = None;
        let mut emptied: Option<Stopwatch> = None;
        loop {
            self.seat.waits();
            let received = match self.read(&mut buffer, half_line_since).await {
                Ok(Read::Some { emptied: is_empty }) => {
                    let received = Stopwatch::started_ago(lateness::waited(emptied));
                    emptied = if is_empty { Some(Stopwatch::start()) } else { emptied };
                    received
                }
                Ok(Read::HalfLine) => {
                    let error = WireError::new("half_line", "the rest of a line did not come in time");
                    let _closing_anyway = self.say(&error).await;
                    return;
                }
                Ok(Read::End) | Err(_) => return,
            };
            self.seat.answers(received);
            let any = match self.answer_all(&mut buffer, received).await {
                Ok(Round::Answered { any }) => any,
                Ok(Round::Close) | Err(_) => return,
            };
            // the time of a line runs from its own first bytes, not from those of a line before it
            let since = half_line_since.filter(|_| !any);
            half_line_since = buffer.has_partial().then(|| since.unwrap_or_else(Stopwatch::start));
        }
    }

    async fn read(&mut self, buffer: &mut LineBuffer, half_line_since: Option<Stopwatch>) -> io::Result<Read> {
        let room = buffer.room(READ_BYTES);
        let stop = &mut self.stop;
        let read = async {
            tokio::select! {
                biased;
                read = read_some(&self.stream, &mut self.scratch, room) => Ok(match read? {
                    0 => Read::End,
                    count => Read::Some { emptied: count < READ_BYTES },
                }),
                _ = stop.wait_for(|stop| *stop) => Ok(Read::End),
            }
        };
        match half_line_since {
            None => read.await,
            Some(since) => {
                let until = since.after(self.limits.half_line_timeout).into();
                timeout_at(until, read).await.unwrap_or(Ok(Read::HalfLine))
            }
        }
    }

    /// Answers every whole line in the buffer, in order.
    async fn answer_all(&mut self, buffer: &mut LineBuffer, received: Stopwatch) -> io::Result<Round> {
        let (mut answered, mut any) = (false, false);
        loop {
            let range = match buffer.next_frame() {
                Frame::Line(range) => {
                    any = true;
                    if std::mem::take(&mut answered) {
                        // a connection that sends many lines at once waits for the others after each
                        tokio::task::yield_now().await;
                    }
                    range
                }
                Frame::Partial => {
                    self.finish_recording().await?;
                    return Ok(Round::Answered { any });
                }
                Frame::TooLong => {
                    self.finish_recording().await?;
                    let limit = self.limits.max_line_bytes;
                    let message = format!("a line may have {limit} bytes; the connection is closed");
                    self.say(&WireError::new("line_too_long", message)).await?;
                    return Ok(Round::Close);
                }
            };
            let line = buffer.line(range);
            let envelope = message::decode(line);
            match envelope.body {
                Ok(request @ (Request::Outcome(_) | Request::Skip(_) | Request::Import(_))) => {
                    self.seat.trades(true);
                    if self.recording.len() >= self.limits.max_in_flight {
                        self.finish_recording().await?;
                    }
                    let id = envelope.id.map(ToOwned::to_owned);
                    self.recording.push_back(self.service.record(self.peer, id, request));
                }
                Ok(Request::Stream(wanted)) => {
                    self.finish_recording().await?;
                    self.out.clear();
                    let lines = self.service.stream(wanted, envelope.id, &mut self.out).await;
                    write(&self.stream, &self.out, self.limits.write_timeout).await?;
                    if let Some(lines) = lines {
                        self.seat.follows();
                        self.follow(lines, buffer).await?;
                        return Ok(Round::Close);
                    }
                }
                body => {
                    self.finish_recording().await?;
                    let envelope = message::Envelope { id: envelope.id, body };
                    self.answer(envelope, line, received).await?;
                    answered = true;
                }
            }
        }
    }

    /// Answers one request that is not to be recorded. A score that waits behind a client who does not read is worked out
    /// again when what may be served has changed and none of the answer was written: what is written is true then.
    async fn answer(&mut self, envelope: message::Envelope<'_>, line: &[u8], received: Stopwatch) -> io::Result<()> {
        let is_score = matches!(envelope.body, Ok(Request::Score(_)));
        self.seat.trades(is_score);
        let mut envelope = envelope;
        loop {
            let epoch = self.service.epoch();
            self.out.clear();
            self.service.answer(self.peer, envelope, line, received, &mut self.out).await;
            let is_old = || is_score && self.service.epoch() != epoch;
            let mut begun = write_at_once(&self.stream, &self.out)?;
            while begun == 0 && !is_old() {
                wait_for_room(&self.stream, self.limits.write_timeout).await?;
                if !is_old() {
                    begun = write_at_once(&self.stream, &self.out)?;
                }
            }
            if begun > 0 {
                let rest = self.out.get(begun..).unwrap_or_default();
                return write(&self.stream, rest, self.limits.write_timeout).await;
            }
            envelope = message::decode(line);
        }
    }

    /// Writes what a subscriber is told, or a copy, until the pieces or the connection end. It asks for nothing more here: whatever
    /// it sends is refused and ends the connection, so that no half line can stay. Other connections come first after each piece.
    async fn follow(&mut self, mut lines: mpsc::Receiver<Vec<u8>>, buffer: &mut LineBuffer) -> io::Result<()> {
        let mut more = buffer.has_partial();
        while !more {
            let room = buffer.room(READ_BYTES);
            let stop = &mut self.stop;
            tokio::select! {
                biased;
                read = read_some(&self.stream, &mut self.scratch, room) => match read? {
                    0 => return Ok(()),
                    _ => more = true,
                },
                line = lines.recv() => match line {
                    Some(line) => {
                        write(&self.stream, &line, self.limits.write_timeout).await?;
                        tokio::task::yield_now().await;
                    }
                    None => return Ok(()),
                },
                _ = stop.wait_for(|stop| *stop) => {
                    while let Ok(line) = lines.try_recv() {
                        write(&self.stream, &line, self.limits.write_timeout).await?;
                    }
                    return Ok(());
                }
            }
        }
        self.say(&WireError::new("subscribed", "this connection tells events only; ask on another one")).await
    }

    /// Waits for what is being recorded and writes the answers, in order.
    async fn finish_recording(&mut self) -> io::Result<()> {
        while let Some(recording) = self.recording.pop_front() {
            let answer = match recording.await {
                Ok(answer) => answer,
                Err(_) => {
                    let mut out = Vec::new();
                    message::write_error(
                        &mut out,
                        None,
                        &WireError::new("retry", "recording it failed; send it again"),
                    );
                    out
                }
            };
            write(&self.stream, &answer, self.limits.write_timeout).await?;
        }
        Ok(())
    }

    /// Says why it is closed, as far as the socket takes it at once.
    fn give_way(&mut self) {
        let why = "an operator needed the place of this connection, which was idle; connect again";
        self.out.clear();
        message::write_error(&mut self.out, None, &WireError::new("too_many_connections", why));
        let _best_effort = write_at_once(&self.stream, &self.out);
    }

    async fn say(&mut self, error: &WireError) -> io::Result<()> {
        self.out.clear();
        message::write_error(&mut self.out, None, error);
        write(&self.stream, &self.out, self.limits.write_timeout).await
    }
}
