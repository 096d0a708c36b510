//! Profiles in every format, over the same numbers.

use super::fixture::Daemon;
use super::fixture::LEAKING;
use super::fixture::MIB;
use http::StatusCode;
use leakwatch_analysis::pprof;
use serde_json::Value;

/// The heap of the leaking replica in its last profile: what leaked until round 108, and the pool.
const NEWEST: u64 = (1 + 108 * 3 + 20) * MIB;

async fn json(daemon: &Daemon, path: &str) -> Value {
    let answer = daemon.get(&format!("/api/v1/targets/{LEAKING}/{path}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn snapshots_are_listed_newest_first_and_their_links_work() {
    let daemon = Daemon::new();
    let list = json(&daemon, "profiles?type=heap").await;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 10);
    assert_eq!(
        (items[0]["total"].as_u64(), &items[0]["unit"]),
        (Some(NEWEST), &Value::from("bytes"))
    );
    for field in ["id", "type", "at", "samples", "total", "source", "complete"] {
        assert!(!items[0][field].is_null(), "{field}");
    }
    let link = items[9]["link"].as_str().unwrap();
    let oldest = daemon.get(&format!("{link}&format=top")).await.json();
    assert_eq!(
        oldest["total"].as_u64(),
        Some(21 * MIB),
        "the link names that very snapshot"
    );
    let page = json(&daemon, "profiles?limit=4").await;
    let next = json(
        &daemon,
        &format!("profiles?limit=4&cursor={}", page["next_cursor"].as_str().unwrap()),
    )
    .await;
    assert_eq!(next["items"][0], items[4]);
    assert_eq!(
        json(&daemon, "profiles?from=-3m").await["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn every_format_tells_the_same_total() {
    let daemon = Daemon::new();
    let flamegraph = json(&daemon, "profiles/heap?format=flamegraph").await;
    assert_eq!(flamegraph["total"].as_u64(), Some(NEWEST));
    assert_eq!(flamegraph["tree"]["compare"].as_u64(), Some(NEWEST));
    let speedscope = json(&daemon, "profiles/heap?format=speedscope").await;
    assert_eq!(speedscope["profiles"][0]["endValue"].as_u64(), Some(NEWEST));
    assert_eq!(
        speedscope["$schema"],
        "https://www.speedscope.app/file-format-schema.json"
    );
    let top = json(&daemon, "profiles/heap?format=top").await;
    assert_eq!(top["top"][0]["function"], "main.getOrQueryMarketsValues");
    assert_eq!(top["top"][0]["flat"].as_u64(), Some(NEWEST - 20 * MIB));
    let folded = daemon
        .get(&format!("/api/v1/targets/{LEAKING}/profiles/heap?format=folded"))
        .await;
    assert!(folded.header("content-type").starts_with("text/plain"));
    let sum: u64 = folded
        .text()
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum, NEWEST);
    let objects = json(&daemon, "profiles/heap?format=top&value=inuse_objects").await;
    assert_eq!(
        (objects["total"].as_u64(), &objects["unit"]),
        (Some(NEWEST / 1024), &Value::from("count"))
    );
}

#[tokio::test]
async fn go_tool_pprof_gets_gzipped_profiles() {
    let daemon = Daemon::new();
    let paths = [
        format!("/api/v1/targets/{LEAKING}/profiles/heap"),
        format!("/pprof/{LEAKING}/heap"),
        format!("/pprof/{LEAKING}/heap?seconds=30"),
        format!("/pprof/{LEAKING}/heap?at=-8m"),
    ];
    for path in paths {
        let answer = daemon.get(&path).await;
        assert_eq!(answer.header("content-type"), "application/octet-stream", "{path}");
        assert_eq!(answer.header("content-encoding"), "", "{path}");
        assert_eq!(answer.body.get(..2), Some(&[0x1f, 0x8b][..]), "{path}");
        let profile = pprof::decode(&answer.body, &pprof::Bounds::default()).unwrap();
        let total: i64 = profile.sample.iter().filter_map(|sample| sample.value.get(3)).sum();
        let newest = u64::try_from(total) == Ok(NEWEST);
        assert_eq!(newest, !path.contains("at="), "{path}: {total}");
    }
}

#[tokio::test]
async fn a_diff_is_compare_minus_base_in_every_format() {
    let daemon = Daemon::new();
    let diff = json(&daemon, "diff?type=heap").await;
    for field in ["type", "value", "unit", "base", "compare", "tree", "top"] {
        assert!(!diff[field].is_null(), "{field}");
    }
    let growth = 108 * 3 * MIB;
    assert_eq!(diff["base"]["total"].as_u64(), Some(21 * MIB));
    assert_eq!(diff["compare"]["total"].as_u64(), Some(NEWEST));
    assert_eq!(diff["tree"]["name"], "root");
    assert_eq!(diff["tree"]["base"].as_u64(), Some(21 * MIB));
    let top = &diff["top"][0];
    assert_eq!(
        (&top["function"], top["flat_delta"].as_u64()),
        (&"main.getOrQueryMarketsValues".into(), Some(growth))
    );
    assert!(top["low"].is_i64() && top["high"].is_i64());
    let raw = daemon
        .get(&format!("/api/v1/targets/{LEAKING}/diff?format=pprof"))
        .await;
    let profile = pprof::decode(&raw.body, &pprof::Bounds::default()).unwrap();
    let total: i64 = profile.sample.iter().filter_map(|sample| sample.value.get(3)).sum();
    assert_eq!(u64::try_from(total), Ok(growth));
    let folded = daemon
        .get(&format!("/api/v1/targets/{LEAKING}/diff?format=folded"))
        .await
        .text();
    assert!(
        folded
            .lines()
            .any(|line| line.contains("getOrQueryMarketsValues") && line.split(' ').count() == 3)
    );
    let swapped = json(&daemon, "diff?base=now&compare=-1h").await;
    assert_eq!(
        swapped["top"][0]["flat_delta"].as_i64(),
        i64::try_from(growth).ok().map(|growth| -growth)
    );
    let pruned = json(&daemon, "diff?max_nodes=2").await;
    assert_eq!(pruned["tree"]["children"][0]["name"], "other");
    assert_eq!(
        pruned["tree"]["compare"], diff["tree"]["compare"],
        "pruning loses nothing"
    );
}

#[tokio::test]
async fn profiles_that_are_not_there_are_a_conflict_with_the_reason() {
    let daemon = Daemon::new();
    for (path, part) in [
        ("profiles/goroutine", "none was taken yet"),
        ("profiles/growth", "none was taken yet"),
        ("diff?type=goroutine", "no goroutine profile"),
    ] {
        let answer = daemon.get(&format!("/api/v1/targets/{LEAKING}/{path}")).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{path}");
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
    }
    assert_eq!(
        daemon.get(&format!("/pprof/{LEAKING}/cpu")).await.status,
        StatusCode::NOT_FOUND
    );
}
