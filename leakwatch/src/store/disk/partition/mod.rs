//! Partitions: one file for each tier and slot of time, appended to until its time is over, then completed with an index and never changed. What is old
//! goes by removing whole files.

pub(crate) mod name;
pub(crate) mod index;
pub(crate) mod reader;
pub(crate) mod writer;
pub(crate) mod salvage;
