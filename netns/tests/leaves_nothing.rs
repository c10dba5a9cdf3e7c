//! No threads and descriptors are left. The test is alone in its program, since it
//! counts those of the whole process.

#![allow(missing_docs)]

mod common;

use std::fs;

use common::{Namespace, RunDirectory, spec, veth4};

/// Threads and descriptors of this process.
fn count() -> (usize, usize) {
    let entries = |directory| fs::read_dir(directory).expect(directory).count();
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

#[test]
fn no_thread_and_no_descriptor_stays() {
    // On this thread: a thread that has been joined can still be listed for a
    // moment.
    let container = Namespace::enter_new();
    let _host = Namespace::enter_new();
    let spec = spec("web", veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32")));
    let directory = RunDirectory::new();
    let plan = netns::plan(&spec);

    // In a build where tokio handles signals, such as that of the workspace, it
    // keeps a pair of sockets for the whole process.
    netns::host_networks().expect("networks");

    let before = count();
    netns::apply(&plan, container.fd()).expect("apply");
    assert_eq!(count(), before, "after apply");
    netns::apply(&plan, container.fd()).expect_err("the link is there");
    assert_eq!(count(), before, "after apply failed");
    netns::host_networks().expect("networks");
    assert_eq!(count(), before, "after host_networks");
    netns::uplink_mtu().expect("no default route");
    assert_eq!(count(), before, "after uplink_mtu");
    netns::reclaim(&spec.container, directory.path()).expect("reclaim");
    assert_eq!(count(), before, "after reclaim");
}
