//! Rules and discovery against made-up listeners.

use super::*;
use crate::collect::endpoint::Asked;
use crate::collect::endpoint::Urgency;
use crate::config::origin::Origin;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;

fn rule(exe: Option<&str>, service: Option<&str>, port: Option<u16>, url: &str) -> EndpointRule {
    EndpointRule {
        origin: Origin::Default,
        exe: exe.map(str::to_owned),
        service: service.map(str::to_owned),
        port,
        url: url.to_owned(),
    }
}

fn watched() -> Watched {
    Watched {
        target: TargetId::from_text("t"),
        service: "checkout".into(),
        process: ProcessKey { pid: 7, start_ticks: 1 },
        exe: Some("/srv/bin/checkout".into()),
        go_version: "go1.26.8".into(),
        urgency: Urgency::Calm,
        asked: Asked::Profiles,
        goroutine_leak: false,
    }
}

fn found(rules: Vec<EndpointRule>, discover: bool, own: &[&str]) -> Reading<Vec<String>> {
    let listeners = Listeners::for_test(own, &["127.0.0.1:9999"]);
    let config = EndpointConfig::new(rules, discover);
    let places = places(&config, &watched(), &listeners)?;
    Ok(places.iter().map(ToString::to_string).collect())
}

#[test]
fn every_key_of_a_rule_must_match() {
    let url = "http://127.0.0.1:6060/debug/pprof";
    for (rule, fits) in [
        (rule(Some("*/checkout"), None, None, url), true),
        (rule(Some("*/checkout"), Some("checkout"), Some(8080), url), true),
        (rule(Some("*/cart"), Some("checkout"), None, url), false),
        (rule(Some("*/checkout"), Some("cart"), None, url), false),
        (rule(Some("*/checkout"), None, Some(8081), url), false),
    ] {
        let places = found(vec![rule.clone()], false, &["127.0.0.1:6060", "0.0.0.0:8080"]);
        match places {
            Ok(places) => assert_eq!(
                (places, fits),
                (vec!["http://127.0.0.1:6060/debug/pprof/".into()], true),
                "{rule:?}"
            ),
            Err(missing) => assert_eq!(
                (missing.reason, fits),
                (MissingReason::NotConfigured, false),
                "{rule:?}"
            ),
        }
    }
}

#[test]
fn a_rule_never_leads_to_another_process() {
    for url in ["http://127.0.0.1:9999/", "http://192.0.2.1:6060/", "http://[::1]:6060/"] {
        let missing = found(
            vec![rule(None, Some("checkout"), None, url)],
            false,
            &["127.0.0.1:6060"],
        )
        .unwrap_err();
        assert_eq!(missing.reason, MissingReason::Failed, "{url}");
        assert!(missing.fix.is_some());
    }
    for url in ["http://example.com:6060/", "https://127.0.0.1:6060/"] {
        let missing = found(
            vec![rule(None, Some("checkout"), None, url)],
            false,
            &["127.0.0.1:6060"],
        )
        .unwrap_err();
        assert_eq!(missing.reason, MissingReason::NotConfigured, "{url}");
    }
}

#[test]
fn the_rule_of_another_replica_is_passed_over() {
    let rules =
        ["http://127.0.0.1:6061/x/", "http://127.0.0.1:6060/x/"].map(|url| rule(None, Some("checkout"), None, url));
    assert_eq!(
        found(rules.into(), false, &["127.0.0.1:6060"]).unwrap(),
        ["http://127.0.0.1:6060/x/"]
    );
}

#[test]
fn discovery_asks_own_ports_only_and_the_likely_ones_first() {
    let own = [
        "10.1.2.3:80",
        "0.0.0.0:8080",
        "[::]:6060",
        "0.0.0.0:9999",
        "[fe80::1]:70",
    ];
    assert_eq!(
        found(vec![], true, &own).unwrap(),
        [
            "http://127.0.0.1:6060/debug/pprof/",
            "http://[::1]:6060/debug/pprof/",
            "http://127.0.0.1:8080/debug/pprof/",
            "http://10.1.2.3:80/debug/pprof/",
        ]
    );
    assert_eq!(
        found(vec![], true, &[]).unwrap_err().reason,
        MissingReason::NotConfigured
    );
    assert_eq!(
        found(vec![], false, &own).unwrap_err().reason,
        MissingReason::NotConfigured
    );
}
