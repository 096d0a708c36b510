//! The committed OpenAPI document and the prose follow the routes.

use super::fixture::Daemon;
use crate::api::openapi;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file)
}

/// `LEAKWATCH_BLESS=1 cargo test -p leakwatch document` writes the file anew.
#[test]
fn the_committed_document_is_the_served_one() {
    let path = docs("openapi.json");
    if std::env::var_os("LEAKWATCH_BLESS").is_some() {
        std::fs::write(&path, openapi()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == openapi(),
        "docs/openapi.json is stale: LEAKWATCH_BLESS=1 cargo test -p leakwatch document"
    );
}

#[test]
fn every_route_is_described_in_prose() {
    let document: Value = serde_json::from_str(&openapi()).unwrap();
    let prose = std::fs::read_to_string(docs("api.md")).unwrap();
    let routes = document["paths"].as_object().unwrap();
    assert!(routes.len() >= 24, "{}", routes.len());
    for (route, methods) in routes {
        for method in methods.as_object().unwrap().keys() {
            let name = format!("`{} {route}`", method.to_uppercase());
            assert!(prose.contains(&name), "docs/api.md does not describe {name}");
        }
    }
}

/// OpenAPI demands both, but nothing that makes the document does.
#[test]
fn responses_are_described_and_operations_told_apart() {
    let document: Value = serde_json::from_str(&openapi()).unwrap();
    let mut ids = BTreeSet::new();
    for (route, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(
                ids.insert(id.to_owned()),
                "{id} stands for {method} {route} and another operation"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(
                    response["description"].is_string(),
                    "{method} {route}: {status} is not described"
                );
            }
        }
    }
}

/// A route refuses parameters that it does not know, so one that is only documented shows.
#[tokio::test]
async fn documented_parameters_are_the_ones_taken() {
    let daemon = Daemon::new();
    let document: Value = serde_json::from_str(&openapi()).unwrap();
    let mut checked = 0;
    for (route, methods) in document["paths"].as_object().unwrap() {
        let Some(get) = methods.get("get").filter(|_| !route.ends_with("/stream")) else {
            continue;
        };
        let path = route
            .replace("{id}", super::fixture::LEAKING)
            .replace("{target}", super::fixture::LEAKING)
            .replace("{name}", "checkout")
            .replace("{type}", "heap");
        for parameter in get["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let answer = daemon.get(&format!("{path}?{name}=%21")).await;
            let unknown = String::from_utf8_lossy(&answer.body).contains("unknown, this route takes");
            assert!(!unknown, "{route} does not take its documented parameter {name}");
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked}");
}

#[tokio::test]
async fn the_document_is_served() {
    let answer = Daemon::new().get("/api/openapi.json").await;
    assert_eq!(answer.json()["openapi"], "3.1.0");
    assert_eq!(answer.text(), openapi());
}
