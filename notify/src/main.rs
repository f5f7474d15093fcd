//! `vigie-notify`: what a running daemon alerts of, sent to people. See `docs/notify.md`.
#![allow(dead_code, reason = "what sends is not here yet")]

mod advice;
mod alert;
mod clock;
mod dead;
mod disk;
mod ledger;
mod message;
mod payload;
mod plan;
mod quiet;
mod retry;
mod secret;
mod spool;
mod text;

fn main() {}
