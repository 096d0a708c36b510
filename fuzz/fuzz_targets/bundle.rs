//! Any bytes as a bundle: decoded without a panic, within its bounds. What decodes is written and read again, and says the same.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the modules are those of the daemon, of which this needs a part")]

#[path = "../../leakwatch/src/input/mod.rs"]
mod input;
#[path = "../../leakwatch/src/store/mod.rs"]
mod store;

use libfuzzer_sys::fuzz_target;
use store::bundle;
use store::bundle::Bundle;

fuzz_target!(|bytes: &[u8]| {
    let decoded = match bundle::decode(bytes) {
        // Behind the head is what is compressed, which no change of bytes gets right.
        Err(bundle::BundleError::NotABundle | bundle::BundleError::Damaged { .. }) => bundle::decode_body(bytes),
        other => other,
    };
    let Ok(decoded) = decoded else { return };
    let Ok(written) = bundle::encode(&decoded) else { return };
    let again = bundle::decode(&written).expect("what was written is read");
    assert_eq!(text(&again), text(&decoded));
});

/// What a bundle says: tables of stacks are left out, which are made anew.
fn text(bundle: &Bundle) -> String {
    let targets: Vec<String> = bundle
        .targets
        .iter()
        .map(|target| {
            let history = &target.history;
            let values: Vec<usize> =
                history.series().flat_map(|series| series.as_slice()).map(|snapshot| snapshot.values.len()).collect();
            format!("{:?} {:?} {:?} {values:?}", history.points, history.processes, history.past_runs)
        })
        .collect();
    format!("{:?} {} {:?} {:?} {targets:?}", bundle.made_at, bundle.subject, bundle.events, bundle.runs)
}
