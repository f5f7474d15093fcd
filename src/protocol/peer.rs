//! Who is at the other end, by the kernel's word (`SO_PEERCRED`), and what they may do.

use std::{collections::BTreeSet, fmt, sync::Arc};

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use tokio::sync::Semaphore;

use crate::config::Access;

/// The uid that a user namespace shows for everybody it does not know. It is nobody, and gets nothing.
const OVERFLOW_UID: u32 = 65534;

/// Users who are looked up at once.
const LOOKUPS: usize = 2;

/// What a peer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Send signals and outcomes, and read.
    Trader,
    /// Also change what is served.
    Operator,
}

/// A connected process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// What it may do.
    pub role: Role,
}

/// The users and groups of `[access]`, resolved to numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessList {
    operators: BTreeSet<u32>,
    traders: BTreeSet<u32>,
    trader_groups: BTreeSet<u32>,
}

/// A user or group of `[access]` that this machine does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("access.{key}: there is no {what} {name:?} on this machine; create it, or remove it from the list")]
pub struct UnknownAccount {
    key: &'static str,
    what: &'static str,
    name: String,
}

impl AccessList {
    /// Resolves names against the accounts of this machine. Root and the daemon's own user are always operators.
    ///
    /// # Errors
    /// [`UnknownAccount`] for the first name that does not exist.
    pub fn resolve(access: &Access) -> Result<Self, UnknownAccount> {
        let mut operators = resolve_all("operator_users", "user", &access.operator_users, user_id)?;
        operators.extend([0, nix::unistd::geteuid().as_raw()]);
        Ok(Self {
            operators,
            traders: resolve_all("trader_users", "user", &access.trader_users, user_id)?,
            trader_groups: resolve_all("trader_groups", "group", &access.trader_groups, group_id)?,
        })
    }

    /// What the process of `uid` with primary group `gid` may do, if it is a member of `groups` as well; `None` is nothing.
    pub fn role_of(&self, uid: u32, gid: u32, groups: &[u32]) -> Option<Role> {
        if uid == OVERFLOW_UID {
            None
        } else if self.operators.contains(&uid) {
            Some(Role::Operator)
        } else if self.traders.contains(&uid)
            || std::iter::once(&gid).chain(groups).any(|group| self.trader_groups.contains(group))
        {
            Some(Role::Trader)
        } else {
            None
        }
    }

    /// Whether what `uid` may do depends on its supplementary groups, which the account database knows.
    pub fn asks_for_groups(&self, uid: u32, gid: u32) -> bool {
        uid != OVERFLOW_UID && !self.trader_groups.is_empty() && self.role_of(uid, gid, &[]).is_none()
    }
}

type Lookup = dyn Fn(u32, u32) -> Vec<u32> + Send + Sync;

/// The account database, which may be as slow as the network it stands on: it is asked on other threads, a few at once.
#[derive(Clone)]
pub struct Accounts {
    lookup: Arc<Lookup>,
    places: Arc<Semaphore>,
}

impl Accounts {
    /// A database that gives the groups of a user of this number and primary group by `lookup`.
    pub fn new(lookup: impl Fn(u32, u32) -> Vec<u32> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), places: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    /// The groups of `uid`, whose primary group is `gid`. `None` when it could not be asked. A panic of the lookup goes on here.
    pub(super) async fn groups(&self, uid: u32, gid: u32) -> Option<Vec<u32>> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let lookup = Arc::clone(&self.lookup);
        let found = tokio::task::spawn_blocking(move || {
            let _until_it_answers = place;
            lookup(uid, gid)
        });
        match found.await {
            Ok(groups) => Some(groups),
            Err(error) => error.try_into_panic().map_or(None, |panic| std::panic::resume_unwind(panic)),
        }
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self::new(groups_of)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

/// The groups of `uid` by the account database of this machine.
fn groups_of(uid: u32, gid: u32) -> Vec<u32> {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return Vec::new() };
    let Ok(name) = std::ffi::CString::new(user.name) else { return Vec::new() };
    let groups = getgrouplist(&name, Gid::from_raw(gid)).unwrap_or_default();
    groups.into_iter().map(Gid::as_raw).collect()
}

fn resolve_all(
    key: &'static str,
    what: &'static str,
    names: &[String],
    lookup: fn(&str) -> Option<u32>,
) -> Result<BTreeSet<u32>, UnknownAccount> {
    let resolve = |name: &String| {
        let number = name.parse().ok().or_else(|| lookup(name));
        number.ok_or_else(|| UnknownAccount { key, what, name: name.clone() })
    };
    names.iter().map(resolve).collect()
}

fn user_id(name: &str) -> Option<u32> {
    User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
}

fn group_id(name: &str) -> Option<u32> {
    Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

#[cfg(test)]
impl AccessList {
    /// A list without operators, for which everybody is looked up.
    pub(super) fn of_group(group: u32) -> Self {
        Self { operators: BTreeSet::new(), traders: BTreeSet::new(), trader_groups: BTreeSet::from([group]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(users: &[&str], groups: &[&str]) -> Result<AccessList, UnknownAccount> {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        AccessList::resolve(&Access {
            trader_users: own(users),
            trader_groups: own(groups),
            operator_users: Vec::new(),
        })
    }

    #[test]
    fn strangers_get_nothing_and_nobody_never_does() {
        let access = list(&["1234", "65534"], &["4321"]).unwrap();
        assert_eq!(access.role_of(0, 0, &[]), Some(Role::Operator));
        assert_eq!(access.role_of(1234, 1, &[]), Some(Role::Trader));
        assert_eq!(access.role_of(77_777, 4321, &[]), Some(Role::Trader));
        assert_eq!(
            (access.role_of(77_777, 1, &[2]), access.role_of(77_777, 1, &[2, 4321])),
            (None, Some(Role::Trader))
        );
        assert_eq!(access.role_of(65534, 4321, &[4321]), None);
        // only of a user whose word would count
        let asks = |uid, gid| access.asks_for_groups(uid, gid);
        assert_eq!([asks(0, 0), asks(1234, 1), asks(77_777, 4321), asks(65534, 1)], [false; 4]);
        assert!(asks(77_777, 1) && !list(&["1234"], &[]).unwrap().asks_for_groups(77_777, 1));
    }

    #[test]
    fn an_account_that_does_not_exist_is_an_error() {
        let error = list(&[], &["no-such-group-here"]).unwrap_err().to_string();
        assert!(error.contains("access.trader_groups") && error.contains("no-such-group-here"), "{error}");
        assert!(list(&["root"], &["root"]).is_ok());
    }
}
