//! What the daemon says of a victim, beside what the victim said.

use crate::final_heap::victim::OBJECT;
use crate::final_heap::victim::PIECE;
use crate::final_heap::victim::Truth;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_analysis::pprof;
use leakwatch_analysis::pprof::Bounds;
use leakwatch_analysis::pprof::proto::Profile;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

/// Larger than anything the daemon makes.
const BOUNDS: Bounds = Bounds {
    max_compressed_bytes: 256 << 20,
    max_decompressed_bytes: 1 << 30,
    max_samples: 1 << 22,
    max_locations: 1 << 22,
    max_functions: 1 << 20,
    max_strings: 1 << 20,
    max_mappings: 4_096,
    max_stack_depth: 2_048,
    max_elements: 1 << 27,
};

/// What was read may arrive after all when the post-mortem does not wait for it.
const LATEST: Duration = Duration::from_secs(35);

/// What is left of a victim.
#[derive(Clone, Debug)]
pub(crate) struct Remains {
    /// `complete`, `truncated`, `last_snapshot` or `none`.
    pub(crate) outcome: String,
    /// What the daemon says is missing, and why; empty when nothing is.
    pub(crate) told: String,
    /// Buckets that were read, of those the program counted.
    pub(crate) buckets: f64,
    /// Stacks of held objects in the profile, of those that the program holds.
    pub(crate) stacks: f64,
    /// Bytes in use in the profile, of those that the program holds and filled.
    pub(crate) bytes: f64,
    /// The function that holds most.
    pub(crate) top: String,
    /// How long the victim was held up for its heap, in milliseconds.
    pub(crate) walk: Option<f64>,
    /// The program's own goroutines, and why there is no number.
    pub(crate) goroutines: String,
}

/// The post-mortem of a victim, once what the kernel read is in it or will not come.
pub(crate) fn wait(daemon: &Daemon, truth: &Truth) -> Result<Remains> {
    let client = daemon.client();
    let what = format!("the post-mortem of process {}", truth.pid);
    let start = Instant::now();
    let kill = wait_until(&what, Duration::from_mins(2), || {
        let page = client.json("/api/v1/oom_kills?limit=20")?;
        let items = page["items"].as_array().context("items")?.clone();
        let is_over = |kill: &Value| match text(&kill["at_death"], "heap") {
            "pending" => false,
            "last_snapshot" | "none" => start.elapsed() > LATEST,
            _ => true,
        };
        let of_victim = |kill: &&Value| kill["victim"]["pid"] == truth.pid && is_over(kill);
        Ok(items.iter().find(of_victim).cloned())
    })?;
    let at_death = &kill["at_death"];
    let profile = match kill["profiles"].as_array() {
        Some(profiles) => profiles.iter().find(|profile| text(profile, "type") == "heap"),
        None => None,
    };
    let heap = match profile {
        Some(profile) => InUse::of(&pprof::decode(&client.bytes(text(profile, "link"))?, &BOUNDS)?),
        None => InUse::default(),
    };
    let kept = heap.of_function("main.keep");
    let filled = heap.of_function("main.fill");
    // The piece under way is allocated, and its number may not have been printed.
    let most = truth.held * OBJECT + truth.filled.max(filled.bytes / PIECE) * PIECE;
    let mut told = told(at_death);
    if text(at_death, "heap") == "last_snapshot" {
        // Nothing was read: what was lost since the daemon was started may say why.
        let losses = &client.json("/api/v1/status")?["losses"];
        let scope = &kill["missing"]["scope"]["detail"];
        told.push(format!("scope {} {scope}, losses {losses}", text(&kill, "scope")));
    }
    Ok(Remains {
        outcome: text(at_death, "heap").to_owned(),
        told: told.join(", "),
        buckets: share(at_death["buckets"].as_f64().unwrap_or(0.0), truth.buckets),
        stacks: share(number(kept.stacks), truth.held.unsigned_abs()),
        bytes: share(number(kept.bytes + filled.bytes), most.unsigned_abs()),
        top: heap.top(),
        walk: at_death["heap_seconds"].as_f64().map(|seconds| 1e3 * seconds),
        goroutines: match at_death["goroutines"].as_u64() {
            Some(count) => count.to_string(),
            None => format!("missing: {}", at_death["missing"]["goroutines"]["detail"]),
        },
    })
}

/// Everything by which the post-mortem says that the heap is not complete.
fn told(at_death: &Value) -> Vec<String> {
    let counts = at_death.as_object().into_iter().flatten().filter_map(|(field, value)| {
        let is_about_loss = ["lost", "unreadable", "without_stack", "left_out", "not_reached"]
            .iter()
            .any(|word| field.contains(word));
        let value = value.as_f64().filter(|value| is_about_loss && *value > 0.0)?;
        Some(format!("{field} {value}"))
    });
    let truncated = at_death["truncated_by"]
        .as_str()
        .map(|reason| format!("truncated_by {reason}"));
    truncated.into_iter().chain(counts).collect()
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn number(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn share(part: f64, whole: u64) -> f64 {
    part / whole.max(1) as f64
}

/// What one function allocated itself and is in use.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    stacks: i64,
    bytes: i64,
}

/// What is in use, by innermost function.
#[derive(Debug, Default)]
struct InUse(BTreeMap<String, Sum>);

impl InUse {
    fn of(profile: &Profile) -> Self {
        let functions: BTreeMap<u64, &str> = profile
            .function
            .iter()
            .map(|function| (function.id, profile.text(function.name)))
            .collect();
        let innermost: BTreeMap<u64, &str> = profile
            .location
            .iter()
            .filter_map(|location| {
                let line = location.line.first()?;
                Some((location.id, *functions.get(&line.function_id)?))
            })
            .collect();
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for sample in &profile.sample {
            let Some(bytes) = sample.value.get(3).filter(|bytes| **bytes > 0) else {
                continue;
            };
            let function = sample
                .location_id
                .first()
                .and_then(|id| innermost.get(id))
                .unwrap_or(&"");
            let sum = sums.entry((*function).to_owned()).or_default();
            sum.bytes += bytes;
            sum.stacks += 1;
        }
        Self(sums)
    }

    fn of_function(&self, function: &str) -> Sum {
        self.0.get(function).copied().unwrap_or_default()
    }

    fn top(&self) -> String {
        let most = self.0.iter().max_by_key(|(_, sum)| sum.bytes);
        most.map(|(function, _)| function.clone()).unwrap_or_default()
    }
}
