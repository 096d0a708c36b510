//! pprof profiles (`perftools.profiles.Profile`, gzipped protobuf): bounded decoding, validation, encoding and the sums
//! per stack that analysis works on.
//!
//! The bytes come from a program's own endpoint and are hostile: nothing is allocated before it is counted, nothing is
//! indexed before it is checked. Must not interpret more than the values: what a stack means is for the detectors.

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use prost::Message as _;
use std::io::Read as _;
use std::io::Write as _;

mod bounds;
mod builder;
mod decoded;
pub mod proto;
mod summary;
mod validate;

pub use bounds::Bounds;
pub use builder::ProfileBuilder;
pub use builder::signed;
pub use decoded::made;
pub use decoded::received;
pub use decoded::recorded;
pub use summary::summarize;

/// Why bytes are not a usable profile.
#[derive(Debug, thiserror::Error)]
pub enum PprofError {
    /// More of something than the bound allows.
    #[error("profile has more than {bound} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The bound that was passed.
        bound: usize,
    },
    /// The gzip stream is damaged or cut off.
    #[error("profile is not valid gzip")]
    Gzip(#[source] std::io::Error),
    /// The bytes are not protobuf.
    #[error("profile is not protobuf: a field is cut off or of a wire type that the format does not use")]
    Wire,
    /// A field does not have its type.
    #[error("profile is not a profile.proto message")]
    Decode(#[source] prost::DecodeError),
    /// The string table is absent or does not start with an empty string.
    #[error("entry 0 of the string table is not the empty string")]
    StringTable,
    /// A string index is out of range.
    #[error("{what} refers to string {index} of {strings}")]
    StringIndex {
        /// Whose text.
        what: &'static str,
        /// The index.
        index: i64,
        /// Number of strings.
        strings: usize,
    },
    /// A reference to something that is not there.
    #[error("{what} {id} does not exist")]
    UnknownId {
        /// What is referred to.
        what: &'static str,
        /// The id.
        id: u64,
    },
    /// An id is 0 or given twice.
    #[error("id {id} of a {what} is zero or not unique")]
    BadId {
        /// What carries the id.
        what: &'static str,
        /// The id.
        id: u64,
    },
    /// A sample does not have one value for each sample type.
    #[error("a sample has {found} values for {expected} sample types")]
    ValueCount {
        /// Number of sample types.
        expected: usize,
        /// Number of values.
        found: usize,
    },
    /// Values so large that their sum has no meaning.
    #[error("values of {what} add up to more than 2^62")]
    Overflow {
        /// The sample type.
        what: String,
    },
    /// The profile is of another type: it lacks the values asked for.
    #[error("profile has no sample type {expected} but {found}")]
    SampleType {
        /// Name of the sample type asked for.
        expected: &'static str,
        /// Names of those that are there.
        found: String,
    },
}

/// Decodes a profile, gzipped or plain, and validates it: afterwards every index and id in it is good.
pub fn decode(bytes: &[u8], bounds: &Bounds) -> Result<proto::Profile, PprofError> {
    bounds.check_size(0, bytes.len())?;
    if is_gzip(bytes) {
        decode_plain(&decompress(bytes, bounds.max_decompressed_bytes)?, bounds)
    } else {
        decode_plain(bytes, bounds)
    }
}

/// Whether the bytes are compressed; a message never starts like this.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Encodes a profile the way Go serves it: gzipped. The same profile always gives the same bytes.
pub fn encode(profile: &proto::Profile) -> Vec<u8> {
    compress(&profile.encode_to_vec())
}

fn compress(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into a vector does not fail.
    gzip.write_all(plain).and_then(|()| gzip.finish()).unwrap_or_default()
}

fn decompress(bytes: &[u8], bound: usize) -> Result<Vec<u8>, PprofError> {
    let mut plain = Vec::new();
    let limit = u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(PprofError::Gzip)?;
    if plain.len() > bound {
        return Err(PprofError::TooLarge {
            what: "decompressed bytes",
            bound,
        });
    }
    Ok(plain)
}

fn decode_plain(plain: &[u8], bounds: &Bounds) -> Result<proto::Profile, PprofError> {
    bounds.check_size(plain.len(), 0)?;
    bounds.check(plain)?;
    let profile = proto::Profile::decode(plain).map_err(PprofError::Decode)?;
    validate::validate(&profile)?;
    Ok(profile)
}

/// Text of a string index; empty when there is none, which [`decode`] has excluded.
pub fn text(profile: &proto::Profile, index: i64) -> &str {
    usize::try_from(index)
        .ok()
        .and_then(|index| profile.string_table.get(index))
        .map_or("", String::as_str)
}

#[cfg(test)]
mod tests;
