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
mod pending;
mod pins;
pub(in crate::store) mod messages;
pub(in crate::store) mod convert;
mod catalog;
pub(crate) mod profiles;
pub(crate) mod batch;
pub mod status;
mod store;
mod records;
mod rolling;
mod open;
pub mod history;
pub(crate) mod restore;
pub(crate) mod thread;
pub mod feed;
pub mod verify;
pub mod past;

pub use crate::store::disk::batch::Batch;
pub use crate::store::disk::batch::Record;
pub use crate::store::disk::catalog::Change;
pub use crate::store::disk::catalog::Recovered;
pub use crate::store::disk::codec::rollup::Aggregate;
pub use crate::store::disk::codec::rollup::Rollup;
pub use crate::store::disk::codec::row::Row;
pub use crate::store::disk::partition::name::Tier;
pub use crate::store::disk::profiles::ProfileRecord;
pub use crate::store::disk::profiles::StoredHead;
pub use crate::store::disk::profiles::StoredProfile;
pub use crate::store::disk::store::Store;

#[cfg(test)]
mod tests;
