//! When something is done to a target: sampled, read for a profile, captured. Decisions only, from what is known and the time; carrying
//! them out is for others.

pub mod capturing;
pub mod judging;
pub mod reading;
pub mod sampling;
