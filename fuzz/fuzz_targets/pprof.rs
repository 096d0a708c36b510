//! Any bytes as a profile: decoded, encoded again, summed up, compared and drawn, without a panic and with sums kept.
#![no_main]

use leakwatch_analysis::diff::Diff;
use leakwatch_analysis::export;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::SampleType;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::pprof;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bounds = pprof::Bounds {
        max_decompressed_bytes: 4 << 20,
        ..pprof::Bounds::default()
    };
    let Ok(profile) = pprof::decode(bytes, &bounds) else {
        return;
    };
    assert_eq!(
        pprof::decode(&pprof::encode(&profile), &pprof::Bounds::default()).unwrap(),
        profile
    );
    for profile_type in ProfileType::ALL {
        let mut stacks = StackTable::default();
        let Ok(summary) = pprof::summarize(&profile, profile_type, &mut stacks) else {
            continue;
        };
        assert!(summary.total.inuse_variance.is_finite());
        for &sample_type in SampleType::of(profile_type) {
            let diff = Diff::new(&stacks, sample_type, [], &summary.values);
            assert_eq!(diff.compare_total(), sample_type.value(&summary.total));
            let tree = diff.tree(20);
            assert!(tree.nodes.len() <= 20);
            assert_eq!(tree.nodes[0].compare, diff.compare_total());
            assert!(diff.top(10).len() <= 10);
            for line in export::folded(&diff).lines() {
                assert!(line.rsplit_once(' ').unwrap().1.parse::<i64>().is_ok());
            }
            assert_eq!(
                export::speedscope(&diff).samples.len(),
                export::speedscope(&diff).weights.len()
            );
        }
    }
});
