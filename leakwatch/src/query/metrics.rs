//! Metric families of the daemon and of every living target, as data: how they are written down is up to whoever exports them.

use crate::query::fingerprint::fingerprint;
use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::model::metric::Metric;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use std::borrow::Cow;
use std::time::Duration;

/// What the samples of a family may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Go up and down.
    Gauge,
    /// Only go up.
    Counter,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// What it is of.
    pub labels: Vec<(&'static str, Cow<'a, str>)>,
    /// Its value.
    pub value: f64,
}

/// Samples of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family<'a> {
    /// Its name; that of a counter without `_total`.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// The unit of its samples; it ends the name.
    pub unit: Option<&'static str>,
    /// What it tells.
    pub help: &'static str,
    /// The samples.
    pub samples: Vec<Sample<'a>>,
}

/// What the daemon knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Its version.
    pub version: &'static str,
    /// What its host is called; empty where that is not known.
    pub node: &'a str,
    /// When it started.
    pub started_at: Timestamp,
    /// Processor time it has used.
    pub cpu_time: Duration,
    /// Its resident memory, if that could be read.
    pub resident: Option<Bytes>,
}

/// A number of a target, with the name and the text of its family.
type TargetMetric = (
    &'static str,
    Option<&'static str>,
    &'static str,
    fn(&TargetView) -> Option<f64>,
);

/// Numbers of targets; one that is not known has no sample.
const TARGET_METRICS: [TargetMetric; 8] = [
    (
        "leakwatch_target_charge_bytes",
        BYTES,
        "What the kernel charges to the cgroup.",
        |target| memory(target, |memory| Some(memory.charge)),
    ),
    (
        "leakwatch_target_working_set_bytes",
        BYTES,
        "Charge minus inactive file pages.",
        |target| memory(target, |memory| memory.working_set().ok()),
    ),
    (
        "leakwatch_target_unreclaimable_bytes",
        BYTES,
        "Charge minus page cache that can be dropped.",
        |target| memory(target, |memory| memory.unreclaimable().ok()),
    ),
    (
        "leakwatch_target_limit_bytes",
        BYTES,
        "The tightest limit; absent when there is none.",
        |target| memory(target, |memory| memory.limit.bytes()),
    ),
    ("leakwatch_target_swap_bytes", BYTES, "Swap in use.", |target| {
        memory(target, |memory| memory.swap().ok())
    }),
    (
        "leakwatch_target_rss_bytes",
        BYTES,
        "Resident memory of all processes.",
        |target| newest(target, Metric::Rss, target.history.newest_at),
    ),
    (
        "leakwatch_target_go_heap_live_bytes",
        BYTES,
        "Live Go heap by the newest heap profile.",
        |target| newest(target, Metric::LiveHeap, Timestamp::default()).filter(|_| target.has_process()),
    ),
    (
        "leakwatch_target_goroutines",
        None,
        "Goroutines by the newest goroutine profile.",
        |target| newest(target, Metric::Goroutines, Timestamp::default()).filter(|_| target.has_process()),
    ),
];

const BYTES: Option<&str> = Some("bytes");
const SECONDS: Option<&str> = Some("seconds");

/// All families, the daemon's own first.
pub fn families<'a>(view: &'a View, about: &About<'a>) -> Vec<Family<'a>> {
    let living: Vec<_> = view.targets().filter(|(_, target)| target.is_living()).collect();
    let mut families = of_daemon(view, about);
    families.push(info(about.node, &living));
    for (name, unit, help, value) in TARGET_METRICS {
        families.push(gauge(name, unit, help, of_each(&living, value)));
    }
    families.push(Family {
        kind: Kind::Counter,
        ..gauge(
            "leakwatch_target_oom_kills",
            None,
            "OOM kills seen in the cgroup.",
            of_each(&living, |target| Some(count(target.history.oom_kill_count))),
        )
    });
    families.push(leaks(view, &living));
    families.push(muted(view, &living));
    families.extend(of_verdicts(&living));
    families
}

