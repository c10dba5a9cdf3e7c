//! Neither threads nor descriptors stay behind. One test alone in its program,
//! since it counts those of the whole process.

#![allow(missing_docs)]

mod common;

use std::fs;

use netns::{HostLink, Pool};

use common::{World, spec, veth4};

/// Threads and descriptors of this process.
fn count() -> (usize, usize) {
    let entries = |directory| fs::read_dir(directory).expect(directory).count();
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

#[test]
fn no_thread_and_no_descriptor_stays() {
    let world = World::new();
    let spec = spec("web", veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32")));
    let link = HostLink::veth(&spec.container);
    let plan = netns::plan(&spec);
    world.host.run(|| {
        let before = count();
        netns::apply(&plan, world.container.fd()).expect("apply");
        assert_eq!(count(), before, "after apply");
        netns::apply(&plan, world.container.fd()).expect_err("the link is there");
        assert_eq!(count(), before, "after apply failed");
        let networks = netns::host_networks().expect("networks");
        assert!(Pool::default().first_free(&networks).is_some());
        assert_eq!(count(), before, "after host_networks");
        assert!(netns::remove_link(&link).expect("remove"));
        assert_eq!(count(), before, "after remove_link");
    });
}
