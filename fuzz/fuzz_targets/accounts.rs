//! A container's `/etc/passwd` and `/etc/group`, the second after an empty line.

#![no_main]

#[path = "../../runtime/src/spec/accounts.rs"]
#[allow(dead_code, reason = "the target calls some of it")]
mod accounts;

use libfuzzer_sys::fuzz_target;

use accounts::{Account, User};

fuzz_target!(|text: &str| {
    let (passwd, group) = text.split_once("\n\n").unwrap_or((text, ""));
    for user in [
        User::root(),
        User::Number(0),
        User::Name("alice".to_owned()),
    ] {
        let Some(account) = Account::find(passwd, group, &user) else {
            continue;
        };
        match user {
            User::Name(name) => assert_eq!(account.name, name),
            User::Number(number) => assert_eq!(account.uid, number),
        }
        assert!(!account.shell.as_os_str().is_empty() && !account.home.as_os_str().is_empty());
        assert_eq!(account.groups.first(), Some(&account.gid));
        // To the kernel that would mean "as it is", which is root.
        assert!(account.uid != u32::MAX && !account.groups.contains(&u32::MAX));
    }
});
