//! The blocks of code in the documents: found, run, and compared with what they say comes of it.
//!
//! A block is run by its language: `console` (commands behind `$ `, each with its output), `sh` (commands), `python` (against the
//! daemon of the page), `json` (requests behind `> ` and answers behind `< ` on the socket, or JSON that must be one), `toml` (a
//! configuration). Any other block, and one that cannot be run, says why in a comment on the line above: `<!-- not run: ... -->`.
//! Other comments of a page: `<!-- prepare: WORLD -->` begins anew with a [`World`], `<!-- prepare: $ COMMAND -->` does what the
//! page does not show, and `<!-- output -->` stands above what the block before it prints.

pub mod block;
pub mod compare;
pub mod page;
pub mod world;
