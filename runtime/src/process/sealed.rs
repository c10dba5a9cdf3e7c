//! This program as a file that no process can write.
//!
//! A process that enters a container is seen there, and its `/proc/PID/exe` leads to the
//! file of its program, whatever root the container has. Root inside that is the host's
//! root, or has its number, could open that file and write to it as soon as no process
//! executes it (CVE-2019-5736). Processes inside execute it by themselves, too: with
//! `/proc/self/exe` as a login shell, as init or as the interpreter of a script.
//!
//! So only a program that is sealed enters a container or starts one. It is shown by an
//! overlay that has no layer for changes: the kernel opens no file there for writing,
//! whatever flags its mount gets. The mount is attached nowhere. Where the kernel has no
//! such overlay, the program is a sealed copy in memory (`man 2 memfd_create`), which
//! takes longer.

use std::ffi::{CStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, fcntl_get_seals,
};

use crate::rootfs::mount;
use crate::spec::mount_attributes::Attributes;
use crate::sys::exec;
use crate::sys::proc::descriptor_path;

/// The program's name in `ps`.
const NAME: &CStr = c"nixos-container";

/// The file of this program.
const OWN: &str = "/proc/self/exe";

/// The lower layer of the overlay: the kernel asks for two, neither of which is in the
/// other. Nothing is read there.
const OTHER_LAYER: &str = "/sys";

/// `OVERLAYFS_SUPER_MAGIC` of `linux/magic.h`.
const OVERLAY: i64 = 0x794c_7630;

/// Proof that this process executes a sealed program.
#[derive(Debug, Clone, Copy)]
pub struct Sealed(());

impl Sealed {
    /// Makes sure that this process executes a sealed program. The first time, the
    /// process executes the program again, with the same words and environment.
    ///
    /// # Errors
    ///
    /// There is no `/proc`; no memory for a copy.
    pub fn ensure() -> io::Result<Self> {
        if is_sealed(File::open(OWN)?.as_fd())? {
            // That of a copy, and of one that is executed again, is the path's last word.
            rustix::thread::set_name(NAME)?;
            return Ok(Self(()));
        }
        let program = SealedProgram::make()?;
        let words: Vec<_> = std::env::args_os().collect();
        Err(exec::exec_again(&program.path(), &words))
    }
}

/// A sealed file of this program.
#[derive(Debug)]
pub struct SealedProgram {
    file: OwnedFd,
    /// Its name in the directory that `file` is, if it is not the file itself.
    name: Option<OsString>,
}

impl SealedProgram {
    /// Makes one. The file of a process that executes a sealed program is sealed.
    pub fn make() -> io::Result<Self> {
        let own = File::open(OWN)?;
        if is_sealed(own.as_fd())? {
            let file = own.into();
            return Ok(Self { file, name: None });
        }
        match show(&own) {
            Ok(program) => Ok(program),
            Err(error) => {
                log::debug!("no overlay shows this program ({error}); copy it");
                copy(own)
            }
        }
    }

    /// The path by which this process and its children can execute the program while
    /// this value lives.
    pub fn path(&self) -> PathBuf {
        let path = PathBuf::from(descriptor_path(self.file.as_fd()));
        match &self.name {
            Some(name) => path.join(name),
            None => path,
        }
    }
}

/// Shows the program's file in an overlay.
fn show(own: &File) -> io::Result<SealedProgram> {
    let path = fs::read_link(OWN)?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let (other, directory) = (
        open_directory(Path::new(OTHER_LAYER))?,
        open_directory(directory)?,
    );
    let overlay = mount::overlay(
        &[other.as_fd(), directory.as_fd()],
        None,
        Attributes {
            read_only: true,
            ..Attributes::DATA
        },
    )?;
    let program = SealedProgram {
        file: overlay,
        name: Some(name.to_owned()),
    };
    let shown = File::open(program.path())?;
    // The path may lead to another file by now, as after an upgrade.
    let (this, other) = (own.metadata()?, shown.metadata()?);
    if this.ino() != other.ino() || this.size() != other.size() || !is_sealed(shown.as_fd())? {
        return Err(io::Error::other("another file is there"));
    }
    Ok(program)
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Copies the program's file into memory.
fn copy(mut own: File) -> io::Result<SealedProgram> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(rustix::fs::memfd_create(NAME, flags)?);
    io::copy(&mut own, &mut copy)?;
    fcntl_add_seals(&copy, seals())?;
    // A file that is open for writing cannot be executed.
    let file = File::open(descriptor_path(copy.as_fd()))?;
    Ok(SealedProgram {
        file: file.into(),
        name: None,
    })
}

fn seals() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

/// Whether a file is of [`show`] or of [`copy`].
fn is_sealed(file: BorrowedFd<'_>) -> io::Result<bool> {
    if rustix::fs::fstatfs(file)?.f_type != OVERLAY {
        return Ok(fcntl_get_seals(file).is_ok_and(|own| own.contains(seals())));
    }
    let flags = rustix::fs::fstatvfs(file)?.f_flag;
    // Nothing is above the root of a mount that is attached nowhere.
    let is_at_root = fs::read_link(descriptor_path(file))?.parent() == Some(Path::new("/"));
    Ok(flags.contains(StatVfsMountFlags::RDONLY) && is_at_root)
}
