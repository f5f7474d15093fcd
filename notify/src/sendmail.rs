//! A mail through the machine's sendmail program, which has its own queue.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{clock::Stopwatch, retry::Verdict, target::Mailbox};

/// How often it is looked whether the program has ended.
const GLANCE: Duration = Duration::from_millis(10);
/// As much of what it says as is kept, in bytes; the rest is read all the same, so that it can say it.
const MOST_WORDS: u64 = 4 << 10;

/// Gives `text` to the program. It gets the addresses as arguments and the mail as input, by no shell.
pub fn send(mail: &Mailbox, text: &str, patience: Duration) -> Verdict {
    let mut command = Command::new(&mail.sendmail);
    command.args(["-i", "-f", &mail.from]).args(&mail.to).env_remove("CREDENTIALS_DIRECTORY");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    // a group of its own, so that it can be ended with all that it began
    command.process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Verdict::failed(format!("{} cannot be started: {error}", mail.sendmail.display())),
    };
    let words = exchange(&mut child, text.to_owned());
    let begun = Stopwatch::start();
    let ended = loop {
        match child.try_wait() {
            Ok(None) if begun.elapsed() < patience => thread::sleep(GLANCE),
            Ok(ended) => break ended,
            Err(error) => return Verdict::in_doubt(format!("the mail program is lost: {error}")),
        }
    };
    let Some(ended) = ended else {
        let _already_gone = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let _status = child.wait();
        return Verdict::in_doubt("the mail program did not end in time");
    };
    // a program that it left behind may keep the pipe open
    let words = words.recv_timeout(Duration::from_millis(200)).unwrap_or_default();
    judged(ended, words.trim())
}

/// Feeds the program, and reads what it complains of.
fn exchange(child: &mut Child, text: String) -> mpsc::Receiver<String> {
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    let (told, words) = mpsc::channel();
    // one that ends early reads no further: its exit code says why
    thread::spawn(move || input.map(|mut input| input.write_all(text.as_bytes())));
    thread::spawn(move || {
        let Some(mut errors) = errors else { return };
        let mut said = Vec::new();
        let _nothing_more = errors.by_ref().take(MOST_WORDS).read_to_end(&mut said);
        let _nobody_waits = told.send(String::from_utf8_lossy(&said).into_owned());
        let _nothing_more = io::copy(&mut errors, &mut io::sink());
    });
    words
}

/// By the codes of sysexits.h.
fn judged(ended: ExitStatus, words: &str) -> Verdict {
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    match ended.code() {
        Some(0) => Verdict::Delivered,
        Some(code @ (65 | 67 | 68)) => Verdict::Refused(format!("the mail program ends with {code}{said}")),
        Some(code) => Verdict::failed(format!("the mail program ends with {code}{said}")),
        None => Verdict::in_doubt(format!("the mail program was ended by a signal{said}")),
    }
}
