//! A state folder of one test, and a model in it that was trained on the example signals.

use std::{collections::BTreeMap, fs, io::Read, path::PathBuf, sync::OnceLock};

use tempfile::TempDir;
use vigie::{
    actors::daemon::{JOURNAL_FILE, SOCKET_FILE},
    config::Config,
    domain::{Event, EventKind, SignalLine, Timestamp, VersionId, event::By, lifecycle::State},
    journal::{Reader, Store, StoreOptions, Write},
    models::VersionRecord,
    recall::learning::settings,
    validation::{
        Ledger,
        training::{Birth, History, Order, train},
    },
};

/// What the tests configure unless they say otherwise: no answer is late on a busy machine, the examples suffice to
/// train on and are validated with little effort, every signal hears the model, and a journal that failed is opened again soon.
pub const CONFIG: &str = "server.deadline_us = 1000000\ntraining.min_test_trades = 100\nscoring.holdback = 0.0\njournal.retry_ms = 10\n\
     training.strengths = [1.0, 100.0]\nvalidation.bootstrap = 2\nvalidation.null = 20\nvalidation.importance = 2\n\
     validation.folds = 2\nvalidation.steps = 2\nvalidation.groups = 3\nvalidation.judged_groups = 1\n";
/// With this a version that passes its gates waits for an order of a person.
pub const BY_HAND: &str = "lifecycle.stage_validated = false\n";
const OPTIONS: StoreOptions = StoreOptions { cache_bytes: 1 << 20, verify: false };

/// A folder for one test.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder whose journal holds the version ES/1 in `state`.
    pub fn with_model(state: State) -> Self {
        let place = Self::new();
        place.register("ES/1", model().to_bytes().unwrap(), state);
        place
    }

    pub fn folder(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    pub fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    pub fn journal(&self) -> PathBuf {
        self.state().join(JOURNAL_FILE)
    }

    pub fn socket(&self) -> PathBuf {
        self.state().join(SOCKET_FILE)
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn open(&self) -> Store {
        fs::create_dir_all(self.state()).unwrap();
        Store::open(&self.journal(), OPTIONS).unwrap()
    }

    /// The journal as it is on disk now, also beside a running daemon.
    pub fn reader(&self) -> Reader {
        Reader::open_path(&self.journal(), OPTIONS.cache_bytes).unwrap()
    }

    pub fn events(&self) -> Vec<EventKind> {
        self.reader().events(0).unwrap().map(|stored| stored.unwrap().event.kind).collect()
    }

    /// The messages of all alerts with this code.
    pub fn alerts(&self, wanted: &str) -> Vec<String> {
        let message = |kind| match kind {
            EventKind::Alert { code, message, .. } if &*code == wanted => Some(message),
            _ => None,
        };
        self.events().into_iter().filter_map(message).collect()
    }

    /// Stores a version whose record is `body`, and the events that brought it to `state`.
    pub fn register(&self, version: &str, body: Vec<u8>, state: State) {
        let id: VersionId = version.parse().unwrap();
        let mut kinds = vec![EventKind::Trained { version: id.clone(), evidence: BTreeMap::new() }];
        let mut standing = State::Trained;
        while standing != state {
            let step = standing.forward().unwrap();
            standing = step.edge().1;
            let (version, by) = (id.clone(), By::Uid(0));
            let reason = "a test".to_owned();
            kinds.push(EventKind::Moved { version, step, reason, by, overridden: true, evidence: BTreeMap::new() });
        }
        let event = |kind| Write::Event(Event { at: Timestamp::UNIX_EPOCH, kind });
        let mut writes = vec![Write::Version { id, body }];
        writes.extend(kinds.into_iter().map(event));
        let mut store = self.open();
        store.apply(&writes).unwrap();
        store.close().unwrap();
    }
}

/// The lines of the example signals.
pub fn examples() -> Vec<String> {
    let file = fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signals.jsonl.gz")).unwrap();
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The strategy's own confidence in the single example signal.
pub fn example_confidence() -> f64 {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signal.json")).unwrap();
    SignalLine::parse(text.as_bytes()).unwrap().signal.confidence.unwrap().get()
}

/// ES/1, trained on the example signals. It does not say what policy it was validated by, as older records do not: what is
/// configured for a test says how it is served.
pub fn model() -> &'static VersionRecord {
    static MODEL: OnceLock<VersionRecord> = OnceLock::new();
    MODEL.get_or_init(|| {
        let mut history = History::default();
        for line in examples() {
            let SignalLine { signal, outcome, .. } = SignalLine::parse(line.as_bytes()).unwrap();
            history.outcomes.extend(outcome.map(|outcome| (signal.trade_id.clone(), outcome)));
            history.signals.push(signal);
        }
        let config = Config::parse("test", CONFIG).unwrap();
        let birth = Birth { id: "ES/1".parse().unwrap(), created_at: Timestamp::UNIX_EPOCH, parent: None };
        let order = Order { symbol: birth.id.symbol.clone(), model: None, target: None, days: None };
        let record =
            train(birth, &order, &history, &settings(&config), &Ledger::default(), &mut |_, _| ()).unwrap().record;
        VersionRecord { policy: None, ..record }
    })
}
