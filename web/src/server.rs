//! Connections: how long each may take, how one that does not read is got rid of, and how one gives way to another.

use std::{
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Sleep, sleep},
};

use crate::places::{Most, Places};

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(10);
/// How long a client may leave unread what is sent to it.
const UNREAD: Duration = Duration::from_secs(20);
/// Headers of a request, and bytes of its head.
const HEADERS: usize = 64;
const HEAD_BYTES: usize = 16 << 10;
/// Bytes that the system keeps for a client that does not read.
const SEND_BUFFER: u32 = 64 << 10;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 64;
/// Pause after the system refused a connection, for want of file descriptors for example.
const PAUSE: Duration = Duration::from_millis(200);

/// Listens at `address`.
///
/// # Errors
/// When the system does not let it.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // connections have it from the listener
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `routes` for ever, with at most so many connections. Each request has the [`Seat`](crate::places::Seat) of its connection
/// as an extension.
pub async fn serve(listener: TcpListener, routes: Router, most: Most) {
    let places = Places::new(most);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let _small_answers_go_at_once = stream.set_nodelay(true);
        let (seat, routes) = (places.take(), TowerToHyperService::new(routes.clone()));
        tokio::spawn(async move {
            let of_requests = Arc::clone(&seat);
            let service = service_fn(move |mut request: Request<Incoming>| {
                of_requests.heard();
                request.extensions_mut().insert(Arc::clone(&of_requests));
                routes.call(request.map(Body::new))
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(HEADERS).max_buf_size(HEAD_BYTES);
            let stream = TokioIo::new(Patient { stream, unread: None });
            tokio::select! {
                _it_is_closed = server.serve_connection(stream, service) => {}
                () = seat.given_up() => {}
            }
        });
    }
}

/// A connection that is closed when its client reads nothing for a while.
struct Patient {
    stream: TcpStream,
    /// Runs while something waits to be read.
    unread: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    /// Passes `polled` on, unless it has waited for too long.
    fn patiently<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.unread = None;
            return polled;
        }
        ready!(self.unread.get_or_insert_with(|| Box::pin(sleep(UNREAD))).as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patiently(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.patiently(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.patiently(context, polled)
    }
}
