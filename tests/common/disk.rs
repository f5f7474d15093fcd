//! A disk that fails on demand and loses power: what was not synced may be lost, torn or reordered.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use rand::{Rng, RngExt, seq::SliceRandom};
use redb::StorageBackend;

const SECTOR: usize = 512;

/// A handle on the disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What is read back while the power is on.
    live: Vec<u8>,
    /// What the platter has for certain.
    durable: Vec<u8>,
    /// What was written since the last sync.
    unsynced: Vec<Change>,
    operations: u64,
    fault: Option<Fault>,
    lies: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

/// A failure to come.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The operation, counted from 1 since the disk was made, that fails.
    pub at: u64,
    /// All operations after it fail, too.
    pub for_good: bool,
    /// The number of the operating system's error.
    pub error: i32,
    /// A sync that fails forgets what it should have written: it is never written again, and can still be read.
    pub sync_forgets: bool,
}

impl Disk {
    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// From now on a sync does nothing and says it did.
    pub fn lie(&self) {
        self.state().lies = true;
    }

    /// Operations so far, failed ones included.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The disk after a power cut: what was synced, and of the rest what chance left, `kept` of it on average.
    pub fn after_power_cut(&self, rng: &mut impl Rng, kept: f64) -> Self {
        let state = self.state();
        let mut image = state.durable.clone();
        let mut changes = state.unsynced.clone();
        changes.shuffle(rng);
        for change in changes {
            match change {
                Change::Write(offset, bytes) if rng.random_bool(0.2) => {
                    for (sector, part) in bytes.chunks(SECTOR).enumerate() {
                        if rng.random_bool(kept) {
                            Change::Write(offset + sector * SECTOR, part.to_vec()).apply(&mut image);
                        }
                    }
                }
                change if rng.random_bool(kept) => change.apply(&mut image),
                _ => {}
            }
        }
        Self(Arc::new(Mutex::new(State { live: image.clone(), durable: image, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The disk, if this operation is not one that fails.
    fn operate(&self) -> Result<MutexGuard<'_, State>, (MutexGuard<'_, State>, io::Error)> {
        let mut state = self.state();
        state.operations += 1;
        match state.fault {
            Some(fault) if state.operations == fault.at || (fault.for_good && state.operations > fault.at) => {
                Err((state, io::Error::from_raw_os_error(fault.error)))
            }
            _ => Ok(state),
        }
    }
}

impl State {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Resize(length) => image.resize(*length, 0),
            Self::Write(offset, bytes) => {
                let end = offset + bytes.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.operate().map(|state| state.live.len() as u64).map_err(|(_, error)| error)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.operate().map_err(|(_, error)| error)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = state.live.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.operate().map_err(|(_, error)| error)?;
        state.change(Change::Resize(usize::try_from(length).map_err(io::Error::other)?));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.operate() {
            Ok(state) if state.lies => Ok(()),
            Ok(mut state) => {
                let changes = std::mem::take(&mut state.unsynced);
                changes.iter().for_each(|change| change.apply(&mut state.durable));
                Ok(())
            }
            Err((mut state, error)) => {
                if state.fault.is_some_and(|fault| fault.sync_forgets) {
                    state.unsynced.retain(|change| matches!(change, Change::Resize(_)));
                }
                Err(error)
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        match self.operate() {
            Ok(mut state) => {
                state.change(Change::Write(offset, data.to_vec()));
                Ok(())
            }
            // a write that fails may have got half-way
            Err((mut state, error)) => {
                state.change(Change::Write(offset, data[..data.len() / 2].to_vec()));
                Err(error)
            }
        }
    }
}
