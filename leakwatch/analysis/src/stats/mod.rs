//! Statistics on plain numbers. Must not know what the numbers mean.

pub(crate) mod robust;
pub mod trend;
