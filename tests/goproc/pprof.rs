//! What we read from and write to real Go profiles, judged by `go tool pprof`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use leakwatch_analysis::diff::Diff;
use leakwatch_analysis::diff::FunctionDelta;
use leakwatch_analysis::export;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::SampleType;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::pprof::Bounds;
use leakwatch_analysis::pprof::decode;
use leakwatch_analysis::pprof::encode;
use leakwatch_analysis::pprof::summarize;
use leakwatch_test_support::programs::Go;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pprof");
    std::fs::create_dir_all(&directory).unwrap();
    Go::on_path().build("profiled", &directory).unwrap()
});

/// Profiles of two rounds, taken with this `runtime.MemProfileRate`.
struct Profiles {
    dir: tempfile::TempDir,
}

impl Profiles {
    fn take(rate: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut program = Command::new(&*PROGRAM);
        program.arg(format!("-rate={rate}")).arg("-dir").arg(dir.path());
        assert!(program.status().unwrap().success());
        Self { dir }
    }

    fn path(&self, profile_type: ProfileType, round: u32) -> PathBuf {
        self.dir.path().join(format!("{}.{round}.pb.gz", profile_type.name()))
    }

    fn summary(&self, profile_type: ProfileType, round: u32, stacks: &mut StackTable) -> Summary {
        let bytes = std::fs::read(self.path(profile_type, round)).unwrap();
        summarize(&decode(&bytes, &Bounds::default()).unwrap(), profile_type, stacks).unwrap()
    }
}

const TYPES: [ProfileType; 2] = [ProfileType::Heap, ProfileType::Goroutine];

fn pprof(arguments: &[&str], files: &[&Path]) -> String {
    let files = files.iter().map(|file| file.to_str().unwrap());
    let arguments: Vec<&str> = arguments.iter().copied().chain(files).collect();
    Go::on_path()
        .pprof(&arguments, Path::new(env!("CARGO_TARGET_TMPDIR")))
        .unwrap()
}

/// Flat and cumulative value by function, as `go tool pprof -top` prints it.
fn top(sample_type: SampleType, flags: &[&str], files: &[&Path]) -> BTreeMap<String, (i64, i64)> {
    let index = format!("-sample_index={}", sample_type.name());
    let mut arguments = vec![
        "-top",
        "-nodecount=1000000",
        "-nodefraction=0",
        "-edgefraction=0",
        "-unit=B",
        &index,
    ];
    if sample_type.unit() == "count" {
        arguments.retain(|argument| *argument != "-unit=B");
    }
    arguments.extend_from_slice(flags);
    let text = pprof(&arguments, files);
    let table = text.lines().skip_while(|line| !line.contains("flat%")).skip(1);
    table
        .map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let number = |text: &str| text.trim_end_matches('B').parse::<i64>().unwrap();
            let name = columns[5..]
                .join(" ")
                .replace(" (inline)", "")
                .replace(" (partial-inline)", "");
            (name, (number(columns[0]), number(columns[3])))
        })
        .collect()
}

/// The same from our table.
fn our_top(top: &[FunctionDelta]) -> BTreeMap<String, (i64, i64)> {
    top.iter()
        .map(|function| {
            (
                function.frame.function.to_string(),
                (function.flat.delta, function.cum.delta),
            )
        })
        .filter(|(_, deltas)| *deltas != (0, 0))
        .collect()
}

#[test]
fn a_round_trip_changes_nothing_that_go_sees() {
    for rate in [1, 4096, 524_288] {
        let profiles = Profiles::take(rate);
        for profile_type in TYPES {
            let before = profiles.path(profile_type, 1);
            let after = profiles.dir.path().join("after.pb.gz");
            let profile = decode(&std::fs::read(&before).unwrap(), &Bounds::default()).unwrap();
            std::fs::write(&after, encode(&profile)).unwrap();
            let raw = pprof(&["-raw"], &[&before]);
            assert!(raw.contains("main.main"), "{raw}");
            assert_eq!(raw, pprof(&["-raw"], &[&after]));
        }
    }
}

