//! The table of functions: what each function holds itself (flat) and with everything it called (cumulative).

use crate::diff::rows::Diff;
use crate::diff::rows::Row;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// Half the width of the 95 % interval of a normal distribution, in standard deviations.
const Z_95: f64 = 1.959_964;

/// A difference and the 95 % interval that the runtime's sampling leaves it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Compare minus base.
    pub delta: i64,
    /// Lower and upper end of the interval; equal to `delta` in an exact profile, `None` where the profile does not tell.
    pub interval: Option<(i64, i64)>,
}

/// One function in both profiles. Functions are told apart by name and file, as `go tool pprof` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDelta {
    /// The function, with the line that contributes most to its difference.
    pub frame: Frame,
    /// Difference of the stacks that end in the function.
    pub flat: Delta,
    /// Difference of the stacks that contain the function.
    pub cum: Delta,
}

/// Values added up.
#[derive(Clone, Copy)]
struct Sum {
    delta: i64,
    variance: Option<f64>,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            delta: 0,
            variance: Some(0.0),
        }
    }
}

impl Sum {
    fn add(&mut self, row: &Row) {
        self.delta = self.delta.saturating_add(row.delta());
        self.variance = self.variance.zip(row.variance).map(|(sum, more)| sum + more);
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float to integer cast saturates, which is what is wanted"
    )]
    fn interval(self) -> Delta {
        let interval = self.variance.map(|variance| {
            let half = (Z_95 * variance.sqrt()).ceil() as i64;
            (self.delta.saturating_sub(half), self.delta.saturating_add(half))
        });
        Delta {
            delta: self.delta,
            interval,
        }
    }
}

struct Function<'a> {
    frame: &'a Frame,
    flat: Sum,
    cum: Sum,
    /// Difference of the stacks through each line.
    lines: BTreeMap<u32, i64>,
    /// The last stack added: a recursive function holds a stack once.
    last: Option<StackId>,
}

impl<'a> Function<'a> {
    fn new(frame: &'a Frame) -> Self {
        Self {
            frame,
            flat: Sum::default(),
            cum: Sum::default(),
            lines: BTreeMap::new(),
            last: None,
        }
    }

    fn add(&mut self, row: &Row, line: u32, is_leaf: bool) {
        if is_leaf {
            self.flat.add(row);
        }
        if self.last != Some(row.stack) {
            self.last = Some(row.stack);
            self.cum.add(row);
            let line = self.lines.entry(line).or_default();
            *line = line.saturating_add(row.delta());
        }
    }

    fn delta(self) -> FunctionDelta {
        FunctionDelta {
            frame: Frame {
                line: heaviest(&self.lines),
                ..self.frame.clone()
            },
            flat: self.flat.interval(),
            cum: self.cum.interval(),
        }
    }
}

impl Diff<'_> {
    /// The functions with the largest differences, by flat difference and then by cumulative difference.
    pub fn top(&self, limit: usize) -> Vec<FunctionDelta> {
        build(self, limit)
    }
}

fn build(diff: &Diff<'_>, limit: usize) -> Vec<FunctionDelta> {
    let mut functions: HashMap<(&str, &str), usize> = HashMap::new();
    let mut sums: Vec<Function<'_>> = Vec::new();
    // Function of each frame: looked up by text only once.
    let mut of_frame: HashMap<u32, usize> = HashMap::new();
    for row in diff.rows() {
        let mut is_leaf = true;
        for index in diff.stacks().frame_indices(row.stack) {
            let Some(frame) = diff.stacks().frame(index) else {
                continue;
            };
            let function = *of_frame.entry(index).or_insert_with(|| {
                *functions.entry((&frame.function, &frame.file)).or_insert_with(|| {
                    sums.push(Function::new(frame));
                    sums.len() - 1
                })
            });
            if let Some(function) = sums.get_mut(function) {
                function.add(row, frame.line, is_leaf);
            }
            is_leaf = false;
        }
    }
    let mut top: Vec<FunctionDelta> = sums.into_iter().map(Function::delta).collect();
    top.sort_by(|a, b| rank(a).cmp(&rank(b)));
    top.truncate(limit);
    top
}

fn heaviest(lines: &BTreeMap<u32, i64>) -> u32 {
    lines
        .iter()
        .max_by_key(|(line, delta)| (delta.unsigned_abs(), Reverse(**line)))
        .map_or(0, |(line, _)| *line)
}

/// Largest first; names make the order the same in every run.
fn rank(function: &FunctionDelta) -> impl Ord + '_ {
    (
        Reverse(function.flat.delta.unsigned_abs()),
        Reverse(function.cum.delta.unsigned_abs()),
        &function.frame,
    )
}
