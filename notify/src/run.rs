//! `vigie notify run`: the threads, their beginning and their end.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ},
    flag,
    iterator::Signals,
};

use crate::{
    alert::{Alert, Level},
    clock::{self, Stopwatch},
    config::Config,
    deliver::Delivery,
    desk::Desk,
    follow,
    keeper::Keeper,
    ledger::Ledger,
    log::say,
    network::Network,
    send::Sender,
    spool::{Past, Spool},
};

/// How long a try that is under way is waited for at the end. One that takes longer is made again at the next start.
const FAREWELL: Duration = Duration::from_secs(3);

/// What ends the process.
enum End {
    Signal,
    /// A thread of this name ended.
    Thread(String),
}

/// Tells when a thread ends, however it does.
struct Bell(mpsc::Sender<End>, String);

impl Drop for Bell {
    fn drop(&mut self) {
        let _nobody_waits = self.0.send(End::Thread(self.1.clone()));
    }
}

/// Follows and tells until a signal ends it.
///
/// # Errors
/// When it cannot begin, or a part failed.
pub fn run(config: Config, network: &Network, folder: &Path, socket: &Path) -> anyhow::Result<()> {
    let keeper = Keeper::hold(folder)?;
    if let Some(fault) = network.misses(&config) {
        say(Level::Warning, &fault);
    }
    // a file that grows beyond what is allowed is a write that fails, and not the end
    flag::register(SIGXFSZ, Arc::default())?;
    let (desk, ledgers) = begin(&config, folder)?;
    desk.catch_up();
    let desk = Arc::new(desk);
    let (ended, ends) = mpsc::channel();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let told = ended.clone();
    start("signals", &ended, move |_| {
        for signal in signals.forever() {
            if signal != SIGHUP {
                let _nobody_waits = told.send(End::Signal);
                break;
            }
            say(Level::Warning, "SIGHUP changes nothing: a restart takes a new configuration, and loses nothing");
        }
        // what ends here is no failure
        loop {
            thread::park();
        }
    })?;
    let count = config.receivers.len();
    for (receiver, ledger) in config.receivers.into_iter().zip(ledgers) {
        say(Level::Info, &format!("{}: {}", receiver.name, receiver.target.words()));
        let sender = Sender::new(&receiver, &config.label, network);
        let (name, own) = (receiver.name.clone(), Arc::clone(&desk));
        let delivery = Delivery::new(receiver, sender, ledger, folder);
        start(&name, &ended, move |_| delivery.run(&own))?;
    }
    let (own, place) = (Arc::clone(&desk), socket.to_owned());
    start("follow", &ended, move |_| follow::follow(&own, &place))?;
    let (own, place, silent_after) = (Arc::clone(&desk), socket.to_owned(), config.silent_after);
    start("watch", &ended, move |_| follow::watch(&own, keeper, &place, silent_after))?;
    let end = ends.recv().context("all threads ended")?;
    desk.end();
    let begun = Stopwatch::start();
    let mut left = count;
    while let Some(patience) = FAREWELL.checked_sub(begun.elapsed()).filter(|_| left > 0) {
        match ends.recv_timeout(patience) {
            Ok(_) => left -= 1,
            Err(_) => break,
        }
    }
    desk.catch_up();
    match end {
        End::Signal => Ok(()),
        End::Thread(name) => Err(anyhow!("the thread {name:?} ended; the line before says why")),
    }
}

fn start(name: &str, ended: &mpsc::Sender<End>, work: impl FnOnce(&Bell) + Send + 'static) -> anyhow::Result<()> {
    let bell = Bell(ended.clone(), name.to_owned());
    thread::Builder::new().name(name.to_owned()).spawn(move || work(&bell))?;
    Ok(())
}

/// Whether a process runs on this folder.
pub fn is_held(folder: &Path) -> bool {
    File::open(folder.join("run.lock"))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// What the receivers have, in case that the spool does not say it any more.
fn past(config: &Config, known: &BTreeMap<String, Ledger>, is_damaged: bool) -> Past {
    let configured = config.receivers.iter().filter_map(|receiver| known.get(&receiver.name));
    let least = configured.min_by_key(|ledger| ledger.upto());
    // nobody whose alerts could be missing: on from where the last one was
    let least = least.or_else(|| known.values().max_by_key(|ledger| ledger.upto()));
    let has_begun = |ledger: &Ledger| ledger.highest() > 0 || ledger.mark().next.is_some();
    Past {
        highest: known.values().map(Ledger::highest).max().unwrap_or_default(),
        lowest: least.map(Ledger::upto).unwrap_or_default(),
        mark: least.map(|ledger| ledger.mark().clone()).unwrap_or_default(),
        has_begun: is_damaged || known.values().any(has_begun),
    }
}

/// Reads what is known: the spool, and what each receiver has, in the order of the configuration.
fn begin(config: &Config, folder: &Path) -> anyhow::Result<(Desk, Vec<Ledger>)> {
    let now = clock::now();
    let mut known: BTreeMap<String, Ledger> = BTreeMap::new();
    let mut damaged = Vec::new();
    for entry in fs::read_dir(folder.join("receivers"))? {
        let path = entry?.path();
        let is_one = path.extension().is_some_and(|extension| extension == "json");
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).filter(|_| is_one) else { continue };
        match Ledger::load(&path) {
            Ok(ledger) => drop(known.insert(name.to_owned(), ledger.unwrap_or_default())),
            Err(error) => {
                fs::rename(&path, path.with_extension("damaged"))?;
                damaged.push(format!("{}: {error}; all that is kept is sent to {name} again", path.display()));
                // it begins with all that is there
                known.insert(name.to_owned(), Ledger::default());
            }
        }
    }
    let mut spool = Spool::open(folder, &past(config, &known, !damaged.is_empty()), now)
        .context("what was taken in cannot be read")?;
    for words in damaged {
        say(Level::Critical, &words);
        spool.push(now, Some(Alert::own(now, Level::Critical, "spool_damaged", words)));
    }
    let last = spool.last();
    let mut ledgers = Vec::new();
    for receiver in &config.receivers {
        let ledger = match known.remove(&receiver.name) {
            Some(ledger) => ledger,
            None => {
                let ledger = Ledger::new(last, spool.mark());
                // from now on it is not new any more
                ledger.save(&Ledger::path(folder, &receiver.name)).context("a receiver cannot be noted")?;
                ledger
            }
        };
        ledgers.push(ledger);
    }
    for name in known.keys() {
        say(Level::Warning, &format!("{name} is no receiver any more; what it did not get is not sent"));
    }
    let passed = config.receivers.iter().zip(&ledgers).map(|(receiver, ledger)| (receiver.name.clone(), ledger.upto()));
    spool.read_by(passed.collect());
    let desk = Desk::new(spool);
    Ok((desk, ledgers))
}
