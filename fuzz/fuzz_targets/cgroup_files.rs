//! Any bytes as the files of a cgroup and of a process: numbers are read, or the text is refused.
#![no_main]

#[allow(dead_code, reason = "of the daemon, of which this needs a part")]
#[path = "../../leakwatch/src/collect/parse.rs"]
mod parse;

use libfuzzer_sys::fuzz_target;

const STAT: [(&str, usize); 4] = [("anon", 0), ("file", 1), ("total_rss", 2), ("pgfault", 3)];
const PRESSURE: [(&str, usize); 3] = [("some avg10", 0), ("some total", 1), ("full avg10", 2)];

fuzz_target!(|bytes: &[u8]| {
    let is_number = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(number) = parse::number(bytes) {
        assert_eq!(is_number(bytes), Some(number));
    }
    parse::limit_v2(bytes);
    let mut pids = Vec::new();
    if parse::pids(bytes, &mut pids).is_some() {
        assert!(pids.iter().all(|pid| *pid != 0));
    }
    // Two bytes each at least.
    assert!(pids.len() <= bytes.len() / 2 + 1);
    let mut found = 0;
    parse::keyed(bytes, &STAT, |key, _| {
        assert!(key < STAT.len());
        found += 1;
    });
    parse::pressure(bytes, &PRESSURE, |_, _| found += 1);
    parse::numa(bytes, 4096, &STAT, |_, _| found += 1);
    assert!(found <= 3 * bytes.len());
    if let Some(status) = parse::status(bytes) {
        assert!(status.name.len() <= bytes.len());
    }
});
