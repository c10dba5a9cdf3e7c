//! The command's own parsers, and what must hold for them. The command is a program,
//! not a library: a target has its sources as modules, at the same paths.

#[allow(dead_code, reason = "a target calls one of them")]
#[path = "../checks.rs"]
pub mod checks;

#[path = "../../src"]
#[allow(dead_code, unused_imports, reason = "the checks call some of it")]
mod source {
    pub mod config;
    pub mod container {
        pub mod lock;
        pub mod mountinfo;
        pub mod name;
    }
    pub mod report {
        pub mod printable;
    }
    pub mod spec {
        pub mod network {
            pub mod hosts_file;
            pub mod resolv_conf;
        }
    }
}

pub use source::*;
