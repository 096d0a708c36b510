//! A profile, or two of them compared, in the form a client asks for.

use crate::api::error::ApiError;
use crate::api::parameter::Parameters;
use crate::dto::diff::DiffBody;
use crate::dto::diff::DiffSideBody;
use crate::dto::diff::FunctionDeltaBody;
use crate::dto::instant::Instant;
use crate::dto::profile::FlamegraphBody;
use crate::dto::profile::SpeedscopeBody;
use crate::dto::profile::TopBody;
use crate::dto::profile::TopRowBody;
use crate::dto::tree::NodeBody;
use axum::Json;
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
        Ok(Self {
            sample_type: parameters
                .one_of("value", sample_types)?
                .unwrap_or_else(|| SampleType::default_of(profile_type)),
            max_nodes: parameters.integer("max_nodes", 2..=MAX_NODES)?.unwrap_or(DEFAULT_NODES),
        })
    }
}

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
    match format {
        ProfileFormat::Pprof => pprof_bytes(pprof::encode(&export::pprof(stacks, snapshot))),
        ProfileFormat::Folded => text(export::folded(&diff())),
        ProfileFormat::Speedscope => {
            let name = format!("{type} {value} {at}", r#type = r#type);
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
                top,
            })
            .into_response()
        }
    }
}

/// Two profiles compared.
pub(crate) fn diff(
    base: &Snapshot,
    compare: &Snapshot,
    stacks: &StackTable,
    format: DiffFormat,
    selection: Selection,
) -> Response {
    let diff = || Diff::new(stacks, selection.sample_type, base.values.iter(), compare.values.iter());
    match format {
        DiffFormat::Folded => text(export::folded(&diff())),
        DiffFormat::Pprof => pprof_bytes(pprof::encode(&export::pprof_diff(stacks, base, compare))),
        DiffFormat::Json => {
            let diff = diff();
            Json(DiffBody {
                r#type: compare.profile_type.name().to_owned(),
                value: selection.sample_type.name().to_owned(),
                unit: selection.sample_type.unit().to_owned(),
                base: DiffSideBody {
                    at: base.at.into(),
                    total: diff.base_total(),
                },
                compare: DiffSideBody {
                    at: compare.at.into(),
                    total: diff.compare_total(),
                },
                tree: NodeBody::from(&diff.tree(selection.max_nodes)),
                top: diff.top(TOP_ROWS).iter().map(FunctionDeltaBody::from).collect(),
            })
            .into_response()
        }
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

fn text(text: String) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        )],
        text,
    )
        .into_response()
}
