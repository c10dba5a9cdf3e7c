//! A container's name. Its type is that of the crate `netns`, which derives the
//! names of links from it.

pub use netns::ContainerName;
