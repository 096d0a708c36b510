//! What a simulated service does with memory, and whether that is a leak: the truth that verdicts are compared with.

use crate::random::Random;

pub(crate) const MIB: f64 = 1_048_576.0;
const DAY: f64 = 86_400.0;

/// What the place does that is not always the same size.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// Nothing grows.
    Steady,
    /// Keeps so many bytes of each request for ever.
    LeakPerRequest { bytes: f64 },
    /// Keeps so many bytes a second for ever.
    LeakPerSecond { rate: f64 },
    /// Keeps so many bytes of each error for ever; errors come in bursts, so many a second.
    LeakPerError { bytes: f64, bursts: f64 },
    /// A cache of new keys with a bound.
    Fill { bytes: f64, bound: f64 },
    /// A cache of few popular and many rare keys with a bound.
    Zipf { bytes: f64, bound: f64, requests: f64 },
    /// Each entry expires after so many seconds.
    Expiry { bytes: f64, seconds: f64 },
    /// Held while a session lasts: follows load.
    Sessions { bytes: f64, seconds: f64 },
    /// Rows are collected for a part of each period.
    Batch { bytes: f64, period: f64, part: f64 },
    /// Grows until it is written out.
    Flush { rate: f64, period: f64 },
    /// Loads its data after the start.
    Load { need: f64, seconds: f64 },
    /// One step.
    Step { bytes: f64, at: f64 },
}

/// How many requests a second there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) base: f64,
    pub(crate) wave: f64,
    pub(crate) period: f64,
    pub(crate) phase: f64,
    /// Part of each period without traffic.
    pub(crate) pause: f64,
}

impl Traffic {
    pub(crate) fn at(&self, seconds: f64) -> f64 {
        let turn = (seconds / self.period + self.phase).fract();
        if turn < self.pause {
            return self.base * 0.02;
        }
        self.base * (1.0 + self.wave * (turn * std::f64::consts::TAU).sin()).max(0.02)
    }
}

/// One replica.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replica {
    pub(crate) place: Place,
    /// Whether what grows is also a goroutine each.
    pub(crate) goroutines: bool,
}

impl Replica {
    pub(crate) const fn leaks(&self) -> bool {
        matches!(
            self.place,
            Place::LeakPerRequest { .. } | Place::LeakPerSecond { .. } | Place::LeakPerError { .. }
        )
    }
}

/// A service: its replicas, and how it is run.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) kind: &'static str,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    pub(crate) limit: f64,
    pub(crate) base: f64,
    pub(crate) is_go: bool,
    pub(crate) traffic: Traffic,
    /// Seconds between deploys.
    pub(crate) deploys: Option<f64>,
    pub(crate) replicas: Vec<Replica>,
}

/// Kinds of services, with how often each is drawn.
const KINDS: [(&str, u32); 20] = [
    ("steady", 10),
    ("fill", 10),
    ("fill, native", 4),
    ("fill, deploys", 6),
    ("fill, replicas", 4),
    ("zipf", 8),
    ("expiry", 6),
    ("wave", 8),
    ("wave of goroutines", 4),
    ("batch", 6),
    ("flush", 6),
    ("step", 3),
    ("small limit", 4),
    ("leak per request", 8),
    ("leak per second", 6),
    ("leak per error", 4),
    ("leak of goroutines", 5),
    ("leak, native", 4),
    ("leak, one of three", 8),
    ("leak, deploys", 4),
];

impl Service {
    /// The service of a seed.
    pub(crate) fn draw(seed: u64, longest: f64) -> Self {
        let mut random = Random::new(seed);
        let all: u32 = KINDS.iter().map(|(_, often)| often).sum();
        let mut drawn = random.uniform() * f64::from(all);
        let mut kind = KINDS[0].0;
        for (name, often) in KINDS {
            kind = name;
            drawn -= f64::from(often);
            if drawn < 0.0 {
                break;
            }
        }
        Self::of(kind, seed, longest, &mut random)
    }

