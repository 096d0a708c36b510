//! `/metrics`: the metric families for Prometheus. OpenMetrics for scrapers that ask for it, else the older text format, which differs in
//! the names of counter families and which `promtool check metrics` reads.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::query::metrics::About;
use crate::query::metrics::Family;
use crate::query::metrics::Kind;
use crate::query::metrics::families;
use crate::self_stats;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The daemon and every living target.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "daemon",
    responses((status = 200, description = "OpenMetrics if asked for, else Prometheus text", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    )))
)]
pub(crate) async fn metrics(State(context): State<Context>, headers: HeaderMap) -> Result<Response, ApiError> {
    let accepts = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let open = accepts
        .into_iter()
        .any(|value| value.contains("application/openmetrics-text"));
    let facts = Arc::clone(&context.facts);
    let text = context
        .compute(move |view| {
            let about = About {
                version: env!("CARGO_PKG_VERSION"),
                node: facts.host.node_name.as_deref().unwrap_or_default(),
                started_at: facts.started_at,
                cpu_time: self_stats::cpu_time(),
                resident: self_stats::resident().ok(),
            };
            Ok(render(&families(view, &about), open))
        })
        .await?;
    let content_type = HeaderValue::from_static(if open { OPEN_METRICS } else { TEXT });
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// The families as text. OpenMetrics has `_total` on the samples of a counter only, and ends with a mark.
fn render(families: &[Family<'_>], open: bool) -> String {
    let mut text = String::new();
    for family in families {
        let (kind, total) = match family.kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
        };
        let suffix = if open { "" } else { total };
        let name = family.name;
        // Writing into a string does not fail.
        let _written = writeln!(
            text,
            "# HELP {name}{suffix} {}\n# TYPE {name}{suffix} {kind}",
            family.help
        );
        if let Some(unit) = family.unit.filter(|_| open) {
            let _written = writeln!(text, "# UNIT {name} {unit}");
        }
        for sample in &family.samples {
            text.push_str(name);
            text.push_str(total);
            push_labels(&mut text, &sample.labels);
            text.push(' ');
            push_value(&mut text, sample.value);
            text.push('\n');
        }
    }
    if open {
        text.push_str("# EOF\n");
    }
    text
}

fn push_labels(text: &mut String, labels: &[(&str, Cow<'_, str>)]) {
    let mut separator = '{';
    for (label, value) in labels {
        text.push(separator);
        let _written = write!(text, "{label}=\"{}\"", escaped(value));
        separator = ',';
    }
    if !labels.is_empty() {
        text.push('}');
    }
}

fn push_value(text: &mut String, value: f64) {
    if value.is_nan() {
        text.push_str("NaN");
    } else if value.is_infinite() {
        text.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let _written = write!(text, "{value}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
