//! The data of a speedscope file (`https://www.speedscope.app/file-format-schema.json`), one sampled profile.

use crate::diff::Diff;
use crate::model::stack::Frame;
use std::collections::HashMap;

/// What goes into the file: `shared.frames`, and `samples`, `weights`, `unit` and `endValue` of the one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speedscope<'a> {
    /// Frames by index.
    pub frames: Vec<&'a Frame>,
    /// Stacks as indices of frames, root first.
    pub samples: Vec<Vec<usize>>,
    /// Value of each stack.
    pub weights: Vec<i64>,
    /// Sum of the weights.
    pub end_value: i64,
    /// Unit of the weights: `bytes` or `none`, which is the format's word for counts.
    pub unit: &'static str,
}

/// The compared profile of a diff; speedscope has no notion of a base. Stacks without a positive value are left out,
/// which is also all that the format allows.
pub fn speedscope<'a>(diff: &Diff<'a>) -> Speedscope<'a> {
    let mut indices: HashMap<&Frame, usize> = HashMap::new();
    let mut file = Speedscope {
        frames: Vec::new(),
        samples: Vec::new(),
        weights: Vec::new(),
        end_value: 0,
        unit: match diff.sample_type().unit() {
            "bytes" => "bytes",
            _ => "none",
        },
    };
    for row in diff.rows().iter().filter(|row| row.compare > 0) {
        let stack = diff
            .stacks()
            .outermost_first(row.stack)
            .into_iter()
            .map(|frame| {
                *indices.entry(frame).or_insert_with(|| {
                    file.frames.push(frame);
                    file.frames.len() - 1
                })
            })
            .collect();
        file.samples.push(stack);
        file.weights.push(row.compare);
        file.end_value = file.end_value.saturating_add(row.compare);
    }
    file
}
