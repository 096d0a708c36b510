//! Where a frame is in the source code.

use crate::dto::missing::MissingMap;
use leakwatch_analysis::model::stack::Frame;

/// File and line, where the profile has them.
pub(super) fn file_and_line(frame: &Frame) -> (Option<String>, Option<u32>) {
    let file = Some(frame.file.to_string()).filter(|file| !file.is_empty());
    (file, Some(frame.line).filter(|line| *line != 0))
}

/// The same; what is unknown is missing.
pub(super) fn known_file_and_line(frame: &Frame, missing: &mut MissingMap) -> (Option<String>, Option<u32>) {
    let (file, line) = file_and_line(frame);
    (
        missing.applicable("file", file, "the profile has no file for it"),
        missing.applicable("line", line, "the profile has no line for it"),
    )
}
