//! Runs a service under watch and keeps what was answered about each of its runs.

use crate::inputs;
use crate::process::Process;
use crate::random::Random;
use crate::service::Service;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::investigate;
use leakwatch_analysis::model::verdict::Verdict;
use std::collections::BTreeMap;

/// Most samples of one service: longer ones are sampled less often than every five seconds.
const MOST_SAMPLES: f64 = 20_000.0;
/// Answers asked for in the life of a service.
const ANSWERS: f64 = 240.0;
/// A limit alert is given from this probability.
const ALERT: f64 = 0.8;
/// Answers are kept at least so far apart.
const LEAST_STEP: f64 = 20.0;

/// One answer, with what it is judged by.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) seconds: f64,
    /// Part of the head-room of this run that is used.
    pub(crate) used: f64,
    pub(crate) class: &'static str,
    pub(crate) is_claim: bool,
    pub(crate) probability: f64,
    pub(crate) limit_alert: bool,
    /// What each piece of evidence adds.
    pub(crate) weights: Vec<(String, f64)>,
    pub(crate) limit_hour: Option<f64>,
    pub(crate) place: Option<String>,
    pub(crate) p10_p50_p90: Option<[f64; 3]>,
}

/// One run of one replica.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) kind: &'static str,
    pub(crate) seed: u64,
    /// How many runs of this replica there were before.
    pub(crate) earlier: usize,
    pub(crate) has_healthy_replicas: bool,
    pub(crate) leaks: bool,
    pub(crate) is_go: bool,
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Ended by a kill.
    pub(crate) killed: bool,
    pub(crate) told: Vec<Told>,
}

struct Watched {
    history: TargetHistory,
    process: Process,
    pid: u32,
    announced: bool,
    first_level: f64,
    run: Run,
    next_deploy: f64,
}

/// All runs of a service.
pub(crate) fn watch(service: &Service) -> Vec<Run> {
    let mut random = Random::new(service.seed.wrapping_mul(31) ^ 0x5eed);
    let interval = (service.seconds / MOST_SAMPLES / 5.0).ceil().max(1.0) * 5.0;
    let answer_step = (service.seconds / ANSWERS).max(LEAST_STEP);
    let profile_step = (interval * 2.0).max(30.0);
    let mut finished = Vec::new();
    let mut replicas: Vec<Watched> = (0..service.replicas.len())
        .map(|index| Watched::new(service, index))
        .collect();
    let (mut now, mut next_profile, mut next_answer) = (0.0, 20.0, 40.0);
    while now < service.seconds {
        now += interval;
        let at = inputs::instant(now);
        for (index, watched) in replicas.iter_mut().enumerate() {
            let replica = &service.replicas[index];
            watched.process.step(service, replica, now, interval, &mut random);
            let memory = watched.process.memory(replica) * (1.0 + 0.002 * random.normal());
            let killed = memory >= service.limit;
            if killed || now >= watched.next_deploy {
                if killed {
                    inputs::kill(&mut watched.history, watched.pid, at);
                }
                inputs::exit(&mut watched.history, watched.pid, at, if killed { 9 } else { 0 });
                let ended = watched.restart(service, now, killed);
                finished.push(ended);
                continue;
            }
            let new = (!watched.announced).then(|| {
                let started = inputs::instant(now - watched.process.age);
                inputs::facts(service, watched.pid, started)
            });
            watched.announced = true;
            let sample = inputs::sample(&watched.history, at, memory, service.limit, watched.pid, new);
            watched.history.apply_sample(&sample);
            if watched.process.age <= interval.max(15.0) {
                watched.first_level = memory;
            }
            if now >= next_profile && service.is_go {
                inputs::profiles(&mut watched.history, &watched.process, replica, watched.pid, at);
            }
        }
        if now >= next_profile {
            next_profile = now + profile_step;
        }
        if now >= next_answer {
            next_answer = now + answer_step;
            for index in 0..replicas.len() {
                // Until the process is seen, an answer is about the run before.
                let Some(watched) = replicas.get(index).filter(|watched| watched.announced) else {
                    continue;
                };
                let others: Vec<&TargetHistory> = replicas
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != index)
                    .map(|(_, other)| &other.history)
                    .collect();
                let verdict = investigate(&watched.history, &BTreeMap::new(), &others, at).verdict;
                let memory = watched.process.memory(&service.replicas[index]);
                let room = (service.limit - watched.first_level).max(1.0);
                let told = told(&verdict, now, (memory - watched.first_level) / room);
                if let Some(watched) = replicas.get_mut(index) {
                    watched.history.apply_verdict(&verdict);
                    watched.run.told.push(told);
                }
            }
        }
    }
    finished.extend(replicas.into_iter().map(|watched| Run { to: now, ..watched.run }));
    finished
}

