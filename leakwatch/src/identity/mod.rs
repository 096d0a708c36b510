//! Who is watched: cgroup hierarchies, and what a cgroup's path tells about the container or unit in it.
//!
//! Takes paths and directory metadata only; it never opens a control file of a cgroup. Memory numbers are `collect`'s.

pub mod cgroup;
pub mod container;
pub mod host;
pub mod program;
pub mod service;
