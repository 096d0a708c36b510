//! A profile with more samples than anybody wants to have in memory, encoded piece by piece: messages that follow one another are one message
//! with what is in all of them.

use crate::pprof::proto::Profile;
use crate::pprof::proto::ProfileSample;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;
use std::io::Write as _;

/// Samples encoded at a time.
const PIECE: usize = 1024;

/// A gzipped profile in the making.
#[derive(Debug)]
pub struct PieceEncoder {
    gzip: GzEncoder<Vec<u8>>,
    piece: Profile,
}

impl Default for PieceEncoder {
    fn default() -> Self {
        Self {
            gzip: GzEncoder::new(Vec::new(), Compression::fast()),
            piece: Profile::default(),
        }
    }
}

impl PieceEncoder {
    /// Adds a sample.
    pub fn sample(&mut self, sample: ProfileSample) {
        self.piece.sample.push(sample);
        if self.piece.sample.len() >= PIECE {
            self.write();
        }
    }

    /// The whole, with everything else that is in a profile.
    pub fn finish(mut self, rest: &Profile) -> Vec<u8> {
        self.write();
        // Writing into a vector does not fail.
        let written = self.gzip.write_all(&rest.encode_to_vec());
        written.and_then(|()| self.gzip.finish()).unwrap_or_default()
    }

    fn write(&mut self) {
        // Likewise.
        drop(self.gzip.write_all(&self.piece.encode_to_vec()));
        self.piece.sample.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pprof::Bounds;
    use crate::pprof::decode;
    use crate::pprof::proto;

    #[test]
    fn pieces_are_one_profile() {
        let mut pieces = PieceEncoder::default();
        let samples: Vec<ProfileSample> = (0..2 * i64::try_from(PIECE).unwrap() + 7)
            .map(|number| ProfileSample {
                location_id: vec![1],
                value: vec![number],
                label: Vec::new(),
            })
            .collect();
        for sample in &samples {
            pieces.sample(sample.clone());
        }
        let mut profile = Profile {
            sample_type: vec![proto::ValueType::default()],
            location: vec![proto::Location {
                id: 1,
                ..proto::Location::default()
            }],
            string_table: vec![String::new()],
            ..Profile::default()
        };
        let encoded = pieces.finish(&profile);
        profile.sample = samples;
        assert_eq!(decode(&encoded, &Bounds::default()).unwrap(), profile);
    }
}
