//! The event loop that everything but the journal and the monitor runs on.

use std::io;

use actix::{System, SystemRunner};
use tokio::runtime::Builder;

use crate::protocol::lateness;

/// A system for the daemon: one thread, which notes when it rests and when it is woken, so that a request knows how long it
/// may have waited.
///
/// # Errors
/// When the machine gives no event loop.
pub fn system() -> io::Result<SystemRunner> {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().on_thread_park(lateness::parks).on_thread_unpark(lateness::wakes).build()?;
    Ok(System::with_tokio_rt(move || runtime))
}