/// Claimed leaks, to be counted and routed by their fingerprint.
fn leaks<'a>(view: &View, living: &[(&'a TargetId, &'a TargetView)]) -> Family<'a> {
    let samples = living.iter().filter_map(|(id, target)| {
        let verdict = target.verdict().filter(|verdict| verdict.class.is_leak())?;
        let mut labels = labels(id, target, Some(("class", verdict.class.name())));
        labels.push(("fingerprint", fingerprint(target, verdict)?.into()));
        let muted = view.mute_of(target).is_some();
        labels.push(("muted", if muted { "true" } else { "false" }.into()));
        Some(Sample { labels, value: 1.0 })
    });
    gauge(
        "leakwatch_target_leak",
        None,
        "A claimed leak; its fingerprint is the same on all replicas and hosts.",
        samples.collect(),
    )
}

/// Targets that alert nobody, for alert rules to leave out.
fn muted<'a>(view: &View, living: &[(&'a TargetId, &'a TargetView)]) -> Family<'a> {
    let muted = living.iter().filter(|(_, target)| view.mute_of(target).is_some());
    let samples = muted.map(|(id, target)| Sample {
        labels: labels(id, target, None),
        value: 1.0,
    });
    gauge(
        "leakwatch_target_muted",
        None,
        "A person has muted the target's service, or this version of it.",
        samples.collect(),
    )
}

fn of_daemon<'a>(view: &'a View, about: &About<'a>) -> Vec<Family<'a>> {
    let alone = |value| {
        vec![Sample {
            labels: Vec::new(),
            value,
        }]
    };
    let labelled = |label, text: Cow<'a, str>, value| Sample {
        labels: vec![(label, text)],
        value,
    };
    let start = about.started_at.seconds_from(Timestamp::default());
    let living = view.living();
    let gone = view.targets().count() - living;
    let (losses, kills) = (view.losses().iter(), view.oom_kills().iter());
    let mut families = vec![
        gauge(
            "leakwatch_build_info",
            None,
            "Version of the daemon, and what its host is called.",
            vec![Sample {
                labels: vec![("version", about.version.into()), ("node", about.node.into())],
                value: 1.0,
            }],
        ),
        gauge(
            "leakwatch_start_time_seconds",
            SECONDS,
            "When the daemon started, in seconds since the epoch.",
            alone(start),
        ),
        Family {
            kind: Kind::Counter,
            ..gauge(
                "leakwatch_cpu_seconds",
                SECONDS,
                "Processor time of the daemon.",
                alone(about.cpu_time.as_secs_f64()),
            )
        },
    ];
    let newest = view.targets().map(|(_, target)| target.history.newest_at).max();
    if let Some(newest) = newest.filter(|newest| *newest > Timestamp::default()) {
        families.push(gauge(
            "leakwatch_newest_sample_timestamp_seconds",
            SECONDS,
            "When the newest sample of any target was taken, in seconds since the epoch.",
            alone(newest.seconds_from(Timestamp::default())),
        ));
    }
    if let Some(resident) = about.resident {
        families.push(gauge(
            "leakwatch_resident_memory_bytes",
            BYTES,
            "Resident memory of the daemon.",
            alone(resident.as_f64()),
        ));
    }
    families.extend([
        gauge(
            "leakwatch_targets",
            None,
            "Targets that are remembered.",
            vec![
                labelled("life", "living".into(), count(living as u64)),
                labelled("life", "gone".into(), count(gone as u64)),
            ],
        ),
        gauge(
            "leakwatch_profile_bytes",
            BYTES,
            "Profiles that are kept, originals and values.",
            alone(count(view.profile_bytes() as u64)),
        ),
        Family {
            kind: Kind::Counter,
            ..gauge(
                "leakwatch_oom_kills",
                None,
                "OOM kills since the daemon's start, by service of the victim; empty when that is not known.",
                kills
                    .map(|(service, kills)| labelled("service", Cow::Borrowed(service), count(kills)))
                    .collect(),
            )
        },
        Family {
            kind: Kind::Counter,
            ..gauge(
                "leakwatch_losses",
                None,
                "What was dropped, by reason.",
                losses
                    .map(|(reason, lost)| labelled("reason", Cow::Borrowed(&**reason), count(*lost)))
                    .collect(),
            )
        },
    ]);
    families
}

fn info<'a>(node: &'a str, living: &[(&'a TargetId, &'a TargetView)]) -> Family<'a> {
    let samples = living.iter().map(|(id, target)| {
        let about = &target.history.target;
        let container = about.container.as_ref().map_or("", |container| container.id.as_str());
        let labels = [
            ("target", id.as_str()),
            ("kind", about.kind.name()),
            ("name", about.name.as_str()),
            ("service", about.service.as_str()),
            ("cgroup_path", about.cgroup.path.as_str()),
            ("container_id", container),
            ("node", node),
        ];
        Sample {
            labels: labels.map(|(label, text)| (label, text.into())).into(),
            value: 1.0,
        }
    });
    gauge("leakwatch_target_info", None, "What a target is.", samples.collect())
}

