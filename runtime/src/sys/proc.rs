//! Files of `/proc` (`man 5 proc`): processes as the kernel describes them, and its
//! settings.
//!
//! A pid must be held by its process's pidfd, or belong to a child that is not
//! reaped yet: the kernel gives the number of a process that is gone to another.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::capabilities::CapabilitySet;

/// `/proc/PID/status` (`man 5 proc_pid_status`).
#[derive(Debug)]
pub struct Status {
    path: String,
    text: String,
}

impl Status {
    /// Reads the status of a process.
    pub fn of(pid: i32) -> io::Result<Self> {
        let path = path(pid, "status");
        let text = read_text(&path)?;
        Ok(Self { path, text })
    }

    /// The name of its program (`man 5 proc_pid_comm`).
    ///
    /// # Errors
    ///
    /// As for all fields: the kernel's status has none, or one of another form.
    pub fn name(&self) -> io::Result<String> {
        self.field("Name", |name| Some(name.to_owned()))
    }

    /// The pid of its parent; 0 if that is outside of the caller's pid namespace.
    pub fn parent(&self) -> io::Result<i32> {
        self.field("PPid", |pid| pid.parse().ok())
    }

    /// The effective user id.
    pub fn user(&self) -> io::Result<u32> {
        self.effective("Uid")
    }

    /// The effective group id.
    pub fn group(&self) -> io::Result<u32> {
        self.effective("Gid")
    }

    /// Of real, effective, saved and file system's id.
    fn effective(&self, name: &str) -> io::Result<u32> {
        self.field(name, |ids| ids.split_whitespace().nth(1)?.parse().ok())
    }

    /// Whether the process handles a signal, or blocks it to read it from a
    /// descriptor as systemd does.
    pub fn takes_signal(&self, signal: i32) -> io::Result<bool> {
        let mask = |name| self.field(name, |mask| u64::from_str_radix(mask, 16).ok());
        let taken = mask("SigCgt")? | mask("SigBlk")?;
        Ok((1..=64).contains(&signal) && taken >> (signal - 1) & 1 == 1)
    }

    /// The pid that the process has in the pid namespace right below the
    /// caller's; `None` if it is not in one.
    pub fn pid_inside(&self) -> io::Result<Option<i32>> {
        self.field("NSpid", |pids| {
            match pids.split_whitespace().collect::<Vec<_>>()[..] {
                [_, inside] => inside.parse().ok().map(Some),
                _ => Some(None),
            }
        })
    }

    /// The bounding set of its capabilities.
    pub(crate) fn bounding_set(&self) -> io::Result<CapabilitySet> {
        self.field("CapBnd", CapabilitySet::from_mask)
    }

    /// Whether it has set `no_new_privs` (`man 2 prctl`).
    pub(crate) fn has_no_new_privileges(&self) -> io::Result<bool> {
        self.field("NoNewPrivs", |set| Some(set == "1"))
    }

    fn field<'a, T>(
        &'a self,
        name: &str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> io::Result<T> {
        let line = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
        let value = self.text.lines().find_map(line);
        let value = value.and_then(|value| parse(value.trim()));
        value.ok_or_else(|| unexpected(&format!("{name} in {}", self.path)))
    }
}

/// `/proc/PID/stat` (`man 5 proc_pid_stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    state: char,
    flags: u32,
    start_ticks: u64,
}

/// The flag of a process that has begun to end (`linux/sched.h` of the kernel).
const PF_EXITING: u32 = 0x4;

impl Stat {
    /// Reads the stat of a process.
    pub fn of(pid: i32) -> io::Result<Self> {
        read(&path(pid, "stat"), Self::parse)
    }

    /// The fields are counted from behind the program's name, the second one,
    /// which may contain anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, behind_name) = text.rsplit_once(')')?;
        let fields: Vec<_> = behind_name.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            state: field(3)?.parse().ok()?,
            flags: field(9)?.parse().ok()?,
            start_ticks: field(22)?.parse().ok()?,
        })
    }

    /// Whether the process has begun to end, or has ended and is not reaped.
    pub(crate) fn is_ending(self) -> bool {
        self.flags & PF_EXITING != 0
    }

    /// Whether a signal or a tracer has stopped the process.
    pub fn is_stopped(self) -> bool {
        matches!(self.state, 'T' | 't')
    }

    /// The time from the boot of the machine to the start of the process.
    pub fn started(self) -> Duration {
        let milliseconds = self.start_ticks.saturating_mul(1000);
        Duration::from_millis(milliseconds / rustix::param::clock_ticks_per_second())
    }
}

