//! What all detectors look at, computed once per target and tick. Source: history; must not judge.

use crate::detect::goroutine_leak;
use crate::history::TargetHistory;
use crate::history::window;
use crate::measure::forecast;
use crate::measure::pacing::Pacing;
use crate::measure::runs::Lives;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileGrowth;
use crate::measure::site_trend::Share;
use crate::measure::site_trend::Site;
use crate::model::profile::ProfileType;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::model::verdict::TimeToLimit;
use crate::stats::trend;
use crate::stats::trend::Trend;

/// Growth below this is never called material: allocators and the kernel move by such amounts without meaning.
pub const MATERIAL_BYTES: f64 = 1_048_576.0;
/// Growth over a window below this part of the level is flat.
pub const MATERIAL_PART: f64 = 0.02;

/// Noise that could hide growth of more than this part of the level over half the window leaves the question open.
pub const HIDDEN_PART: f64 = 0.2;

/// False discovery rate for places in the code when memory as a whole grows.
pub const CORROBORATED_RATE: f64 = 0.01;
/// The same when only the profile says so.
pub const ALONE_RATE: f64 = 1e-4;

/// A live heap that surely grew by more than this part of it is not flat.
const FLAT_HEAP: f64 = 0.1;
/// Above this part of the limit garbage-collection headroom becomes dangerous.
const HEADROOM_PART: f64 = 0.8;
/// What a Go process holds outside of its heap (runtime metadata, stacks, binary), at most: this or this part of the level.
const OUTSIDE_BYTES: f64 = 12.0 * 1_048_576.0;
const OUTSIDE_PART: f64 = 0.1;

/// A life is judged by the ones before until it is this much older than they became.
const LIKE_BEFORE: f64 = 1.5;
/// The last half, quarter and so on of the window, where growth that started late is looked for.
const LATE_PARTS: [usize; 5] = [2, 4, 8, 16, 32];
/// Fewer samples do not show that growth goes on.
const LEAST_FOR_LATE: usize = 10;

/// Part of a wave's height by which samples may miss its peaks and troughs: of a wave that takes ten samples.
const MISSED_PART: f64 = 0.1;
/// Two waves: up and down, and up and down again.
const LEAST_TURNS: u32 = 3;

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
    /// When the heap is collected.
    pub pacing: Pacing,
    /// Growth of goroutine counts by place.
    pub goroutines: Option<ProfileGrowth>,
    /// Growth of what the allocator was asked for and not given back, by place, during the newest capture.
    pub native: Option<ProfileGrowth>,
    /// Growth of what became resident and is so still, by the place that touched it, during the newest growth capture.
    pub growth: Option<ProfileGrowth>,
    /// The same by the place that mapped it, for what was mapped during the capture.
    pub mappings: Option<ProfileGrowth>,
    /// Goroutines that the runtime proved leaked, newest.
    pub proven_leaked: Option<f64>,
    /// Whether the main process is Go, if known.
    pub is_go: Option<bool>,
    /// Earlier lives that ended by an OOM kill.
    pub lives: Lives,
    /// Whether `now` is the instant at which the process was killed for lack of memory: nothing more will be learned of this life.
    pub dying: bool,
    /// Whether differences that chance explains are read in favour of a leak: a claim already made is to be contradicted by more.
    pub lenient: bool,
    /// In how many goroutine profiles `main` was loading data: growth then may be just that. All when no profile tells, or when
    /// nothing depends on it.
    pub loading: Share,
    /// Growth of the live heap in the life before, when this one is too young to say.
    pub heap_before: Option<ProfileGrowth>,
    /// Growth of goroutine counts in the life before, when this one is too young to say.
    pub goroutines_before: Option<ProfileGrowth>,
    /// When the limit will be reached.
    pub time_to_limit: Option<TimeToLimit>,
}

