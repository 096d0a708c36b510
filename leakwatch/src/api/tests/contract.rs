//! Targets, ledgers, series and investigations: every field of the contract is there and says what the story says.

use super::check::body;
use super::check::has_fields;
use super::check::is_instant;
use super::fixture::Daemon;
use super::fixture::LEAKING;
use super::fixture::MIB;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;

const VERDICT: [&str; 13] = [
    "/class",
    "/confidence",
    "/summary",
    "/since",
    "/growth_bytes_per_second",
    "/time_to_limit_seconds",
    "/culprit",
    "/evidence",
    "/rejected",
    "/advice",
    "/recommended_limit_bytes",
    "/would_change_our_mind",
    "/missing",
];

#[tokio::test]
async fn a_target_is_complete_and_says_what_leaks() {
    let daemon = Daemon::new();
    let id = daemon.id(&LEAKING.repeat(8));
    let target = body(&daemon, &format!("/api/v1/targets/{id}")).await;
    has_fields(
        &target,
        &[
            "/id",
            "/kind",
            "/name",
            "/service",
            "/namespace",
            "/pod",
            "/container_id",
            "/cgroup_path",
            "/started_at",
            "/memory/charge_bytes",
            "/memory/rss_bytes",
            "/memory/working_set_bytes",
            "/memory/limit_bytes",
            "/memory/swap_bytes",
            "/processes",
            "/oom_kills",
            "/verdict",
            "/missing",
        ],
    );
    assert_eq!(target["kind"], "container");
    assert_eq!(target["container_id"], LEAKING.repeat(8));
    assert_eq!(target["container_runtime"], "docker");
    assert_eq!(target["memory"]["limit_bytes"], 512 * MIB);
    assert_eq!(target["memory"]["charge_bytes"], (60 + 119 * 3 + 10) * MIB);
    assert_eq!(target["oom_kills"], 1);
    is_instant(&target["started_at"]);
    has_fields(&target["verdict"], &VERDICT);
    assert_eq!(target["verdict"]["class"], "go_heap_leak", "{:#}", target["verdict"]);
    assert_eq!(target["verdict"]["culprit"]["function"], "main.getOrQueryMarketsValues");
    assert_eq!(target["verdict"]["culprit"]["line"], 42);
    has_fields(
        &target["verdict"]["culprit"],
        &[
            "/file",
            "/share_of_growth",
            "/growth_bytes/estimate",
            "/growth_bytes/low",
            "/growth_bytes/high",
            "/stack/0",
        ],
    );
    let evidence = target["verdict"]["evidence"].as_array().unwrap();
    assert!(!evidence.is_empty());
    for evidence in evidence {
        has_fields(evidence, &["/claim", "/value", "/unit", "/link"]);
    }
}

