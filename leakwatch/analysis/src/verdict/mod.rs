//! The one answer for a target, from the findings of all detectors.

pub mod answers;
pub mod hysteresis;
mod deciding;
mod limit;
mod need;
mod thrashing;
pub mod judge;

pub use crate::verdict::answers::Answers;
pub use crate::verdict::judge::judge;
