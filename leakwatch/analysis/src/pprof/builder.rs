//! Makes a profile as runtime/pprof lays it out: one mapping, texts and functions stored once. Samples and locations are the caller's.

use crate::model::profile::ProfileType;
use crate::model::profile::SampleType;
use crate::model::units::Timestamp;
use crate::pprof::proto;
use std::collections::HashMap;
use std::ops::Range;

/// A profile in the making.
#[derive(Debug)]
pub struct ProfileBuilder {
    /// What there is of it; its texts are added by [`Self::finish`].
    pub profile: proto::Profile,
    strings: HashMap<String, i64>,
    /// By name and file.
    functions: HashMap<(i64, i64), u64>,
}

impl ProfileBuilder {
    /// A profile without samples: of the executable at `exe`, whose code is at `text`, sampled every `period`.
    pub fn new(profile_type: ProfileType, period: u64, exe: &str, text: &Range<u64>, at: Timestamp) -> Self {
        let mut builder = Self {
            profile: proto::Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
        };
        // The first text is the empty one.
        builder.string("");
        for sample_type in SampleType::of(profile_type) {
            let value_type = builder.value_type(sample_type.name(), sample_type.unit());
            builder.profile.sample_type.push(value_type);
        }
        let (counted, unit) = match profile_type {
            ProfileType::Goroutine | ProfileType::GoroutineLeak => ("goroutine", "count"),
            _ => ("space", "bytes"),
        };
        builder.profile.period_type = Some(builder.value_type(counted, unit));
        builder.profile.period = signed(period);
        builder.profile.default_sample_type = builder.string(SampleType::default_of(profile_type).name());
        builder.profile.time_nanos = signed(at.unix_nanos());
        let filename = builder.string(exe);
        builder.profile.mapping.push(proto::Mapping {
            id: 1,
            memory_start: text.start,
            memory_limit: text.end,
            filename,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
            ..proto::Mapping::default()
        });
        builder
    }

    /// Adds a location with the lines of all calls in it, innermost first, as (function, file, line). `address` is that to return to.
    pub fn location<'f>(&mut self, address: u64, calls: impl Iterator<Item = (&'f str, &'f str, u32)>) -> u64 {
        let line = calls
            .map(|(function, file, line)| proto::Line {
                function_id: self.function(function, file),
                line: line.into(),
                column: 0,
            })
            .collect();
        let id = self.profile.location.len() as u64 + 1;
        self.profile.location.push(proto::Location {
            id,
            mapping_id: 1,
            // Inside the call, as runtime/pprof has it.
            address: address.saturating_sub(1),
            line,
            is_folded: false,
        });
        id
    }

    /// The size of the objects of a sample.
    pub fn bytes_label(&mut self, size: u64) -> proto::Label {
        proto::Label {
            key: self.string("bytes"),
            num: signed(size),
            ..proto::Label::default()
        }
    }

    /// Says something about all of it; `go tool pprof -comments` shows it.
    pub fn comment(&mut self, text: &str) {
        let text = self.string(text);
        self.profile.comment.push(text);
    }

    /// The whole.
    pub fn finish(mut self) -> proto::Profile {
        let mut strings: Vec<(String, i64)> = self.strings.into_iter().collect();
        strings.sort_unstable_by_key(|(_, index)| *index);
        self.profile.string_table = strings.into_iter().map(|(text, _)| text).collect();
        self.profile
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
}

/// Numbers of real processes fit; a damaged one becomes the largest instead of a negative one.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
