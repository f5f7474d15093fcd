//! Whether a part of a request may have left: what was not sent is not in doubt. It stands above TLS, which has shaken hands before it is asked to
//! send anything.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ureq::{
    Error,
    http::Uri,
    unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport},
};

/// Notes what is sent on connections to one address.
#[derive(Debug)]
pub struct Watched {
    target: Uri,
    has_left: Arc<AtomicBool>,
}

impl Watched {
    /// Sets `has_left` before the first bytes go to `target`; what a proxy is asked does not count.
    pub fn new(target: Uri, has_left: Arc<AtomicBool>) -> Self {
        Self { target, has_left }
    }
}

impl<In: Transport> Connector<In> for Watched {
    type Out = Line<In>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let has_left = (*details.uri == self.target).then(|| Arc::clone(&self.has_left));
        Ok(chained.map(|inner| Line { inner, has_left }))
    }
}

/// A connection.
#[derive(Debug)]
pub struct Line<In> {
    inner: In,
    has_left: Option<Arc<AtomicBool>>,
}

impl<In: Transport> Transport for Line<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if let Some(has_left) = &self.has_left {
            has_left.store(true, Ordering::SeqCst);
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