fn told(verdict: &Verdict, seconds: f64, used: f64) -> Told {
    let is_claim = verdict.class.is_leak();
    Told {
        seconds,
        used,
        class: verdict.class.name(),
        is_claim,
        probability: verdict.leak_probability,
        weights: verdict
            .evidence
            .iter()
            .filter_map(|evidence| Some((evidence.claim.clone(), evidence.weight?)))
            .collect(),
        limit_alert: verdict
            .limit_probability
            .is_some_and(|limit| limit.hour >= ALERT || limit.six_hours >= ALERT || limit.day >= ALERT),
        limit_hour: verdict.limit_probability.map(|limit| limit.hour),
        place: verdict
            .culprit
            .as_ref()
            .map(|culprit| culprit.frame.function.to_string()),
        p10_p50_p90: verdict
            .time_to_limit
            .map(|time| [time.p10_seconds, time.p50_seconds, time.p90_seconds]),
    }
}

impl Watched {
    fn new(service: &Service, index: usize) -> Self {
        let start = inputs::instant(0.0);
        let leaks = service.replicas[index].leaks();
        Self {
            history: TargetHistory::new(inputs::target(index, start), start),
            process: Process::new(),
            pid: 100,
            announced: false,
            first_level: 0.0,
            run: Run {
                kind: service.kind,
                seed: service.seed,
                earlier: 0,
                has_healthy_replicas: service.replicas.len() > 1 && !service.replicas[1].leaks(),
                leaks,
                is_go: service.is_go,
                from: 0.0,
                to: 0.0,
                killed: false,
                told: Vec::new(),
            },
            next_deploy: service.deploys.unwrap_or(f64::INFINITY),
        }
    }

    /// Begins the next run; the one that ended.
    fn restart(&mut self, service: &Service, now: f64, killed: bool) -> Run {
        self.process = Process::new();
        self.pid += 1;
        self.announced = false;
        self.next_deploy = service.deploys.map_or(f64::INFINITY, |every| now + every);
        let next = Run {
            earlier: self.run.earlier + 1,
            from: now,
            told: Vec::new(),
            ..self.run
        };
        let mut ended = std::mem::replace(&mut self.run, next);
        ended.to = now;
        ended.killed = killed;
        ended
    }
}

impl Run {
    /// Whether there was a false claim, or none where there should have been one.
    pub(crate) fn is_miss(&self) -> bool {
        self.told.iter().any(|told| told.is_claim) != self.leaks
    }

    /// The course of the answers.
    pub(crate) fn course(&self) -> String {
        let mut last = "";
        let mut parts = vec![format!(
            "{} seed {} run {} ({:.0} s{}):",
            self.kind,
            self.seed,
            self.earlier,
            self.to - self.from,
            if self.killed { ", killed" } else { "" }
        )];
        for told in &self.told {
            if told.class != last {
                last = told.class;
                parts.push(format!(
                    "{:.0}s {:.0}%:{last}({:.2} of {})",
                    told.seconds - self.from,
                    told.used * 100.0,
                    told.probability,
                    told.weights
                        .iter()
                        .map(|(c, w)| format!("{w:.1} {}", &c.chars().take(70).collect::<String>()))
                        .collect::<Vec<_>>()
                        .join("; ")
                ));
            }
        }
        let alert = self.told.iter().find(|told| told.limit_alert);
        let alert = alert.map(|told| format!("limit alert at {:.0} s", told.seconds - self.from));
        parts.extend(alert);
        parts.join(" ")
    }
}
