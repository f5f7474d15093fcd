//! Writes of the records of [`super::samples`] to choose from.

use std::collections::BTreeMap;

use vigie::{
    domain::{Event, EventKind, Skip, VersionId},
    journal::{SkipRecord, Source, Write},
};

use super::samples::{CHECKPOINTS, at, outcome, signal, trade};

pub fn skip(n: u8, variant: u8) -> SkipRecord {
    SkipRecord { received_at: at(1500), skip: Skip { trade_id: trade(n), reason: format!("risk {variant}").into() } }
}

pub fn event(n: u8) -> Event {
    let version: VersionId = "ES/14".parse().unwrap();
    let evidence = BTreeMap::from([("auc".into(), 0.1 + f64::from(n)), ("trades".into(), 1e300)]);
    Event { at: at(i64::from(n)), kind: EventKind::Trained { version, evidence } }
}

/// One of all writes there are, from three small numbers.
pub fn write_of((kind, n, variant): (u8, u8, u8)) -> Write {
    let (n, variant) = (n % 5, variant % 2);
    match kind % 9 {
        0 | 1 => Write::Signal(signal(n, variant, Source::Live)),
        2 => Write::Signal(signal(n, variant, Source::Import)),
        3 | 4 => Write::Outcome(Box::new(outcome(n, variant, Source::Live))),
        5 => Write::Trade(Box::new((signal(n, variant, Source::Import), outcome(n, variant, Source::Import)))),
        6 => Write::Skip(skip(n, variant)),
        7 if variant == 0 => Write::Event(event(n)),
        7 => {
            Write::Version { id: format!("ES/{}", n + 1).parse().unwrap(), body: vec![n; 100 + 3000 * usize::from(n)] }
        }
        _ if variant == 0 => {
            Write::Checkpoint { name: CHECKPOINTS[usize::from(n % 2)].to_owned(), bytes: vec![n; 2500] }
        }
        _ => Write::Version { id: format!("ES/{}", n + 1).parse().unwrap(), body: vec![0xEE; 700] },
    }
}