/// The path of a process's group in the host's cgroup2 tree, relative to the root
/// of the tree (`man 7 cgroups`, `/proc/pid/cgroup`).
pub fn cgroup(pid: i32) -> io::Result<PathBuf> {
    read(&path(pid, "cgroup"), parse_cgroup)
}

fn parse_cgroup(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(path.into())
}

/// The memory of a process in bytes, with its share of pages in common with other
/// processes (`Pss` of `man 5 proc_pid_smaps`).
pub(crate) fn memory_share(pid: i32) -> io::Result<u64> {
    read(&path(pid, "smaps_rollup"), parse_memory_share)
}

fn parse_memory_share(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// `/proc/PID/limits` (`man 5 proc_pid_limits`).
pub(crate) struct Limits(String);

impl Limits {
    /// Reads the limits of a process.
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        std::fs::read_to_string(path(pid, "limits")).map(Self)
    }

    /// The soft and the hard limit of a name; `None` is unlimited, or unknown to
    /// the kernel.
    pub(crate) fn get(&self, name: &str) -> (Option<u64>, Option<u64>) {
        let numbers = self.0.lines().find_map(|line| line.strip_prefix(name));
        let mut numbers = numbers.unwrap_or_default().split_whitespace();
        // "unlimited" does not parse.
        let mut next = || numbers.next().and_then(|word| word.parse().ok());
        (next(), next())
    }
}

/// A range of `/proc/PID/uid_map` (`man 7 user_namespaces`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first id in the user namespace of the process.
    pub first: u32,
    /// The number of ids.
    pub count: u32,
}

/// The user ids of the caller's user namespace. The machine's first one has all
/// ids in a single range.
pub fn own_ids() -> io::Result<Vec<IdRange>> {
    read("/proc/self/uid_map", parse_id_map)
}

fn parse_id_map(text: &str) -> Option<Vec<IdRange>> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        Some(IdRange {
            first: numbers.next()??,
            // The second number is the first id outside.
            count: numbers.nth(1)??,
        })
    };
    text.lines().map(range).collect()
}

/// A file of a process that holds one number in this base.
pub(crate) fn number<T: TryFrom<i64>>(pid: i32, file: &str, base: u32) -> io::Result<T> {
    read(&path(pid, file), |text| {
        let number = i64::from_str_radix(text.trim(), base).ok()?;
        number.try_into().ok()
    })
}

/// A setting of the kernel by its path below `/proc/sys`.
pub fn setting<T: FromStr>(name: &str) -> io::Result<T> {
    read(&format!("/proc/sys/{name}"), |text| {
        text.trim().parse().ok()
    })
}

/// Opens a namespace of a process by its name in `/proc/PID/ns`.
pub(crate) fn open_namespace(pid: i32, name: &str) -> io::Result<OwnedFd> {
    Ok(File::open(path(pid, &format!("ns/{name}")))?.into())
}

