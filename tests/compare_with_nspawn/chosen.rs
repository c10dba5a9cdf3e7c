//! Where a container differs from what systemd-nspawn makes, and why. Compared
//! are the facts that `facts.sh` prints.

/// One choice, and all that shows of it.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Why it is better so.
    #[expect(dead_code, reason = "for readers of this file, or of a failure")]
    pub reason: &'static str,
    /// Facts that hold here alone.
    pub ours: Vec<String>,
    /// Facts that hold under systemd-nspawn alone.
    pub nspawns: Vec<String>,
    /// Kernels without this file do not show it.
    pub kernel_file: Option<String>,
}

/// The versions of systemd-nspawn that these are the differences from: those of
/// Debian 12 and 13.
pub const VERSIONS: [u32; 2] = [252, 257];

/// All differences from a version of systemd-nspawn.
pub fn differences(nspawn: u32) -> Vec<Difference> {
    [
        environment(),
        privileges(),
        access_times(),
        dev(nspawn),
        run_host(nspawn),
        proc(nspawn),
        sys(),
        root(),
        nix(),
    ]
    .concat()
}

fn nix() -> Vec<Difference> {
    vec![
        difference(
            "Nix removes set-user-ID bits and makes no devices",
            &["mount /nix/store bind ro,nosuid,nodev,relatime shared"],
            &["mount /nix/store bind ro,relatime shared"],
        ),
        difference(
            "Nix works by the daemon inside; the host's database would give the container nothing \
         but locks that stop the host's Nix",
            &[
                "mount /nix/var/nix/db tmpfs ro,relatime shared",
                "options /nix/var/nix/db rw,mode=755",
            ],
            &["mount /nix/var/nix/db bind ro,relatime shared"],
        ),
    ]
}