#[tokio::test]
async fn processes_are_complete() {
    let daemon = Daemon::new();
    let target = body(&daemon, "/api/v1/targets/4002").await;
    let process = &target["processes"][0];
    assert_eq!(process["pid"], 4002);
    assert_eq!(process["id"], "4002-5002");
    assert_eq!(process["exe"], "/usr/bin/checkout");
    assert_eq!(
        (&process["runtime"], &process["runtime_version"]),
        (&json!("go"), &json!("go1.27.3"))
    );
    assert!(process["rss_bytes"].as_u64() >= Some(60 * MIB));
    is_instant(&process["started_at"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_null_with_reason_and_fix_never_zero() {
    let daemon = Daemon::new();
    let target = body(&daemon, "/api/v1/targets/blind.service").await;
    for field in [
        "charge_bytes",
        "rss_bytes",
        "working_set_bytes",
        "limit_bytes",
        "swap_bytes",
    ] {
        assert!(target["memory"][field].is_null(), "{field}");
        let why = &target["memory"]["missing"][field];
        assert_eq!(
            (&why["reason"], &why["fix"]),
            (&json!("not_permitted"), &json!("run as root")),
            "{field}"
        );
    }
}

#[tokio::test]
async fn the_list_filters_sorts_and_pages() {
    let daemon = Daemon::new();
    let names = async |query: &str| -> Vec<String> {
        let list = body(&daemon, &format!("/api/v1/targets{query}")).await;
        has_fields(&list, &["/items", "/next_cursor"]);
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names("?sort=name").await,
        ["1111aaaa", "2222bbbb", "3333cccc", "blind.service"]
    );
    assert_eq!(
        names("?sort=-name").await,
        ["blind.service", "3333cccc", "2222bbbb", "1111aaaa"]
    );
    let by_charge = names("").await;
    assert_eq!(
        by_charge.first().map(String::as_str),
        Some("2222bbbb"),
        "most charge first"
    );
    assert!(
        by_charge[..2].iter().all(|name| name != LEAKING),
        "what is empty stands on top of no list: {by_charge:?}"
    );
    let alive = Daemon::before_the_kill();
    for sort in ["charge", "growth", "leak", "time_to_limit"] {
        let list = body(&alive, &format!("/api/v1/targets?sort={sort}&limit=1")).await;
        assert_eq!(list["items"][0]["name"], LEAKING, "{sort}");
    }
    assert_eq!(names("?kind=service").await, ["blind.service"]);
    assert_eq!(names("?service=checkout").await.len(), 3);
    assert_eq!(names("?verdict=go_heap_leak").await, [LEAKING]);
    assert_eq!(names("?life=gone").await, ["gone.service"]);
    assert_eq!(names("?life=all").await.len(), 5);

    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = body(&daemon, &format!("/api/v1/targets?sort=name&limit=3{cursor}")).await;
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["name"].clone()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["1111aaaa", "2222bbbb", "3333cccc", "blind.service"]);
}

#[tokio::test]
async fn a_target_is_found_by_all_that_a_person_knows_of_it() {
    let daemon = Daemon::new();
    let id = daemon.id(&LEAKING.repeat(8));
    let path = format!("%2Fdocker%2F{}", LEAKING.repeat(8));
    let directory = format!("%2Fsys%2Ffs%2Fcgroup%2Fmemory{path}");
    let unified = format!("%2Fsys%2Ffs%2Fcgroup{path}%2F");
    let docker = format!("docker:%2F%2F{}", LEAKING.repeat(8));
    for text in [
        id.as_str(),
        id.get(..8).unwrap(),
        LEAKING,
        "1111aaaa1111",
        &LEAKING.repeat(8),
        &docker,
        &path,
        &directory,
        &unified,
    ] {
        let target = body(&daemon, &format!("/api/v1/targets/{text}")).await;
        assert_eq!(target["id"], id, "{text}");
    }
    for (text, name) in [
        ("blind", "blind.service"),
        ("%2Fsystem.slice%2Fgone.service", "gone.service"),
    ] {
        assert_eq!(body(&daemon, &format!("/api/v1/targets/{text}")).await["name"], name);
    }
}

#[tokio::test]
async fn the_ledger_adds_up_to_the_charge() {
    let daemon = Daemon::new();
    for query in ["", "?at=-5m"] {
        let ledger = body(&daemon, &format!("/api/v1/targets/{LEAKING}/ledger{query}")).await;
        let lines = ledger["lines"].as_array().unwrap();
        let sum: i64 = lines
            .iter()
            .filter(|line| line["part_of"].is_null())
            .map(|line| line["bytes"].as_i64().unwrap())
            .sum();
        let residual = ledger["residual_bytes"].as_i64().unwrap();
        assert_eq!(Some(sum + residual), ledger["charge_bytes"].as_i64(), "{ledger:#}");
        let heap = lines.iter().find(|line| line["name"] == "go_live_heap").unwrap();
        assert!(heap["bytes"].as_u64() > Some(100 * MIB) && heap["source"].as_str().unwrap().contains("heap profile"));
    }
    let now = body(&daemon, &format!("/api/v1/targets/{LEAKING}/ledger")).await;
    let before = body(&daemon, &format!("/api/v1/targets/{LEAKING}/ledger?at=-5m")).await;
    assert!(before["charge_bytes"].as_u64() < now["charge_bytes"].as_u64());
}

#[tokio::test]
async fn series_are_aligned_and_gaps_are_null() {
    let daemon = Daemon::new();
    let query = "metrics=charge_bytes,go_heap_live_bytes&from=-5m&to=now&step=5";
    let answer = daemon
        .get(&format!("/api/v1/targets/{LEAKING}/series?{query}"))
        .await
        .json();
    let at = answer["at"].as_array().unwrap();
    at.iter().for_each(is_instant);
    assert_eq!(answer["step_seconds"], 5.0);
    let [charge, heap] = answer["series"].as_array().unwrap().as_slice() else {
        panic!("{answer:#}")
    };
    let known = |series: &Value| {
        series["values"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|value| !value.is_null())
            .count()
    };
    for series in [charge, heap] {
        assert_eq!(series["values"].as_array().unwrap().len(), at.len());
    }
    assert!(known(charge) >= 58, "{} of {}", known(charge), at.len());
    assert!((4..=6).contains(&known(heap)), "a profile a minute: {}", known(heap));
}

#[tokio::test]
async fn the_investigation_asks_and_answers_every_step() {
    let daemon = Daemon::new();
    let made = body(&daemon, &format!("/api/v1/targets/{LEAKING}/investigation")).await;
    has_fields(&made, &["/target", "/at", "/verdict/class", "/steps"]);
    let steps = made["steps"].as_array().unwrap();
    let ids: Vec<&str> = steps.iter().map(|step| step["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        [
            "memory",
            "ledger",
            "goroutines",
            "live_heap",
            "native",
            "other",
            "conclusion"
        ]
    );
    for step in steps {
        has_fields(
            step,
            &[
                "/question",
                "/answer",
                "/answered_by",
                "/confidence",
                "/why",
                "/teaches",
                "/evidence",
                "/series",
                "/diff",
                "/missing",
                "/skipped_because",
            ],
        );
    }
    let heap = steps.iter().find(|step| step["id"] == "live_heap").unwrap();
    assert_eq!(heap["answer"], "yes");
    assert_eq!(made["losses"], json!([{"reason": "ring_buffer_full", "count": 3}]));
    for link in steps.iter().filter_map(|step| step["diff"].as_str()) {
        assert_eq!(daemon.get(link).await.status, StatusCode::OK, "{link}");
    }
    let evidence = steps.iter().flat_map(|step| step["evidence"].as_array().unwrap());
    for link in evidence.filter_map(|evidence| evidence["link"].as_str()) {
        assert_eq!(daemon.get(link).await.status, StatusCode::OK, "{link}");
    }
    for metric in steps.iter().flat_map(|step| step["series"].as_array().unwrap()) {
        let path = format!("/api/v1/targets/{LEAKING}/series?metrics={}", metric.as_str().unwrap());
        assert_eq!(daemon.get(&path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_person_overrules_a_step_and_takes_it_back() {
    let daemon = Daemon::new();
    let path = "/api/v1/targets/2222bbbb/investigation/answers";
    let by = |made: &Value| {
        made["steps"]
            .as_array()
            .unwrap()
            .first()
            .map(|step| step["answered_by"].clone())
    };
    let overruled = daemon.post(path, r#"{"step": "memory", "answer": "yes"}"#).await;
    assert_eq!(overruled.status, StatusCode::OK, "{}", overruled.text());
    assert_eq!(by(&overruled.json()), Some(json!("user")));
    let back = daemon.post(path, r#"{"step": "memory", "answer": null}"#).await;
    assert_eq!(by(&back.json()), Some(json!("leakwatch")));
}
