//! From a profile to values per stack: inlined frames expanded, samples of the same stack added up.

use crate::model::decoded::Summary;
use crate::model::decoded::Summing;
use crate::model::profile::ProfileType;
use crate::model::profile::Program;
use crate::model::profile::StackValue;
use crate::model::stack::Frame;
use crate::model::stack::StackTable;
use crate::model::stack::StackTableFull;
use crate::pprof::error::PprofError;
use crate::pprof::proto::Location;
use crate::pprof::proto::Profile;
use crate::pprof::proto::ProfileSample;
use std::collections::HashMap;
use std::sync::Arc;

/// Frames of one stack after inlined frames are expanded: twice what Go can record (1,024 call sites).
const MAX_FRAMES: usize = 2_048;

/// Frames of all stacks of a profile together: locations are shared, so that a small profile can name very many.
const MAX_FRAMES_OF_PROFILE: usize = 32 << 20;

/// Adds up a profile's values by stack. `profile` must come from [`decode`](super::decode).
pub fn summarize(profile: &Profile, profile_type: ProfileType, stacks: &mut StackTable) -> Result<Summary, PprofError> {
    let columns = Columns::find(profile, profile_type)?;
    let mut frames = Frames::new(profile);
    let mut sum = Summing::with_capacity(profile.sample.len());
    for sample in &profile.sample {
        let value = columns.value(profile, sample);
        let stack = frames
            .expand(&sample.location_id, stacks)
            .and_then(|stack| stacks.intern_indices(stack));
        let innermost = if stack.is_err() {
            frames.innermost(&sample.location_id)
        } else {
            None
        };
        sum.add(stacks, stack, innermost.as_ref(), &value);
    }
    Ok(Summary {
        program: program(profile),
        ..sum.finish(profile.period)
    })
}

/// The main executable: the first mapping, as profile.proto has it.
fn program(profile: &Profile) -> Program {
    let text = |index| Arc::from(profile.text(index));
    profile
        .mapping
        .first()
        .map_or_else(Program::default, |mapping| Program {
            file: text(mapping.filename),
            build_id: text(mapping.build_id),
        })
}

/// How the samples of a profile were taken.
#[derive(Clone, Copy)]
enum Sampled {
    /// Objects, the larger the likelier.
    ByBytes,
    /// One of every so many pages: each stands for the period.
    Evenly,
}

/// Where a profile type keeps its values.
enum Columns {
    Heap {
        alloc_objects: usize,
        alloc_space: usize,
        inuse_objects: usize,
        inuse_space: usize,
        /// What the variance of the bytes comes from.
        sampled: Sampled,
    },
    Resident {
        alloc_space: usize,
        space: usize,
    },
    Count(usize),
}

impl Columns {
    fn find(profile: &Profile, profile_type: ProfileType) -> Result<Self, PprofError> {
        let column = |name: &'static str| {
            profile
                .sample_type
                .iter()
                .position(|kind| profile.text(kind.r#type) == name)
                .ok_or_else(|| PprofError::SampleType {
                    expected: name,
                    found: sample_types(profile),
                })
        };
        Ok(match profile_type {
            ProfileType::Growth => Self::Resident {
                alloc_space: column("alloc_space")?,
                space: column("space")?,
            },
            ProfileType::Heap | ProfileType::Native | ProfileType::Mapping => Self::Heap {
                alloc_objects: column("alloc_objects")?,
                alloc_space: column("alloc_space")?,
                inuse_objects: column("inuse_objects")?,
                inuse_space: column("inuse_space")?,
                sampled: if profile_type == ProfileType::Mapping {
                    Sampled::Evenly
                } else {
                    Sampled::ByBytes
                },
            },
            // Go names the only sample type after the profile.
            ProfileType::Goroutine | ProfileType::GoroutineLeak => Self::Count(column(profile_type.name())?),
        })
    }

    fn value(&self, profile: &Profile, sample: &ProfileSample) -> StackValue {
        let at = |column: usize| sample.value.get(column).copied().unwrap_or(0);
        match *self {
            Self::Count(column) => StackValue {
                inuse_objects: at(column),
                ..StackValue::default()
            },
            Self::Resident { alloc_space, space } => StackValue {
                alloc_space: at(alloc_space),
                inuse_space: at(space),
                inuse_variance: even_variance(profile.period, at(space)),
                ..StackValue::default()
            },
            Self::Heap {
                alloc_objects,
                alloc_space,
                inuse_objects,
                inuse_space,
                sampled,
            } => {
                let value = StackValue {
                    alloc_objects: at(alloc_objects),
                    alloc_space: at(alloc_space),
                    inuse_objects: at(inuse_objects),
                    inuse_space: at(inuse_space),
                    inuse_variance: even_variance(profile.period, at(inuse_space)),
                };
                match sampled {
                    Sampled::ByBytes => value.sampled(profile.period, object_size(profile, sample)),
                    Sampled::Evenly => value,
                }
            }
        }
    }
}

/// The size that all objects of a Go heap sample share: its numeric label `bytes`.
fn object_size(profile: &Profile, sample: &ProfileSample) -> Option<i64> {
    sample
        .label
        .iter()
        .find(|label| label.str == 0 && label.num > 0 && profile.text(label.key) == "bytes")
        .map(|label| label.num)
}

/// Variance of `space` bytes estimated from `space / period` samples, a number that scatters as Poisson's distribution does: `samples *
/// period^2`.
#[expect(
    clippy::cast_precision_loss,
    reason = "a variance is an estimate; 53 bits are more than it has"
)]
fn even_variance(period: i64, space: i64) -> f64 {
    space.max(0) as f64 * period.max(0) as f64
}

