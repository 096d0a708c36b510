//! The alert rules and the dashboard that are shipped ask for metrics and labels that are served.

use super::fixture::Daemon;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

const ALERTS: &str = include_str!("../../../../packaging/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../../../packaging/prometheus/dashboard.json");

/// What a scraper adds to every sample.
const SCRAPED: [&str; 2] = ["job", "instance"];

/// Names of metrics as they are served, with the labels of their samples.
async fn served() -> BTreeMap<String, BTreeSet<String>> {
    let text = Daemon::new().get("/metrics").await.text();
    let mut served: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            served.entry(words(declared).remove(0)).or_default();
        } else if let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let labels = rest
                .split("\",")
                .filter_map(|pair| Some(pair.split_once("=\"")?.0.to_owned()));
            served.entry(name.to_owned()).or_default().extend(labels);
        }
    }
    served
}

fn words(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .map(str::to_owned)
        .collect()
}

/// Every query of a tree of JSON.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(query) if name == "expr" || name == "definition" => found.push(query.to_owned()),
                    _ => queries(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

/// The labels that a query selects by (`{label="..."}`), each with the metric before it.
fn selected(query: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (before, after) in query.match_indices('{').map(|(at, _)| query.split_at(at)) {
        let metric = words(before).pop().unwrap_or_default();
        let selectors = after.trim_start_matches('{').split('}').next().unwrap_or_default();
        // Values hold no comma and no `=`.
        let labels = selectors
            .split(',')
            .filter_map(|selector| words(selector).into_iter().next());
        found.extend(
            labels
                .filter(|label| !label.is_empty())
                .map(|label| (metric.clone(), label)),
        );
    }
    found
}

#[tokio::test]
async fn rules_and_dashboard_ask_for_what_is_served() {
    let served = served().await;
    let mut asked = Vec::new();
    queries(&serde_json::from_str(DASHBOARD).unwrap(), &mut asked);
    assert!(asked.len() > 10, "{asked:?}");
    // All that begins like a metric, also in texts: they would mislead.
    let rules: Vec<&str> = ALERTS.lines().filter(|line| !line.contains("summary:")).collect();
    asked.extend(rules.into_iter().map(str::to_owned));
    let mut names = BTreeSet::new();
    for query in &asked {
        let own = words(query).into_iter().filter(|word| word.starts_with("leakwatch_"));
        for name in own {
            assert!(served.contains_key(&name), "{name} is not served: {query}");
            names.insert(name);
        }
        for (metric, label) in selected(query) {
            let labels = served.get(&metric);
            assert!(
                labels.is_none_or(|labels| labels.is_empty() || labels.contains(&label))
                    || SCRAPED.contains(&label.as_str()),
                "{metric} has no label {label}: {query}"
            );
        }
    }
    assert!(names.len() > 10, "{names:?}");
}
