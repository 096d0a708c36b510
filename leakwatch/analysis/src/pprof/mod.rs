//! pprof profiles (`perftools.profiles.Profile`, gzipped protobuf): bounded decoding, validation, encoding and the sums
//! per stack that analysis works on.
//!
//! The bytes come from a program's own endpoint and are hostile: nothing is allocated before it is counted, nothing is
//! indexed before it is checked. Must not interpret more than the values: what a stack means is for the detectors.

mod error;
pub mod proto;
mod bounds;
mod validate;
mod codec;
mod builder;
mod pieces;
mod summary;
mod decoded;

pub use bounds::Bounds;
pub use builder::ProfileBuilder;
pub use builder::signed;
pub use codec::decode;
pub use codec::encode;
pub use codec::is_gzip;
pub use decoded::made;
pub use decoded::received;
pub use decoded::recorded;
pub use error::PprofError;
pub use pieces::PieceEncoder;
pub use summary::summarize;

#[cfg(test)]
mod tests;
