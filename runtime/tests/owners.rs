//! Trees that are given to the users of a user namespace. As root, on a file
//! system with attributes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use runtime::IdMap;
use runtime::rootfs::owners::{Owner, can_be_given_to, chown_tree};
use rustix::fs::{IFlags, XattrFlags, getxattr, ioctl_getflags, ioctl_setflags, setxattr};

const FIRST: u32 = 655_360;

fn ids(first: u32) -> IdMap {
    IdMap::new(first, 65536).expect("valid")
}

/// Beside the build, because `/tmp` may be in memory.
fn tree() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::symlink_metadata(path).expect("it is there");
    (metadata.uid(), metadata.gid())
}

#[test]
fn each_file_is_given_to_whom_it_belongs_inside_and_taken_back() {
    let directory = tree();
    let root = directory.path().join("root");
    let outside = directory.path().join("outside");
    fs::create_dir_all(root.join("home/alice")).expect("made");
    fs::write(&outside, "").expect("made");
    let file = |name: &str, (user, group): (u32, u32)| {
        fs::write(root.join(name), name).expect("made");
        lchown(root.join(name), Some(user), Some(group)).expect("this is root");
    };
    let files = [
        ("sudo", (0, 0)),
        ("home/alice/notes", (1000, 100)),
        ("home/nobody", (65534, 65534)),
    ];
    for (name, owner) in files {
        file(name, owner);
    }
    lchown(root.join("home/alice"), Some(1000), Some(100)).expect("this is root");
    let setuid = Permissions::from_mode(0o6755);
    fs::set_permissions(root.join("sudo"), setuid).expect("changed");
    symlink(&outside, root.join("link")).expect("made");
    symlink("/nowhere", root.join("dangling")).expect("made");

    for first in [FIRST, 2 * FIRST, 0] {
        chown_tree(&root, ids(first)).expect("given");
        for (name, (user, group)) in files {
            let expected = (first + user, first + group);
            assert_eq!(owner(&root.join(name)), expected, "{name}");
        }
        for (name, expected) in [
            ("", (first, first)),
            ("home", (first, first)),
            ("home/alice", (first + 1000, first + 100)),
            ("link", (first, first)),
            ("dangling", (first, first)),
        ] {
            assert_eq!(owner(&root.join(name)), expected, "{name:?}");
        }
        let mode = fs::metadata(root.join("sudo")).expect("it is there").mode();
        assert_eq!(mode & 0o7777, 0o6755, "setuid and setgid stay");
        assert_eq!(owner(&outside), (0, 0), "no link is followed");
    }
}

#[test]
fn what_was_cut_short_is_told_and_finished() {
    let directory = tree();
    let root = directory.path();
    fs::create_dir(root.join("done")).expect("made");
    fs::create_dir(root.join("not")).expect("made");
    lchown(root.join("done"), Some(FIRST), Some(FIRST)).expect("this is root");
    // As systemd-nspawn has it, too (UID_BUSY_BASE).
    lchown(root, Some(0xfffe_0000), Some(0xfffe_0000)).expect("this is root");
    let cut_short = Owner::of(root).expect("it is there");
    assert!(cut_short.is_changing());
    assert_eq!(cut_short.ids(), None);
    chown_tree(root, ids(FIRST)).expect("given");
    assert!(Owner::of(root).expect("it is there").is_among(ids(FIRST)));
    for path in ["done", "not"] {
        assert_eq!(owner(&root.join(path)), (FIRST, FIRST), "{path}");
    }
}

#[test]
fn a_tree_that_was_given_is_not_looked_through_again() {
    let directory = tree();
    chown_tree(directory.path(), ids(FIRST)).expect("given");
    let late = directory.path().join("late");
    fs::write(&late, "").expect("made");
    chown_tree(directory.path(), ids(FIRST)).expect("given");
    assert_eq!(owner(&late), (0, 0));
}

/// A list that names a user and a group, as the kernel keeps it
/// (`linux/posix_acl_xattr.h`): who, what they may, which one.
fn access_list(user: u32, group: u32) -> Vec<u8> {
    let nobody = u32::MAX;
    let entries = [
        (0x01_u16, 7_u16, nobody),
        (0x02, 5, user),
        (0x04, 5, nobody),
        (0x08, 5, group),
        (0x10, 5, nobody),
        (0x20, 5, nobody),
    ];
    let entries = entries.iter().flat_map(|(tag, permissions, id)| {
        let tag = tag.to_le_bytes().into_iter();
        tag.chain(permissions.to_le_bytes()).chain(id.to_le_bytes())
    });
    2_u32.to_le_bytes().into_iter().chain(entries).collect()
}

#[test]
fn access_lists_and_immutable_directories_are_given_too() {
    let directory = tree();
    let root = directory.path();
    let (journal, empty) = (root.join("journal"), root.join("empty"));
    fs::create_dir(&journal).expect("made");
    fs::create_dir(&empty).expect("made");
    let lists = ["system.posix_acl_access", "system.posix_acl_default"];
    for name in lists {
        setxattr(&journal, name, &access_list(1000, 190), XattrFlags::CREATE).expect("set");
    }
    let immutable = fs::File::open(&empty).expect("it is there");
    ioctl_setflags(&immutable, IFlags::IMMUTABLE).expect("changed");
    let given = chown_tree(root, ids(FIRST));
    let attributes = ioctl_getflags(&immutable).expect("told");
    ioctl_setflags(&immutable, IFlags::empty()).expect("changed");
    given.expect("given");
    assert!(attributes.contains(IFlags::IMMUTABLE));
    assert_eq!(owner(&empty), (FIRST, FIRST));
    for name in lists {
        let mut list = vec![0; 1000];
        let length = getxattr(&journal, name, &mut list[..]).expect("told");
        assert_eq!(
            list[..length],
            access_list(FIRST + 1000, FIRST + 190),
            "{name}"
        );
    }
}

#[test]
fn only_whole_ranges_can_be_told_apart() {
    assert!(can_be_given_to(ids(FIRST)) && can_be_given_to(IdMap::IDENTITY));
    assert!(!can_be_given_to(ids(100_000)));
    assert!(!can_be_given_to(IdMap::new(FIRST, 1000).expect("valid")));
}
