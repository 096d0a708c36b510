//! What the detectors examine: one target at one instant. Everything but the trend of memory is computed when the first detector asks
//! for it, so that a detector that needs something new adds nothing here. Source: history; must not judge.

use crate::detect::suspect;
use crate::detect::suspect::ALONE_RATE;
use crate::detect::suspect::CORROBORATED_RATE;
use crate::history::TargetHistory;
use crate::history::window;
use crate::measure::against_load::AgainstLoad;
use crate::measure::charge;
use crate::measure::forecast;
use crate::measure::loading::Loading;
use crate::measure::motion::MemoryTrend;
use crate::measure::motion::Motion;
use crate::measure::pacing::Pacing;
use crate::measure::runs::Runs;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileTrend;
use crate::measure::site_trend::SiteTrend;
use crate::measure::thrashing::Thrashing;
use crate::model::profile::ProfileType;
use crate::model::sample::CgroupMemory;
use crate::model::sample::LimitSource;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::model::verdict::TimeToLimit;
use std::cell::OnceCell;

/// A run is judged by the ones before until it is this much older than they became.
const LIKE_BEFORE: f64 = 1.5;

/// What is computed at most once for each type of profile.
type PerType = [OnceCell<Option<ProfileTrend>>; ProfileType::ALL.len()];

/// The facts about one target at one instant.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The target.
    pub history: &'a TargetHistory,
    /// Other replicas of its service.
    pub replicas: &'a [&'a TargetHistory],
    /// The instant of the question.
    pub now: Timestamp,
    /// Whether `now` is the instant at which the process was killed for lack of memory: nothing more will be learned of this run.
    pub dying: bool,
    /// Whether differences that chance explains are read in favour of a leak: a verdict already given is to be contradicted by more.
    pub lenient: bool,
    /// The unreclaimable charge over the window.
    pub memory: MemoryTrend,
    /// The limit, if there is one.
    pub limit: Option<Bytes>,
    /// How far memory may grow: to the limit, less what others take of it, or to the end of the machine's memory.
    pub ceiling: Option<Bytes>,
    /// What that is, in a sentence.
    pub ceiling_is: &'static str,
    /// When the heap is collected.
    pub pacing: Pacing,
    /// Whether the main process is Go, if known.
    pub is_go: Option<bool>,
    trends: PerType,
    trends_before: PerType,
    runs: OnceCell<Runs>,
    loading: OnceCell<Loading>,
    time_to_limit: OnceCell<Option<TimeToLimit>>,
    thrashing: OnceCell<Option<Thrashing>>,
}

