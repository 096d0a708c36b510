//! From bytes to a checked profile and back.

use crate::pprof::bounds::Bounds;
use crate::pprof::error::PprofError;
use crate::pprof::proto::Profile;
use crate::pprof::validate;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use prost::Message as _;
use std::io::Read as _;
use std::io::Write as _;

/// Decodes a profile, gzipped or plain, and validates it: afterwards every index and id in it is good.
pub fn decode(bytes: &[u8], bounds: &Bounds) -> Result<Profile, PprofError> {
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
pub fn encode(profile: &Profile) -> Vec<u8> {
    compress(&profile.encode_to_vec())
}

/// Compresses a message.
pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into a vector does not fail.
    gzip.write_all(plain).and_then(|()| gzip.finish()).unwrap_or_default()
}

pub(super) fn decompress(bytes: &[u8], bound: usize) -> Result<Vec<u8>, PprofError> {
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

fn decode_plain(plain: &[u8], bounds: &Bounds) -> Result<Profile, PprofError> {
    bounds.check_size(plain.len(), 0)?;
    bounds.check(plain)?;
    let profile = Profile::decode(plain).map_err(PprofError::Decode)?;
    validate::validate(&profile)?;
    Ok(profile)
}
