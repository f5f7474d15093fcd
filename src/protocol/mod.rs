//! The socket: one JSON object per line each way.
//!
//! `message` holds the wire's own types, `peer` says who asks, `codec` turns bytes into lines, `server` keeps order, limits and deadlines for
//! any number of connections, `client` is what the command line (or a trader written in Rust) talks with.

pub mod client;
pub mod codec;
pub mod listen;
pub mod message;
pub mod peer;
pub mod server;