impl<'a> Facts<'a> {
    /// About a target as of `now`.
    pub fn of(history: &'a TargetHistory, replicas: &'a [&'a TargetHistory], now: Timestamp) -> Self {
        let dying = is_dying(history, now);
        let newest = history.newest.as_ref().ok();
        Self {
            history,
            replicas,
            now,
            dying,
            lenient: dying,
            memory: MemoryTrend::of(history, now, dying),
            limit: history.limit().bytes(),
            ceiling: newest.and_then(CgroupMemory::ceiling),
            ceiling_is: newest
                .and_then(CgroupMemory::limit_source)
                .unwrap_or(LimitSource::Own)
                .text(),
            pacing: Pacing::of(history, now),
            is_go: window::is_go(history, now),
            trends: PerType::default(),
            trends_before: PerType::default(),
            runs: OnceCell::new(),
            loading: OnceCell::new(),
            time_to_limit: OnceCell::new(),
            thrashing: OnceCell::new(),
        }
    }

    /// What each call site retains by the profiles of one type; none when no two of them differ.
    pub fn trend(&self, profile_type: ProfileType) -> Option<&ProfileTrend> {
        let trend = self.trends.get(profile_type as usize)?;
        trend
            .get_or_init(|| site_trend::measure(self.history, profile_type, self.now))
            .as_ref()
    }

    /// The same of the run before, while this one is too young to say.
    pub fn trend_before(&self, profile_type: ProfileType) -> Option<&ProfileTrend> {
        let young = self.age() <= self.runs().any_seconds * LIKE_BEFORE;
        let trend = self.trends_before.get(profile_type as usize).filter(|_| young)?;
        trend
            .get_or_init(|| site_trend::measure_previous_process(self.history, profile_type))
            .as_ref()
    }

    /// Earlier runs that ended by an OOM kill.
    pub fn runs(&self) -> &Runs {
        self.runs.get_or_init(|| Runs::of(self.history, self.replicas))
    }

    /// In how many goroutine profiles `main` was loading data: growth then may be just that. Always when no profile tells, or when
    /// nothing depends on it.
    pub fn loading(&self) -> Loading {
        *self.loading.get_or_init(|| {
            let matters = self.dying || !self.runs().is_empty() || self.memory.grows();
            let told = matters.then(|| Loading::of(self.history, self.now)).flatten();
            told.unwrap_or(Loading::Always)
        })
    }

    /// Seconds since the main process started.
    pub fn age(&self) -> f64 {
        self.now.since(window::process_start(self.history)).as_secs_f64()
    }

    /// When the limit will be reached; never once it was.
    pub fn time_to_limit(&self) -> Option<TimeToLimit> {
        let is_there = || self.dying || self.thrashing().is_some() || charge::may_be_given_up(self.history);
        *self
            .time_to_limit
            .get_or_init(|| self.forecast().filter(|_| !is_there()))
    }

    /// How it thrashes at its limit, if it does.
    pub fn thrashing(&self) -> Option<&Thrashing> {
        let thrashing = self.thrashing.get_or_init(|| {
            let limit = self.limit.filter(|_| !self.dying)?;
            Thrashing::of(self.history, self.memory.level, limit.as_f64(), self.now)
        });
        thrashing.as_ref()
    }

    /// Growth of memory in bytes per second, if it was measured. Where memory as a whole does not surely grow and there is a forecast, it is a rate that
    /// leads to it: a heap that grows into memory which its process has already does not show in the charge yet.
    pub fn growth_rate(&self) -> Option<f64> {
        let measured = self.memory.growth_rate()?;
        let room = self.ceiling.map_or(0.0, |ceiling| ceiling.as_f64() - self.memory.level);
        let time = self.time_to_limit().filter(|_| !self.memory.grows() && room > 0.0);
        let Some(time) = time else {
            return Some(measured);
        };
        let least = room / time.p90_seconds.max(f64::MIN_POSITIVE);
        let most = room / time.p10_seconds.max(f64::MIN_POSITIVE);
        Some(measured.clamp(least, most.max(least)))
    }

    /// Call sites whose retained memory grows all along. The profile alone must be very sure, since it is asked again and again;
    /// when the memory as a whole grows as well, it only has to say where.
    pub fn leaking_sites(&self) -> impl Iterator<Item = &SiteTrend> {
        let rate = if self.memory.grows() {
            CORROBORATED_RATE
        } else {
            ALONE_RATE
        };
        let heap = self.trend(ProfileType::Heap);
        let all_along = move || heap.into_iter().flat_map(move |heap| heap.persistent(rate));
        // In bursts, while memory keeps growing: the place of nearly all that grew.
        let nearly_all = heap.filter(|_| self.memory.grows() && all_along().next().is_none());
        let nearly_all = nearly_all.and_then(|heap| suspect::nearly_all(heap));
        all_along().chain(nearly_all)
    }

    /// The call site that piles up most goroutines, if any does.
    pub fn goroutine_suspect(&self) -> Option<&SiteTrend> {
        suspect::goroutines(self.trend(ProfileType::Goroutine)?)
    }

    /// How what grows goes with the work done: the place that grows most where one is known, else the live heap or the memory of the run.
    pub fn against_load(&self) -> Option<AgainstLoad> {
        let by_place = self
            .leaking_sites()
            .next()
            .and_then(|site| AgainstLoad::of_place(self.history, site.stack, self.now));
        by_place.or_else(|| AgainstLoad::of_run(self.history.run.as_ref()?))
    }

    fn forecast(&self) -> Option<TimeToLimit> {
        let limit = self.ceiling?.as_f64();
        // Steps of the collector can look like an end of the growth, or like noise; what piles up says that it goes on.
        let goes_on = match self.memory.motion {
            Motion::Growing => true,
            Motion::Unclear | Motion::Returning | Motion::Levelling => {
                self.leaking_sites().next().is_some() || self.goroutine_suspect().is_some()
            }
            _ => self.goroutine_suspect().is_some(),
        };
        let by_memory = self.memory.trend.as_ref().filter(|_| goes_on).and_then(|trend| {
            let peaks = window::peaks(self.history, self.now);
            forecast::from_memory(&peaks, trend, limit)
        });
        by_memory.or_else(|| {
            self.leaking_sites().next()?;
            forecast::from_live_heap(self.trend(ProfileType::Heap)?, self.pacing, self.memory.level, limit)
        })
    }
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
