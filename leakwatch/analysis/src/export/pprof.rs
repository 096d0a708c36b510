//! A profile, or two compared, as a pprof profile, for `go tool pprof` and everything that reads its format. Addresses and labels are
//! not in it: the stacks are those of all processes of a program.

use crate::model::profile::ProfileLoss;
use crate::model::profile::ProfileType;
use crate::model::profile::SampleType;
use crate::model::profile::Snapshot;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::model::stack::StackTable;
use crate::pprof::proto;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// One profile.
pub fn pprof(stacks: &StackTable, snapshot: &Snapshot) -> proto::Profile {
    let mut builder = Builder::new(snapshot);
    for (stack, value) in &snapshot.values {
        let sample_types = SampleType::of(snapshot.profile_type).iter();
        builder.sample(stacks, stack, sample_types.map(|kind| kind.value(&value)).collect());
    }
    builder.comment_losses(snapshot.profile_type, &snapshot.losses);
    builder.profile
}

/// Compare minus base in every sample type of the profile type. The time between them becomes its duration.
pub fn pprof_diff(stacks: &StackTable, base: &Snapshot, compare: &Snapshot) -> proto::Profile {
    let sample_types = SampleType::of(compare.profile_type);
    let mut deltas: BTreeMap<StackId, Vec<i64>> = BTreeMap::new();
    for (snapshot, sign) in [(base, -1), (compare, 1)] {
        for (stack, value) in &snapshot.values {
            let delta = deltas.entry(stack).or_insert_with(|| vec![0; sample_types.len()]);
            for (sum, sample_type) in delta.iter_mut().zip(sample_types) {
                *sum = sum.saturating_add(sample_type.value(&value).saturating_mul(sign));
            }
        }
    }
    let mut builder = Builder::new(compare);
    builder.profile.duration_nanos = i64::try_from(compare.at.since(base.at).as_nanos()).unwrap_or(i64::MAX);
    for (stack, value) in deltas {
        builder.sample(stacks, stack, value);
    }
    for snapshot in [base, compare] {
        builder.comment_losses(snapshot.profile_type, &snapshot.losses);
    }
    builder.profile
}

/// A loss in words, as a comment of a profile has it.
fn comment(profile_type: ProfileType, loss: &ProfileLoss) -> String {
    let sample_type = SampleType::default_of(profile_type);
    let held = sample_type.value(&loss.value);
    let held = if held == 0 {
        String::new()
    } else {
        format!(", {held} {} of {}", sample_type.unit(), sample_type.name())
    };
    format!("incomplete: {} samples{held}: {}", loss.samples, loss.reason)
}

/// A profile under construction, with every string, function and frame once. Ids are 1 + index.
#[derive(Default)]
struct Builder<'a> {
    profile: proto::Profile,
    strings: HashMap<Cow<'a, str>, i64>,
    functions: HashMap<(&'a str, &'a str), u64>,
    locations: HashMap<Box<[&'a Frame]>, u64>,
}

impl<'a> Builder<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let (profile_type, program) = (snapshot.profile_type, &snapshot.program);
        let mut builder = Self::default();
        // The first text is the empty one.
        builder.string("");
        let mut value_type = |name, unit| proto::ValueType {
            r#type: builder.string(name),
            unit: builder.string(unit),
        };
        let sample_types = SampleType::of(profile_type).iter();
        let sample_type = sample_types.map(|kind| value_type(kind.name(), kind.unit())).collect();
        let period_type = match profile_type {
            ProfileType::Goroutine | ProfileType::GoroutineLeak => value_type("goroutine", "count"),
            _ => value_type("space", "bytes"),
        };
        builder.profile.sample_type = sample_type;
        builder.profile.period_type = Some(period_type);
        builder.profile.period = snapshot.period;
        builder.profile.default_sample_type = builder.string(SampleType::default_of(profile_type).name());
        builder.profile.time_nanos = i64::try_from(snapshot.at.unix_nanos()).unwrap_or(i64::MAX);
        let mapping = proto::Mapping {
            id: 1,
            filename: builder.string(&*program.file),
            build_id: builder.string(&*program.build_id),
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
            ..proto::Mapping::default()
        };
        builder.profile.mapping.push(mapping);
        builder
    }

    /// Adds a stack, unless all its values are zero.
    fn sample(&mut self, stacks: &'a StackTable, stack: StackId, value: Vec<i64>) {
        if value.iter().all(|value| *value == 0) {
            return;
        }
        let mut location_id = Vec::new();
        let mut lines = Vec::new();
        for (frame, is_inlined) in stacks.calls(stack) {
            lines.push(frame);
            if !is_inlined {
                location_id.push(self.location(&lines));
                lines.clear();
            }
        }
        if !lines.is_empty() {
            location_id.push(self.location(&lines));
        }
        self.profile.sample.push(proto::ProfileSample {
            location_id,
            value,
            label: Vec::new(),
        });
    }

    fn comment_losses(&mut self, profile_type: ProfileType, losses: &[ProfileLoss]) {
        for loss in losses {
            let text = self.string(comment(profile_type, loss));
            self.profile.comment.push(text);
        }
    }

    fn string(&mut self, text: impl Into<Cow<'a, str>>) -> i64 {
        let next = i64::try_from(self.profile.string_table.len()).unwrap_or(0);
        let text = text.into();
        let index = *self.strings.entry(text.clone()).or_insert(next);
        if index == next {
            self.profile.string_table.push(text.into_owned());
        }
        index
    }

    fn function(&mut self, frame: &'a Frame) -> u64 {
        let next = self.profile.function.len() as u64 + 1;
        let id = *self.functions.entry((&frame.function, &frame.file)).or_insert(next);
        if id == next {
            let name = self.string(&*frame.function);
            let filename = self.string(&*frame.file);
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

    /// The place of a call, with the calls that were inlined into it before it.
    fn location(&mut self, frames: &[&'a Frame]) -> u64 {
        if let Some(id) = self.locations.get(frames) {
            return *id;
        }
        let id = self.profile.location.len() as u64 + 1;
        let line = frames
            .iter()
            .map(|frame| proto::Line {
                function_id: self.function(frame),
                line: i64::from(frame.line),
                column: 0,
            })
            .collect();
        self.profile.location.push(proto::Location {
            id,
            mapping_id: 1,
            line,
            ..proto::Location::default()
        });
        self.locations.insert(frames.into(), id);
        id
    }
}
