//! System calls by their names (`man 2 syscalls`).

use std::collections::BTreeSet;
use std::str::FromStr;

/// The groups of `systemd-analyze syscall-filter` (systemd 257;
/// `man 5 systemd.exec`): a line with the name, then indented lines with the
/// members.
const GROUPS: &str = include_str!("groups.txt");

/// The calls that a word stands for: the name of a call, or of a group behind `@`.
/// `None` for a word that is neither on any machine.
pub fn named(word: &str) -> Option<BTreeSet<&'static str>> {
    if !word.starts_with('@') {
        return Some(BTreeSet::from([one(word)?]));
    }
    if word == "@known" {
        return Some(every().collect());
    }
    let mut calls = BTreeSet::new();
    for member in members(word)? {
        if member.starts_with('@') {
            calls.extend(named(member)?);
        } else {
            calls.insert(member);
        }
    }
    Some(calls)
}

fn one(name: &str) -> Option<&'static str> {
    let native = syscalls::Sysno::from_str(name).ok();
    let compat = || compat::Sysno::from_str(name).ok();
    // A call of another kind of machine; a list is for all kinds.
    let elsewhere = || GROUPS.split_whitespace().find(|word| *word == name);
    native
        .map(|call| call.name())
        .or_else(|| compat().map(|call| call.name()))
        .or_else(elsewhere)
}

fn every() -> impl Iterator<Item = &'static str> {
    let native = syscalls::Sysno::iter().map(|call| call.name());
    native.chain(compat::Sysno::iter().map(|call| call.name()))
}

fn members(group: &str) -> Option<impl Iterator<Item = &'static str>> {
    let mut lines = GROUPS.lines().skip_while(move |line| *line != group);
    lines.next()?;
    let indented = lines.take_while(|line| line.starts_with(' '));
    Some(indented.flat_map(str::split_whitespace))
}

#[cfg(target_arch = "aarch64")]
use syscalls::arm as compat;
/// How 32-bit programs make system calls on this machine.
#[cfg(target_arch = "x86_64")]
use syscalls::x86 as compat;

/// The numbers that a program's system calls have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// The machine's own.
    Native,
    /// Those of its 32-bit programs.
    Compat,
}

impl Table {
    /// The numbers by which the calls of a set can be made.
    pub(super) fn numbers(self, calls: &BTreeSet<&'static str>) -> BTreeSet<u32> {
        let mut numbers: BTreeSet<_> = calls.iter().filter_map(|name| self.number(name)).collect();
        if self == Self::Compat {
            for (whole, group, beginnings) in MULTIPLEXED {
                let mut parts = members(group).into_iter().flatten();
                if parts.any(|part| is_carried(part, beginnings) && calls.contains(part)) {
                    numbers.extend(self.number(whole));
                }
            }
        }
        numbers
    }

    fn number(self, name: &str) -> Option<u32> {
        let number = match self {
            Self::Native => syscalls::Sysno::from_str(name).ok()?.id(),
            Self::Compat => compat::Sysno::from_str(name).ok()?.id(),
        };
        u32::try_from(number).ok()
    }
}

/// Calls through which 32-bit programs of x86 make those of a group with these
/// beginnings. A filter cannot see which one (`man 2 socketcall`, `man 2 ipc`).
const MULTIPLEXED: [(&str, &str, &[&str]); 2] = [
    ("socketcall", "@network-io", &[""]),
    ("ipc", "@ipc", &["msg", "sem", "shm"]),
];

/// The calls that others carry. Those with times of 64 bits are younger, and are made
/// by themselves only.
fn is_carried(call: &str, beginnings: &[&str]) -> bool {
    let begins = |beginning: &&str| call.starts_with(beginning);
    beginnings.iter().any(begins) && !call.ends_with("_time64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_calls_and_groups() {
        let sync = named("@sync").expect("a group");
        assert!(sync.contains("fsync") && !sync.contains("read"));
        let service = named("@system-service").expect("a group");
        assert!(service.is_superset(&sync), "one holds the other");
        assert!(service.iter().all(|call| !call.starts_with('@')));
        assert!(named("@known").expect("a group").len() > 400);
        for bad in ["", "@", "@nothing", "nothing", "@sync fsync", "read,write"] {
            assert_eq!(named(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn every_group_can_be_named() {
        for group in GROUPS.lines().filter(|line| line.starts_with('@')) {
            assert!(
                named(group).is_some_and(|calls| !calls.is_empty()),
                "{group}"
            );
        }
    }

    #[test]
    fn calls_of_other_machines_have_names_and_no_numbers() {
        let foreign = named("riscv_hwprobe").expect("a call");
        assert_eq!(foreign.len(), 1);
        assert!(Table::Native.numbers(&foreign).is_empty());
        assert_eq!(
            Table::Native.numbers(&named("read").expect("a call")).len(),
            1
        );
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn calls_that_carry_others_are_included() {
        const SOCKETCALL: u32 = 102;
        let socket = named("socket").expect("a call");
        assert!(Table::Compat.numbers(&socket).contains(&SOCKETCALL));
        assert!(!Table::Native.numbers(&socket).contains(&SOCKETCALL));
        const IPC: u32 = 117;
        let carried = |name| {
            Table::Compat
                .numbers(&named(name).expect("a call"))
                .contains(&IPC)
        };
        assert!(carried("shmat") && carried("semtimedop"));
        assert!(!carried("semtimedop_time64") && !carried("pipe"));
    }
}
