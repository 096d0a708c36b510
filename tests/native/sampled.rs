//! With samples taken by bytes, what they stand for is what the program has allocated and kept, as surely as the estimate says.

use crate::programs::Program;
use crate::programs::Truth;
use crate::programs::alone;
use crate::programs::compile;
use crate::programs::counted;
use leakwatch::capture::lanes::native::Session;
use leakwatch_nativeproc::symbols::Symbols;
use std::collections::BTreeMap;

const MEAN_BYTES: u64 = 65_536;

#[test]
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn estimates_are_as_good_as_they_say() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let executable = compile("pairs", directory.path()).unwrap();
    // Half of it is kept: 236 MB, in sizes from 16 to 928 bytes.
    let program = Program::start(&executable, &["1000000", "50"], directory.path()).unwrap();
    let mut session = Session::start(program.pid(), MEAN_BYTES).unwrap();
    let truth = program.run(|| session.poll()).unwrap();
    session.detach();
    println!(
        "{:?} ns for a pair, {:?}",
        program.nanoseconds_per_pair(),
        session.counts()
    );
    assert_eq!(session.losses(), []);
    let rows = session.rows();
    let mut symbols = Symbols::of_process(program.pid());
    let counted: BTreeMap<String, Truth> = counted(&rows, &mut symbols)
        .into_iter()
        .map(|row| (row.function.clone(), row))
        .collect();

    // All together: four standard deviations, which chance exceeds once in 16,000 runs.
    let variance: f64 = rows.iter().map(|row| row.value.inuse_variance).sum();
    let sum = |value: fn(&Truth) -> i64, of: &mut dyn Iterator<Item = &Truth>| of.map(value).sum::<i64>() as f64;
    let live = sum(|truth| truth.inuse_space, &mut truth.iter());
    let live_estimate = sum(|truth| truth.inuse_space, &mut counted.values());
    let deviation = variance.sqrt();
    println!("{live_estimate} live bytes estimated, {live} kept, deviation {deviation}");
    assert!((live_estimate - live).abs() < 4.0 * deviation);
    assert!(deviation < live * 0.03);
    let objects = sum(|truth| truth.inuse_objects, &mut truth.iter());
    let objects_estimate = sum(|truth| truth.inuse_objects, &mut counted.values());
    assert!(
        (objects_estimate / objects - 1.0).abs() < 0.3,
        "{objects_estimate} of {objects}"
    );
    let allocated = sum(|truth| truth.alloc_space, &mut truth.iter());
    let allocated_estimate = sum(|truth| truth.alloc_space, &mut counted.values());
    assert!(
        (allocated_estimate / allocated - 1.0).abs() < 0.06,
        "{allocated_estimate} of {allocated}"
    );

    // Each of the 200 stacks by itself: its interval holds the truth for 95 of 100, the smallest ones having too few samples for one.
    let mut judged = 0;
    let mut held = 0;
    for row in &rows {
        let Some(name) = row
            .addresses
            .first()
            .and_then(|address| symbols.frames(*address).first())
        else {
            continue;
        };
        let Some(truth) = truth.iter().find(|truth| *truth.function == *name.function) else {
            continue;
        };
        let expected_samples = truth.inuse_space / 65_536;
        if expected_samples < 10 {
            continue;
        }
        judged += 1;
        let away = (row.value.inuse_space - truth.inuse_space).abs() as f64;
        held += i32::from(away <= 1.96 * row.value.inuse_variance.sqrt());
    }
    println!("{held} of {judged} intervals hold the truth");
    assert!(judged >= 100, "{judged} stacks");
    assert!(f64::from(held) >= 0.86 * f64::from(judged), "{held} of {judged}");
}
