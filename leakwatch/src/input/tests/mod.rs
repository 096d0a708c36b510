//! Every kind of input survives the way to the file and back; a damaged file is read as far as it is whole.

mod every_input;

use super::*;
use crate::input::messages::MAGIC;
use every_input::head;
use every_input::inputs;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use prost::Message as _;
use std::path::Path;
use std::path::PathBuf;

fn record(dir: &Path, bound: u64) -> (PathBuf, Vec<Result<(), RecordError>>) {
    let path = dir.join("inputs.lwrec");
    let mut recorder = Recorder::create(&path, bound, &head()).unwrap();
    let written = inputs().iter().map(|input| recorder.write(input)).collect();
    recorder.finish().unwrap();
    (path, written)
}

/// Debug text covers every field of every input, so that a field forgotten on the wire fails here.
fn text(inputs: &[Input]) -> Vec<String> {
    inputs.iter().map(|input| format!("{input:?}")).collect()
}

#[test]
fn every_input_survives() {
    let dir = tempfile::tempdir().unwrap();
    let (path, written) = record(dir.path(), u64::MAX);
    assert!(written.iter().all(Result::is_ok));
    let mut recording = Recording::open(&path).unwrap();
    assert_eq!(recording.head(), Some(&head()));
    let read: Vec<Input> = recording.by_ref().collect::<Result<_, _>>().unwrap();
    assert_eq!(text(&read), text(&inputs()));
    assert_eq!(recording.skipped(), Skipped::default());
}

#[test]
fn a_recording_cut_anywhere_is_read_up_to_its_last_whole_frame() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = record(dir.path(), u64::MAX);
    let whole = std::fs::read(&path).unwrap();
    let expected = text(&inputs());
    for length in MAGIC.len()..whole.len() {
        let mut good = Vec::new();
        let recording = match Recording::read(&whole[..length], &path) {
            Ok(recording) => recording,
            Err(RecordError::Malformed { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        for input in recording {
            match input {
                Ok(input) => good.push(input),
                Err(error) => {
                    assert!(matches!(error, RecordError::Malformed { .. }), "{error}");
                    break;
                }
            }
        }
        assert_eq!(text(&good), expected[..good.len()]);
        assert!(good.len() < expected.len());
    }
}

#[test]
fn flipped_bits_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = record(dir.path(), u64::MAX);
    let whole = std::fs::read(&path).unwrap();
    for position in MAGIC.len()..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1 << (position % 8);
        let Ok(recording) = Recording::read(bytes.as_slice(), &path) else {
            continue;
        };
        let _inputs: Vec<_> = recording.take_while(Result::is_ok).collect();
    }
}

#[test]
fn a_full_recording_ends_for_good_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (path, written) = record(dir.path(), 300);
    let first_lost = written.iter().position(Result::is_err).unwrap();
    assert!(
        written[first_lost..]
            .iter()
            .all(|result| matches!(result, Err(RecordError::Full { .. })))
    );
    let read: Vec<Input> = Recording::open(&path).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(read.len(), first_lost);
}

