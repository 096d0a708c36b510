//! Any text as the path of a cgroup: it is a container's, a unit's or neither, and what is said of it comes from the path.
#![no_main]

#[path = "../../leakwatch/src/identity/container/mod.rs"]
mod container;

use leakwatch_analysis::model::target::TargetKind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = String::from_utf8_lossy(bytes);
    let recognised = container::recognise(&path);
    assert_eq!(recognised.kind == TargetKind::Container, recognised.container.is_some());
    assert!(recognised.name.len() <= path.len().max(1));
    if let Some(container) = &recognised.container {
        assert!(path.contains(&container.id));
        assert!(container.pod_uid.as_ref().is_none_or(|uid| (32..=36).contains(&uid.len())));
    }
    if let Some(unit) = &recognised.unit {
        assert!(!unit.is_empty() && unit.len() <= path.len());
    }
});
