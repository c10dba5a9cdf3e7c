//! The network that containers get their addresses from.

mod common;

use std::process::Output;

use common::{Host, minimal_system};

/// `create NAME` with addresses of this network.
fn create(host: &Host, pool: &str, name: &str) -> Output {
    host.nixos_container(&["create", name, "--system-path", minimal_system()])
        .env("NIXOS_CONTAINER_ADDRESS_POOL", pool)
        .output()
        .expect("it runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_pool_is_used_to_its_last_pair_and_then_says_so() {
    let host = Host::new();
    // Of its four networks of length 24 the first and the last stay free.
    let pool = "10.99.4.0/22";
    for (name, third) in [("one", 5), ("two", 6)] {
        let output = create(&host, pool, name);
        let expected = format!("host IP is 10.99.{third}.1, container IP is 10.99.{third}.2\n");
        assert_eq!(stderr(&output), expected);
    }
    let before = host.inventory();
    let refused = create(&host, pool, "three");
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        stderr(&refused),
        "error: no address pair is free in 10.99.4.0/22; give one with --host-address and \
         --local-address, destroy a container, or set NIXOS_CONTAINER_ADDRESS_POOL to a larger \
         network\n"
    );
    assert_eq!(host.inventory(), before);
    host.run(&["destroy", "one"]);
    assert!(stderr(&create(&host, pool, "three")).contains("10.99.5.2"));
}

#[test]
fn a_pool_that_is_none_is_refused_before_anything_is_made() {
    let host = Host::new();
    let before = host.inventory();
    for (pool, why) in [
        ("ten", "but must be an IPv4 network, as 10.233.0.0/16"),
        ("10.0.0.0/23", "its prefix length must be 22 or less"),
    ] {
        let refused = create(&host, pool, "foo");
        assert_eq!(refused.status.code(), Some(1));
        let message = stderr(&refused);
        let start = format!("error: NIXOS_CONTAINER_ADDRESS_POOL is {pool:?}, ");
        assert!(
            message.starts_with(&start) && message.contains(why),
            "{message}"
        );
    }
    assert_eq!(host.inventory(), before);
}
