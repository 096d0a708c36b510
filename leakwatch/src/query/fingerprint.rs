//! One name for one leak: the same on every replica and every host, so that a leak on 200 pods is one alert.

use crate::store::view::TargetView;
use leakwatch_analysis::model::verdict::Verdict;

/// Of a verdict that names a place: by the service, the program and the function, not by who runs it, where and when. None without a place.
pub fn fingerprint(target: &TargetView, verdict: &Verdict) -> Option<String> {
    let culprit = verdict.culprit.as_ref()?;
    let history = &target.history;
    let main = history.main_process().or_else(|| history.largest_gone_process());
    let exe = main
        .and_then(|record| record.process.exe.as_deref().ok())
        .unwrap_or_default();
    let mut hasher = crc32fast::Hasher::new();
    for part in [history.target.service.as_str(), exe, &culprit.frame.function] {
        hasher.update(part.as_bytes());
        // What two parts are made of must not make one leak of two.
        hasher.update(&[0]);
    }
    Some(format!("{:08x}", hasher.finalize()))
}
