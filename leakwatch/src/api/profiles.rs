//! Profiles of a target: the list, one of them, two of them compared, and the URLs for `go tool pprof`.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page;
use crate::api::parameter::Parameters;
use crate::api::render;
use crate::api::render::DiffFormat;
use crate::api::render::ProfileFormat;
use crate::api::render::Selection;
use crate::api::segment::Segments;
use crate::dto::diff::DiffBody;
use crate::dto::missing::MissingMap;
use crate::dto::page::LossBody;
use crate::dto::problem::Problem;
use crate::dto::profile::FlamegraphBody;
use crate::dto::profile::SnapshotBody;
use crate::dto::profile::SnapshotListBody;
use crate::query::profiles::Item;
use crate::query::profiles::Pair;
use crate::query::profiles::Profile;
use crate::query::profiles::Subject;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::units::Timestamp;

/// Snapshots of a target, newest first.
#[utoipa::path(
    get,
    operation_id = "list_profiles",
    path = "/api/v1/targets/{id}/profiles",
    tag = "profiles",
    params(
        ("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid"),
        ("type" = Option<String>, Query, description = "`heap`, `goroutine`, `goroutineleak`, `native`, `growth` or `mapping`"),
        ("from" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative (`-30m`)"),
        ("to" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative (`now`)"),
        ("limit" = Option<u32>, Query, description = "items per page, 1 to 1000 (default 100)"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the answer", body = SnapshotListBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many at once"),
    )
)]
pub(crate) async fn list(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<SnapshotListBody>, ApiError> {
    parameters.allow(&["type", "from", "to", "limit", "cursor"])?;
    let wanted = parameters.one_of("type", ProfileType::ALL.map(|kind| (kind.name(), kind)))?;
    let now = context.now();
    let from = parameters.instant("from", now)?.unwrap_or_default();
    let to = parameters.instant("to", now)?.unwrap_or(now);
    context
        .read(move |view, disk| {
            let subject = Subject::find(view, disk, &id)?;
            let types = wanted.map_or(ProfileType::ALL.to_vec(), |wanted| vec![wanted]);
            let mut list = subject.list(&types, from, to);
            let all = std::mem::take(&mut list.items);
            let (page, next_cursor) = page::of(&parameters, all, Item::id)?;
            let missing: MissingMap = ProfileType::ALL
                .into_iter()
                .filter_map(|profile_type| Some((profile_type.name(), subject.missing(profile_type)?)))
                .collect();
            Ok(Json(SnapshotListBody {
                items: list.look(&page).iter().map(SnapshotBody::from).collect(),
                next_cursor,
                missing,
                losses: LossBody::list(view.losses()),
            }))
        })
        .await
}

/// One profile: the one nearest to `at`.
#[utoipa::path(
    get,
    operation_id = "get_profile",
    path = "/api/v1/targets/{id}/profiles/{type}",
    tag = "profiles",
    params(
        ("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid"),
        ("type" = String, Path, description = "`heap`, `goroutine`, `goroutineleak`, `native`, `growth` or `mapping`"),
        ("at" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative; the newest without it"),
        ("format" = Option<String>, Query, description = "`pprof` (default), `flamegraph`, `folded`, `speedscope` or \
            `top`"),
        ("value" = Option<String>, Query, description = "sample type, for example `inuse_space`"),
        ("max_nodes" = Option<u32>, Query, description = "nodes of the flame graph, 2 to 50000 (default 2000)"),
    ),
    responses(
        (status = 200, description = "the profile in the format asked for", content(
            (Vec<u8> = "application/octet-stream"),
            (FlamegraphBody = "application/json"),
            (String = "text/plain"),
        )),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "there is none"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many at once"),
    )
)]
pub(crate) async fn one(
    State(context): State<Context>,
    Segments((id, profile_type)): Segments<(String, String)>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    parameters.allow(&["at", "format", "value", "max_nodes"])?;
    let profile_type = type_of(&profile_type)?;
    let format = format(&parameters)?;
    let selection = Selection::new(&parameters, profile_type)?;
    let at = parameters.instant("at", context.now())?;
    context
        .read(move |view, disk| {
            let subject = Subject::find(view, disk, &id)?;
            let found = nearest(&subject, profile_type, at)?;
            Ok(render::profile(&found.snapshot, &found.stacks, format, selection))
        })
        .await
}

