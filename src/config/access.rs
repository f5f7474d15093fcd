//! Who may talk to the daemon, and what account is traded.

/// Who may talk to the daemon besides root and its own user. Names or decimal ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Users who may send signals and outcomes, and read.
    pub trader_users: Vec<String>,
    /// Groups whose members may.
    pub trader_groups: Vec<String>,
    /// Users who may also change what is served.
    pub operator_users: Vec<String>,
}

/// The account that is traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Whether it is paper: an emergency of the account may be lifted on its own trading day, by an order that is marked.
    pub paper: bool,
}
