//! What is known. The engine alone keeps it, in `memory`; everyone else reads the newest [`view::View`], which never changes. What outlives the daemon is
//! on `disk`.

mod bounds;
pub mod event;
pub(crate) mod memory;
pub mod oom_kills;
pub mod post_mortem;
mod profiles;
mod versions;
pub mod rulings;
pub(crate) mod target;
pub mod view;
pub mod disk;
pub mod bundle;

pub use bounds::Bounds;
