//! A recording played through a fresh engine: the same inputs, the same findings.

use crate::engine::Engine;
use crate::input::Head;
use crate::input::Input;
use crate::input::RecordError;
use crate::input::Recording;
use crate::input::Skipped;
use crate::store::Bounds;
use crate::store::view::View;
use leakwatch_analysis::model::units::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// What a replay reached.
#[derive(Debug)]
pub struct Replayed {
    /// Everything that was known at the end.
    pub view: Arc<View>,
    /// Who knows it.
    pub engine: Engine,
    /// Inputs played.
    pub inputs: u64,
    /// Set when the recording ends in the middle of an input or cannot be understood from there on.
    pub cut_off: Option<RecordError>,
    /// Who made the recording, if it tells.
    pub head: Option<Head>,
    /// What was left out because only later versions know it.
    pub skipped: Skipped,
}

/// Plays a recording to its end, or to the end of the first round at or after `until`.
pub fn replay(path: &Path, until: Option<Timestamp>) -> Result<Replayed, RecordError> {
    let mut engine = Engine::new(Bounds::default(), None);
    let (mut inputs, mut cut_off) = (0, None);
    let mut recording = Recording::open(path)?;
    for input in recording.by_ref() {
        match input {
            Ok(input) => {
                let last = matches!(input, Input::Tick { at } if until.is_some_and(|until| at >= until));
                engine.apply(input);
                inputs += 1;
                if last {
                    break;
                }
            }
            Err(error) => {
                cut_off = Some(error);
                break;
            }
        }
    }
    engine.publish();
    Ok(Replayed {
        view: engine.views().newest(),
        engine,
        inputs,
        cut_off,
        head: recording.head().cloned(),
        skipped: recording.skipped(),
    })
}
