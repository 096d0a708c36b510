//! What an answer costs: the daemon asks for every changed target at every tick.

use super::MIB;
use super::Setup;
use super::programs::program;
use super::programs::steady;
use super::run;
use crate::investigate;
use std::collections::BTreeMap;

/// Prints the cost; it is not asserted, because the machine that runs the tests may be busy with other things. The numbers of a
/// quiet one are in `docs/experiments/detectors.md`.
#[test]
fn cost_of_an_ordinary_target() {
    let mut setup = Setup::new(Some(512.0 * MIB), 1200.0, 1);
    setup.profile_interval = None;
    for (name, setup) in [
        ("without profiles", setup),
        ("with profiles", Setup::new(Some(512.0 * MIB), 600.0, 1)),
    ] {
        let outcome = run(&program(steady(60.0 * MIB), 10.0 * MIB), &setup);
        let at = outcome.history.newest_at;
        #[expect(
            clippy::disallowed_methods,
            reason = "a measurement of this test, not an input of the core"
        )]
        let started = std::time::Instant::now();
        for _ in 0..200 {
            std::hint::black_box(investigate(&outcome.history, &BTreeMap::new(), &[], at));
        }
        println!("investigate {name}: {:?}", started.elapsed() / 200);
    }
}
