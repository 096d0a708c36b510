//! From a profile to values per stack: inlined frames expanded, samples of the same stack added up.

use super::PprofError;
use super::proto::Location;
use super::proto::Profile;
use super::proto::Sample;
use super::text;
use crate::profile::ProfileType;
use crate::profile::StackValue;
use crate::stack::Frame;
use crate::stack::StackId;
use crate::stack::StackTable;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

/// Frames of one stack after inlined frames are expanded: twice what Go can record (1,024 call sites).
const MAX_FRAMES: usize = 2_048;

/// Frames of all stacks of a profile together: locations are shared, so that a small profile can name very many.
const MAX_FRAMES_OF_PROFILE: usize = 8 << 20;

/// A profile as analysis works on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Values by stack, sorted by stack.
    pub values: Vec<(StackId, StackValue)>,
    /// Sum over all samples of the profile, dropped ones included.
    pub total: StackValue,
    /// Samples whose stack did not fit the bounds of the stack table and which are in no stack.
    pub dropped: u64,
}

/// Adds up a profile's values by stack. `profile` must come from [`decode`](super::decode).
pub fn summarize(profile: &Profile, profile_type: ProfileType, stacks: &mut StackTable) -> Result<Summary, PprofError> {
    let columns = Columns::find(profile, profile_type)?;
    let mut frames = Frames::new(profile);
    let mut by_stack: BTreeMap<StackId, StackValue> = BTreeMap::new();
    let mut summary = Summary::default();
    for sample in &profile.sample {
        let value = columns.value(profile, sample);
        summary.total.add(&value);
        match frames
            .expand(&sample.location_id)
            .and_then(|stack| stacks.intern(stack).ok())
        {
            Some(stack) => by_stack.entry(stack).or_default().add(&value),
            None => summary.dropped += 1,
        }
    }
    summary.values = by_stack.into_iter().collect();
    Ok(summary)
}

/// Where a profile type keeps its values.
enum Columns {
    Heap {
        alloc_objects: usize,
        alloc_space: usize,
        inuse_objects: usize,
        inuse_space: usize,
    },
    Count(usize),
}

impl Columns {
    fn find(profile: &Profile, profile_type: ProfileType) -> Result<Self, PprofError> {
        let column = |name: &'static str| {
            profile
                .sample_type
                .iter()
                .position(|kind| text(profile, kind.r#type) == name)
                .ok_or_else(|| PprofError::SampleType {
                    expected: name,
                    found: sample_types(profile),
                })
        };
        Ok(match profile_type {
            ProfileType::Heap => Self::Heap {
                alloc_objects: column("alloc_objects")?,
                alloc_space: column("alloc_space")?,
                inuse_objects: column("inuse_objects")?,
                inuse_space: column("inuse_space")?,
            },
            // Go names the only sample type after the profile.
            ProfileType::Goroutine | ProfileType::GoroutineLeak => Self::Count(column(profile_type.name())?),
        })
    }

    fn value(&self, profile: &Profile, sample: &Sample) -> StackValue {
        let at = |column: usize| sample.value.get(column).copied().unwrap_or(0);
        match *self {
            Self::Count(column) => StackValue {
                inuse_objects: at(column),
                ..StackValue::default()
            },
            Self::Heap {
                alloc_objects,
                alloc_space,
                inuse_objects,
                inuse_space,
            } => {
                let (objects, space) = (at(inuse_objects), at(inuse_space));
                StackValue {
                    alloc_objects: at(alloc_objects),
                    alloc_space: at(alloc_space),
                    inuse_objects: objects,
                    inuse_space: space,
                    inuse_variance: inuse_variance(profile.period, object_size(profile, sample), objects, space),
                }
            }
        }
    }
}

/// The size that all objects of a Go heap sample share: its numeric label `bytes`.
fn object_size(profile: &Profile, sample: &Sample) -> Option<i64> {
    sample
        .label
        .iter()
        .find(|label| label.str == 0 && label.num > 0 && text(profile, label.key) == "bytes")
        .map(|label| label.num)
}

/// Variance of the estimated bytes in use, as documented at [`StackValue::inuse_variance`]. The profile gives the scaled
/// count `objects = n/p`, so that `n*(size/p)^2*(1-p)` is `objects*size^2*(1-p)/p`.
#[expect(
    clippy::cast_precision_loss,
    reason = "a variance is an estimate; 53 bits are more than it has"
)]
fn inuse_variance(rate: i64, size: Option<i64>, objects: i64, space: i64) -> f64 {
    if rate <= 1 || objects <= 0 || space <= 0 {
        return 0.0;
    }
    let objects = objects as f64;
    let size = size.map_or(space as f64 / objects, |size| size as f64);
    let exponent = -size / rate as f64;
    objects * size * size * exponent.exp() / -exponent.exp_m1()
}