#[test]
fn flat_and_cumulative_values_are_those_of_go() {
    for rate in [1, 4096] {
        let profiles = Profiles::take(rate);
        for profile_type in TYPES {
            let mut stacks = StackTable::default();
            let summary = profiles.summary(profile_type, 1, &mut stacks);
            for &sample_type in SampleType::of(profile_type) {
                let ours = Diff::new(&stacks, sample_type, [], &summary.values).top(usize::MAX);
                let theirs = top(sample_type, &[], &[&profiles.path(profile_type, 1)]);
                assert!(theirs.len() > 3, "{theirs:?}");
                assert_eq!(our_top(&ours), theirs, "{sample_type:?} at rate {rate}");
            }
        }
    }
}

#[test]
fn differences_are_those_of_go() {
    let profiles = Profiles::take(4096);
    for profile_type in TYPES {
        let mut stacks = StackTable::default();
        let base = profiles.summary(profile_type, 0, &mut stacks);
        let compare = profiles.summary(profile_type, 1, &mut stacks);
        let ours = profiles.dir.path().join("diff.pb.gz");
        let taken = |second, summary: &Summary| Snapshot {
            target: TargetId::from_text("target"),
            process: ProcessKey { pid: 1, start_ticks: 1 },
            profile_type,
            at: Timestamp::from_unix_seconds(second),
            source: ProfileSource::Endpoint,
            values: summary.values.clone(),
            total: summary.total,
            period: summary.period,
            program: summary.program.clone(),
            losses: [].into(),
        };
        let newest = taken(70, &compare);
        let whole = profiles.dir.path().join("whole.pb.gz");
        std::fs::write(&whole, encode(&export::pprof(&stacks, &newest))).unwrap();
        for &sample_type in SampleType::of(profile_type) {
            let theirs = top(sample_type, &[], &[&profiles.path(profile_type, 1)]);
            assert_eq!(
                top(sample_type, &[], &[&whole]),
                theirs,
                "{sample_type:?} written from values"
            );
        }
        let diff = export::pprof_diff(&stacks, &taken(10, &base), &newest);
        decode(&encode(&diff), &Bounds::default()).unwrap();
        std::fs::write(&ours, encode(&diff)).unwrap();
        for &sample_type in SampleType::of(profile_type) {
            let diff_base = format!("-diff_base={}", profiles.path(profile_type, 0).display());
            let theirs = top(sample_type, &[&diff_base], &[&profiles.path(profile_type, 1)]);
            let table = Diff::new(&stacks, sample_type, &base.values, &compare.values).top(usize::MAX);
            assert!(theirs.len() > 1, "{theirs:?}");
            assert_eq!(our_top(&table), theirs, "{sample_type:?}");
            assert_eq!(top(sample_type, &[], &[&ours]), theirs, "{sample_type:?} as pprof");
        }
    }
}

/// The program always keeps the same; 40 sampled runs of it must spread as far as their intervals say, and no further.
#[test]
fn the_interval_of_a_sampled_profile_contains_the_truth() {
    let growth = |rate| {
        let profiles = Profiles::take(rate);
        let mut stacks = StackTable::default();
        let base = profiles.summary(ProfileType::Heap, 0, &mut stacks);
        let compare = profiles.summary(ProfileType::Heap, 1, &mut stacks);
        let diff = Diff::new(&stacks, SampleType::InuseSpace, &base.values, &compare.values);
        let top = diff.top(usize::MAX);
        let fill = top
            .into_iter()
            .find(|function| &*function.frame.function == "main.fillCache");
        fill.unwrap().cum
    };
    let truth = growth(1);
    assert_eq!(truth.interval, Some((truth.delta, truth.delta)), "rate 1 is exact");
    let runs = 40;
    let (mut inside, mut squares) = (0, 0.0);
    for _ in 0..runs {
        let estimate = growth(65_536);
        let (low, high) = estimate.interval.unwrap();
        inside += i32::from((low..=high).contains(&truth.delta));
        let deviation = float(high - low) / (2.0 * 1.96);
        squares += (float(truth.delta - estimate.delta) / deviation).powi(2);
    }
    // 95 % of 40 are 38; fewer than 32 happen once in 7,000 times.
    assert!(inside >= 32, "{inside} of {runs} intervals contain the truth");
    let spread = (squares / f64::from(runs)).sqrt();
    assert!((0.6..1.6).contains(&spread), "errors are {spread} standard deviations");
}

#[expect(clippy::cast_precision_loss, reason = "statistics")]
fn float(value: i64) -> f64 {
    value as f64
}