#[test]
fn other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    for bytes in [&b""[..], b"LWREC", b"LWREC\0\0\0rest", b"{\"json\": true}"] {
        std::fs::write(&path, bytes).unwrap();
        assert!(
            matches!(Recording::open(&path), Err(RecordError::NotARecording { .. })),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_newer_format_is_refused_with_what_to_do() {
    let error = Recording::read(&b"LWREC\0\0\x03rest"[..], Path::new("x")).unwrap_err();
    assert!(
        matches!(
            error,
            RecordError::Newer {
                found: 3,
                newest: 2,
                ..
            }
        ),
        "{error}"
    );
}

/// A varint of one byte after a tag: a field of whatever later version.
fn with_field(mut message: Vec<u8>, field: u32, value: u8) -> Vec<u8> {
    prost::encoding::encode_key(field, prost::encoding::WireType::Varint, &mut message);
    message.push(value);
    message
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::try_from(message.len()).unwrap()];
    frame.extend(message);
    frame
}

#[test]
fn what_a_later_version_says_is_skipped_and_counted() {
    let at = Timestamp::from_unix_seconds(1);
    let tick = messages::Envelope {
        at: at.unix_nanos(),
        kind: Some(messages::Kind::Tick(messages::Tick {})),
    };
    let sample = |numbers: Vec<u32>, files: Vec<messages::UnreadFile>| messages::Envelope {
        at: at.unix_nanos(),
        kind: Some(messages::Kind::Sample(Box::new(messages::Sample {
            target: "t".into(),
            cgroup: Some(messages::CgroupMemory {
                counters: Some(messages::Counters {
                    values: numbers.iter().map(|number| u64::from(*number)).collect(),
                    numbers,
                    unread_files: files,
                    version: 2,
                }),
                ..messages::CgroupMemory::default()
            }),
            ..messages::Sample::default()
        }))),
    };
    let later_file = messages::UnreadFile {
        name: "memory.later".into(),
        missing: Some(messages::Missing {
            reason: 77,
            ..messages::Missing::default()
        }),
    };
    let no_kind = messages::Envelope {
        at: at.unix_nanos(),
        kind: None,
    };
    let mut bytes = MAGIC.to_vec();
    bytes.extend(frame(&with_field(messages::Head::default().encode_to_vec(), 99, 1)));
    bytes.extend(frame(&with_field(tick.encode_to_vec(), 99, 1)));
    bytes.extend(frame(&with_field(no_kind.encode_to_vec(), 99, 1)));
    bytes.extend(frame(&sample(vec![1, 127], vec![later_file]).encode_to_vec()));
    let mut recording = Recording::read(bytes.as_slice(), Path::new("x")).unwrap();
    let read: Vec<Input> = recording.by_ref().collect::<Result<_, _>>().unwrap();
    let [Input::Tick { .. }, Input::Sample(sample)] = read.as_slice() else {
        panic!("{read:?}");
    };
    let known: Vec<_> = sample.cgroup.as_ref().unwrap().counters.iter().collect();
    assert_eq!(known, [(Counter::Anon, 1)]);
    let skipped = Skipped {
        inputs: 1,
        counters: 2,
        fields: 1,
    };
    assert_eq!(recording.skipped(), skipped);
}

proptest::proptest! {
    #[test]
    fn any_counters_survive(values in proptest::collection::btree_map(1_u32..200, proptest::prelude::any::<u64>(), 0..150), version in 0..3) {
        let version = [None, Some(CgroupVersion::V1), Some(CgroupVersion::V2)][usize::try_from(version).unwrap()];
        let known = values.iter().filter_map(|(number, value)| Some((Counter::from_number(*number)?, *value)));
        let counters = Counters::new(version, known);
        let input = Input::Sample(Sample {
            target: TargetId::from_text("t"),
            at: Timestamp::from_unix_nanos(7),
            cgroup: Ok(CgroupMemory { charge: Bytes(1), limit: Limit::Max, counters }),
            new_processes: Vec::new(),
            processes: Vec::new(),
        });
        let frame = codec::encode(&input);
        let message = messages::Envelope::decode_length_delimited(frame.as_slice()).unwrap().encode_to_vec();
        let mut skipped = Skipped::default();
        let read = codec::decode(&message, &mut skipped).unwrap().unwrap();
        proptest::prop_assert_eq!(format!("{read:?}"), format!("{input:?}"));
        proptest::prop_assert_eq!(skipped, Skipped::default());
    }

    #[test]
    fn garbage_is_refused_or_read_never_worse(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512)) {
        for form in [1, 2] {
            let mut recording = MAGIC.to_vec();
            recording.truncate(MAGIC.len() - 1);
            recording.push(form);
            recording.extend(&bytes);
            if let Ok(recording) = Recording::read(recording.as_slice(), Path::new("x")) {
                proptest::prop_assert!(recording.take_while(Result::is_ok).count() <= bytes.len());
            }
        }
    }
}
