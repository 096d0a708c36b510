//! Stacks with values as a pprof profile of type `native`, and the same by name.

use crate::native::symbols::Symbols;
use leakwatch_analysis::pprof;
use leakwatch_analysis::pprof::proto;
use leakwatch_analysis::profile::StackValue;
use leakwatch_analysis::stack::Frame;
use leakwatch_analysis::units::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// Sample types of the profile, in the order of the values.
const SAMPLE_TYPES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// The function of stacks that were counted but could not be copied.
const UNKNOWN: &str = "[stack not captured]";

/// Values of one stack of return addresses, innermost first; none for what could not be copied.
#[derive(Clone, Debug, PartialEq)]
pub struct StackRow {
    /// The return addresses.
    pub addresses: Vec<u64>,
    /// What was allocated there. Of the objects that were sampled, all sizes together.
    pub value: StackValue,
    /// Mean size of its objects in bytes, as estimated.
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

/// Encodes the stacks as a gzipped `profile.proto`. `exe` is the executable, `mean_bytes` between samples.
pub fn encode(rows: &[StackRow], symbols: &mut Symbols, exe: &str, mean_bytes: u64, at: Timestamp) -> Arc<[u8]> {
    let mut builder = Builder::default();
    builder.string("");
    for (name, unit) in SAMPLE_TYPES {
        let value_type = builder.value_type(name, unit);
        builder.profile.sample_type.push(value_type);
    }
    builder.profile.period_type = Some(builder.value_type("space", "bytes"));
    builder.profile.period = signed(mean_bytes);
    builder.profile.default_sample_type = builder.string("inuse_space");
    builder.profile.time_nanos = signed(at.unix_nanos());
    let filename = builder.string(exe);
    builder.profile.mapping.push(proto::Mapping {
        id: 1,
        filename,
        has_functions: true,
        has_filenames: true,
        has_line_numbers: true,
        has_inline_frames: true,
        ..proto::Mapping::default()
    });
    for row in rows {
        builder.row(row, symbols);
    }
    builder.finish()
}

/// Texts, functions and locations are stored once.
#[derive(Debug, Default)]
struct Builder {
    profile: proto::Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<(i64, i64), u64>,
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
        let value = &row.value;
        let bytes = proto::Label {
            key: self.string("bytes"),
            num: signed(row.object_size),
            ..proto::Label::default()
        };
        self.profile.sample.push(proto::Sample {
            location_id,
            value: vec![
                value.alloc_objects,
                value.alloc_space,
                value.inuse_objects,
                value.inuse_space,
            ],
            label: vec![bytes],
        });
    }

    fn location(&mut self, address: u64, frames: &[Frame]) -> u64 {
        if let Some(id) = self.locations.get(&address) {
            return *id;
        }
        let line = frames
            .iter()
            .map(|frame| proto::Line {
                function_id: self.function(&frame.function, &frame.file),
                line: frame.line.into(),
                column: 0,
            })
            .collect();
        let id = self.profile.location.len() as u64 + 1;
        self.profile.location.push(proto::Location {
            id,
            mapping_id: 1,
            address: address.saturating_sub(1),
            line,
            is_folded: false,
        });
        self.locations.insert(address, id);
        id
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let (name, filename) = (self.string(name), self.string(file));
        let next = self.functions.len() as u64 + 1;
        let id = *self.functions.entry((name, filename)).or_insert(next);
        if id == next {
            self.profile.function.push(proto::Function {
                id,
                name,
                system_name: name,
                filename,
                start_line: 0,
            });
        }
        id
    }

    fn value_type(&mut self, name: &str, unit: &str) -> proto::ValueType {
        proto::ValueType {
            r#type: self.string(name),
            unit: self.string(unit),
        }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = signed(self.strings.len() as u64);
        self.strings.insert(text.to_owned(), index);
        index
    }

    fn finish(mut self) -> Arc<[u8]> {
        let mut strings: Vec<(String, i64)> = self.strings.into_iter().collect();
        strings.sort_unstable_by_key(|(_, index)| *index);
        self.profile.string_table = strings.into_iter().map(|(text, _)| text).collect();
        pprof::encode(&self.profile).into()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