fn sample_types(profile: &Profile) -> String {
    let names: Vec<&str> = profile
        .sample_type
        .iter()
        .map(|kind| profile.text(kind.r#type))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Expands stacks into frames. Each location is interned once: stacks share most of theirs.
struct Frames<'a> {
    names: Names<'a>,
    /// Frames of each location met so far, or why they are in no table.
    locations: HashMap<u64, Result<Box<[u32]>, StackTableFull>>,
    stack: Vec<u32>,
    /// What is left of [`MAX_FRAMES_OF_PROFILE`].
    budget: usize,
}

impl<'a> Frames<'a> {
    fn new(profile: &'a Profile) -> Self {
        Self {
            names: Names::new(profile),
            locations: HashMap::new(),
            stack: Vec::new(),
            budget: MAX_FRAMES_OF_PROFILE,
        }
    }

    /// The frames of a stack, innermost first, unless there are more than the bounds allow.
    fn expand(&mut self, location_ids: &[u64], stacks: &mut StackTable) -> Result<&[u32], StackTableFull> {
        self.stack.clear();
        for &id in location_ids {
            let location = self
                .locations
                .entry(id)
                .or_insert_with(|| self.names.intern(id, stacks));
            let frames = location.as_deref().map_err(|full| *full)?;
            if self.stack.len() + frames.len() > MAX_FRAMES {
                return Err(StackTableFull {
                    what: "frames in a stack",
                    bound: MAX_FRAMES,
                });
            }
            self.stack.extend_from_slice(frames);
        }
        self.budget = self.budget.checked_sub(self.stack.len()).ok_or(StackTableFull {
            what: "frames in all stacks",
            bound: MAX_FRAMES_OF_PROFILE,
        })?;
        Ok(&self.stack)
    }

    /// The innermost frame of a stack.
    fn innermost(&self, location_ids: &[u64]) -> Option<Frame> {
        self.names.frames(*location_ids.first()?).next()
    }
}

/// What the ids of a profile stand for.
struct Names<'a> {
    locations: HashMap<u64, &'a Location>,
    /// Name and file of each function.
    functions: HashMap<u64, (Arc<str>, Arc<str>)>,
    /// File of each mapping.
    objects: HashMap<u64, Arc<str>>,
}

impl<'a> Names<'a> {
    fn new(profile: &'a Profile) -> Self {
        let mut texts: HashMap<i64, Arc<str>> = HashMap::new();
        let mut shared = |index: i64| Arc::clone(texts.entry(index).or_insert_with(|| profile.text(index).into()));
        Self {
            locations: profile
                .location
                .iter()
                .map(|location| (location.id, location))
                .collect(),
            functions: profile
                .function
                .iter()
                .map(|function| (function.id, (shared(function.name), shared(function.filename))))
                .collect(),
            objects: profile
                .mapping
                .iter()
                .map(|mapping| (mapping.id, shared(mapping.filename)))
                .collect(),
        }
    }

    /// Interns the frames of a location; more than [`MAX_FRAMES`] are not, as no stack with them is.
    fn intern(&self, id: u64, stacks: &mut StackTable) -> Result<Box<[u32]>, StackTableFull> {
        let frames: Result<Box<[u32]>, _> = self.frames(id).map(|frame| stacks.intern_frame(&frame)).collect();
        frames.map(|mut frames| {
            // All but the outermost have no frame of their own.
            if let Some((_, inlined)) = frames.split_last_mut() {
                for frame in inlined {
                    *frame |= StackTable::INLINED;
                }
            }
            frames
        })
    }

    /// The frames of a location, innermost first.
    fn frames(&self, id: u64) -> impl Iterator<Item = Frame> + '_ {
        let location = self.locations.get(&id).copied();
        let unresolved = location
            .filter(|location| location.line.is_empty())
            .map(|location| self.unresolved(location));
        let lines = location.map_or(&[][..], |location| &location.line);
        let resolved = lines.iter().take(MAX_FRAMES + 1).filter_map(|line| {
            let (function, file) = self.functions.get(&line.function_id)?;
            Some(Frame {
                function: Arc::clone(function),
                file: Arc::clone(file),
                line: u32::try_from(line.line).unwrap_or(0),
            })
        });
        unresolved.into_iter().chain(resolved)
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
mod tests;
