//! What tests of the running daemon share.
#![allow(dead_code, reason = "not every file of tests needs all of it")]

pub mod between;
pub mod daemon;
pub mod emergencies;
pub mod life;
pub mod long;
pub mod market;
pub mod place;
pub mod process;
pub mod real;
pub mod real_play;
pub mod seeds;
pub mod skip;
pub mod spoken;
pub mod terminal;
pub mod wait;
pub mod wire;