fn environment() -> Vec<Difference> {
    vec![
        difference(
            "there is nothing in an empty root that PATH could name; stage 2 sets its own, here \
             the default of its shell",
            &["environment PATH=/sbin:/usr/sbin:/bin:/usr/bin"],
            &["environment PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        ),
        difference(
            "the locale is part of the system's configuration (i18n.defaultLocale)",
            &[],
            &["environment LANG=C.UTF-8"],
        ),
        difference(
            "what the kernel gives a first process; any reader at the console's other end \
             comes and goes",
            &["environment TERM=linux"],
            &[],
        ),
        difference(
            "the Container Interface leaves it open; all of it is in /run/host/os-release",
            &[],
            &[
                "environment container_host_id",
                "environment container_host_version_id",
            ],
        ),
    ]
}

fn privileges() -> Vec<Difference> {
    vec![difference(
        "inheritable capabilities outlast a change of user wherever a file asks for them \
         (capabilities(7)); nothing that boots needs them",
        &["status CapInh: 0000000000000000"],
        &["status CapInh: not empty"],
    )]
}

const ACCESS_TIMES: &str = "the kernel's default: access times are right to the day, which is \
                            exact enough for the ages that systemd-tmpfiles compares them with";

fn access_times() -> Vec<Difference> {
    vec![difference(
        ACCESS_TIMES,
        &[
            "mount /dev tmpfs rw,nosuid,relatime shared",
            "mount /dev/shm tmpfs rw,nosuid,nodev,relatime shared",
            "mount /run tmpfs rw,nosuid,nodev,relatime shared",
            "mount /tmp tmpfs rw,nosuid,nodev,relatime shared",
        ],
        &[
            "mount /dev tmpfs rw,nosuid shared",
            "mount /dev/shm tmpfs rw,nosuid,nodev shared",
            "mount /run tmpfs rw,nosuid,nodev shared",
            "mount /tmp tmpfs rw,nosuid,nodev shared",
        ],
    )]
}

/// The devices that both have, beside their numbers.
const DEVICES: [(&str, &str); 6] = [
    ("full", "1:7"),
    ("null", "1:3"),
    ("random", "1:8"),
    ("tty", "5:0"),
    ("urandom", "1:9"),
    ("zero", "1:5"),
];

fn dev(nspawn: u32) -> Vec<Difference> {
    let terminal_mode = if nspawn < 257 { 620 } else { 600 };
    let mut differences = vec![
        difference(
            "a mount, as the Container Interface describes it, is not replaced by accident",
            &[
                "file '/dev/console' terminal",
                "mount /dev/console bind rw,nosuid,noexec,relatime shared",
            ],
            &["file '/dev/console' -> 'pts/0' symbolic link 777 0:0 0:0"],
        ),
        difference(
            "NixOS' group tty and its permissions; Debian built systemd-nspawn with its own",
            &["options /dev/pts rw,gid=3,mode=620,ptmxmode=666,max=1024"],
            &[&format!(
                "options /dev/pts rw,gid=5,mode={terminal_mode},ptmxmode=666"
            )],
        ),
        difference(
            "udev's links by device number are for programs that look for devices; there are \
             none to be found",
            &[],
            &["file '/dev/char' directory 755 0:0 0:0"],
        ),
        Difference {
            kernel_file: Some("/dev/net/tun".to_owned()),
            ..difference(
                "of the same links",
                &[],
                &["file '/dev/char/10:200' -> '../net/tun' symbolic link 777 0:0 0:0"],
            )
        },
    ];
    if nspawn >= 257 {
        differences.push(Difference {
            kernel_file: Some("/dev/fuse".to_owned()),
            ..difference(
                "a way into the kernel for all, needed by few; allowedDevices gives it",
                &[],
                &[
                    "file '/dev/fuse' character special file 600 0:0 a:e5",
                    "file '/dev/char/10:229' -> '../fuse' symbolic link 777 0:0 0:0",
                ],
            )
        });
    }
    for (name, number) in DEVICES {
        differences.push(Difference {
            kernel_file: Some(format!("/dev/{name}")),
            ..difference(
                "bound from the host, since a device node cannot be made in a user namespace; \
                 read-only, so that the host's cannot be changed inside",
                &[&format!(
                    "mount /dev/{name} bind ro,nosuid,noexec,relatime shared"
                )],
                &[&format!(
                    "file '/dev/char/{number}' -> '../{name}' symbolic link 777 0:0 0:0"
                )],
            )
        });
    }
    differences
}

fn run_host(nspawn: u32) -> Vec<Difference> {
    let mut differences = vec![
        difference(
            "a mount that is handed in through a directory needs propagation from the host; the \
             mount system calls put one straight into the container (Container Interface)",
            &[],
            &[
                "file '/run/host/incoming' directory 600 0:0 0:0",
                if nspawn < 257 {
                    "mount /run/host/incoming bind ro,relatime master"
                } else {
                    "mount /run/host/incoming bind ro,relatime"
                },
            ],
        ),
        difference(
            "systemd makes these by itself (Container Interface); here are those that hide \
             something of /proc and /sys",
            &[],
            &[
                "file '/run/host/inaccessible/blk' block special file 0 0:0 0:0",
                "file '/run/host/inaccessible/chr' character special file 0 0:0 0:0",
                "file '/run/host/inaccessible/fifo' fifo 0 0:0 0:0",
                "file '/run/host/inaccessible/sock' socket 0 0:0 0:0",
            ],
        ),
        difference(
            "bound from where the supervisor listens, which is outside; systemd-nspawn makes the \
             socket inside and has it sent out",
            &["mount /run/host/notify bind ro,nosuid,nodev,noexec,relatime shared"],
            &[],
        ),
        difference(
            "a file system of its own is read-only as a whole, and small; systemd-nspawn binds a \
             directory of /run",
            &[
                "mount /run/host tmpfs ro,nosuid,nodev,noexec,relatime shared",
                "options /run/host rw,size=4096k,nr_inodes=1024,mode=755",
            ],
            &["mount /run/host bind ro,nosuid,nodev,noexec shared"],
        ),
    ];
    if nspawn < 257 {
        differences.push(difference(
            "on a read-only mount they cannot be written to, and their modes say so",
            &[
                "file '/run/host/container-manager' regular file 444 0:0 0:0",
                "file '/run/host/container-uuid' regular file 444 0:0 0:0",
            ],
            &[
                "file '/run/host/container-manager' regular file 644 0:0 0:0",
                "file '/run/host/container-uuid' regular file 644 0:0 0:0",
            ],
        ));
    } else {
        differences.push(difference(
            "on a read-only mount it makes no difference",
            &["file '/run/host/inaccessible' directory 755 0:0 0:0"],
            &["file '/run/host/inaccessible' directory 555 0:0 0:0"],
        ));
        differences.push(difference(
            "of a socket only the permission to write matters, which is root's alone here too",
            &["file '/run/host/notify' socket 755 0:0 0:0"],
            &["file '/run/host/notify' socket 200 0:0 0:0"],
        ));
        differences.push(difference(
            "what is inside is reached through `run` and the network; the host connects to no \
             socket that a container has made",
            &[],
            &[
                "file '/run/host/unix-export' directory 755 0:0 0:0",
                "mount /run/host/unix-export tmpfs rw,nosuid,nodev,noexec,relatime,nosymfollow shared",
                "options /run/host/unix-export rw,size=4096k,nr_inodes=64,mode=755",
            ],
        ));
    }
    differences
}

fn proc(nspawn: u32) -> Vec<Difference> {
    let mut differences = vec![difference(
        "the file that stands in for the host's boot id has a name, /run/host/boot-id; \
         systemd-nspawn binds a deleted one",
        &[
            "file '/run/host/boot-id' regular file 444 0:0 0:0",
            "mount /proc/sys/kernel/random/boot_id bind ro,nosuid,nodev,noexec,relatime shared",
        ],
        &["mount /proc/sys/kernel/random/boot_id bind ro,nosuid,nodev,noexec shared"],
    )];
    differences.push(difference(
        "it cannot be opened, so no program waits forever for a line in it, as with the FIFO",
        &["mount /proc/kmsg bind ro,nosuid,nodev,noexec,relatime shared"],
        &["mount /proc/kmsg bind rw,nosuid,nodev shared"],
    ));
    for name in ["kallsyms", "kcore", "keys", "sysrq-trigger", "timer_list"] {
        let hidden =
            |atime| format!("mount /proc/{name} bind ro,nosuid,nodev,noexec{atime} shared");
        let (reason, nspawns) = if nspawn < 257 {
            let reason = "tells of the host's kernel and memory, or acts on it; later versions of \
                          systemd-nspawn hide it too";
            (reason, None)
        } else {
            (ACCESS_TIMES, Some(hidden("")))
        };
        differences.push(Difference {
            reason,
            ours: vec![hidden(",relatime")],
            nspawns: nspawns.into_iter().collect(),
            kernel_file: Some(format!("/proc/{name}")),
        });
    }
    differences
}

fn sys() -> Vec<Difference> {
    let mut differences = vec![difference(
        "one sysfs as the kernel has it, in which the little that is not for containers is \
         hidden; systemd-nspawn binds the rest into a tmpfs, a mount each",
        &[
            "mount /sys sysfs ro,nosuid,nodev,noexec,relatime shared",
            "options /sys rw",
            "mount /sys/fs tmpfs ro,nosuid,nodev,noexec,relatime shared",
            "options /sys/fs rw,size=4096k,nr_inodes=1024,mode=755",
        ],
        &[
            "mount /sys tmpfs ro,nosuid,nodev,noexec,relatime shared",
            "options /sys rw,size=4096k,nr_inodes=1024,mode=555",
            "mount /sys/block bind ro,nosuid,nodev,noexec,relatime shared",
            "mount /sys/bus bind ro,nosuid,nodev,noexec,relatime shared",
            "mount /sys/class bind ro,nosuid,nodev,noexec,relatime shared",
            "mount /sys/dev bind ro,nosuid,nodev,noexec,relatime shared",
            "mount /sys/devices bind ro,nosuid,nodev,noexec,relatime shared",
            "mount /sys/kernel bind ro,nosuid,nodev,noexec,relatime shared",
        ],
    )];
    for name in ["firmware", "hypervisor", "module", "power"] {
        differences.push(Difference {
            kernel_file: Some(format!("/sys/{name}")),
            ..difference(
                "hidden there, instead of missing",
                &[
                    &format!("file '/sys/{name}' directory 0 0:0 0:0"),
                    &format!("mount /sys/{name} bind ro,nosuid,nodev,noexec,relatime shared"),
                ],
                &[],
            )
        });
    }
    differences.push(Difference {
        kernel_file: Some("/sys/fs/selinux".to_owned()),
        ..difference(
            "without a policy of its own, a container has nothing to ask SELinux for; programs \
             take an empty directory for a kernel without it, and a missing one too",
            &[],
            &["file '/sys/fs/selinux' directory 755 0:0 0:0"],
        )
    });
    differences
}

fn root() -> Vec<Difference> {
    vec![difference(
        "the time zone is part of the system's configuration (time.timeZone), whose \
             activation a mount on /etc/localtime would be in the way of",
        &[],
        &["mount /etc/localtime bind ro,nosuid,nodev,relatime shared"],
    )]
}

fn difference(reason: &'static str, ours: &[&str], nspawns: &[&str]) -> Difference {
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    Difference {
        reason,
        ours: owned(ours),
        nspawns: owned(nspawns),
        kernel_file: None,
    }
}
