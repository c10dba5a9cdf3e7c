//! The nixos-container command.
fn main() {}
