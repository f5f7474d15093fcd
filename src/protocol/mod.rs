//! The socket: one JSON object per line each way.
//!
//! `message` holds the wire's own types, `peer` says who asks, `codec` turns bytes into lines, `server` keeps order, limits and deadlines for
//! any number of connections, `admission` lets them in, `lookup` asks for the groups of who comes, `seats` says who gives way to an operator,
//! `lateness` bounds how long a request waited unread, `client` is what the command line (or a trader written in Rust) talks with.

mod admission;
pub mod client;
pub mod codec;
pub mod lateness;
pub mod listen;
mod lookup;
pub mod message;
pub mod peer;
mod seats;
pub mod server;
mod socket;
