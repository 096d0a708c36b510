//! What a profile's frame says before its values.

use crate::store::disk::codec::varint::CodecError;
use crate::store::disk::codec::varint::Reader;
use crate::store::disk::codec::varint::put;
use crate::store::disk::codec::varint::put_sized;
use crate::store::disk::codec::varint::unzigzag;
use crate::store::disk::codec::varint::zigzag;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::Program;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Timestamp;

/// Losses of a profile at most.
const MAX_LOSSES: usize = 64;
// Numbers on disk are positions in this table: append only.
const SOURCES: [ProfileSource; 4] = [
    ProfileSource::KernelAtDeath,
    ProfileSource::Snapshot,
    ProfileSource::Endpoint,
    ProfileSource::Capture,
];

/// Everything about a profile but its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProfileHead {
    /// Where the frame is that its values differ from: offset and bytes. None if it is whole.
    pub(crate) base: Option<(u64, u32)>,
    /// How many frames have to be read before it.
    pub(crate) depth: u32,
    pub(crate) service: String,
    pub(crate) at: Timestamp,
    pub(crate) process: ProcessKey,
    pub(crate) source: ProfileSource,
    pub(crate) period: i64,
    pub(crate) program: Program,
    pub(crate) total: StackValue,
    pub(crate) losses: Vec<ProfileLoss>,
}

impl ProfileHead {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (offset, bytes) = self.base.unwrap_or((0, 0));
        put(out, offset);
        put(out, bytes.into());
        put(out, self.depth.into());
        put_sized(out, self.service.as_bytes());
        put(out, self.at.unix_nanos());
        put(out, self.process.pid.into());
        put(out, self.process.start_ticks);
        let source = SOURCES.iter().position(|source| *source == self.source);
        put(out, source.unwrap_or(0) as u64);
        put(out, zigzag(self.period));
        put_sized(out, self.program.file.as_bytes());
        put_sized(out, self.program.build_id.as_bytes());
        put_value(out, &self.total);
        put(out, self.losses.len().min(MAX_LOSSES) as u64);
        for loss in self.losses.iter().take(MAX_LOSSES) {
            put_sized(out, loss.reason.as_bytes());
            put(out, loss.samples);
            put_value(out, &loss.value);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let small = |number: u64| u32::try_from(number).map_err(|_large| CodecError::LongNumber);
        let (offset, bytes) = (reader.number()?, small(reader.number()?)?);
        Ok(Self {
            base: (bytes > 0).then_some((offset, bytes)),
            depth: small(reader.number()?)?,
            service: text(reader)?,
            at: Timestamp::from_unix_nanos(reader.number()?),
            process: ProcessKey {
                pid: small(reader.number()?)?,
                start_ticks: reader.number()?,
            },
            source: *SOURCES
                .get(reader.count("sources", SOURCES.len())?)
                .ok_or(CodecError::Inconsistent("source"))?,
            period: unzigzag(reader.number()?),
            program: Program {
                file: text(reader)?.into(),
                build_id: text(reader)?.into(),
            },
            total: value(reader)?,
            losses: (0..reader.count("losses", MAX_LOSSES)?)
                .map(|_| {
                    Ok(ProfileLoss {
                        reason: text(reader)?.into(),
                        samples: reader.number()?,
                        value: value(reader)?,
                    })
                })
                .collect::<Result<_, CodecError>>()?,
        })
    }
}

fn put_value(out: &mut Vec<u8>, value: &StackValue) {
    for number in [
        value.alloc_objects,
        value.alloc_space,
        value.inuse_objects,
        value.inuse_space,
    ] {
        put(out, zigzag(number));
    }
    put(out, value.inuse_variance.to_bits().swap_bytes());
}

fn value(reader: &mut Reader<'_>) -> Result<StackValue, CodecError> {
    Ok(StackValue {
        alloc_objects: reader.signed()?,
        alloc_space: reader.signed()?,
        inuse_objects: reader.signed()?,
        inuse_space: reader.signed()?,
        inuse_variance: f64::from_bits(reader.number()?.swap_bytes()),
    })
}

fn text(reader: &mut Reader<'_>) -> Result<String, CodecError> {
    let text = std::str::from_utf8(reader.sized()?).map_err(|_error| CodecError::Inconsistent("text"))?;
    Ok(text.to_owned())
}
