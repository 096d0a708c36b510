//! Events, post-mortems, services, the daemon's status and its metrics.

use super::check::body;
use super::check::has_fields;
use super::fixture::Daemon;
use super::fixture::LEAKING;
use super::fixture::MIB;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;

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
    let dead = body(&Daemon::new(), "/api/v1/services/checkout").await;
    assert_eq!(
        dead["outlier"],
        Value::Null,
        "what is empty is no replica to compare with"
    );
    let daemon = Daemon::before_the_kill();
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
    assert!(
        text.contains("\nleakwatch_oom_kills_total{service=\"checkout\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("\nleakwatch_newest_sample_timestamp_seconds "), "{text}");
    assert!(text.contains(&format!("leakwatch_target_limit_bytes{{{labels}}} {}\n", 512 * MIB)));
    let by_hours =
        |line: &&str| line.starts_with("leakwatch_target_limit_probability") && line.contains("hours=\"24\"");
    assert!(text.lines().any(|line| by_hours(&line)), "{text}");
    assert!(text.contains("\nleakwatch_target_leak_probability{"), "{text}");
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
