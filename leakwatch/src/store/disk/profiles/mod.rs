//! Profiles on disk. The frames of a type of profile of a target are named `TARGET/TYPE`, those of the stacks of a service `stacks/SERVICE`. A profile is
//! written as what differs from the one before in the same partition, now and then whole.

mod cadence;
mod head;
mod reader;
mod writer;

pub(crate) use cadence::Cadence;
pub(crate) use cadence::Importance;
pub(crate) use head::ProfileHead;
pub(crate) use reader::Earlier;
pub use reader::StoredHead;
pub use reader::StoredProfile;
pub(crate) use reader::read;
pub(crate) use reader::read_head;
pub use writer::ProfileRecord;
pub(crate) use writer::ProfileWriter;

use leakwatch_analysis::model::profile::ProfileType;
use std::sync::Arc;

/// Name of the frames of a type of profile of a target.
pub(crate) fn name_of(target: &str, profile_type: ProfileType) -> Arc<str> {
    format!("{target}/{}", profile_type.name()).into()
}

fn stacks_of(service: &str) -> Arc<str> {
    format!("stacks/{service}").into()
}
