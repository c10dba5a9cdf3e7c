//! The container's file systems: paths inside a root, mounts, and owners of files.

mod accounts;
mod acl;
mod in_root;
pub(crate) mod mount;
pub mod owners;
pub(crate) mod root;
pub mod selection;

pub use accounts::find_account;
pub use in_root::{Limits, NotRemoved, Root, remove_tree};
