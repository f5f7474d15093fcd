//! **vigie**, the lookout beside an automated futures trader: it scores every signal of a rule-based strategy with a
//! model that had to earn it, and steps aside the moment anything is not right.
//!
//! The modules stand in the order in which they may use each other, lowest first. See `ARCHITECTURE.md`.

pub mod domain;

pub mod panics;

pub mod stats;

pub mod features;

pub mod models;

pub mod guard;

pub mod validation;

pub mod policy;

pub mod lifecycle;

pub mod trials;

pub mod portfolio;

pub mod state;

pub mod report;

pub mod sim;

pub mod clock;

pub mod config;

pub mod journal;

pub mod recall;

pub mod protocol;

pub mod actors;

pub mod commands;