/// The path by which the calling process reaches the file of a descriptor.
pub fn descriptor_path(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn path(pid: i32, file: &str) -> String {
    format!("/proc/{pid}/{file}")
}

fn read<T>(path: &str, parse: impl FnOnce(&str) -> Option<T>) -> io::Result<T> {
    parse(&read_text(path)?).ok_or_else(|| unexpected(path))
}

/// The text of a file; a process can have any bytes in its name.
fn read_text(path: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

fn unexpected(what: &str) -> io::Error {
    let message = format!("the kernel's {what} has an unknown form");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(text: &str) -> Status {
        Status {
            path: "/proc/7/status".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_status_has_fields_by_their_names() {
        let status = status(
            "Name:\tUid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t70\t2\n\
             SigBlk:\t0000000000000001\nSigCgt:\t8000000000000002\nCapBnd:\t0000000000000c00\n\
             NoNewPrivs:\t1\n",
        );
        assert_eq!(status.user().ok(), Some(2));
        assert_eq!(status.group().ok(), Some(6));
        assert_eq!(status.pid_inside().ok(), Some(Some(2)));
        let taken = |signal| status.takes_signal(signal).expect("masks");
        let all: Vec<_> = (-1..70).filter(|signal| taken(*signal)).collect();
        assert_eq!(all, [1, 2, 64]);
        let bounding = status.bounding_set().map(|set| set.to_string());
        assert_eq!(
            bounding.ok().as_deref(),
            Some("CAP_NET_BIND_SERVICE CAP_NET_BROADCAST")
        );
        assert!(status.has_no_new_privileges().expect("a field"));
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        let error = status("Name:\tsh\n").user().expect_err("no field");
        assert_eq!(
            error.to_string(),
            "the kernel's Uid in /proc/7/status has an unknown form"
        );
    }

    #[test]
    fn a_process_has_a_pid_inside_only_if_it_is_inside() {
        let own = Status::of(std::process::id().cast_signed()).expect("alive");
        assert_eq!(own.pid_inside().expect("a field"), None);
        assert!(Status::of(i32::MAX).is_err());
    }

    #[test]
    fn no_name_of_a_program_hides_the_fields_of_its_stat() {
        let stat = |name: &str| {
            let behind = "Z 1 7 7 0 -1 4194316 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
            Stat::parse(&format!("7 ({name}) {behind}"))
        };
        for name in ["sh", "a) S 1 2 3 4 5 6", "(", ""] {
            let stat = stat(name).expect(name);
            assert_eq!((stat.flags, stat.start_ticks), (4_194_316, 12345), "{name}");
            assert!(stat.is_ending() && !stat.is_stopped());
        }
        assert_eq!(Stat::parse("7 (sh) Z 1"), None);
        let own = Stat::of(std::process::id().cast_signed()).expect("alive");
        assert!(!own.is_ending() && own.started() > Duration::ZERO);
    }

    #[test]
    fn a_cgroup_is_that_of_version_2() {
        let path = parse_cgroup("4:memory:/x\n0::/machine.slice/a:b\n");
        assert_eq!(path, Some("machine.slice/a:b".into()));
        assert_eq!(parse_cgroup("0::/\n"), Some(PathBuf::new()));
        assert_eq!(parse_cgroup("4:memory:/x\n"), None);
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        let limits = Limits(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max cpu time              unlimited            unlimited            seconds   \n\
             Max processes             96365                unlimited            processes \n"
                .to_owned(),
        );
        assert_eq!(limits.get("Max processes"), (Some(96365), None));
        assert_eq!(limits.get("Max cpu time"), (None, None));
        assert_eq!(limits.get("Max something"), (None, None));
    }

    #[test]
    fn numbers_of_files_are_read() {
        let share = parse_memory_share("560-7ff ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss:  4 kB\n");
        assert_eq!(share, Some(4096));
        let pid = std::process::id().cast_signed();
        assert!(memory_share(pid).expect("alive") > 0);
        assert!(number::<i16>(pid, "oom_score_adj", 10).is_ok());
        assert!(number::<u8>(pid, "comm", 10).is_err());
        assert!(setting::<u32>("kernel/pid_max").expect("a number") > 0);
        assert!(setting::<u32>("kernel/ostype").is_err());
        let range = IdRange {
            first: 0,
            count: 65536,
        };
        let map = parse_id_map("         0     100000      65536\n");
        assert_eq!(map, Some(vec![range]));
        assert_eq!(parse_id_map("0 100000\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(
            text in "([A-Za-z0-9:)( \t\n/-]|Uid:|SigCgt:|NSpid:|Pss:| kB|0::/|\\PC){0,80}",
            signal: i32,
        ) {
            let status = status(&text);
            let _ = (status.user(), status.pid_inside(), status.bounding_set());
            let _ = (status.takes_signal(signal), status.has_no_new_privileges());
            let _ = Stat::parse(&text).map(|stat| (stat.is_ending(), stat.started()));
            let _ = (parse_cgroup(&text), parse_memory_share(&text), parse_id_map(&text));
            let _ = Limits(text).get("Uid");
        }
    }
}
