//! Two profiles of one target compared: compare minus base per stack, as a tree and as a table of functions.
//!
//! One profile alone is compared with nothing, so that every format has one source. Works on the values of one
//! `StackTable`; must not judge: which difference is a leak is for the detectors.

mod variance;
mod rows;
mod tree;
mod top;

pub use rows::Diff;
pub use rows::Row;
pub use top::Delta;
pub use top::FunctionDelta;
pub use tree::Node;
pub use tree::NodeName;
pub use tree::Tree;

#[cfg(test)]
mod tests;
