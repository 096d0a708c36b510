//! The OpenAPI document, narrowed to what the routes take: names, bounds and forms of parameters stand here once, by their names, and are those that the
//! code knows. With who has to show a token, and the refusals that any route may answer with.

use crate::api::captures;
use crate::capture::lanes::LANES;
use crate::dto::event::KINDS;
use leakwatch_analysis::detect::table;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::metric::Metric;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::SampleType;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::verdict::VerdictClass;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeSet;

/// RFC 3339, unix seconds, `now`, or a time before now.
const INSTANT: &str = r"^(now|-\d{1,5}(\.\d{1,3})?(ms|s|m|h|d|w)|\d{1,10}(\.\d{1,9})?|\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z)$";
/// Seconds, or with a unit.
const DURATION: &str = r"^[1-9]\d{0,5}(\.\d{1,3})?(s|m|h|d)?$";
/// Routes that need no token.
const OPEN_ROUTES: [&str; 3] = ["/", "/healthz", "/readyz"];
/// What any route may refuse a request with.
const REFUSALS: [(&str, &str); 6] = [
    ("400", "a parameter is wrong"),
    ("401", "the token is missing or wrong"),
    ("403", "the `Host` or `Origin` is not allowed"),
    ("413", "the body is too large"),
    ("429", "too many requests at once, `Retry-After` says when to come back"),
    ("503", "starting or ending"),
];

/// The document of the routes with all that their declarations do not say.
pub(super) fn narrowed(mut document: Value) -> Value {
    let routes = document.get_mut("paths").and_then(Value::as_object_mut);
    for (route, methods) in routes.into_iter().flatten() {
        for (_, operation) in methods.as_object_mut().into_iter().flatten() {
            narrow(route, operation);
        }
    }
    for (schema, property, bounds) in bodies() {
        let pointer = format!("/components/schemas/{schema}/properties/{property}");
        if let Some(found) = document.pointer_mut(&pointer) {
            extend(found, &bounds);
        }
    }
    // `unknown` is the tool's word.
    if let Some(answer) = document.pointer_mut("/components/schemas/Override/properties/answer") {
        *answer = json!({
            "description": "`yes`, `no`, or `null` to take an answer back.",
            "type": ["string", "null"],
            "enum": ["yes", "no", null],
        });
    }
    if let Some(answer) = document.pointer_mut("/components/schemas/OverruleRequest/properties/answer") {
        *answer = json!({ "description": "Of all targets that a person has not given another one.", "type": "string", "enum": ["yes", "no"] });
    }
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        let schemes = json!({
            "bearer": { "type": "http", "scheme": "bearer", "description": "The token of `api.token_file`, over TCP." },
            "basic": { "type": "http", "scheme": "basic", "description": "Any user, and the token as the password." },
        });
        components.insert("securitySchemes".to_owned(), schemes);
    }
    if let Some(document) = document.as_object_mut() {
        document.insert("security".to_owned(), json!([{ "bearer": [] }, { "basic": [] }]));
    }
    document
}

fn narrow(route: &str, operation: &mut Value) {
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    let is_diff = id == "get_diff";
    let mut has_cursor = false;
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        has_cursor |= name == "cursor";
        let bounds = if name == "format" && is_diff {
            one_of(["json", "pprof", "folded"])
        } else {
            of_parameter(&name)
        };
        if let Some(schema) = parameter.get_mut("schema") {
            // An optional parameter is left out, not `null`.
            if let Some(kind) = schema.get_mut("type") {
                let first = kind.as_array().and_then(|kinds| kinds.first()).cloned();
                if let Some(first) = first {
                    *kind = first;
                }
            }
            extend(schema, &bounds);
        }
    }
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        let cursor = ("404", "there is no such page");
        for (status, description) in REFUSALS.into_iter().chain(has_cursor.then_some(cursor)) {
            responses.entry(status).or_insert_with(|| problem(description));
        }
    }
    if OPEN_ROUTES.contains(&route)
        && let Some(operation) = operation.as_object_mut()
    {
        operation.insert("security".to_owned(), json!([]));
    }
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn extend(schema: &mut Value, bounds: &Value) {
    if let (Some(schema), Some(bounds)) = (schema.as_object_mut(), bounds.as_object()) {
        schema.extend(bounds.clone());
    }
}

fn one_of<'n>(names: impl IntoIterator<Item = &'n str>) -> Value {
    json!({ "enum": names.into_iter().collect::<Vec<_>>() })
}

/// Names, separated by commas.
fn some_of<'n>(names: impl IntoIterator<Item = &'n str>) -> Value {
    let names = names.into_iter().collect::<Vec<_>>().join("|");
    json!({ "pattern": format!("^({names})(,({names}))*$") })
}

fn of_parameter(name: &str) -> Value {
    match name {
        "limit" => json!({ "minimum": 1, "maximum": 1000 }),
        "max_nodes" => json!({ "minimum": 2, "maximum": 50_000 }),
        "kind" => one_of(TargetKind::ALL.map(TargetKind::name)),
        "verdict" => one_of(table::classes().map(VerdictClass::name)),
        "life" => one_of(["living", "gone", "all"]),
        "sort" => sorts(),
        "format" => one_of(["pprof", "flamegraph", "folded", "speedscope", "top"]),
        "type" => one_of(ProfileType::ALL.map(ProfileType::name)),
        "value" => {
            let all = ProfileType::ALL.into_iter().flat_map(SampleType::of);
            one_of(all.map(|sample| sample.name()).collect::<BTreeSet<_>>())
        }
        "kinds" => some_of(KINDS),
        "metrics" => some_of(Metric::ALL.map(Metric::name)),
        "from" | "to" | "at" | "base" | "compare" => json!({ "pattern": INSTANT }),
        "step" => json!({ "pattern": DURATION }),
        _ => json!({ "minLength": 1 }),
    }
}

fn sorts() -> Value {
    let names = crate::api::targets::SORTS.map(|(name, _)| name);
    let reversed = names.map(|name| format!("-{name}"));
    one_of(names.into_iter().chain(reversed.iter().map(String::as_str)))
}

/// Of what a client sends: schema, property, and what it may be.
fn bodies() -> [(&'static str, &'static str, Value); 6] {
    [
        ("CaptureRequest", "lane", one_of(LANES.map(|lane| lane.name))),
        (
            "CaptureRequest",
            "seconds",
            json!({ "minimum": 1, "maximum": captures::MAX_SECONDS }),
        ),
        (
            "CaptureRequest",
            "sample_bytes",
            json!({ "minimum": 1, "maximum": captures::MAX_SAMPLE_BYTES }),
        ),
        (
            "CaptureRequest",
            "cpu_budget_percent",
            json!({ "exclusiveMinimum": 0, "maximum": captures::MAX_CPU_PERCENT }),
        ),
        ("Override", "step", one_of(StepId::ALL.map(StepId::name))),
        ("OverruleRequest", "step", one_of(StepId::ALL.map(StepId::name))),
    ]
}