fn sample_types(profile: &Profile) -> String {
    let names: Vec<&str> = profile
        .sample_type
        .iter()
        .map(|kind| text(profile, kind.r#type))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Expands stacks into frames, sharing the text.
struct Frames<'a> {
    locations: HashMap<u64, &'a Location>,
    functions: HashMap<u64, (Arc<str>, Arc<str>)>,
    /// File of each mapping.
    objects: HashMap<u64, Arc<str>>,
    stack: Vec<Frame>,
    /// What is left of [`MAX_FRAMES_OF_PROFILE`].
    budget: usize,
}

impl<'a> Frames<'a> {
    fn new(profile: &'a Profile) -> Self {
        let mut texts: HashMap<i64, Arc<str>> = HashMap::new();
        let mut shared = |index: i64| Arc::clone(texts.entry(index).or_insert_with(|| text(profile, index).into()));
        let functions = profile
            .function
            .iter()
            .map(|function| (function.id, (shared(function.name), shared(function.filename))))
            .collect();
        let objects = profile
            .mapping
            .iter()
            .map(|mapping| (mapping.id, shared(mapping.filename)))
            .collect();
        Self {
            locations: profile
                .location
                .iter()
                .map(|location| (location.id, location))
                .collect(),
            functions,
            objects,
            stack: Vec::new(),
            budget: MAX_FRAMES_OF_PROFILE,
        }
    }

    /// The frames of a stack, innermost first; `None` when there are more than the bounds allow.
    fn expand(&mut self, location_ids: &[u64]) -> Option<&[Frame]> {
        self.stack.clear();
        for location in location_ids.iter().filter_map(|id| self.locations.get(id)) {
            if self.stack.len() + location.line.len().max(1) > MAX_FRAMES {
                return None;
            }
            if location.line.is_empty() {
                self.stack.push(self.unresolved(location));
            }
            for line in &location.line {
                if let Some((function, file)) = self.functions.get(&line.function_id) {
                    self.stack.push(Frame {
                        function: Arc::clone(function),
                        file: Arc::clone(file),
                        line: u32::try_from(line.line).unwrap_or(0),
                    });
                }
            }
        }
        self.budget = self.budget.checked_sub(self.stack.len())?;
        Some(&self.stack)
    }

    /// A location without source lines, such as C code: its address, and the object it lies in as the file.
    fn unresolved(&self, location: &Location) -> Frame {
        Frame {
            function: format!("0x{:x}", location.address).into(),
            file: self.objects.get(&location.mapping_id).cloned().unwrap_or_default(),
            line: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::*;
    use super::*;

    /// `main.main` calls `main.outer`, into which `main.inner` is inlined.
    fn heap(samples: Vec<(Vec<u64>, [i64; 4], i64)>, rate: i64) -> Profile {
        let strings = [
            "",
            "alloc_objects",
            "alloc_space",
            "inuse_objects",
            "inuse_space",
            "bytes",
            "main.inner",
            "main.outer",
            "main.main",
            "main.go",
            "libc.so.6",
        ];
        let kind = |index| ValueType { r#type: index, unit: 5 };
        let function = |id, name| Function {
            id,
            name,
            system_name: name,
            filename: 9,
            start_line: 1,
        };
        let line = |function_id, line| Line {
            function_id,
            line,
            column: 0,
        };
        Profile {
            // Another order than Go's: columns are found by name.
            sample_type: vec![kind(4), kind(3), kind(2), kind(1)],
            sample: samples
                .into_iter()
                .map(
                    |(location_id, [alloc_objects, alloc_space, inuse_objects, inuse_space], size)| Sample {
                        location_id,
                        value: vec![inuse_space, inuse_objects, alloc_space, alloc_objects],
                        label: vec![Label {
                            key: 5,
                            num: size,
                            ..Label::default()
                        }],
                    },
                )
                .collect(),
            mapping: vec![Mapping {
                id: 1,
                filename: 10,
                ..Mapping::default()
            }],
            location: vec![
                Location {
                    id: 10,
                    line: vec![line(1, 30), line(2, 20)],
                    ..Location::default()
                },
                Location {
                    id: 20,
                    line: vec![line(3, 10)],
                    ..Location::default()
                },
                Location {
                    id: 30,
                    mapping_id: 1,
                    address: 0xabc,
                    ..Location::default()
                },
            ],
            function: vec![function(1, 6), function(2, 7), function(3, 8)],
            string_table: strings.map(str::to_owned).to_vec(),
            period: rate,
            ..Profile::default()
        }
    }

    #[test]
    fn inlined_frames_are_expanded_innermost_first_and_equal_stacks_are_added() {
        let profile = heap(
            vec![
                (vec![10, 20], [4, 64, 2, 32], 16),
                (vec![10, 20], [1, 48, 1, 48], 48),
                (vec![30, 20], [5, 5, 0, 0], 1),
            ],
            1,
        );
        let mut stacks = StackTable::default();
        let summary = summarize(&profile, ProfileType::Heap, &mut stacks).unwrap();
        assert_eq!(summary.dropped, 0);
        let seen: Vec<(Vec<String>, StackValue)> = summary
            .values
            .iter()
            .map(|(id, value)| {
                let frames = stacks.frames(*id);
                (
                    frames
                        .map(|frame| format!("{} {}:{}", frame.function, frame.file, frame.line))
                        .collect(),
                    *value,
                )
            })
            .collect();
        let value = |alloc_objects, alloc_space, inuse_objects, inuse_space| StackValue {
            alloc_objects,
            alloc_space,
            inuse_objects,
            inuse_space,
            inuse_variance: 0.0,
        };
        assert_eq!(
            seen,
            [
                (
                    vec![
                        "main.inner main.go:30".into(),
                        "main.outer main.go:20".into(),
                        "main.main main.go:10".into()
                    ],
                    value(5, 112, 3, 80)
                ),
                (
                    vec!["0xabc libc.so.6:0".into(), "main.main main.go:10".into()],
                    value(5, 5, 0, 0)
                ),
            ]
        );
        assert_eq!(summary.total, value(10, 117, 3, 80));
    }

    /// The runtime's sampling played through with a fixed generator: the spread of the estimates must be the variance.
    #[test]
    fn the_variance_is_that_of_the_runtimes_sampling() {
        let (size, rate, objects, rounds) = (8_192_i64, 524_288_i64, 2_000_i64, 2_000_u32);
        let probability = -(-(size as f64) / rate as f64).exp_m1();
        let mut state = 1_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let (mut estimates, mut variances) = (Vec::new(), 0.0);
        for _ in 0..rounds {
            let sampled = (0..objects).filter(|_| uniform() < probability).count() as f64;
            let scaled = (sampled / probability) as i64;
            let profile = heap(
                vec![(vec![20], [scaled, scaled * size, scaled, scaled * size], size)],
                rate,
            );
            let summary = summarize(&profile, ProfileType::Heap, &mut StackTable::default()).unwrap();
            estimates.push(summary.total.inuse_space as f64);
            variances += summary.total.inuse_variance;
        }
        let mean = estimates.iter().sum::<f64>() / f64::from(rounds);
        let spread = estimates.iter().map(|estimate| (estimate - mean).powi(2)).sum::<f64>() / f64::from(rounds);
        let ratio = variances / f64::from(rounds) / spread;
        assert!((0.9..1.1).contains(&ratio), "predicted over observed variance: {ratio}");
    }

    #[test]
    fn a_profile_of_another_type_is_refused_by_name() {
        let error = summarize(&heap(vec![], 1), ProfileType::Goroutine, &mut StackTable::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "profile has no sample type goroutine but inuse_space, inuse_objects, alloc_space, alloc_objects"
        );
    }

    #[test]
    fn a_stack_beyond_the_bound_is_dropped_and_counted() {
        let mut profile = heap(
            vec![(vec![20], [1, 8, 1, 8], 8), (vec![20; MAX_FRAMES + 1], [1, 8, 1, 8], 8)],
            1,
        );
        profile.location[0].line = vec![profile.location[1].line[0]; MAX_FRAMES + 1];
        profile.sample.push(profile.sample[0].clone());
        profile.sample[2].location_id = vec![10];
        let summary = summarize(&profile, ProfileType::Heap, &mut StackTable::default()).unwrap();
        assert_eq!((summary.values.len(), summary.dropped), (1, 2));
        assert_eq!((summary.values[0].1.inuse_space, summary.total.inuse_space), (8, 24));
    }
}
