//! A profile, or two of them compared, in the form a client asks for.

use crate::api::error::ApiError;
use crate::api::parameter::Parameters;
use crate::dto::diff::DiffBody;
use crate::dto::diff::DiffSideBody;
use crate::dto::diff::FunctionDeltaBody;
use crate::dto::instant::Instant;
use crate::dto::page::LossBody;
use crate::dto::profile::FlamegraphBody;
use crate::dto::profile::SpeedscopeBody;
use crate::dto::profile::TopBody;
use crate::dto::profile::TopRowBody;
use crate::dto::tree::NodeBody;
use crate::query::profiles::Pair;
use axum::Json;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use leakwatch_analysis::diff::Diff;
use leakwatch_analysis::export;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::SampleType;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::pprof;

/// What a client can draw, and the most that is sent.
const DEFAULT_NODES: usize = 2_000;
const MAX_NODES: usize = 50_000;
/// Rows of a table.
const TOP_ROWS: usize = 100;

/// Forms of one profile.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProfileFormat {
    Pprof,
    Flamegraph,
    Folded,
    Speedscope,
    Top,
}

/// Forms of a diff.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DiffFormat {
    Json,
    Pprof,
    Folded,
}

/// What is looked at, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection {
    /// Which numbers.
    sample_type: SampleType,
    /// Nodes of a tree.
    max_nodes: usize,
}

impl Selection {
    /// From `value` and `max_nodes`.
    pub(crate) fn new(parameters: &Parameters, profile_type: ProfileType) -> Result<Self, ApiError> {
        let sample_types = SampleType::of(profile_type).iter().map(|kind| (kind.name(), *kind));
        // What profiles of another type have is no misspelling.
        let is_of_another = |name: &str| {
            let known = |kind: &ProfileType| SampleType::from_name(*kind, name).is_some();
            !known(&profile_type) && ProfileType::ALL.iter().any(known)
        };
        if let Some(name) = parameters.text("value").filter(|name| is_of_another(name)) {
            return Err(ApiError::Conflict {
                reason: format!(
                    "{} profiles have no `{name}`, but {}",
                    profile_type.name(),
                    sample_types.map(|(name, _)| name).collect::<Vec<_>>().join(", ")
                ),
            });
        }
        Ok(Self {
            sample_type: parameters
                .one_of("value", sample_types)?
                .unwrap_or_else(|| SampleType::default_of(profile_type)),
            max_nodes: parameters.integer("max_nodes", 2..=MAX_NODES)?.unwrap_or(DEFAULT_NODES),
        })
    }
}

/// Where a form has no place for what is missing: `reason=count, ...`.
const LOSSES: HeaderName = HeaderName::from_static("leakwatch-losses");

/// One profile.
pub(crate) fn profile(
    snapshot: &Snapshot,
    stacks: &StackTable,
    format: ProfileFormat,
    selection: Selection,
) -> Response {
    let diff = || Diff::new(stacks, selection.sample_type, [], snapshot.values.iter());
    let (r#type, at) = (snapshot.profile_type.name().to_owned(), Instant(snapshot.at));
    let (value, unit) = (
        selection.sample_type.name().to_owned(),
        selection.sample_type.unit().to_owned(),
    );
    let losses = LossBody::of_profile(&snapshot.losses);
    match format {
        ProfileFormat::Pprof => pprof_bytes(pprof::encode(&export::pprof(stacks, snapshot))),
        ProfileFormat::Folded => text(export::folded(&diff()), &losses),
        ProfileFormat::Speedscope => {
            let incomplete = LossBody::line(&losses).map_or_else(String::new, |line| format!(", incomplete: {line}"));
            let name = format!("{type} {value} {at}{incomplete}", r#type = r#type);
            Json(SpeedscopeBody::new(name, export::speedscope(&diff()))).into_response()
        }
        ProfileFormat::Flamegraph => {
            let diff = diff();
            let tree = NodeBody::from(&diff.tree(selection.max_nodes));
            Json(FlamegraphBody {
                r#type,
                value,
                unit,
                at,
                total: diff.compare_total(),
                losses,
                tree,
            })
            .into_response()
        }
        ProfileFormat::Top => {
            let diff = diff();
            let top = diff.top(TOP_ROWS).iter().map(TopRowBody::from).collect();
            Json(TopBody {
                r#type,
                value,
                unit,
                at,
                total: diff.compare_total(),
                losses,
                top,
            })
            .into_response()
        }
    }
}

/// Two profiles compared.
pub(crate) fn diff(pair: &Pair, format: DiffFormat, selection: Selection) -> Response {
    let Pair {
        base,
        compare,
        stacks,
        by_function,
    } = pair;
    let diff = || Diff::new(stacks, selection.sample_type, base.values.iter(), compare.values.iter());
    match format {
        DiffFormat::Folded => {
            let losses = [base, compare].map(|side| LossBody::of_profile(&side.losses));
            text(export::folded(&diff()), &losses.concat())
        }
        DiffFormat::Pprof => pprof_bytes(pprof::encode(&export::pprof_diff(stacks, base, compare))),
        DiffFormat::Json => {
            let diff = diff();
            Json(DiffBody {
                r#type: compare.profile_type.name().to_owned(),
                value: selection.sample_type.name().to_owned(),
                unit: selection.sample_type.unit().to_owned(),
                base: side(base, diff.base_total()),
                compare: side(compare, diff.compare_total()),
                matched_by: if *by_function { "function" } else { "line" }.to_owned(),
                tree: NodeBody::from(&diff.tree(selection.max_nodes)),
                top: diff.top(TOP_ROWS).iter().map(FunctionDeltaBody::from).collect(),
            })
            .into_response()
        }
    }
}

fn side(snapshot: &Snapshot, total: i64) -> DiffSideBody {
    DiffSideBody {
        target: snapshot.target.to_string(),
        process: snapshot.process.to_string(),
        at: snapshot.at.into(),
        total,
        losses: LossBody::of_profile(&snapshot.losses),
    }
}

fn pprof_bytes(profile: Vec<u8>) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        )],
        profile,
    )
        .into_response()
}

