//! Any bytes as a recording: read up to its first damaged frame without a panic. What was read is recorded and read again, and says
//! the same.
#![no_main]

#[path = "../../leakwatch/src/input/mod.rs"]
mod input;

use input::Head;
use input::Input;
use input::RecordError;
use input::Recorder;
use input::Recording;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut recording) = Recording::read(bytes, Path::new("input")) else { return };
    let mut inputs: Vec<Input> = Vec::new();
    for input in recording.by_ref() {
        match input {
            Ok(input) => inputs.push(input),
            Err(RecordError::Malformed { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    // A frame takes at least its length.
    assert!(inputs.len() <= bytes.len());
    if inputs.is_empty() {
        return;
    }
    let missing = || Missing::new(MissingReason::NotYet, "not asked for");
    let host = HostIdentity { machine_id: Err(missing()), boot_id: Err(missing()), node_name: Err(missing()) };
    // A file in memory: libFuzzer runs one input at a time, and each process has its own.
    let path = format!("/dev/shm/leakwatch-fuzz-{}.recording", std::process::id());
    let path = Path::new(&path);
    let mut recorder = Recorder::create(path, u64::MAX, &Head::of(host)).unwrap();
    for input in &inputs {
        recorder.write(input).unwrap();
    }
    recorder.finish().unwrap();
    let again: Vec<Input> = Recording::open(path).unwrap().map(Result::unwrap).collect();
    std::fs::remove_file(path).unwrap();
    let text = |inputs: &[Input]| inputs.iter().map(|input| format!("{input:?}")).collect::<Vec<_>>();
    assert_eq!(text(&again), text(&inputs));
});
