//! The router, asked as a client asks, over a store that the engine filled.

mod access;
mod check;
mod contract;
mod crowd;
mod document;
pub(crate) mod fixture;
mod overview;
pub(crate) mod past;
mod pins;
mod profiles;
mod refusals;
mod rulings;
mod shipped;
