//! What the service manager is told: ready, alive, reloading, ending, and a line of text. Without one nothing is told.

use crate::config::live::Live;
use crate::store::view::View;
use crate::store::view::Views;
use leakwatch_analysis::model::units::Timestamp;
use sd_notify::NotifyState;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// Pings in the time after which the service manager ends a daemon that sends none. It advises two; a busy host may delay one.
const PINGS: u32 = 4;

/// Tells the service manager.
#[derive(Debug)]
pub(super) struct Notifier {
    config: Live,
    views: Views,
    /// Time between two pings; none where nobody waits for them.
    every: Option<Duration>,
    told: Mutex<Told>,
}

/// What was told so far.
#[derive(Debug, Default)]
struct Told {
    ready: bool,
    pinged: Option<Instant>,
    status: String,
}

impl Notifier {
    pub(super) fn new(config: Live, views: Views) -> Self {
        Self {
            config,
            views,
            every: sd_notify::watchdog_enabled().map(|within| within / PINGS),
            told: Mutex::default(),
        }
    }

    /// The sampling loop came round. It is the only place that pings: a loop that hangs is a daemon that does nothing, whatever
    /// else of it still answers.
    pub(super) fn came_round(&self) {
        let view = self.views.newest();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let status = status(&view, &self.config);
        let mut news = Vec::new();
        // Before the first round is taken in, nothing can be answered.
        if !told.ready && view.now() > Timestamp::default() {
            told.ready = true;
            news.push(NotifyState::Ready);
        }
        if told.ready && status != told.status {
            told.status.clone_from(&status);
            news.push(NotifyState::Status(&status));
        }
        let now = Instant::now();
        let due = |every| told.pinged.is_none_or(|pinged| now.duration_since(pinged) >= every);
        if self.every.is_some_and(due) {
            told.pinged = Some(now);
            news.push(NotifyState::Watchdog);
        }
        tell(&news);
    }

    /// A reload has ended, whatever became of it.
    pub(super) fn reloaded(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.status = status(&self.views.newest(), &self.config);
        tell(&[NotifyState::Ready, NotifyState::Status(&told.status)]);
    }
}

/// A reload begins; [`Notifier::reloaded`] has to follow.
pub(super) fn reloading() {
    let since = NotifyState::monotonic_usec_now().ok();
    let news: Vec<_> = [NotifyState::Reloading].into_iter().chain(since).collect();
    tell(&news);
}

/// The daemon ends.
pub(super) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("ending: what is known is written to disk"),
    ]);
}

fn tell(news: &[NotifyState<'_>]) {
    if news.is_empty() {
        return;
    }
    if let Err(error) = sd_notify::notify(news) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// One line for `systemctl status`.
fn status(view: &View, config: &Live) -> String {
    let claims = view
        .targets()
        .filter(|(_, target)| target.is_living())
        .filter(|(_, target)| target.verdict().is_some_and(|verdict| verdict.class.is_leak()))
        .count();
    let leaks = match claims {
        1 => "1 leak claimed".to_owned(),
        claims => format!("{claims} leaks claimed"),
    };
    let status = format!("{} targets, {leaks}", view.living());
    let in_force = config.in_force();
    match in_force.reload.as_ref().filter(|reload| reload.is_incomplete()) {
        // The text of a refusal names a file and may quote it; a status is one line.
        Some(reload) => format!("{status}; {}", reload.to_string().replace('\n', " ")),
        None => status,
    }
}
