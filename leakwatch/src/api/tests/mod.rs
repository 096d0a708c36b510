//! The router, asked as a client asks, over a store that the engine filled.

mod access;
mod contract;
mod document;
pub(crate) mod fixture;
mod profiles;
mod refusals;