impl<'a> Facts<'a> {
    /// Looks at everything once.
    pub fn gather(history: &'a TargetHistory, replicas: &'a [&'a TargetHistory], now: Timestamp) -> Self {
        let mut series = window::memory(history, now);
        let limit = history.limit().bytes();
        let dying = is_dying(history, now);
        if let Some(limit) = limit.filter(|_| dying) {
            // At its kill a process had reached the limit, whenever it was sampled last.
            series.push((now.seconds_from(history.window_start), limit.as_f64()));
        }
        let (memory, motion) = memory_trend(window::after_start_up(history, &series, now));
        let observed = match (series.first(), series.last()) {
            (Some(first), Some(last)) => last.0 - first.0,
            _ => 0.0,
        };
        let heap = site_trend::measure(history, ProfileType::Heap, now);
        let goroutines = site_trend::measure(history, ProfileType::Goroutine, now);
        let level = series.last().map_or(0.0, |point| point.1);
        let lives = Lives::of(history, replicas);
        let age = now.since(window::process_start(history)).as_secs_f64();
        let young = !lives.is_empty() && age <= lives.typical_seconds * LIKE_BEFORE;
        let before = |profile_type| {
            young
                .then(|| site_trend::measure_previous(history, profile_type))
                .flatten()
        };
        let may_load = dying || !lives.is_empty() || motion == Motion::Growing;
        let mut facts = Self {
            history,
            replicas,
            now,
            observed,
            age,
            motion,
            memory,
            level,
            limit,
            pacing: Pacing::of(history, now),
            goroutines,
            native: site_trend::measure(history, ProfileType::Native, now),
            growth: site_trend::measure(history, ProfileType::Growth, now),
            mappings: site_trend::measure(history, ProfileType::Mapping, now),
            proven_leaked: proven_leaked(history, now),
            is_go: window::is_go(history, now),
            lenient: dying,
            dying,
            lives,
            loading: if may_load { loading(history, now) } else { Share::All },
            heap_before: before(ProfileType::Heap),
            goroutines_before: before(ProfileType::Goroutine),
            heap,
            time_to_limit: None,
        };
        facts.time_to_limit = facts.forecast();
        facts
    }

    fn forecast(&self) -> Option<TimeToLimit> {
        let limit = self.limit?.as_f64();
        // Steps of the collector can look like an end of the growth, or like noise; what piles up says that it goes on.
        let goes_on = match self.motion {
            Motion::Growing => true,
            Motion::Unclear | Motion::Levelling => {
                self.leaking_sites().next().is_some() || self.goroutine_suspect().is_some()
            }
            _ => self.goroutine_suspect().is_some(),
        };
        let by_memory = self.memory.as_ref().filter(|_| goes_on).and_then(|trend| {
            let peaks = window::peaks(self.history, self.now);
            forecast::from_memory(&peaks, trend, limit)
        });
        by_memory.or_else(|| {
            self.leaking_sites().next()?;
            forecast::from_live_heap(self.heap.as_ref()?, self.pacing, self.level, limit)
        })
    }

    /// Places whose retained memory grows all along. The profile alone must be very sure, since it is asked again and again;
    /// when the memory as a whole grows as well, it only has to say where.
    pub fn leaking_sites(&self) -> impl Iterator<Item = &Site> {
        let rate = if self.motion == Motion::Growing {
            CORROBORATED_RATE
        } else {
            ALONE_RATE
        };
        self.heap.iter().flat_map(move |heap| heap.persistent(rate))
    }

    /// Whether resident memory can be explained by a live heap that does not grow plus the garbage that the runtime allows.
    pub fn within_gc_headroom(&self) -> bool {
        let Some(heap) = self.heap.as_ref().filter(|heap| heap.observations >= 3) else {
            return false;
        };
        let grows = heap.persistent(CORROBORATED_RATE).next().is_some() || heap.total.low > heap.now * FLAT_HEAP;
        let Some(largest) = self.pacing.largest(heap.now) else {
            return false;
        };
        !grows && self.level <= largest + outside_heap(self.level)
    }

    /// Whether a Go heap at its present size may grow past the limit before it is collected, and is close to it already.
    pub fn lacks_headroom(&self) -> bool {
        let (Some(limit), Some(heap)) = (self.limit.map(Bytes::as_f64), &self.heap) else {
            return false;
        };
        let fits = self.pacing.largest(heap.now).is_some_and(|largest| largest <= limit);
        !fits && self.level > limit * HEADROOM_PART
    }

    /// The place that piles up most goroutines, if any does.
    pub fn goroutine_suspect(&self) -> Option<&Site> {
        self.goroutines
            .as_ref()?
            .persistent(ALONE_RATE)
            .find(|site| goroutine_leak::is_material(site))
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

/// What a Go process that holds `level` bytes may hold outside of its heap.
pub fn outside_heap(level: f64) -> f64 {
    OUTSIDE_BYTES.max(level * OUTSIDE_PART)
}

/// Whether the newest thing known of the process is its kill.
fn is_dying(history: &TargetHistory, now: Timestamp) -> bool {
    history.oom_kills.last().is_some_and(|kill| {
        let victim = history
            .processes
            .values()
            .find(|record| record.process.key.pid == kill.victim.pid);
        kill.at >= history.newest_at
            && kill.at <= now
            && victim.is_some_and(|record| record.first_seen >= history.window_start)
    })
}

/// Whether `main` itself is at work in a place that holds much, in this life and in the one before.
fn loading(history: &TargetHistory, now: Timestamp) -> Share {
    let of_now = || {
        let holders = site_trend::large_places(history, window::snapshots(history, ProfileType::Heap, now).last()?);
        site_trend::main_is_in(
            history,
            window::snapshots(history, ProfileType::Goroutine, now),
            &holders,
        )
    };
    let of_before = || {
        let series = |profile_type| window::previous_series(history, profile_type);
        let holders = site_trend::large_places(history, series(ProfileType::Heap)?.newest()?);
        site_trend::main_is_in(history, series(ProfileType::Goroutine)?.as_slice().iter(), &holders)
    };
    of_now().max(of_before()).unwrap_or(Share::All)
}

fn proven_leaked(history: &TargetHistory, now: Timestamp) -> Option<f64> {
    let newest = window::snapshots(history, ProfileType::GoroutineLeak, now).last()?;
    u32::try_from(newest.total.inuse_objects).ok().map(f64::from)
}

/// The trend over all of the window; when that does not grow, over the later part of it whose growth left everything behind
/// that was seen before.
fn memory_trend(series: &[(f64, f64)]) -> (Option<Trend>, Motion) {
    let Some(whole) = trend::fit(series) else {
        return (None, Motion::Unknown);
    };
    let moves = motion(&whole);
    if matches!(moves, Motion::Growing | Motion::Levelling) {
        return (Some(whole), moves);
    }
    for part in LATE_PARTS {
        let (earlier, later) = series.split_at(series.len() - series.len() / part);
        let highest = earlier.iter().map(|point| point.1).fold(0.0, f64::max);
        let newest = later.last().map_or(0.0, |point| point.1);
        if later.len() < LEAST_FOR_LATE || newest <= highest {
            break;
        }
        if let Some(late) = trend::fit(later)
            && motion(&late) == Motion::Growing
            && late.level - highest >= late.growth() / 2.0
        {
            return (Some(late), Motion::Growing);
        }
    }
    if moves == Motion::Unclear && comes_and_goes(series) {
        return (Some(whole), Motion::Flat);
    }
    (Some(whole), moves)
}

/// Whether a series went up and down at least twice, and neither its peaks nor its troughs rise.
fn comes_and_goes(series: &[(f64, f64)]) -> bool {
    let bounds = |part: &[(f64, f64)]| {
        part.iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
                (low.min(point.1), high.max(point.1))
            })
    };
    let (low, high) = bounds(series);
    let (earlier, later) = series.split_at(series.len() / 2);
    let ((trough, peak), (later_trough, later_peak)) = (bounds(earlier), bounds(later));
    let missed = MATERIAL_BYTES.max((high - low) * MISSED_PART);
    if later_peak > peak + missed || later_trough > trough + missed {
        return false;
    }
    let quarter = (high - low) / 4.0;
    let (mut turns, mut is_up) = (0, None);
    for &(_, value) in series {
        let now = match value {
            _ if value >= high - quarter => true,
            _ if value <= low + quarter => false,
            _ => continue,
        };
        turns += u32::from(is_up.is_some_and(|before| before != now));
        is_up = Some(now);
    }
    turns >= LEAST_TURNS
}

fn motion(trend: &Trend) -> Motion {
    let material = MATERIAL_BYTES.max(trend.level.abs().max(trend.first_level.abs()) * MATERIAL_PART);
    let recent_span = trend.span() / 2.0;
    let recent_growth = trend.recent.estimate * recent_span;
    if trend.grows() && trend.growth() >= material.max(3.0 * trend.noise) {
        return Motion::Growing;
    }
    if trend.decelerates() && trend.growth() >= material {
        let settled = recent_growth.abs() < material / 2.0;
        return if settled { Motion::Flat } else { Motion::Levelling };
    }
    if recent_growth.abs() < material || trend.recent.high <= 0.0 {
        return Motion::Flat;
    }
    // No trend beyond the noise, and the noise is small enough to have shown one.
    let possible = trend.recent.high * recent_span;
    if trend.recent.low.min(trend.slope.low) <= 0.0 && possible < trend.level.abs() * HIDDEN_PART {
        return Motion::Flat;
    }
    Motion::Unclear
}
