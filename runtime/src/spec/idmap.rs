//! The host's ids of a container's users and groups (`man 7 user_namespaces`,
//! "User and group ID mappings").

use derive_more::Display;
use serde::Serialize;

/// Users and groups `0` to `count - 1` of a user namespace are `first` to
/// `first + count - 1` of the host. Groups are mapped like users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, Serialize)]
#[display("0-{} = {first}-{}", count - 1, first + count - 1)]
pub struct IdMap {
    first: u32,
    count: u32,
}

/// The number of ids of a container by default: 16 bits, as many as NixOS and
/// systemd use (systemd's UIDS-GIDS.md).
pub const DEFAULT_COUNT: u32 = 0x1_0000;

impl IdMap {
    /// `count` ids from `first` on. `None` for no ids, and for a range with
    /// 4294967295, which is not an id but `(uid_t) -1` (`man 2 setresuid`).
    pub fn new(first: u32, count: u32) -> Option<Self> {
        first.checked_add(count)?;
        (count > 0).then_some(Self { first, count })
    }

    /// The first 65536 users and groups, each mapped to itself: root inside has
    /// other capabilities than the host's.
    pub const IDENTITY: Self = Self {
        first: 0,
        count: DEFAULT_COUNT,
    };

    /// The host's id of root inside.
    pub fn root(self) -> u32 {
        self.first
    }

    /// The number of ids inside.
    pub fn count(self) -> u32 {
        self.count
    }

    /// The host's id of an id inside; `None` if that is not mapped.
    pub fn to_host(self, inside: u32) -> Option<u32> {
        (inside < self.count).then(|| self.first + inside)
    }

    /// Whether an id of the host has an id inside.
    pub fn contains(self, host: u32) -> bool {
        host.checked_sub(self.first)
            .is_some_and(|inside| inside < self.count)
    }

    /// Whether every id of the host in the other map is in this one.
    pub fn includes(self, other: Self) -> bool {
        self.contains(other.first) && self.contains(other.first + (other.count - 1))
    }

    /// Whether both maps have an id of the host in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// Whether every id is the same inside and on the host, so that no owner has to
    /// be mapped.
    pub fn is_identity(self) -> bool {
        self.first == 0
    }

    /// The line for `/proc/PID/uid_map` and `gid_map`.
    pub(crate) fn line(self) -> String {
        format!("0 {} {}", self.first, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_inside_follow_each_other_on_the_host() {
        let map = IdMap::new(524_288, 65536).expect("valid");
        assert_eq!(map.to_host(0), Some(524_288));
        assert_eq!(map.to_host(1000), Some(525_288));
        assert_eq!(map.to_host(65536), None);
        assert!(map.contains(524_288) && map.contains(589_823));
        assert!(!map.contains(0) && !map.contains(524_287) && !map.contains(589_824));
        assert_eq!(map.line(), "0 524288 65536");
        assert_eq!(map.to_string(), "0-65535 = 524288-589823");
    }

    #[test]
    fn minus_one_is_in_no_map() {
        assert_eq!(IdMap::new(1, 0), None);
        assert_eq!(IdMap::new(u32::MAX, 1), None);
        assert_eq!(IdMap::new(u32::MAX - 1, 2), None);
        assert!(IdMap::new(u32::MAX - 1, 1).is_some());
    }

    #[test]
    fn maps_overlap_where_one_begins_in_the_other() {
        let map = |first, count| IdMap::new(first, count).expect("valid");
        assert!(map(0, 10).overlaps(map(9, 1)));
        assert!(map(9, 1).overlaps(map(0, 10)));
        assert!(map(5, 10).overlaps(map(0, 6)));
        assert!(!map(0, 10).overlaps(map(10, 10)));
        assert!(!map(10, 10).overlaps(map(0, 10)));
    }

    #[test]
    fn a_map_includes_those_between_its_ends() {
        let map = |first, count| IdMap::new(first, count).expect("valid");
        let all = map(0, u32::MAX);
        assert!(all.includes(all) && all.includes(map(u32::MAX - 1, 1)));
        assert!(map(10, 10).includes(map(10, 10)) && map(10, 10).includes(map(19, 1)));
        assert!(!map(10, 10).includes(map(9, 2)) && !map(10, 10).includes(map(19, 2)));
    }

    #[test]
    fn only_the_same_ids_are_the_identity() {
        assert!(IdMap::IDENTITY.is_identity());
        assert!(!IdMap::new(1, 65536).expect("valid").is_identity());
    }
}
