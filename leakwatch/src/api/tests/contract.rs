//! The bodies: every field of the contract is there, every null is explained, every instant has its form.

use super::fixture::Daemon;
use super::fixture::LEAKING;
use super::fixture::MIB;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;

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

fn has_fields(body: &Value, fields: &[&str]) {
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

async fn body(daemon: &Daemon, path: &str) -> Value {
    let answer = daemon.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json", "{path}");
    let body = answer.json();
    nulls_are_explained(&body, path);
    body
}

fn is_instant(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no instant"));
    assert!(
        text.len() == 24 && text.ends_with('Z') && text.get(19..20) == Some("."),
        "{text}"
    );
}

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
    assert_eq!(
        names("").await.first().map(String::as_str),
        Some(LEAKING),
        "most charge first"
    );
    assert_eq!(names("?sort=growth&limit=1").await, [LEAKING]);
    assert_eq!(names("?sort=time_to_limit&limit=1").await, [LEAKING]);
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
    for text in [id.as_str(), LEAKING, "1111aaaa1111", &LEAKING.repeat(8), &path] {
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

#[tokio::test]
async fn events_and_the_post_mortem_are_complete() {
    let daemon = Daemon::new();
    let all = body(&daemon, "/api/v1/events").await;
    let times: Vec<&str> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["at"].as_str().unwrap())
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "newest first");
    for (kinds, count) in [
        ("oom_kill", 1),
        ("process_exit", 1),
        ("loss", 1),
        ("oom_kill,loss", 2),
        ("capture", 0),
    ] {
        let list = body(&daemon, &format!("/api/v1/events?kinds={kinds}")).await;
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{kinds}");
    }
    let of_target = body(
        &daemon,
        &format!("/api/v1/events?kinds=oom_kill&target={LEAKING}&from=-1m&to=now"),
    )
    .await;
    let link = of_target["items"][0]["detail"]["link"].as_str().unwrap().to_owned();
    let kill = body(&daemon, &link).await;
    has_fields(
        &kill,
        &[
            "/id",
            "/at",
            "/scope",
            "/target",
            "/cgroup_path",
            "/memcg_path",
            "/limit_bytes",
            "/charge_bytes",
            "/victim/pid",
            "/victim/comm",
            "/victim/rss_anon_bytes",
            "/victim/rss_file_bytes",
            "/victim/rss_shmem_bytes",
            "/victim/page_table_bytes",
            "/victim/oom_score_adj",
            "/trigger/pid",
            "/trigger/comm",
            "/other_processes",
            "/last_sample_age_seconds",
            "/profiles/0/type",
            "/profiles/0/source",
            "/profiles/0/age_seconds",
            "/profiles/0/complete",
            "/profiles/0/link",
            "/ledger",
            "/verdict/class",
        ],
    );
    assert_eq!(
        (&kill["scope"], &kill["victim"]["pid"]),
        (&json!("memcg"), &json!(4001))
    );
    assert_eq!(kill["victim"]["missing"]["page_table_bytes"]["reason"], "unsupported");
    let profile = daemon.get(kill["profiles"][0]["link"].as_str().unwrap()).await;
    assert_eq!(profile.body.get(..2), Some(&[0x1f, 0x8b][..]));
    let top = daemon
        .get(&format!("{}?format=top", kill["profiles"][0]["link"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(top["top"][0]["function"], "main.getOrQueryMarketsValues");
    assert_eq!(body(&daemon, "/api/v1/oom_kills").await["items"][0]["id"], kill["id"]);
}

#[tokio::test]
async fn the_service_marks_its_outlier_and_says_why() {
    let daemon = Daemon::new();
    let service = body(&daemon, "/api/v1/services/checkout").await;
    let odd: Vec<&Value> = service["replicas"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|replica| replica["outlier"] == true)
        .collect();
    assert_eq!(odd.len(), 1);
    assert_eq!(odd[0]["name"], LEAKING);
    assert_eq!(service["outlier"]["target"], odd[0]["target"]);
    assert!(!service["outlier"]["because"].as_str().unwrap().is_empty());
    let names: Vec<Value> = body(&daemon, "/api/v1/services").await["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| service["name"].clone())
        .collect();
    assert_eq!(names, ["blind.service", "checkout"]);
}

#[tokio::test]
async fn status_and_capabilities_are_complete() {
    let daemon = Daemon::new();
    let status = body(&daemon, "/api/v1/status").await;
    has_fields(
        &status,
        &[
            "/version",
            "/uptime_seconds",
            "/own/cpu_seconds",
            "/own/rss_bytes",
            "/own/bpf_map_bytes",
            "/bounds/targets",
            "/bounds/profile_bytes",
            "/lanes/0/name",
            "/lanes/0/state",
            "/lanes/0/overhead_cpu_percent",
            "/losses/0/reason",
            "/store/profile_bytes",
        ],
    );
    assert_eq!(
        (&status["store"]["targets"], &status["store"]["gone_targets"]),
        (&json!(4), &json!(1))
    );
    let capabilities = body(&daemon, "/api/v1/capabilities").await;
    let expected = json!({"name": "btf", "available": false, "reason": "no BTF", "fix": "another kernel"});
    assert_eq!(capabilities["items"][1], expected);
    assert_eq!(daemon.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(daemon.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_come_in_both_formats() {
    let daemon = Daemon::new();
    let text = daemon.get("/metrics").await;
    assert!(text.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = text.text();
    assert!(
        text.contains("# TYPE leakwatch_losses_total counter\nleakwatch_losses_total{reason=\"ring_buffer_full\"} 3\n")
    );
    let labels = format!(
        "target=\"{}\",service=\"checkout\",name=\"{LEAKING}\"",
        daemon.id(&LEAKING.repeat(8))
    );
    assert!(
        text.contains(&format!("leakwatch_target_oom_kills_total{{{labels}}} 1\n")),
        "{text}"
    );
    assert!(text.contains(&format!("leakwatch_target_limit_bytes{{{labels}}} {}\n", 512 * MIB)));
    let blind = |line: &&str| line.starts_with("leakwatch_target_charge_bytes") && line.contains("blind.service");
    assert_eq!(
        text.lines().find(blind),
        None,
        "what cannot be read is absent, not zero"
    );
    let request = http::Request::get("/metrics")
        .header("host", "127.0.0.1")
        .header("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    let open = daemon.ask(request.body(axum::body::Body::empty()).unwrap()).await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text"));
    assert!(open.text().contains("# TYPE leakwatch_losses counter\n") && open.text().ends_with("# EOF\n"));
}
