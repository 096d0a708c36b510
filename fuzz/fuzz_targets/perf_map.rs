//! Any bytes as the list of what a process has compiled at run time: a name is one of its lines.
#![no_main]
#![allow(dead_code, reason = "the modules are those of the crate, of which this needs a part")]

#[path = "../../leakwatch/nativeproc/src/perf_map.rs"]
mod perf_map;
#[path = "../../leakwatch/nativeproc/src/regular.rs"]
mod regular;

use libfuzzer_sys::fuzz_target;
use perf_map::PerfMap;

fuzz_target!(|bytes: &[u8]| {
    let map = PerfMap::parse(bytes.to_vec());
    for address in [0, 0x1000, 0x1010, 0x7fff_ffff_f000, u64::MAX] {
        let Some(name) = map.name(address) else { continue };
        assert!(!name.is_empty() && String::from_utf8_lossy(bytes).contains(&name));
    }
});
