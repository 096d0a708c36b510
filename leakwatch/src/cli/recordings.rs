//! Recordings of earlier versions replay to what those versions found: class, confidence, culprit and all numbers. What they
//! found is beside each recording, without its sentences (see `tests/README.md`).

use crate::cli::args::Form;
use crate::cli::args::ReplayArgs;
use crate::cli::output::Output;
use crate::cli::replay;
use crate::config::Environment;
use crate::input::Head;
use crate::input::Recorder;
use crate::input::Recording;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

fn recordings() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recordings");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "recording"))
        .collect()
}

fn found(path: &Path) -> Value {
    let args = ReplayArgs {
        file: path.to_owned(),
        until: None,
        serve: None,
    };
    let output = Output::new(Some(Form::Json), &Environment::default()).unwrap();
    serde_json::to_value(replay::play(&args, output).unwrap().body).unwrap()
}

/// Where what was expected is not what was found. Fields may have been added since.
fn difference(expected: &Value, found: &Value, at: &str) -> Option<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .find_map(|(key, value)| difference(value, found.get(key).unwrap_or(&Value::Null), &format!("{at}.{key}"))),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => expected
            .iter()
            .zip(found)
            .enumerate()
            .find_map(|(index, (expected, found))| difference(expected, found, &format!("{at}[{index}]"))),
        // Text to float and back is exact to the last digit only.
        (Value::Number(expected), Value::Number(found))
            if let (Some(expected), Some(found)) = (expected.as_f64(), found.as_f64())
                && (expected - found).abs() <= expected.abs() * 1e-12 =>
        {
            None
        }
        _ => (expected != found).then(|| format!("{at}: {expected} was expected, {found} found")),
    }
}

#[test]
fn recordings_of_the_previous_version_replay_to_the_same_findings() {
    let recordings = recordings();
    assert_eq!(recordings.len(), 5);
    for path in recordings {
        let expected: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        let of_first = found(&path);
        assert_eq!(difference(&expected, &of_first, ""), None, "{}", path.display());
        assert_eq!(
            (&of_first["cut_off"], &of_first["recorded_by"]),
            (&Value::Null, &Value::Null)
        );

        // Written anew in today's format, it says the same but for who made it.
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("copy");
        let head = Head {
            leakwatch: "1.2.3".to_owned(),
            host: Err(Missing::new(MissingReason::NotConfigured, "a test")),
        };
        let mut recorder = Recorder::create(&copy, u64::MAX, &head).unwrap();
        for input in Recording::open(&path).unwrap() {
            recorder.write(&input.unwrap()).unwrap();
        }
        recorder.finish().unwrap();
        let mut of_copy = found(&copy);
        assert_eq!(of_copy["recorded_by"], "1.2.3");
        of_copy["recorded_by"] = Value::Null;
        assert_eq!(difference(&of_first, &of_copy, ""), None, "{}", path.display());
    }
}