fn text(text: String, losses: &[LossBody]) -> Response {
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    let mut response = ([(header::CONTENT_TYPE, content_type)], text).into_response();
    for loss in losses {
        if let Ok(value) = HeaderValue::try_from(format!("{}={}", loss.reason, loss.count)) {
            response.headers_mut().append(LOSSES, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_analysis::model::profile::ProfileLoss;
    use leakwatch_analysis::model::profile::ProfileSource;
    use leakwatch_analysis::model::profile::Program;
    use leakwatch_analysis::model::profile::StackValue;
    use leakwatch_analysis::model::target::ProcessKey;
    use leakwatch_analysis::model::target::TargetId;
    use leakwatch_analysis::model::units::Timestamp;
    use std::io::Read as _;
    use std::sync::Arc;

    fn snapshot(losses: Vec<ProfileLoss>) -> Snapshot {
        Snapshot {
            target: TargetId::from_text("t1"),
            process: ProcessKey { pid: 7, start_ticks: 1 },
            profile_type: ProfileType::Heap,
            at: Timestamp::from_unix_seconds(1_000),
            source: ProfileSource::Snapshot,
            values: Vec::new().into(),
            total: StackValue::default(),
            period: 524_288,
            program: Program::default(),
            losses: losses.into(),
        }
    }

    /// Head and body as text, decompressed.
    async fn shown(response: Response) -> String {
        let head = format!("{:?}", response.headers());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let mut decompressed = Vec::new();
        let body = match flate2::read::GzDecoder::new(&*body).read_to_end(&mut decompressed) {
            Ok(_) => decompressed,
            Err(_) => body.to_vec(),
        };
        head + &String::from_utf8_lossy(&body)
    }

    #[tokio::test]
    async fn every_form_says_what_is_missing_and_why() {
        let stacks = StackTable::default();
        let selection = Selection {
            sample_type: SampleType::InuseSpace,
            max_nodes: 10,
        };
        let (whole, never) = (snapshot(Vec::new()), "4711");
        for reason in ProfileLoss::REASONS {
            let cut = snapshot(ProfileLoss::of(reason, 4711).into_iter().collect());
            let words = reason.replace('_', " ");
            for format in [
                ProfileFormat::Pprof,
                ProfileFormat::Flamegraph,
                ProfileFormat::Folded,
                ProfileFormat::Speedscope,
                ProfileFormat::Top,
            ] {
                let text = shown(profile(&cut, &stacks, format, selection)).await;
                assert!(
                    text.contains("4711") && (text.contains(reason) || text.contains(&words)),
                    "{format:?}: {text}"
                );
                let text = shown(profile(&whole, &stacks, format, selection)).await;
                assert!(
                    !text.contains(never) && !text.contains("incomplete"),
                    "{format:?}: {text}"
                );
            }
            for format in [DiffFormat::Json, DiffFormat::Pprof, DiffFormat::Folded] {
                for (base, compare) in [(&cut, &whole), (&whole, &cut)] {
                    let pair = Pair {
                        base: base.clone(),
                        compare: compare.clone(),
                        stacks: Arc::default(),
                        by_function: false,
                    };
                    let text = shown(diff(&pair, format, selection)).await;
                    assert!(text.contains("4711") && text.contains(reason), "{format:?}: {text}");
                }
            }
        }
    }
}