fn of_verdicts<'a>(living: &[(&'a TargetId, &'a TargetView)]) -> [Family<'a>; 5] {
    let judged = || {
        living
            .iter()
            .filter_map(|(id, target)| Some((*id, *target, target.verdict()?)))
    };
    let confidence = judged().map(|(id, target, verdict)| Sample {
        labels: labels(id, target, Some(("class", verdict.class.name()))),
        value: verdict.confidence,
    });
    let times = judged().flat_map(|(id, target, verdict)| {
        let time = verdict.time_to_limit.as_ref();
        let percentiles = time.map(|time| {
            [
                ("10", time.p10_seconds),
                ("50", time.p50_seconds),
                ("90", time.p90_seconds),
            ]
        });
        percentiles
            .into_iter()
            .flatten()
            .map(move |(percentile, value)| Sample {
                labels: labels(id, target, Some(("percentile", percentile))),
                value,
            })
    });
    let limits = judged().flat_map(|(id, target, verdict)| {
        let within = verdict
            .limit_probability
            .map(|limit| [("1", limit.hour), ("6", limit.six_hours), ("24", limit.day)]);
        within.into_iter().flatten().map(move |(hours, value)| Sample {
            labels: labels(id, target, Some(("hours", hours))),
            value,
        })
    });
    [
        gauge(
            "leakwatch_target_leak_probability",
            None,
            "Probability that what grows does not end by itself, 0 to 1; 0.9 and more is a claim.",
            of_each(living, |target| Some(target.verdict()?.leak_probability)),
        ),
        gauge(
            "leakwatch_target_limit_probability",
            None,
            "Probability that the limit is reached within so many hours, whatever the cause, 0 to 1.",
            limits.collect(),
        ),
        gauge(
            "leakwatch_target_verdict_confidence",
            None,
            "How sure the verdict of that class is, 0 to 1.",
            confidence.collect(),
        ),
        gauge(
            "leakwatch_target_growth_bytes_per_second",
            Some("bytes_per_second"),
            "Growth of the unreclaimable charge.",
            of_each(living, |target| target.verdict()?.growth_bytes_per_second),
        ),
        gauge(
            "leakwatch_target_time_to_limit_seconds",
            SECONDS,
            "Predicted time until the limit is reached.",
            times.collect(),
        ),
    ]
}

fn gauge<'a>(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    samples: Vec<Sample<'a>>,
) -> Family<'a> {
    Family {
        name,
        kind: Kind::Gauge,
        unit,
        help,
        samples,
    }
}

fn of_each<'a>(
    living: &[(&'a TargetId, &'a TargetView)],
    value: impl Fn(&TargetView) -> Option<f64>,
) -> Vec<Sample<'a>> {
    let samples = living.iter().filter_map(|(id, target)| {
        Some(Sample {
            labels: labels(id, target, None),
            value: value(target)?,
        })
    });
    samples.collect()
}

fn labels<'a>(
    id: &'a TargetId,
    target: &'a TargetView,
    more: Option<(&'static str, &'static str)>,
) -> Vec<(&'static str, Cow<'a, str>)> {
    let about = &target.history.target;
    let common = [
        ("target", id.as_str()),
        ("service", &about.service),
        ("name", &about.name),
    ];
    common
        .into_iter()
        .chain(more)
        .map(|(label, text)| (label, text.into()))
        .collect()
}

fn memory(target: &TargetView, read: impl Fn(&CgroupMemory) -> Option<Bytes>) -> Option<f64> {
    target.history.newest.as_ref().ok().and_then(read).map(Bytes::as_f64)
}

/// The newest value of a metric, if it is not older than `from`.
fn newest(target: &TargetView, metric: Metric, from: Timestamp) -> Option<f64> {
    let values = metric.values(&target.history, from, Timestamp::from_unix_nanos(u64::MAX));
    let (_, value) = values.last()?;
    value.map(count)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53, and every format of metrics has floats"
)]
const fn count(number: u64) -> f64 {
    number as f64
}
