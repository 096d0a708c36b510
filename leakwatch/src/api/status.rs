//! The daemon about itself and its host.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::lanes::lanes;
use crate::config::Config;
use crate::config::live::InForce;
use crate::dto::capability::CapabilitiesBody;
use crate::dto::missing::MissingMap;
use crate::dto::number::finite;
use crate::dto::page::LossBody;
use crate::dto::problem::Problem;
use crate::dto::status::BoundsBody;
use crate::dto::status::ConfigReloadBody;
use crate::dto::status::DiskBody;
use crate::dto::status::HostBody;
use crate::dto::status::OwnBody;
use crate::dto::status::RunningCaptureBody;
use crate::dto::status::SourceBody;
use crate::dto::status::StatusBody;
use crate::dto::status::StoreBody;
use crate::self_stats;
use crate::store::view::View;
use axum::Json;
use axum::extract::State;
use leakwatch_analysis::history::Points;
use leakwatch_analysis::history::SnapshotSeries;
use leakwatch_analysis::model::units::Timestamp;

/// Whether the process answers at all.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "daemon",
    responses((status = 200, description = "the answer", body = String, content_type = "text/plain"))
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the first round of samples is in.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "daemon",
    responses(
        (status = 200, description = "the answer", body = String, content_type = "text/plain"),
        (status = 503, description = "starting or ending", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn readyz(State(context): State<Context>) -> Result<&'static str, ApiError> {
    if context.view().now() == Timestamp::default() {
        return Err(ApiError::Unavailable {
            reason: "starting: the first round of samples is not in".to_owned(),
        });
    }
    Ok("ready\n")
}

/// What the daemon is doing and what it costs.
#[utoipa::path(get, path = "/api/v1/status", tag = "daemon", responses((status = 200, description = "the answer", body = StatusBody)))]
pub(crate) async fn status(State(context): State<Context>) -> Json<StatusBody> {
    let now = context.now();
    let facts = &context.facts;
    let uptime = now.since(facts.started_at).as_secs_f64();
    let cpu_seconds = self_stats::cpu_time().as_secs_f64();
    let mut missing = MissingMap::default();
    let own = OwnBody {
        cpu_seconds,
        cpu_percent: missing.applicable(
            "cpu_percent",
            finite(100.0 * cpu_seconds / uptime),
            "it has just started",
        ),
        rss_bytes: missing.take_owned("rss_bytes", self_stats::resident(), |rss| rss.0),
        allocated_bytes: missing.take_owned("allocated_bytes", self_stats::allocated(), |bytes| bytes.0),
        bpf_map_bytes: missing.take_owned("bpf_map_bytes", self_stats::bpf_maps(), |bytes| bytes.0),
        missing,
    };
    let view = context.view();
    let bounds = view.bounds();
    let in_force = context.config.in_force();
    let config = &in_force.config;
    Json(StatusBody {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: HostBody::from(&facts.host),
        started_at: facts.started_at.into(),
        uptime_seconds: uptime,
        own,
        bounds: BoundsBody {
            targets: bounds.targets,
            gone_targets: bounds.gone_targets,
            gone_for_seconds: bounds.gone_for.as_secs_f64(),
            events: bounds.events,
            post_mortems: bounds.post_mortems,
            profile_bytes: bounds.profile_bytes,
            points_per_target: Points::CAPACITY,
            profiles_per_target_and_type: SnapshotSeries::CAPACITY,
            interval_seconds: config.interval.as_secs_f64(),
        },
        lanes: lanes(
            config,
            facts.kernel_attached,
            context.captures.is_detached(),
            &facts.capabilities,
            uptime,
        ),
        captures: context
            .captures
            .all()
            .iter()
            .filter(|capture| !capture.has_ended())
            .map(RunningCaptureBody::from)
            .collect(),
        losses: LossBody::list(view.losses()),
        store: size(&context, &view, config),
        warnings: warnings(&context, &in_force),
        source: SourceBody::new(config.source.url_template.clone()),
        config_reload: in_force.reload.as_ref().map(ConfigReloadBody::from),
        previous_run: facts.previous_run.clone(),
    })
}

/// Of the configuration and its newest reload, of the daemon's own memory, and of a daemon before that was killed.
fn warnings(context: &Context, in_force: &InForce) -> Vec<String> {
    let configured = in_force.config.warnings.iter().cloned();
    let reload = in_force.reload.iter().filter(|reload| reload.is_incomplete());
    let killed = context.facts.previous_run.iter().filter(|run| run.was_killed());
    let killed = killed.map(|run| run.detail.clone());
    configured
        .chain(reload.map(ToString::to_string))
        .chain(context.facts.own_memory.warning())
        .chain(killed)
        .collect()
}

/// What this host offers, with a fix for what it does not.
#[utoipa::path(get, path = "/api/v1/capabilities", tag = "daemon", responses((status = 200, description = "the answer", body = CapabilitiesBody)))]
pub(crate) async fn capabilities(State(context): State<Context>) -> Json<CapabilitiesBody> {
    Json(CapabilitiesBody {
        items: context.facts.capabilities.clone(),
        next_cursor: None,
    })
}

/// What is kept now.
fn size(context: &Context, view: &View, config: &Config) -> StoreBody {
    let living = view.living();
    let max_bytes = config.store.max_bytes.0;
    let mut missing = MissingMap::default();
    let disk = context.facts.disk.as_ref();
    StoreBody {
        targets: living,
        gone_targets: view.targets().count() - living,
        events: view.events().count(),
        post_mortems: view.post_mortems().count(),
        profile_bytes: view.profile_bytes(),
        disk: missing.take("disk", disk, |history| DiskBody::new(history.status(), max_bytes)),
        missing,
    }
}
