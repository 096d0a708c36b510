//! What all detectors look at, computed once per target and tick. Source: history; must not judge.

use crate::forecast;
use crate::growth;
use crate::growth::ProfileGrowth;
use crate::history::TargetHistory;
use crate::history::WindowEnd;
use crate::profile::ProfileType;
use crate::trend;
use crate::trend::Trend;
use crate::units::Bytes;
use crate::units::Timestamp;
use crate::verdict::TimeToLimit;
use crate::window;

/// Growth below this is never called material: allocators and the kernel move by such amounts without meaning.
pub const MATERIAL_BYTES: f64 = 1_048_576.0;
/// Growth over a window below this part of the level is flat.
pub const MATERIAL_PART: f64 = 0.02;

/// How memory moves, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Too little to say.
    Unknown,
    /// Flat, or back where it was.
    Flat,
    /// Grew and is levelling off.
    Levelling,
    /// Keeps growing.
    Growing,
    /// Moves, without a trend that can be told from noise.
    Unclear,
}

/// The facts about one target at one instant.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The target.
    pub history: &'a TargetHistory,
    /// Other replicas of its service.
    pub replicas: &'a [&'a TargetHistory],
    /// The instant of the question.
    pub now: Timestamp,
    /// Seconds of memory samples in the current window.
    pub observed: f64,
    /// Seconds since the main process started.
    pub age: f64,
    /// Trend of the unreclaimable charge over the window.
    pub memory: Option<Trend>,
    /// In words.
    pub motion: Motion,
    /// Newest level of the unreclaimable charge.
    pub level: f64,
    /// The limit, if there is one.
    pub limit: Option<Bytes>,
    /// Growth of the live heap by place.
    pub heap: Option<ProfileGrowth>,
    /// Growth of goroutine counts by place.
    pub goroutines: Option<ProfileGrowth>,
    /// Goroutines that the runtime proved leaked, newest.
    pub proven_leaked: Option<f64>,
    /// Whether the main process is Go, if known.
    pub is_go: Option<bool>,
    /// Earlier lives that ended by an OOM kill.
    pub oom_lives: usize,
    /// When the limit will be reached.
    pub time_to_limit: Option<TimeToLimit>,
}

impl<'a> Facts<'a> {
    /// Looks at everything once.
    pub fn gather(history: &'a TargetHistory, replicas: &'a [&'a TargetHistory], now: Timestamp) -> Self {
        let series = window::memory(history);
        let memory = trend::fit(&series);
        let observed = match (series.first(), series.last()) {
            (Some(first), Some(last)) => last.0 - first.0,
            _ => 0.0,
        };
        let heap = growth::measure(history, ProfileType::Heap);
        let goroutines = growth::measure(history, ProfileType::Goroutine);
        let limit = history.limit().bytes();
        let level = series.last().map_or(0.0, |point| point.1);
        let oom_lives = history
            .past_windows
            .iter()
            .filter(|past| past.end == WindowEnd::OomKill)
            .count();
        let mut facts = Self {
            history,
            replicas,
            now,
            observed,
            age: now.since(window::process_start(history)).as_secs_f64(),
            motion: memory.as_ref().map_or(Motion::Unknown, motion),
            memory,
            level,
            limit,
            heap,
            goroutines,
            proven_leaked: proven_leaked(history),
            is_go: window::is_go(history),
            oom_lives,
            time_to_limit: None,
        };
        facts.time_to_limit = facts.forecast();
        facts
    }

    fn forecast(&self) -> Option<TimeToLimit> {
        let limit = self.limit?.as_f64();
        let by_memory = self
            .memory
            .as_ref()
            .filter(|_| self.motion == Motion::Growing)
            .and_then(|trend| forecast::from_memory(trend, limit));
        by_memory.or_else(|| {
            let heap = self.heap.as_ref()?;
            heap.persistent(crate::detect::go_heap_leak::LEAST_PERSISTENCE).next()?;
            forecast::from_live_heap(heap, self.level, limit)
        })
    }

    /// Growth of the unreclaimable charge in bytes per second, if it was measured.
    pub fn growth_rate(&self) -> Option<f64> {
        let trend = self.memory.as_ref()?;
        Some(match self.motion {
            Motion::Growing => trend.end_slope,
            Motion::Flat => 0.0,
            Motion::Levelling => trend.end_slope.max(0.0),
            Motion::Unknown | Motion::Unclear => trend.recent.estimate,
        })
    }

    /// Instant on the window's axis.
    pub fn instant(&self, seconds: f64) -> Timestamp {
        self.history
            .window_start
            .plus(std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
    }

    /// Times the charge hit the limit since the cgroup exists.
    pub fn limit_hits(&self) -> u64 {
        self.history
            .newest
            .as_ref()
            .ok()
            .and_then(|memory| memory.events.as_ref().ok())
            .map_or(0, |events| events.max)
    }
}

fn proven_leaked(history: &TargetHistory) -> Option<f64> {
    let newest = window::snapshots(history, ProfileType::GoroutineLeak).last()?;
    u32::try_from(newest.total.inuse_objects).ok().map(f64::from)
}

fn motion(trend: &Trend) -> Motion {
    let material = MATERIAL_BYTES.max(trend.level.abs().max(trend.first_level.abs()) * MATERIAL_PART);
    let recent_span = trend.span() / 2.0;
    let recent_growth = trend.recent.estimate * recent_span;
    if trend.grows() && trend.growth() >= MATERIAL_BYTES.max(2.0 * trend.noise) {
        return Motion::Growing;
    }
    if trend.decelerates() && trend.growth() >= material {
        let settled = recent_growth.abs() < material / 2.0;
        return if settled { Motion::Flat } else { Motion::Levelling };
    }
    if recent_growth.abs() < material || trend.recent.high <= 0.0 {
        return Motion::Flat;
    }
    Motion::Unclear
}
