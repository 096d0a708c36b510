//! The one loop: every input passes here, in order. Recordable and replayable.

pub mod input;
