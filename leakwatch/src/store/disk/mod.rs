//! What is kept on disk: history that outlives the daemon, bounded in bytes and in age. See `docs/store.md`.
//!
//! Only the writer's thread writes. Readers open files of their own and never wait for it.

pub mod column;
pub(crate) mod codec;
mod kind;
pub mod error;
mod log;
pub(crate) mod partition;
pub mod retention;
mod journal;