/// Two profiles compared. Without `base` and `compare` the first and the newest.
#[utoipa::path(
    get,
    operation_id = "get_diff",
    path = "/api/v1/targets/{id}/diff",
    tag = "profiles",
    params(
        ("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid"),
        ("type" = Option<String>, Query, description = "`heap` (default), `goroutine` or `goroutineleak`"),
        ("base" = Option<String>, Query, description = "instant of the earlier profile; the first without it"),
        ("compare" = Option<String>, Query, description = "instant of the later profile; the newest without it"),
        ("base_target" = Option<String>, Query, description = "the target that the earlier profile is of: a sibling, or one that is \
            gone, by its whole id. Without `base` the profile nearest in time"),
        ("value" = Option<String>, Query, description = "sample type, for example `inuse_space`"),
        ("format" = Option<String>, Query, description = "`json` (default), `pprof` or `folded`"),
        ("max_nodes" = Option<u32>, Query, description = "nodes of the tree, 2 to 50000 (default 2000)"),
    ),
    responses(
        (status = 200, description = "the difference in the format asked for", content(
            (DiffBody = "application/json"),
            (Vec<u8> = "application/octet-stream"),
            (String = "text/plain"),
        )),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "there are not two"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many at once"),
    )
)]
pub(crate) async fn diff(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    parameters.allow(&["type", "base", "compare", "base_target", "value", "format", "max_nodes"])?;
    let profile_type = parameters
        .one_of("type", ProfileType::ALL.map(|kind| (kind.name(), kind)))?
        .unwrap_or(ProfileType::Heap);
    let formats = [
        ("json", DiffFormat::Json),
        ("pprof", DiffFormat::Pprof),
        ("folded", DiffFormat::Folded),
    ];
    let format = parameters.one_of("format", formats)?.unwrap_or(DiffFormat::Json);
    let selection = Selection::new(&parameters, profile_type)?;
    let now = context.now();
    let (base, compare) = (parameters.instant("base", now)?, parameters.instant("compare", now)?);
    let base_target = parameters.text("base_target").map(str::to_owned);
    context
        .read(move |view, disk| {
            let subject = Subject::find(view, disk, &id)?;
            let newest = nearest(&subject, profile_type, compare)?;
            let other = base_target.map(|text| Subject::find(view, disk, &text)).transpose()?;
            let first = match (other, base) {
                (Some(other), base) => nearest(&other, profile_type, base.or(Some(newest.snapshot.at)))?,
                (None, Some(_)) => nearest(&subject, profile_type, base)?,
                (None, None) => subject
                    .first_of(&newest.snapshot)
                    .ok_or_else(|| none_kept(&subject, profile_type))?,
            };
            let (from, to) = (&first.snapshot, &newest.snapshot);
            let is_same = (&from.target, from.process, from.at) == (&to.target, to.process, to.at);
            if is_same && (base.is_none() || compare.is_none()) {
                let reason = format!(
                    "only one {} profile so far, there is nothing to compare",
                    profile_type.name()
                );
                return Err(ApiError::Conflict { reason });
            }
            Ok(render::diff(&Pair::new(first, newest), format, selection))
        })
        .await
}

/// For `go tool pprof URL` and `go tool pprof -diff_base URL URL`.
#[utoipa::path(
    get,
    operation_id = "get_pprof",
    path = "/pprof/{target}/{type}",
    tag = "profiles",
    params(
        ("target" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid"),
        ("type" = String, Path, description = "`heap`, `goroutine`, `goroutineleak`, `native`, `growth` or `mapping`"),
        ("at" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative; the newest without it"),
        ("seconds" = Option<String>, Query, description = "ignored: what `go tool pprof -seconds` adds"),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "gzipped profile.proto"),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "there is none"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many at once"),
    )
)]
pub(crate) async fn pprof(
    State(context): State<Context>,
    Segments((id, profile_type)): Segments<(String, String)>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    parameters.allow(&["at", "seconds"])?;
    let profile_type = type_of(&profile_type)?;
    let selection = Selection::new(&parameters, profile_type)?;
    let at = parameters.instant("at", context.now())?;
    context
        .read(move |view, disk| {
            let subject = Subject::find(view, disk, &id)?;
            let found = nearest(&subject, profile_type, at)?;
            Ok(render::profile(
                &found.snapshot,
                &found.stacks,
                ProfileFormat::Pprof,
                selection,
            ))
        })
        .await
}

/// The type a path names.
pub(crate) fn type_of(name: &str) -> Result<ProfileType, ApiError> {
    ProfileType::from_name(name).ok_or_else(|| ApiError::not_found("profile type", name))
}

/// The form a client asks for.
pub(crate) fn format(parameters: &Parameters) -> Result<ProfileFormat, ApiError> {
    let formats = [
        ("pprof", ProfileFormat::Pprof),
        ("flamegraph", ProfileFormat::Flamegraph),
        ("folded", ProfileFormat::Folded),
        ("speedscope", ProfileFormat::Speedscope),
        ("top", ProfileFormat::Top),
    ];
    Ok(parameters.one_of("format", formats)?.unwrap_or(ProfileFormat::Pprof))
}

fn nearest(subject: &Subject<'_>, profile_type: ProfileType, at: Option<Timestamp>) -> Result<Profile, ApiError> {
    let found = match at {
        Some(at) => subject.nearest(profile_type, at),
        None => subject.newest(profile_type),
    };
    found.ok_or_else(|| none_kept(subject, profile_type))
}

fn none_kept(subject: &Subject<'_>, profile_type: ProfileType) -> ApiError {
    let why = match (subject.known, subject.missing(profile_type)) {
        (
            _,
            Some(Missing {
                detail, fix: Some(fix), ..
            }),
        ) => format!("{detail}; {fix}"),
        (_, Some(missing)) => missing.detail.clone(),
        (Some(_), None) => "none was taken yet, or none is kept any more".to_owned(),
        (None, None) => "the target is gone, and none of it is kept".to_owned(),
    };
    ApiError::Conflict {
        reason: format!("no {} profile of this target: {why}", profile_type.name()),
    }
}
