//! What holds for every body: its fields are there, every null is explained, every instant has its form.

use super::fixture::Daemon;
use http::StatusCode;
use serde_json::Value;

/// Fields that are `null` by nature: ends of lists, absent links and fixes, places that a tree node need not have.
const NULL_BY_NATURE: [&str; 8] = [
    "next_cursor",
    "fix",
    "link",
    "diff",
    "skipped_because",
    "file",
    "line",
    "parameter",
];

pub(super) fn has_fields(body: &Value, fields: &[&str]) {
    for path in fields {
        assert!(body.pointer(path).is_some(), "{path} is missing in {body:#}");
    }
}

/// Every `null` has an entry in the `missing` map beside it, with a reason and a detail.
fn nulls_are_explained(value: &Value, path: &str) {
    match value {
        Value::Object(map) => {
            for (field, inner) in map {
                let path = format!("{path}/{field}");
                if inner.is_null() && !NULL_BY_NATURE.contains(&field.as_str()) {
                    let why = map.get("missing").and_then(|missing| missing.get(field));
                    assert!(
                        why.is_some_and(|why| why["reason"].is_string() && why["detail"].is_string()),
                        "{path}"
                    );
                }
                if field != "missing" {
                    nulls_are_explained(inner, &path);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| nulls_are_explained(item, path)),
        _ => {}
    }
}

pub(super) async fn body(daemon: &Daemon, path: &str) -> Value {
    let answer = daemon.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json", "{path}");
    let body = answer.json();
    nulls_are_explained(&body, path);
    body
}

pub(super) fn is_instant(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no instant"));
    assert!(
        text.len() == 24 && text.ends_with('Z') && text.get(19..20) == Some("."),
        "{text}"
    );
}