    fn of(kind: &'static str, seed: u64, longest: f64, random: &mut Random) -> Self {
        let seconds = random.scale(1200.0, longest);
        let base = random.scale(10.0, 300.0) * MIB;
        let limit = base * random.scale(4.0, 12.0) + 32.0 * MIB;
        // Garbage doubles a Go heap: what may be kept is half.
        let is_go = !kind.ends_with("native");
        let room = (limit - 2.2 * base) / if is_go { 2.1 } else { 1.05 };
        let requests = random.scale(5.0, 500.0);
        let traffic = Traffic {
            base: requests,
            wave: if kind.starts_with("wave") {
                random.between(0.4, 0.9)
            } else {
                random.between(0.0, 0.6)
            },
            period: if random.chance(0.6) {
                DAY
            } else {
                random.scale(900.0, DAY)
            }
            .min(seconds * 1.5),
            phase: random.uniform(),
            pause: if random.chance(0.25) {
                random.between(0.1, 0.4)
            } else {
                0.0
            },
        };
        // How long it takes until the room is used: leaks most of the time watched, caches any part of it.
        let until_full = seconds * random.scale(0.15, 0.8);
        let fill = seconds * random.scale(0.05, 0.8);
        let part = random.between(0.25, 0.85);
        let per_request = |bytes: f64, time: f64| bytes / (requests * time);
        let filling = Place::Fill {
            bytes: per_request(room * part, fill),
            bound: room * part,
        };
        let leak = Place::LeakPerRequest {
            bytes: per_request(room, until_full),
        };
        let place = match kind {
            "fill" | "fill, native" | "fill, replicas" | "fill, deploys" => filling,
            "zipf" => Place::Zipf {
                bytes: per_request(room * part, fill * 0.3),
                bound: room * part,
                requests: requests * fill,
            },
            "expiry" => Place::Expiry {
                bytes: per_request(room * part, fill),
                seconds: fill,
            },
            "wave" | "wave of goroutines" => {
                let lasts = random.scale(10.0, 600.0);
                Place::Sessions {
                    bytes: per_request(room * part * 0.5, lasts),
                    seconds: lasts,
                }
            }
            "batch" => Place::Batch {
                bytes: room * part,
                period: (seconds * random.scale(0.02, 0.4)).min(DAY),
                part: random.between(0.2, 0.6),
            },
            "flush" => {
                let period = seconds * random.scale(0.02, 0.4);
                Place::Flush {
                    rate: room * part / period,
                    period,
                }
            }
            "step" => Place::Step {
                bytes: room * part,
                at: seconds * random.between(0.2, 0.8),
            },
            "small limit" => Place::Load {
                need: room * 1.08,
                seconds: random.scale(15.0, 120.0),
            },
            "leak per second" | "leak, native" => Place::LeakPerSecond {
                rate: room / until_full,
            },
            "leak per error" => {
                let bursts = random.scale(12.0, 200.0) / until_full;
                Place::LeakPerError {
                    bytes: room / until_full / bursts,
                    bursts,
                }
            }
            "leak per request" | "leak of goroutines" | "leak, one of three" | "leak, deploys" => leak,
            _ => Place::Steady,
        };
        let replicas = replicas(kind, place);
        let deploys = match kind {
            "fill, deploys" => Some((seconds / random.between(2.2, 5.0)).max(fill * 1.3)),
            "leak, deploys" => Some(until_full * random.between(0.4, 0.7)),
            _ => None,
        };
        Self {
            kind,
            seed,
            seconds: if kind == "small limit" {
                seconds.min(7200.0)
            } else {
                seconds
            },
            limit,
            base,
            is_go,
            traffic,
            deploys,
            replicas,
        }
    }
}

fn replicas(kind: &str, place: Place) -> Vec<Replica> {
    let first = Replica {
        place,
        goroutines: kind.ends_with("goroutines"),
    };
    let healthy = Replica {
        place: Place::Steady,
        goroutines: false,
    };
    match kind {
        "leak, one of three" => vec![first, healthy, healthy],
        "fill, replicas" => vec![first; 3],
        _ => vec![first],
    }
}
