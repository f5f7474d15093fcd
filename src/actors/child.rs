//! A child process that trains: started, listened to, and ended when its time is up. It blocks, and has a thread of its own.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use crate::{
    clock::Stopwatch,
    recall::learning::{Assignment, ChildMessage, Product, Refused},
};

/// The hidden subcommand that the child runs.
pub const COMMAND: &str = "work";
/// Longest line that is taken from a child, in bytes: a record of hundreds of large trees is shorter.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// How far a child is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Share done, 0 to 1.
    pub share: f64,
    /// What it is at.
    pub stage: String,
}

/// What a child that is at work shares with those who want to know, or want it ended.
#[derive(Debug, Default)]
pub struct Watched {
    progress: Mutex<Progress>,
    life: Mutex<Life>,
}

#[derive(Debug, Default)]
struct Life {
    child: Option<Child>,
    /// One that begins afterwards is ended at once.
    over: bool,
}

impl Watched {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it at once.
    pub fn end(&self) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.over = true;
        if let Some(child) = &mut life.child {
            // of one that has ended this is an error that says so
            let _it_may_have_ended = child.kill();
        }
    }

    fn set_progress(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    fn begin(&self, mut child: Child) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if life.over {
            let _it_may_have_ended = child.kill();
        }
        life.child = Some(child);
    }

    /// Ends it and says how it ended.
    fn bury(&self) -> io::Result<ExitStatus> {
        self.end();
        let child = self.life.lock().unwrap_or_else(PoisonError::into_inner).child.take();
        child.ok_or_else(|| io::Error::other("it was never there"))?.wait()
    }
}

/// Lets a child of `program` do `assignment`, and waits at most `wall` for it. The child is gone when this returns.
///
/// # Errors
/// [`Refused`]: what the child says is missing, or how it failed.
pub fn supervise(
    program: &Path,
    assignment: &Assignment,
    wall: Duration,
    watched: &Watched,
) -> Result<Product, Refused> {
    let watch = Stopwatch::start();
    let spawned =
        Command::new(program).arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.map_err(|error| Refused::new("child", format!("no child can be started: {error}")))?;
    let ends = (child.stdin.take(), child.stdout.take());
    watched.begin(child);
    let done = attend(ends, assignment, &watch, wall, watched);
    match (done, watched.bury()) {
        (Ok(told), _) => told,
        (Err(Silence::Late), _) => {
            let seconds = wall.as_secs();
            Err(Refused::new("deadline", format!("it took longer than trainer.wall_s = {seconds} and was ended")))
        }
        (Err(Silence::Garbage(what)), _) => Err(Refused::new("garbage", format!("the child said {what}"))),
        (Err(Silence::Unattended(error)), _) => {
            Err(Refused::new("child", format!("no thread can be started for the child: {error}")))
        }
        (Err(Silence::Gone), Ok(status)) => Err(Refused::new(
            "crashed",
            format!("the child ended without an answer, with {status}: out of memory (trainer.memory_mib), or a fault"),
        )),
        (Err(Silence::Gone), Err(error)) => Err(Refused::new("crashed", format!("the child is gone: {error}"))),
    }
}

/// Why there is no answer.
enum Silence {
    Late,
    Garbage(String),
    Gone,
    /// The system gives no thread to attend to it.
    Unattended(io::Error),
}

/// A thread that a limit may refuse.
fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Silence> {
    let begun = thread::Builder::new().name(name.to_owned()).spawn(work);
    begun.map(drop).map_err(Silence::Unattended)
}

fn attend(
    ends: (Option<ChildStdin>, Option<ChildStdout>),
    assignment: &Assignment,
    watch: &Stopwatch,
    wall: Duration,
    watched: &Watched,
) -> Result<Result<Product, Refused>, Silence> {
    let (Some(mut input), Some(output)) = ends else { return Err(Silence::Gone) };
    let line = serde_json::to_string(assignment).map_err(|error| Silence::Garbage(error.to_string()))?;
    let (sender, lines) = mpsc::sync_channel(16);
    // a child may neither read nor write: both ends have a thread that ends with it
    let write = move || {
        let _a_child_that_is_gone_is_seen_at_its_output = writeln!(input, "{line}");
    };
    begin("child-input", write)?;
    begin("child-output", move || listen(output, &sender))?;
    loop {
        let left = wall.checked_sub(watch.elapsed()).ok_or(Silence::Late)?;
        let line = match lines.recv_timeout(left) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Timeout) => return Err(Silence::Late),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Silence::Gone),
        };
        match serde_json::from_slice(&line) {
            Ok(ChildMessage::Progress { share, stage }) => watched.set_progress(Progress { share, stage }),
            Ok(ChildMessage::Product(product)) => return Ok(Ok(*product)),
            Ok(ChildMessage::Refused(refused)) => return Ok(Err(refused)),
            Err(error) => {
                let start: String = String::from_utf8_lossy(&line).chars().take(80).collect();
                return Err(Silence::Garbage(format!("{start:?}, which is no answer: {error}")));
            }
        }
    }
}

fn listen(output: ChildStdout, lines: &mpsc::SyncSender<Vec<u8>>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let read = (&mut output).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        if read.is_err() || line.is_empty() || lines.send(line).is_err() {
            return;
        }
    }
}
