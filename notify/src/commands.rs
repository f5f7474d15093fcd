//! The commands that look, try and tidy.

use std::{
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, anyhow};

use crate::{
    alert::{Alert, Level},
    clock,
    config::Config,
    dead::DeadLetters,
    deliver::waiting,
    ledger::{Attempt, Ledger},
    message::{Kind, Message},
    network::Network,
    options::{Choice, Dead},
    retry::Verdict,
    run::is_held,
    send::Sender,
    spool::Spool,
    text::lines,
};

/// Says what the configuration holds.
///
/// # Errors
/// When nobody can be told.
pub fn check(config: &Config, file: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let count = config.receivers.len();
    writeln!(out, "{} is in order: {count} receiver{}", file.display(), if count == 1 { "" } else { "s" })?;
    for receiver in &config.receivers {
        let hours = if receiver.rules.quiet.is_some() { ", with quiet hours" } else { "" };
        let level = receiver.rules.least.name().to_lowercase();
        writeln!(out, "  {}: {}, from {level} on{hours}", receiver.name, receiver.target.words())?;
    }
    Ok(())
}

/// Sends one message, and gives back whether it was delivered.
///
/// # Errors
/// When there is no such receiver.
pub fn test(config: &Config, network: &Network, name: &str) -> anyhow::Result<bool> {
    let names: Vec<&str> = config.receivers.iter().map(|receiver| &*receiver.name).collect();
    let receiver = config.receivers.iter().find(|receiver| receiver.name == name);
    let receiver =
        receiver.with_context(|| format!("there is no receiver {name:?}; there are {}", names.join(", ")))?;
    let now = clock::now();
    let alert = Alert::own(now, Level::Info, "test", "if you read this, alerts of vigie reach you here".to_owned());
    let message = Message::new(name, Kind::Test, [(0, &alert)]);
    let sender = Sender::new(receiver, &config.label, network);
    let verdict = sender.send(&Attempt { message, number: 1, in_doubt: false });
    let is_delivered = verdict == Verdict::Delivered;
    let words = match verdict {
        Verdict::Delivered => "delivered".to_owned(),
        Verdict::Failed { why, in_doubt: true, .. } => format!("it is not known whether it arrived: {why}"),
        Verdict::Refused(why) | Verdict::Failed { why, .. } => format!("not delivered: {why}"),
    };
    writeln!(io::stdout().lock(), "{name}: {words}")?;
    Ok(is_delivered)
}

/// Shows how far everything is.
///
/// # Errors
/// When the state cannot be read.
pub fn status(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let running = if is_held(folder) { "running" } else { "NOT running; `vigie notify run` starts it" };
    writeln!(out, "{} on {}", running, folder.display())?;
    let entries = Spool::peek(folder).context("what was taken in cannot be read")?;
    match entries.last().map(|entry| &entry.mark) {
        Some(mark) => {
            let next = mark.next.map_or_else(|| "the first".to_owned(), |next| next.to_string());
            writeln!(
                out,
                "daemon: followed, event {next} comes next{}",
                if mark.silent { "; it is SILENT" } else { "" }
            )?;
        }
        None => writeln!(out, "daemon: never reached so far")?,
    }
    let letters = DeadLetters::new(folder).read().context("the list of dead letters cannot be read")?;
    let now = clock::now();
    for receiver in &config.receivers {
        let name = &receiver.name;
        let Some(ledger) =
            Ledger::load(&Ledger::path(folder, name)).with_context(|| format!("what {name} has cannot be read"))?
        else {
            writeln!(out, "{name}: begins with what comes next")?;
            continue;
        };
        let (count, oldest) = waiting(receiver, &ledger, entries.iter().filter(|entry| entry.n > ledger.upto()));
        let dead = letters.iter().filter(|letter| letter.receiver == *name).count();
        let since = oldest.map_or_else(String::new, |oldest| format!(", the oldest since {oldest:.0}"));
        let (failures, until) = ledger.trouble();
        let trouble = match until.filter(|until| failures > 0 && *until > now) {
            Some(until) => format!("; FAILING, {failures} in a row, next try {until:.0}"),
            None if failures > 0 => format!("; FAILING, {failures} in a row"),
            None => String::new(),
        };
        let lost = if dead > 0 { format!("; {dead} dead (`vigie notify dead list`)") } else { String::new() };
        writeln!(out, "{name}: {count} waiting{since}{trouble}{lost}")?;
    }
    Ok(())
}

/// Shows or marks what was given up.
///
/// # Errors
/// When the list cannot be read or written, or has none of those that are named.
pub fn dead(command: &Dead, folder: &Path) -> anyhow::Result<()> {
    let letters = DeadLetters::new(folder);
    let known = letters.read().context("the list of dead letters cannot be read")?;
    let mut out = io::stdout().lock();
    let count =
        |choice: &Choice| known.iter().filter(|letter| choice.has(&letter.receiver, &letter.message.id)).count();
    // what is named and not there is said, after the others were served
    let checked = |choice: &Choice| match *choice.unknown(&known) {
        [] if count(choice) > 0 => Ok(()),
        [] => Err(anyhow!("the list has none of these; `vigie notify dead list` shows it")),
        ref unknown => Err(anyhow!("the list has no {}; `vigie notify dead list` shows it", unknown.join(", "))),
    };
    match command {
        Dead::List if known.is_empty() => {
            writeln!(out, "no dead letters")?;
            letters.damaged()?.iter().try_for_each(|words| writeln!(out, "{words}"))?;
        }
        Dead::List => {
            for letter in &known {
                let again = if letter.again { ", to be sent once more" } else { "" };
                let (id, receiver, tries) = (&letter.message.id, &letter.receiver, letter.tries);
                writeln!(
                    out,
                    "{id} for {receiver}, given up at {:.0} after {tries} tries{again}: {}",
                    letter.at, letter.why
                )?;
                for line in lines("", &letter.message, false, usize::MAX) {
                    writeln!(out, "  {line}")?;
                }
            }
            letters.damaged()?.iter().try_for_each(|words| writeln!(out, "{words}"))?;
        }
        Dead::Retry(choice) => {
            let marked = letters.resend(|letter| choice.has(&letter.receiver, &letter.message.id))?;
            let who = if is_held(folder) { "within a second" } else { "at the next `vigie notify run`" };
            let before = count(choice).saturating_sub(marked);
            let already = if before > 0 { format!("; {before} were to be already") } else { String::new() };
            if marked + before > 0 {
                writeln!(out, "{marked} to be sent once more, {who}{already}")?;
            }
            checked(choice)?;
        }
        Dead::Drop(choice) => {
            let dropped = count(choice);
            if dropped > 0 {
                letters.remove(|letter| choice.has(&letter.receiver, &letter.message.id))?;
                writeln!(out, "{dropped} removed")?;
            }
            checked(choice)?;
        }
    }
    Ok(())
}
