//! No path inside a root leads out of it.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use runtime::rootfs::{Root, remove_tree};

/// A directory with a root in it, and beside it what must not be reached.
struct Scene {
    directory: tempfile::TempDir,
    root: Root,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("root")).expect("a root");
        fs::create_dir(directory.path().join("outside")).expect("a neighbour");
        fs::write(directory.path().join("outside/file"), "secret").expect("a file");
        let root = Root::open(&directory.path().join("root")).expect("a root");
        Self { directory, root }
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }

    fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    /// The ways out that a process inside could plant.
    fn plant(&self, name: &str) -> Vec<String> {
        let outside = self.outside();
        let targets = [
            outside.as_path(),
            Path::new("../outside"),
            Path::new("/proc/self/root"),
        ];
        targets
            .iter()
            .enumerate()
            .map(|(number, target)| {
                let name = format!("{name}{number}");
                symlink(target, self.inside(&name)).expect("a link");
                name
            })
            .collect()
    }
}

#[test]
fn a_link_does_not_lead_a_reader_out() {
    let scene = Scene::new();
    for link in scene.plant("link") {
        let path = format!("/{link}/file");
        assert!(
            scene.root.read_file(Path::new(&path), 100).is_err(),
            "{path}"
        );
    }
}

#[test]
fn a_link_does_not_lead_a_writer_out() {
    let scene = Scene::new();
    for link in scene.plant("link") {
        let _ = scene
            .root
            .replace_file(Path::new(&format!("/{link}/file")), b"x", 0o644);
        let _ = scene
            .root
            .create_file_if_missing(Path::new(&format!("/{link}/made")));
        let _ = scene
            .root
            .create_dir_all(Path::new(&format!("/{link}/directory")));
    }
    let left: Vec<_> = fs::read_dir(scene.outside())
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["file"]);
    let text = fs::read_to_string(scene.outside().join("file")).expect("readable");
    assert_eq!(text, "secret");
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced() {
    let scene = Scene::new();
    symlink(scene.outside().join("file"), scene.inside("file")).expect("a link");
    scene
        .root
        .replace_file(Path::new("/file"), b"new", 0o600)
        .expect("replaced");
    assert_eq!(
        fs::read_to_string(scene.inside("file")).expect("readable"),
        "new"
    );
    assert!(
        fs::symlink_metadata(scene.inside("file"))
            .expect("a file")
            .is_file()
    );
    let text = fs::read_to_string(scene.outside().join("file")).expect("readable");
    assert_eq!(text, "secret");
}

#[test]
fn a_file_behind_links_is_made_inside() {
    let scene = Scene::new();
    for link in scene.plant("link") {
        let _ = scene.root.create_file_behind_links(Path::new(&link));
        let below = format!("/{link}/made");
        let _ = scene.root.create_file_behind_links(Path::new(&below));
    }
    let left = fs::read_dir(scene.outside()).expect("readable").count();
    assert_eq!(left, 1);
    symlink("/../made", scene.inside("inward")).expect("a link");
    let made = scene.root.create_file_behind_links(Path::new("/inward"));
    made.expect("made");
    assert!(scene.inside("made").exists());
}

#[test]
fn a_directory_of_our_own_is_nobody_elses() {
    let scene = Scene::new();
    for _ in 0..2 {
        let own = scene.root.create_own_dir(Path::new("/made/own"));
        own.expect("made, and found again");
    }
    let mode = fs::metadata(scene.inside("made/own")).expect("made").mode();
    assert_eq!(mode & 0o7777, 0o700);
    fs::create_dir(scene.inside("directory")).expect("a directory");
    symlink("directory", scene.inside("link")).expect("a link");
    fs::write(scene.inside("file"), "").expect("a file");
    for planted in ["link", "file"] {
        let refused = scene.root.create_own_dir(Path::new(planted));
        assert!(refused.is_err(), "{planted}");
    }
    // Only root can give a directory to another user.
    if chown(scene.inside("directory"), Some(1), None).is_ok() {
        let refused = scene.root.create_own_dir(Path::new("/directory"));
        assert!(refused.is_err());
    }
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let scene = Scene::new();
    let fifo = scene.inside("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a FIFO");
    // Opened as it stands, this would wait for a writer forever.
    assert!(scene.root.read_file(Path::new("/fifo"), 100).is_err());
}

#[test]
fn removal_takes_links_and_leaves_what_they_point_to() {
    let scene = Scene::new();
    fs::create_dir_all(scene.inside("a/b/c")).expect("directories");
    scene.plant("a/link");
    symlink(scene.outside(), scene.inside("link")).expect("a link");
    let parent = fs::File::open(scene.directory.path()).expect("a directory");
    remove_tree(parent.as_fd(), "root".as_ref()).expect("removed");
    assert!(!scene.inside("").exists());
    assert!(scene.outside().join("file").exists());
}
