//! System calls as attackers make them.

use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::FromRawFd;
use std::path::Path;

use nix::errno::Errno;

/// An argument of a system call: a number, or the address of a value.
pub struct Word(usize);

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for Word {
            #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "as the kernel takes it")]
            fn from(number: $number) -> Self {
                Self(number as usize)
            }
        }
    )*};
}
numbers!(i32, u32, i64, u64, usize);

impl From<&CStr> for Word {
    fn from(text: &CStr) -> Self {
        Self(text.as_ptr() as usize)
    }
}

impl From<&CString> for Word {
    fn from(text: &CString) -> Self {
        Self(text.as_ptr() as usize)
    }
}

/// The address of a value, which the kernel may change.
pub fn at<T: ?Sized>(value: &mut T) -> Word {
    Word(std::ptr::from_mut(value).cast::<u8>() as usize)
}

/// Makes a system call.
///
/// # Safety
///
/// What the words point to is of the kind that the call takes there.
pub unsafe fn system_call<const N: usize>(number: i64, words: [Word; N]) -> io::Result<i64> {
    let word = |position: usize| words.get(position).map_or(0, |word| word.0);
    // SAFETY: the caller vouches for the arguments.
    let answer =
        unsafe { libc::syscall(number, word(0), word(1), word(2), word(3), word(4), word(5)) };
    Ok(Errno::result(answer)?)
}

/// Makes a system call by its number in `libc`.
macro_rules! call {
    ($number:ident $(, $word:expr)* $(,)?) => {
        // SAFETY: the words are numbers, strings that end, and values that the kernel
        // may write to for as long as the call takes.
        unsafe { $crate::inside::kernel::system_call(libc::$number, [$($crate::inside::kernel::Word::from($word)),*]) }
    };
}
pub(super) use call;

impl From<Word> for usize {
    fn from(word: Word) -> Self {
        word.0
    }
}

/// A string for the kernel.
pub fn text(text: impl AsRef<str>) -> CString {
    CString::new(text.as_ref()).unwrap_or_default()
}

/// Takes a descriptor that a system call has answered.
pub fn file(descriptor: i64) -> io::Result<File> {
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it; nothing else knows it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Opens a file for writing and writes nothing.
pub fn open_to_write(path: impl AsRef<Path>) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// Tries one after the other; the evidence of the first that succeeds.
pub fn first<T>(
    tries: impl IntoIterator<Item = T>,
    mut attempt: impl FnMut(T) -> io::Result<String>,
) -> io::Result<String> {
    let mut last = io::Error::other("there is nothing to try");
    for one in tries {
        match attempt(one) {
            Ok(evidence) => return Ok(evidence),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

/// A directory to mount on, in a file system in memory or the root.
pub fn mount_point(name: &str) -> io::Result<String> {
    let path = std::env::temp_dir().join(name);
    fs::create_dir_all(&path)?;
    Ok(path.to_string_lossy().into_owned())
}

/// Mounts a file system on a directory of its own; the path of that.
pub fn mount(kind: &str, source: &str) -> io::Result<String> {
    let path = mount_point(kind)?;
    call!(SYS_mount, &text(source), &text(&path), &text(kind), 0, 0)?;
    Ok(path)
}

/// Gives the attacker mounts of its own, that nothing of its work stays behind where
/// it is not in a container.
pub fn own_mounts() -> io::Result<()> {
    call!(SYS_unshare, libc::CLONE_NEWNS)?;
    call!(
        SYS_mount,
        c"none",
        c"/",
        0,
        libc::MS_REC | libc::MS_PRIVATE,
        0
    )?;
    Ok(())
}
