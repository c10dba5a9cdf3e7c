//! The host's `/etc/resolv.conf` and its resolver's upstreams.

#![no_main]

mod command;

use std::path::Path;

use command::{config, container, spec};
use libfuzzer_sys::fuzz_target;
use config::resolv_conf::{Mode, Source};
use runtime::{Network, ResolvConf};
use spec::network::resolv_conf;

fuzz_target!(|texts: (&str, &str)| {
    let read = |path: &Path| {
        let own = path == Path::new("/etc/resolv.conf");
        Ok(if own { texts.0 } else { texts.1 }.to_owned())
    };
    let mode = Mode::Replace(Source::Host);
    let decision = resolv_conf::decide(mode, &Network::Private, true, read).expect("readable");
    let ResolvConf::Write(written) = &decision.change else {
        panic!("not written");
    };
    // What has been written needs no further change.
    let again = |_: &Path| Ok(written.clone());
    let again = resolv_conf::decide(mode, &Network::Private, true, again).expect("readable");
    assert_eq!(again.change, decision.change);
});
