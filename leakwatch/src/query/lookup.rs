//! From what a person writes to a target: its id or the start of one, a pid, a cgroup path or its directory, a container id or the start of one,
//! the uid of a pod, a unit name.

use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;

/// The shortest start of an id that is looked for.
const MIN_ID_PREFIX: usize = 4;
/// Candidates that are named when several targets fit.
const MAX_CANDIDATES: usize = 5;

/// Why it is not clear which target is meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// None fits.
    #[error("no target `{text}`")]
    Unknown {
        /// What was written.
        text: String,
    },
    /// Several fit equally well.
    #[error("{count} targets fit `{text}`: {}", candidates.join(", "))]
    Ambiguous {
        /// What was written.
        text: String,
        /// How many fit.
        count: usize,
        /// Some of them, with their cgroup paths.
        candidates: Vec<String>,
    },
}

/// The target that is meant. Living ones are preferred.
pub fn target<'a>(view: &'a View, text: &str) -> Result<(&'a TargetId, &'a TargetView), LookupError> {
    if let Some(found) = view.targets().find(|(id, _)| id.as_str() == text) {
        return Ok(found);
    }
    if let Ok(pid) = text.parse::<u32>() {
        let by_pid = matching(view, |target| {
            target.history.living().any(|record| record.process.key.pid == pid)
        });
        if !by_pid.is_empty() {
            return single(text, &by_pid);
        }
    }
    // As Kubernetes writes it: docker://ID.
    if let Some((_runtime, id)) = text.split_once("://") {
        return single(text, &matching(view, |target| is_container(&target.history.target, id)));
    }
    if text.contains('/') {
        let paths = cgroup_paths(text);
        return single(
            text,
            &matching(view, |target| paths.contains(&target.history.target.cgroup.path)),
        );
    }
    let by_name = matching(view, |target| is_name(&target.history.target, text));
    if !by_name.is_empty() {
        return single(text, &by_name);
    }
    single(
        text,
        &matching(view, |target| {
            let of = &target.history.target;
            is_container(of, text) || is_start(of.id().as_str(), text) || is_pod(of, text)
        }),
    )
}

/// What cgroup a path may mean: itself, or as a directory below the mount points that systemd makes, with the controllers of cgroup v1.
fn cgroup_paths(text: &str) -> Vec<String> {
    let path = format!("/{}", text.trim_matches('/'));
    let mut paths = Vec::new();
    if let Some(below) = path.strip_prefix("/sys/fs/cgroup/") {
        paths.push(format!("/{below}"));
        if let Some((_controller, below)) = below.split_once('/') {
            paths.push(format!("/{below}"));
        }
    }
    paths.push(path);
    paths
}

type Found<'a> = Vec<(&'a TargetId, &'a TargetView)>;

/// Living targets that fit; without any, the gone ones.
fn matching(view: &View, fits: impl Fn(&TargetView) -> bool) -> Found<'_> {
    let all: Found<'_> = view.targets().filter(|(_, target)| fits(target)).collect();
    let living: Found<'_> = all.iter().filter(|(_, target)| target.is_living()).copied().collect();
    if living.is_empty() { all } else { living }
}

fn single<'a>(text: &str, found: &Found<'a>) -> Result<(&'a TargetId, &'a TargetView), LookupError> {
    match found.as_slice() {
        [] => Err(LookupError::Unknown { text: text.to_owned() }),
        [one] => Ok(*one),
        several => {
            let candidates = several
                .iter()
                .take(MAX_CANDIDATES)
                .map(|(id, target)| format!("{id} ({})", target.history.target.cgroup.path));
            Err(LookupError::Ambiguous {
                text: text.to_owned(),
                count: several.len(),
                candidates: candidates.collect(),
            })
        }
    }
}

/// The target's own name, with or without the suffix of a unit.
fn is_name(target: &Target, text: &str) -> bool {
    let unit = target.cgroup.path.rsplit('/').next().unwrap_or("");
    [target.name.as_str(), unit]
        .into_iter()
        .any(|name| name == text || name.strip_suffix(".service") == Some(text))
}

fn is_container(target: &Target, text: &str) -> bool {
    let container = target.container.as_ref();
    container.is_some_and(|container| is_start(&container.id, text))
}

fn is_pod(target: &Target, text: &str) -> bool {
    let pod = target
        .container
        .as_ref()
        .and_then(|container| container.pod_uid.as_deref());
    pod == Some(text)
}

fn is_start(id: &str, text: &str) -> bool {
    text.len() >= MIN_ID_PREFIX && id.starts_with(text)
}
