//! From what a person writes to a target: its id, a pid, a cgroup path, a container id or the start of one, a unit name.

use crate::api::error::ApiError;
use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;

/// The shortest start of a container id that is looked for.
const MIN_ID_PREFIX: usize = 4;

/// The target that is meant. Living ones are preferred; several that fit equally well are an error that lists them.
pub(crate) fn target<'a>(view: &'a View, text: &str) -> Result<(&'a TargetId, &'a TargetView), ApiError> {
    if let Some((id, stored)) = view.targets().find(|(id, _)| id.as_str() == text) {
        return Ok((id, stored));
    }
    if let Ok(pid) = text.parse::<u32>() {
        let by_pid = matching(view, |stored| {
            stored.history.living().any(|record| record.process.key.pid == pid)
        });
        if !by_pid.is_empty() {
            return single(text, &by_pid);
        }
    }
    if text.contains('/') {
        let path = format!("/{}", text.trim_matches('/'));
        return single(
            text,
            &matching(view, |stored| stored.history.target.cgroup.path == path),
        );
    }
    let by_name = matching(view, |stored| is_name(&stored.history.target, text));
    if !by_name.is_empty() {
        return single(text, &by_name);
    }
    single(
        text,
        &matching(view, |stored| is_container(&stored.history.target, text)),
    )
}

type Found<'a> = Vec<(&'a TargetId, &'a TargetView)>;

/// Living targets that fit; without any, the gone ones.
fn matching(view: &View, fits: impl Fn(&TargetView) -> bool) -> Found<'_> {
    let all: Found<'_> = view.targets().filter(|(_, stored)| fits(stored)).collect();
    let living: Found<'_> = all
        .iter()
        .filter(|(_, stored)| stored.history.gone_at.is_none())
        .copied()
        .collect();
    if living.is_empty() { all } else { living }
}

fn single<'a>(text: &str, found: &Found<'a>) -> Result<(&'a TargetId, &'a TargetView), ApiError> {
    match found.as_slice() {
        [] => Err(ApiError::not_found("target", text)),
        [one] => Ok(*one),
        several => {
            let candidates: Vec<String> = several
                .iter()
                .take(5)
                .map(|(id, stored)| format!("{id} ({})", stored.history.target.cgroup.path))
                .collect();
            let reason = format!("{} targets fit `{text}`: {}", several.len(), candidates.join(", "));
            Err(ApiError::Conflict { reason })
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
    text.len() >= MIN_ID_PREFIX
        && target
            .container
            .as_ref()
            .is_some_and(|container| container.id.starts_with(text))
}
