//! The form of what is on disk: bytes to values and back, without a file.

pub(crate) mod varint;
pub(crate) mod column;
pub(crate) mod row;
pub(crate) mod rollup;
pub(crate) mod block;
pub(crate) mod frame;
pub(crate) mod profile;
pub(crate) mod stacks;
