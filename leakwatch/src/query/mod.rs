//! Questions to a view, answered as data: which target is meant, which are listed and in which order, which metrics there are. Pure
//! functions; they know neither HTTP nor JSON.

pub mod lookup;
pub mod page;
pub mod targets;
pub mod events;
pub mod services;
pub mod runs;
pub mod profiles;
pub mod series;
pub mod fingerprint;
pub mod metrics;
