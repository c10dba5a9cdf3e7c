//! Access control lists (`man 5 acl`) in the kernel's format
//! (`linux/posix_acl_xattr.h`): a version, then entries of 8 bytes.

use std::io;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// The list of the file, and the one that new files in a directory get.
const ATTRIBUTES: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];
/// `POSIX_ACL_XATTR_VERSION`
const VERSION: [u8; 4] = 2_u32.to_le_bytes();
/// `ACL_USER` and `ACL_GROUP`: the entries with an id.
const NAMED: [u16; 2] = [0x02, 0x08];

/// Rewrites the ids in the lists of the file at `path`, which is trusted.
pub(crate) fn change_ids(path: &str, change: impl Fn(u32) -> u32) -> io::Result<()> {
    for attribute in ATTRIBUTES {
        // The largest value that an attribute can have (man 7 xattr).
        let mut list = vec![0; 0x1_0000];
        let length = match rustix::fs::getxattr(path, attribute, &mut list[..]) {
            Ok(length) => length,
            Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let list = &mut list[..length];
        if replace_ids(list, &change) {
            rustix::fs::setxattr(path, attribute, list, XattrFlags::REPLACE)?;
        }
    }
    Ok(())
}

/// Rewrites the ids in a list; returns whether one changed. A value of unknown form
/// stays as it is.
fn replace_ids(list: &mut [u8], change: impl Fn(u32) -> u32) -> bool {
    let Some((version, entries)) = list.split_at_mut_checked(VERSION.len()) else {
        return false;
    };
    if version != VERSION {
        return false;
    }
    let mut changed = false;
    for entry in entries.chunks_exact_mut(8) {
        let [tag0, tag1, _, _, id @ ..] = entry else {
            break;
        };
        let Ok(id) = <&mut [u8; 4]>::try_from(id) else {
            break;
        };
        if NAMED.contains(&u16::from_le_bytes([*tag0, *tag1])) {
            let other = change(u32::from_le_bytes(*id)).to_le_bytes();
            changed |= *id != other;
            *id = other;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tag: u16, permissions: u16, id: u32) -> [u8; 8] {
        let mut entry = [0; 8];
        entry[..2].copy_from_slice(&tag.to_le_bytes());
        entry[2..4].copy_from_slice(&permissions.to_le_bytes());
        entry[4..].copy_from_slice(&id.to_le_bytes());
        entry
    }

    fn list(user: u32, group: u32) -> Vec<u8> {
        let none = u32::MAX;
        let entries = [
            entry(0x01, 6, none),
            entry(0x02, 4, user),
            entry(0x04, 4, none),
            entry(0x08, 5, group),
            entry(0x10, 5, none),
            entry(0x20, 0, none),
        ];
        [&VERSION[..], entries.as_flattened()].concat()
    }

    #[test]
    fn only_named_users_and_groups_change() {
        let mut changing = list(1000, 190);
        assert!(replace_ids(&mut changing, |id| id + 0x10000));
        assert_eq!(changing, list(66536, 65726));
        assert!(!replace_ids(&mut changing, |id| id));
    }

    #[test]
    fn values_of_unknown_form_stay() {
        for bytes in [&b""[..], b"abc", &[1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]] {
            let mut changing = bytes.to_vec();
            assert!(!replace_ids(&mut changing, |id| id + 1));
            assert_eq!(changing, bytes);
        }
    }
}
