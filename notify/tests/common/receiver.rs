//! A server that takes messages, and fails as it is told to.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// Takes it.
    Ok,
    /// Answers with this status.
    Status(u16),
    /// Answers 429 and asks for a pause of so many seconds.
    Later(u64),
    /// The same as Telegram does, in the body only.
    LaterInBody(u64),
    /// Reads a part of it and closes.
    CloseBefore,
    /// Reads it and closes without an answer.
    CloseAfter,
    /// Closes in the middle of the answer's head.
    Half,
    /// Answers nothing for as long as the other end waits.
    Silent,
    /// Begins an answer and goes on with it a byte at a time.
    Dribble,
    /// Sends elsewhere.
    Redirect(SocketAddr),
    /// Takes it, and answers with a body without end.
    HugeOk,
    /// Fails with a body without end.
    HugeError,
    /// A head without end.
    HugeHead,
    /// Answers something that is no HTTP.
    Nonsense,
}

/// A request that it read whole.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub text: String,
    pub body: Value,
    /// When it was read.
    pub at: Instant,
    /// What was done with it.
    pub answer: Answer,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The numbers of its alerts.
    pub fn seqs(&self) -> Vec<u64> {
        self.body["alerts"].as_array().unwrap().iter().filter_map(|alert| alert["seq"].as_u64()).collect()
    }

    pub fn codes(&self) -> Vec<String> {
        self.body["alerts"].as_array().unwrap().iter().map(|alert| alert["code"].as_str().unwrap().to_owned()).collect()
    }
}

/// What it does with the request of each number.
pub type Conduct = dyn Fn(usize) -> Answer + Send + Sync;

/// The server.
pub struct Receiver {
    pub address: SocketAddr,
    taken: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
}

impl Receiver {
    /// One that does with the request of each number what `conduct` says.
    pub fn start(conduct: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), conduct)
    }

    pub fn at(address: SocketAddr, conduct: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (all, over, conduct): (_, _, Arc<Conduct>) = (Arc::clone(&taken), Arc::clone(&is_over), Arc::new(conduct));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (all, conduct) = (Arc::clone(&all), Arc::clone(&conduct));
                thread::spawn(move || serve(stream.unwrap(), &all, &*conduct));
            }
        });
        Self { address, taken, is_over }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.taken.lock().unwrap().clone()
    }

    /// Those that it took.
    pub fn delivered(&self) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| matches!(request.answer, Answer::Ok | Answer::HugeOk));
        requests
    }

    /// The numbers of the daemon's alerts that it took, in the order in which each came first.
    pub fn seqs(&self) -> Vec<u64> {
        let mut seqs = Vec::new();
        for seq in self.delivered().iter().flat_map(Request::seqs) {
            if !seqs.contains(&seq) {
                seqs.push(seq);
            }
        }
        seqs
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // so that it looks
        let _nobody_listens = TcpStream::connect(self.address);
    }
}

#[expect(clippy::disallowed_methods, reason = "the time of a request is what a test asks for")]
fn serve(stream: TcpStream, all: &Mutex<Vec<Request>>, conduct: &Conduct) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or_default() == 0 {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or_default() == 0 {
            return;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.parse::<usize>());
    let mut body = vec![0; length.unwrap().unwrap()];
    let mut taken = all.lock().unwrap();
    let answer = conduct(taken.len());
    if answer == Answer::CloseBefore {
        body.truncate(1);
    }
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let text = String::from_utf8(body).unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    taken.push(Request { path, headers, text, body, at: Instant::now(), answer });
    drop(taken);
    let _other_end_left = reply(reader.get_mut(), answer);
}

fn reply(stream: &mut TcpStream, answer: Answer) -> std::io::Result<()> {
    let mut say = |text: &str| stream.write_all(text.as_bytes());
    match answer {
        Answer::Ok => say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        Answer::Status(status) => say(&format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno")),
        Answer::Later(seconds) => {
            say(&format!("HTTP/1.1 429 X\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n"))
        }
        Answer::LaterInBody(seconds) => {
            let body = format!("{{\"ok\":false,\"parameters\":{{\"retry_after\":{seconds}}}}}");
            say(&format!("HTTP/1.1 429 X\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
        }
        Answer::CloseBefore | Answer::CloseAfter => Ok(()),
        Answer::Half => say("HTTP/1.1 200 OK\r\nContent-Le"),
        Answer::Silent => stream.read(&mut [0]).map(drop),
        Answer::Dribble => {
            say("HTTP/1.1 200 OK\r\nX: ")?;
            stream.set_read_timeout(Some(Duration::from_millis(20)))?;
            loop {
                stream.write_all(b"x")?;
                // the other end says nothing; when it leaves, this ends
                match stream.read(&mut [0]) {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Answer::Redirect(to) => {
            say(&format!("HTTP/1.1 307 X\r\nLocation: http://{to}/hook\r\nContent-Length: 0\r\n\r\n"))
        }
        Answer::HugeOk | Answer::HugeError => {
            let status = if answer == Answer::HugeOk { 200 } else { 500 };
            say(&format!("HTTP/1.1 {status} X\r\n\r\n"))?;
            loop {
                stream.write_all(&[b'x'; 8192])?;
            }
        }
        Answer::HugeHead => {
            say("HTTP/1.1 200 OK\r\nX: ")?;
            loop {
                stream.write_all(&[b'x'; 8192])?;
            }
        }
        Answer::Nonsense => say("220 mail.example.org ESMTP\r\n"),
    }
}
