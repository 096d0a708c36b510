//! Stacks with values as a pprof profile of a type that captures have, and the same by name.

use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::SampleType;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::pprof;
use leakwatch_analysis::pprof::ProfileBuilder;
use leakwatch_analysis::pprof::proto;
use leakwatch_nativeproc::symbols::Symbols;
use std::collections::HashMap;
use std::sync::Arc;

/// The function of stacks that were counted but could not be copied.
const UNKNOWN: &str = "[stack not captured]";

/// Values of one stack of return addresses, innermost first; none for what could not be copied.
#[derive(Clone, Debug, PartialEq)]
pub struct StackRow {
    /// The return addresses.
    pub addresses: Vec<u64>,
    /// What was allocated there. Of the objects that were sampled, all sizes together.
    pub value: StackValue,
    /// Mean size of its objects in bytes, as estimated; zero where they have none.
    pub object_size: u64,
}

/// Names the frames of a stack, inlined calls expanded, innermost first.
pub fn frames(addresses: &[u64], symbols: &mut Symbols) -> Vec<Frame> {
    let mut frames = Vec::new();
    for address in addresses {
        frames.extend_from_slice(symbols.frames(*address));
    }
    frames
}

/// What a profile says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Title<'a> {
    /// What was counted.
    pub profile_type: ProfileType,
    /// The executable.
    pub exe: &'a str,
    /// Mean bytes between samples.
    pub period: u64,
    /// When.
    pub at: Timestamp,
}

/// The stacks as a profile.
pub fn profile(rows: &[StackRow], symbols: &mut Symbols, title: &Title<'_>) -> Reading<Arc<ProfileContent>> {
    let mut builder = Builder {
        base: ProfileBuilder::new(title.profile_type, title.period, title.exe, &(0..0), title.at),
        profile_type: title.profile_type,
        locations: HashMap::new(),
    };
    for row in rows {
        builder.row(row, symbols);
    }
    pprof::made(&builder.base.finish(), title.profile_type)
}

/// Locations are stored once.
#[derive(Debug)]
struct Builder {
    base: ProfileBuilder,
    profile_type: ProfileType,
    locations: HashMap<u64, u64>,
}

impl Builder {
    fn row(&mut self, row: &StackRow, symbols: &mut Symbols) {
        let mut location_id: Vec<u64> = row
            .addresses
            .iter()
            .map(|address| self.location(*address, symbols.frames(*address)))
            .collect();
        if location_id.is_empty() {
            let unknown = Frame {
                function: UNKNOWN.into(),
                file: "".into(),
                line: 0,
            };
            location_id.push(self.location(0, &[unknown]));
        }
        let sample_types = SampleType::of(self.profile_type).iter();
        let size = (row.object_size > 0).then(|| self.base.bytes_label(row.object_size));
        self.base.profile.sample.push(proto::ProfileSample {
            location_id,
            value: sample_types.map(|kind| kind.value(&row.value)).collect(),
            label: size.into_iter().collect(),
        });
    }

    fn location(&mut self, address: u64, frames: &[Frame]) -> u64 {
        if let Some(id) = self.locations.get(&address) {
            return *id;
        }
        let calls = frames.iter().map(|frame| (&*frame.function, &*frame.file, frame.line));
        let id = self.base.location(address, calls);
        self.locations.insert(address, id);
        id
    }
}
