//! Who plays in the demo: the services, what is wrong with each, and the verdict that a correct tool must reach.

use clap::ValueEnum;

const MIB: u64 = 1 << 20;

/// Which part of the demo to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// Three replicas, one of which fills a cache without expiry
    Heap,
    /// Goroutines blocked on a channel nobody reads
    Goroutine,
    /// The same traffic without a leak
    Steady,
    /// A limit slightly too small for the steady need
    Undersized,
    /// All of them side by side
    All,
}

/// One running copy of the service, in a memory cgroup of its own.
#[derive(Debug)]
pub(crate) struct Role {
    /// Name of its cgroup.
    pub(crate) name: &'static str,
    /// Name of its executable, by which leakwatch groups replicas.
    pub(crate) service: &'static str,
    /// Which part of the demo it belongs to.
    pub(crate) variant: Variant,
    /// Memory limit in bytes.
    pub(crate) limit: u64,
    /// Arguments of the service.
    pub(crate) arguments: &'static [&'static str],
    /// What a correct tool must say about it.
    pub(crate) truth: Truth,
}

/// The verdict to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// A leak in this function, with this verdict; the line is marked in the source.
    Leak {
        class: &'static str,
        function: &'static str,
        mark: &'static str,
    },
    /// This class; at no time a leak.
    Healthy { class: &'static str },
}

impl Role {
    /// Whether it must be killed and explained.
    pub(crate) fn leaks(&self) -> bool {
        matches!(self.truth, Truth::Leak { .. })
    }
}

/// Everyone. Replicas differ by the cache alone: same traffic, same noise.
pub(crate) const ROLES: [Role; 6] = [
    Role {
        name: "markets-1",
        service: "markets",
        variant: Variant::Heap,
        limit: 192 * MIB,
        arguments: &["-variant=steady", "-rate=500000", "-noise=0.3"],
        truth: Truth::Healthy { class: "stable" },
    },
    Role {
        name: "markets-2",
        service: "markets",
        variant: Variant::Heap,
        limit: 192 * MIB,
        arguments: &["-variant=cache-leak", "-rate=500000", "-noise=0.3"],
        truth: Truth::Leak {
            class: "go_heap_leak",
            function: "main.getOrQueryMarketsValues",
            mark: "cache-leak",
        },
    },
    Role {
        name: "markets-3",
        service: "markets",
        variant: Variant::Heap,
        limit: 192 * MIB,
        arguments: &["-variant=steady", "-rate=500000", "-noise=0.3"],
        truth: Truth::Healthy { class: "stable" },
    },
    Role {
        name: "subscriptions",
        service: "markets-subscriptions",
        variant: Variant::Goroutine,
        limit: 192 * MIB,
        arguments: &["-variant=goroutine-leak", "-rate=500000", "-noise=0.3"],
        truth: Truth::Leak {
            // One replica, nothing to compare it with: proven by its memory, as nobody can wake them.
            class: "goroutine_leak",
            function: "main.publishMarketsValues",
            mark: "goroutine-leak",
        },
    },
    Role {
        name: "steady",
        service: "markets-steady",
        variant: Variant::Steady,
        limit: 192 * MIB,
        arguments: &[
            "-variant=steady",
            "-rate=500000",
            "-noise=0.3",
            "-burst-every=23s",
            "-burst-bytes=4000000",
        ],
        truth: Truth::Healthy { class: "stable" },
    },
    Role {
        // The reference data and what GOMEMLIMIT grants fill the limit; a burst every now and then does not fit beside them.
        name: "undersized",
        service: "markets-undersized",
        variant: Variant::Undersized,
        limit: 91 * MIB,
        arguments: &[
            "-variant=undersized",
            "-rate=500000",
            "-baseline=76000000",
            "-memory-limit=97000000",
            "-burst-every=70s",
            "-burst-bytes=24000000",
        ],
        truth: Truth::Healthy {
            class: "undersized_limit",
        },
    },
];
