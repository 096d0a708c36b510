//! The engine on a thread of its own: inputs come through one bounded channel, from every source, in the order they are taken.

use crate::engine::Engine;
use crate::input::Input;
use std::io;
use std::thread;
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Inputs under way. A round of 500 targets is about 500 inputs; senders wait when the engine is busy.
const CAPACITY: usize = 1_024;

/// Starts the engine. It ends, and finishes its recording, when all senders are gone.
pub(super) fn start(engine: Engine) -> io::Result<(mpsc::Sender<Input>, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let thread = thread::Builder::new()
        .name("engine".into())
        .spawn(move || engine.run(receiver))?;
    Ok((sender, thread))
}
