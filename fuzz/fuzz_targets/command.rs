//! The command's own parsers. It is a program, not a library, so that a target
//! has their sources as modules of its own, where they expect them.

#[path = "../../src"]
#[allow(dead_code, unused_imports, reason = "a target calls some of it")]
mod source {
    pub mod config;
    pub mod container {
        pub mod lock;
        pub mod mountinfo;
        pub mod name;
    }
    pub mod spec {
        pub mod network {
            pub mod hosts_file;
            pub mod resolv_conf;
        }
    }
}

pub use source::*;
