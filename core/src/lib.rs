//! What vigie decides, as functions of values: no clock, no file, no socket, no thread, no actor. What acts on it is the
//! program, `vigie`.
//!
//! The modules stand in the order in which they may use each other, lowest first. See `ARCHITECTURE.md`.

pub mod domain;

pub mod panics;

pub mod stats;

pub mod features;

pub mod models;

pub mod guard;

pub mod validation;

pub mod discovery;

pub mod policy;

pub mod lifecycle;

pub mod trials;

pub mod portfolio;

pub mod state;

pub mod schedule;

pub mod report;
