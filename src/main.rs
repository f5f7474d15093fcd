//! The command line of vigie.

fn main() {}
