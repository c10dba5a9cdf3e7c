//! The accounts of a container, looked up in its own `/etc`.

use std::path::Path;

use super::Root;
use crate::spec::accounts::{Account, User};

/// Longest `/etc/passwd` and `/etc/group` that is read, in bytes.
const LONGEST_DATABASE: u64 = 4 << 20;

/// The user's account in the container with this root; `None` if it has no such
/// user. Root exists even without an `/etc/passwd`.
pub fn find_account(container: &Root, user: &User) -> Option<Account> {
    let read = |path| {
        let contents = container.read_file(Path::new(path), LONGEST_DATABASE);
        String::from_utf8_lossy(&contents.unwrap_or_default()).into_owned()
    };
    let account = Account::find(&read("/etc/passwd"), &read("/etc/group"), user);
    let is_root = matches!(user, User::Number(0)) || *user == User::root();
    account.or_else(|| is_root.then(Account::bare_root))
}
