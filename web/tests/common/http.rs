//! HTTP/1.1 by hand, so that a test can send what no library would.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};

use serde_json::Value;

use super::PATIENCE;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// 0 when the connection was closed without one.
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body =
            if head.to_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_owned() };
        Self { status, head: head.to_owned(), body }
    }
}

fn unchunk(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&more[..size]);
        rest = &more[size + 2..];
    }
    whole
}

pub fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes as they are and then says that no more will come; what comes until the connection is closed.
pub fn raw(host: &str, bytes: &[u8]) -> Answer {
    exchange(host, bytes, true)
}

fn exchange(host: &str, bytes: &[u8], is_all: bool) -> Answer {
    let mut stream = connect(host);
    // one that is refused early is closed while it is still sending
    let _may_be_closed = stream.write_all(bytes);
    if is_all {
        let _may_be_closed = stream.shutdown(std::net::Shutdown::Write);
    }
    let mut answer = Vec::new();
    let _may_be_reset = stream.read_to_end(&mut answer);
    Answer::parse(&answer)
}

pub fn send(host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {host}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if method == "POST" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    exchange(host, &[head.as_bytes(), b"\r\n", body].concat(), false)
}

pub fn get(host: &str, path: &str) -> Answer {
    send(host, "GET", path, &[], b"")
}

/// An open stream of a page.
pub struct Live(BufReader<TcpStream>);

/// One message of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: String,
    pub name: String,
    pub data: Value,
}

impl Live {
    pub fn open(host: &str, last: Option<&str>) -> Self {
        let mut stream = connect(host);
        let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        stream.write_all(format!("GET /live HTTP/1.1\r\nHost: {host}\r\n{last}\r\n").as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    /// The next message. The lines between, of which some are sizes of chunks, say nothing.
    pub fn next(&mut self) -> Message {
        let (mut id, mut name) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream has ended");
            if let Some(text) = line.trim_end().strip_prefix("id: ") {
                text.clone_into(&mut id);
            } else if let Some(text) = line.trim_end().strip_prefix("event: ") {
                text.clone_into(&mut name);
            } else if let Some(text) = line.trim_end().strip_prefix("data: ") {
                return Message { id, name, data: serde_json::from_str(text).unwrap() };
            }
        }
    }

    /// Reads what is left of it. Says whether it came to an end.
    pub fn has_ended(&mut self) -> bool {
        self.0.read_to_end(&mut Vec::new()).is_ok()
    }

    /// The next message of that name.
    pub fn next_of(&mut self, name: &str) -> Message {
        loop {
            let message = self.next();
            if message.name == name {
                return message;
            }
        }
    }
}
