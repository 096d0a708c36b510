//! A diff as a pprof profile whose values are compare minus base, for `go tool pprof` and everything that reads its
//! format. Addresses and labels are not in it: the two profiles may come from two processes.

use crate::model::profile::ProfileType;
use crate::model::profile::SampleType;
use crate::model::profile::StackValue;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::model::stack::StackTable;
use crate::model::units::Timestamp;
use crate::pprof::proto;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// Compare minus base in every sample type of the profile type. `base_at` and `at` become its time and duration.
pub fn pprof(
    stacks: &StackTable,
    profile_type: ProfileType,
    (base_at, base): (Timestamp, &[(StackId, StackValue)]),
    (at, compare): (Timestamp, &[(StackId, StackValue)]),
) -> proto::Profile {
    let sample_types = SampleType::of(profile_type);
    let mut deltas: BTreeMap<StackId, Vec<i64>> = BTreeMap::new();
    for (values, sign) in [(base, -1), (compare, 1)] {
        for (stack, value) in values {
            let delta = deltas.entry(*stack).or_insert_with(|| vec![0; sample_types.len()]);
            for (sum, sample_type) in delta.iter_mut().zip(sample_types) {
                *sum = sum.saturating_add(sample_type.value(value).saturating_mul(sign));
            }
        }
    }
    let mut builder = Builder::default();
    builder.string("");
    builder.profile.sample_type = sample_types
        .iter()
        .map(|kind| proto::ValueType {
            r#type: builder.string(kind.name()),
            unit: builder.string(kind.unit()),
        })
        .collect();
    builder.profile.default_sample_type = builder.string(SampleType::default_of(profile_type).name());
    builder.profile.time_nanos = i64::try_from(at.unix_nanos()).unwrap_or(i64::MAX);
    builder.profile.duration_nanos = i64::try_from(at.since(base_at).as_nanos()).unwrap_or(i64::MAX);
    for (stack, value) in deltas {
        if value.iter().any(|value| *value != 0) {
            let location_id = stacks.frames(stack).map(|frame| builder.location(frame)).collect();
            builder.profile.sample.push(proto::ProfileSample {
                location_id,
                value,
                label: Vec::new(),
            });
        }
    }
    builder.profile
}

/// A profile under construction, with every string, function and frame once. Ids are 1 + index.
#[derive(Default)]
struct Builder<'a> {
    profile: proto::Profile,
    strings: HashMap<&'a str, i64>,
    functions: HashMap<(&'a str, &'a str), u64>,
    locations: HashMap<&'a Frame, u64>,
}

impl<'a> Builder<'a> {
    fn string(&mut self, text: &'a str) -> i64 {
        let next = i64::try_from(self.profile.string_table.len()).unwrap_or(0);
        let index = *self.strings.entry(text).or_insert(next);
        if index == next {
            self.profile.string_table.push(text.to_owned());
        }
        index
    }

    fn function(&mut self, frame: &'a Frame) -> u64 {
        let next = self.profile.function.len() as u64 + 1;
        let id = *self.functions.entry((&frame.function, &frame.file)).or_insert(next);
        if id == next {
            let name = self.string(&frame.function);
            let filename = self.string(&frame.file);
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

    fn location(&mut self, frame: &'a Frame) -> u64 {
        let next = self.profile.location.len() as u64 + 1;
        let id = *self.locations.entry(frame).or_insert(next);
        if id == next {
            let function_id = self.function(frame);
            self.profile.location.push(proto::Location {
                id,
                line: vec![proto::Line {
                    function_id,
                    line: i64::from(frame.line),
                    column: 0,
                }],
                ..proto::Location::default()
            });
        }
        id
    }
}
