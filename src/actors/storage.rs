//! How the journal's file is opened: on the machine's disk, or on one that a test makes fail.

use std::{fmt, path::Path, sync::Arc};

use crate::journal::{OpenError, Store, StoreOptions};

type Open = dyn Fn(&Path, StoreOptions) -> Result<Store, OpenError> + Send + Sync;

/// Opens the journal's file.
#[derive(Clone)]
pub struct Storage(Arc<Open>);

impl Storage {
    /// What `open` opens.
    pub fn new(open: impl Fn(&Path, StoreOptions) -> Result<Store, OpenError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Opens the journal at `path`.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(&self, path: &Path, options: StoreOptions) -> Result<Store, OpenError> {
        (self.0)(path, options)
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self::new(Store::open)
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Storage")
    }
}
