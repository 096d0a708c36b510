//! `/metrics`: the daemon and every target for Prometheus. OpenMetrics for scrapers that ask for it, else the older text
//! format, which differs in the names of counter families and which `promtool check metrics` reads.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::status;
use crate::own;
use crate::store::view::TargetView;
use crate::store::view::View;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use leakwatch_analysis::model::metric::Metric;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use std::fmt::Write as _;

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
    let started_at = context.facts.started_at;
    let text = context
        .compute(move |view| Ok(Page::new(open).write(view, started_at)))
        .await?;
    let content_type = HeaderValue::from_static(if open { OPEN_METRICS } else { TEXT });
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// The page being written.
struct Page {
    text: String,
    open: bool,
}

/// A number of the newest sample.
type Read = fn(&CgroupMemory) -> Option<Bytes>;

type Labels<'a> = [(&'static str, &'a str)];

impl Page {
    const fn new(open: bool) -> Self {
        Self {
            text: String::new(),
            open,
        }
    }

    fn write(mut self, view: &View, started_at: Timestamp) -> String {
        self.daemon(view, started_at);
        let living: Vec<(&TargetId, &TargetView)> = view
            .targets()
            .filter(|(_, stored)| stored.history.gone_at.is_none())
            .collect();
        self.targets(&living);
        self.verdicts(&living);
        if self.open {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn daemon(&mut self, view: &View, started_at: Timestamp) {
        self.gauge("leakwatch_build_info", "Version of the daemon.");
        self.sample("leakwatch_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let start = started_at.seconds_from(Timestamp::default());
        self.gauge(
            "leakwatch_start_time_seconds",
            "When the daemon started, in seconds since the epoch.",
        );
        self.sample("leakwatch_start_time_seconds", &[], start);
        self.counter("leakwatch_cpu_seconds", "Processor time of the daemon.");
        self.sample("leakwatch_cpu_seconds_total", &[], own::cpu_time().as_secs_f64());
        if let Ok(rss) = own::resident() {
            self.gauge("leakwatch_resident_memory_bytes", "Resident memory of the daemon.");
            self.sample("leakwatch_resident_memory_bytes", &[], rss.as_f64());
        }
        let size = status::size(view);
        self.gauge("leakwatch_targets", "Targets that are remembered.");
        for (life, count) in [("living", size.targets), ("gone", size.gone_targets)] {
            self.sample("leakwatch_targets", &[("life", life)], count_f64(count));
        }
        self.gauge(
            "leakwatch_profile_bytes",
            "Profiles that are kept, originals and values.",
        );
        self.sample("leakwatch_profile_bytes", &[], count_f64(size.profile_bytes));
        self.counter("leakwatch_losses", "What was dropped, by reason.");
        for (reason, count) in view.losses() {
            self.sample("leakwatch_losses_total", &[("reason", reason)], Bytes(*count).as_f64());
        }
    }

    fn targets(&mut self, living: &[(&TargetId, &TargetView)]) {
        self.gauge("leakwatch_target_info", "What a target is.");
        for (id, stored) in living {
            let target = &stored.history.target;
            let container = target.container.as_ref().map_or("", |container| container.id.as_str());
            let labels = [
                ("target", id.as_str()),
                ("kind", crate::dto::target::kind_name(target.kind)),
                ("name", target.name.as_str()),
                ("service", target.service.as_str()),
                ("cgroup_path", target.cgroup.path.as_str()),
                ("container_id", container),
            ];
            self.sample("leakwatch_target_info", &labels, 1.0);
        }
        let memory: [(&str, &str, Read); 5] = [
            (
                "leakwatch_target_charge_bytes",
                "What the kernel charges to the cgroup.",
                |memory| Some(memory.charge),
            ),
            (
                "leakwatch_target_working_set_bytes",
                "Charge minus inactive file pages.",
                |memory| memory.working_set().ok(),
            ),
            (
                "leakwatch_target_unreclaimable_bytes",
                "Charge minus page cache that can be dropped.",
                |memory| memory.unreclaimable().ok(),
            ),
            (
                "leakwatch_target_limit_bytes",
                "The tightest limit; absent when there is none.",
                |memory| memory.limit.bytes(),
            ),
            ("leakwatch_target_swap_bytes", "Swap in use.", |memory| {
                memory.swap.clone().ok()
            }),
        ];
        for (name, help, read) in memory {
            self.each(name, help, living, |stored| {
                stored.history.newest.as_ref().ok().and_then(read).map(Bytes::as_f64)
            });
        }
        for (name, help, metric) in [
            (
                "leakwatch_target_rss_bytes",
                "Resident memory of all processes.",
                Metric::Rss,
            ),
            (
                "leakwatch_target_go_heap_live_bytes",
                "Live Go heap by the newest heap profile.",
                Metric::LiveHeap,
            ),
            (
                "leakwatch_target_goroutines",
                "Goroutines by the newest goroutine profile.",
                Metric::Goroutines,
            ),
        ] {
            self.each(name, help, living, |stored| {
                let from = match metric {
                    Metric::Rss => stored.history.newest_at,
                    _ => Timestamp::default(),
                };
                let newest = metric
                    .values(&stored.history, from, Timestamp::from_unix_nanos(u64::MAX))
                    .pop();
                newest.and_then(|(_, value)| value).map(|value| Bytes(value).as_f64())
            });
        }
        self.counter("leakwatch_target_oom_kills", "OOM kills seen in the cgroup.");
        for (id, stored) in living {
            let kills = Bytes(stored.history.oom_kill_count).as_f64();
            self.sample("leakwatch_target_oom_kills_total", &labels(id, stored), kills);
        }
    }

    fn verdicts(&mut self, living: &[(&TargetId, &TargetView)]) {
        self.gauge(
            "leakwatch_target_verdict_confidence",
            "How sure the verdict of that class is, 0 to 1.",
        );
        for (id, stored) in living {
            if let Some(made) = &stored.investigation {
                let [target, service, name] = labels(id, stored);
                let labels = [target, service, name, ("class", made.verdict.class.name())];
                self.sample("leakwatch_target_verdict_confidence", &labels, made.verdict.confidence);
            }
        }
        self.each(
            "leakwatch_target_growth_bytes_per_second",
            "Growth of the unreclaimable charge.",
            living,
            |stored| {
                stored
                    .investigation
                    .as_ref()
                    .and_then(|made| made.verdict.growth_bytes_per_second)
            },
        );
        self.gauge(
            "leakwatch_target_time_to_limit_seconds",
            "Predicted time until the limit is reached.",
        );
        for (id, stored) in living {
            let Some(time) = stored
                .investigation
                .as_ref()
                .and_then(|made| made.verdict.time_to_limit.as_ref())
            else {
                continue;
            };
            for (percentile, seconds) in [
                ("10", time.p10_seconds),
                ("50", time.p50_seconds),
                ("90", time.p90_seconds),
            ] {
                let [target, service, name] = labels(id, stored);
                let labels = [target, service, name, ("percentile", percentile)];
                self.sample("leakwatch_target_time_to_limit_seconds", &labels, seconds);
            }
        }
    }

    fn each(
        &mut self,
        name: &str,
        help: &str,
        living: &[(&TargetId, &TargetView)],
        value: impl Fn(&TargetView) -> Option<f64>,
    ) {
        self.gauge(name, help);
        for (id, stored) in living {
            if let Some(value) = value(stored) {
                self.sample(name, &labels(id, stored), value);
            }
        }
    }

    fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    /// `name` without `_total`, which OpenMetrics has on the samples only.
    fn counter(&mut self, name: &str, help: &str) {
        if self.open {
            self.family(name, "counter", help);
        } else {
            self.family(&format!("{name}_total"), "counter", help);
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string does not fail.
        let _written = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &Labels<'_>, value: f64) {
        self.text.push_str(name);
        let mut separator = '{';
        for (label, text) in labels {
            self.text.push(separator);
            let _written = write!(self.text, "{label}=\"{}\"", escaped(text));
            separator = ',';
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let value = if value.is_nan() {
            "NaN".to_owned()
        } else if value.is_infinite() {
            "+Inf".to_owned()
        } else {
            value.to_string()
        };
        let _written = writeln!(self.text, " {value}");
    }
}

fn labels<'a>(id: &'a TargetId, stored: &'a TargetView) -> [(&'static str, &'a str); 3] {
    let target = &stored.history.target;
    [
        ("target", id.as_str()),
        ("service", &target.service),
        ("name", &target.name),
    ]
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn count_f64(count: usize) -> f64 {
    Bytes(count as u64).as_f64()
}
