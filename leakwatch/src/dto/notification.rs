//! What a webhook's receiver is told of an event: the bodies of the API, or what Alertmanager takes.

use crate::dto::event::EventBody;
use crate::dto::instant::Instant;
use crate::dto::oom_kill::OomKillBody;
use crate::dto::verdict::VerdictBody;
use crate::query::fingerprint::fingerprint;
use crate::store::event::Event;
use crate::store::event::EventKind;
use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::model::target::TargetId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Until then an alert is shown unless it is told anew. Nobody says that a kill is over, and a leak may be told again by the next change.
const SHOWN_FOR: Duration = Duration::from_hours(24);

/// An event with what it is about.
#[derive(Debug, Serialize)]
struct Notification {
    /// Of this form.
    version: u32,
    /// Name of the host.
    host: String,
    /// The event.
    event: EventBody,
    /// Name, service and cgroup of the target, if it is known.
    target: Option<Named>,
    /// One name for the leak, the same on all replicas and hosts.
    fingerprint: Option<String>,
    /// The verdict, for a leak.
    verdict: Option<VerdictBody>,
    /// The post-mortem, for a kill.
    oom_kill: Option<OomKillBody>,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
    service: String,
    cgroup_path: String,
}

/// One alert of Alertmanager's `POST /api/v2/alerts`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: Instant,
    ends_at: Instant,
}

/// As plain JSON.
pub(crate) fn json(view: &View, event: &Event, host: &str) -> Vec<u8> {
    let target = target(view, event);
    let notification = Notification {
        version: 1,
        host: host.to_owned(),
        event: EventBody::from(event),
        target: target.map(|(_, target)| Named {
            name: target.history.target.name.clone(),
            service: target.history.target.service.clone(),
            cgroup_path: target.history.target.cgroup.path.clone(),
        }),
        fingerprint: match &event.kind {
            EventKind::VerdictChange { .. } => target.and_then(|(_, target)| fingerprint(target, target.verdict()?)),
            _ => None,
        },
        verdict: match &event.kind {
            EventKind::VerdictChange { .. } => {
                target.and_then(|(id, target)| Some(VerdictBody::new(id, target.verdict()?)))
            }
            _ => None,
        },
        oom_kill: match &event.kind {
            EventKind::OomKill { post_mortem, .. } => view
                .post_mortem(post_mortem)
                .map(|made| OomKillBody::new(made, Vec::new())),
            _ => None,
        },
    };
    serde_json::to_vec(&notification).unwrap_or_default()
}

/// As Alertmanager takes it. The labels are the alert's identity: the same leak of the same service is one alert, on however many hosts; who told of
/// it is in the annotations. A kill is one of its host and target.
pub(crate) fn alertmanager(view: &View, event: &Event, host: &str) -> Vec<u8> {
    let told = EventBody::from(event);
    let target = target(view, event);
    let mut labels = BTreeMap::from([("job", "leakwatch".to_owned())]);
    let mut annotations = BTreeMap::from([("summary", told.summary), ("instance", host.to_owned())]);
    if let Some((id, target)) = target {
        let about = &target.history.target;
        labels.insert("service", about.service.clone());
        annotations.insert("name", about.name.clone());
        annotations.insert("target", id.to_string());
    }
    if let EventKind::VerdictChange { to, .. } = &event.kind {
        labels.insert("alertname", "LeakClaimed".to_owned());
        labels.insert("severity", "warning".to_owned());
        labels.insert("class", to.name().to_owned());
        if let Some(verdict) = target.and_then(|(_, target)| target.verdict()) {
            annotations.insert("summary", verdict.summary.clone());
            if let Some(fingerprint) = target.and_then(|(_, target)| fingerprint(target, verdict)) {
                labels.insert("fingerprint", fingerprint);
            }
        }
    } else {
        labels.insert("instance", host.to_owned());
        if let Some(name) = annotations.remove("name") {
            labels.insert("name", name);
        }
        labels.insert("alertname", "OomKill".to_owned());
        labels.insert("severity", "critical".to_owned());
    }
    let alert = Alert {
        labels,
        annotations,
        starts_at: event.at.into(),
        ends_at: event.at.plus(SHOWN_FOR).into(),
    };
    serde_json::to_vec(&[alert]).unwrap_or_default()
}

fn target<'a>(view: &'a View, event: &'a Event) -> Option<(&'a TargetId, &'a TargetView)> {
    let id = event.target.as_ref()?;
    Some((id, view.target(id)?))
}
