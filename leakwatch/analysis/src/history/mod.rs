//! What is remembered of one target: bounded, in memory, filled by the engine in the order things happened.

mod thinning;
mod points;
mod snapshots;
mod runtimes;
mod at_limit;
mod target_history;
mod metrics;
pub mod window;

pub use crate::history::at_limit::AtLimit;
pub use crate::history::points::Amount;
pub use crate::history::points::MemoryPoint;
pub use crate::history::points::Points;
pub use crate::history::points::Stretch;
pub use crate::history::runtimes::RuntimePoint;
pub use crate::history::runtimes::RuntimeSeries;
pub use crate::history::snapshots::SnapshotSeries;
pub use crate::history::target_history::Claim;
pub use crate::history::target_history::PastWindow;
pub use crate::history::target_history::ProcessRecord;
pub use crate::history::target_history::TargetHistory;
pub use crate::history::target_history::WindowEnd;
