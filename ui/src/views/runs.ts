// Runs of a service's process, aligned by age: the present one against those before it.

import type { Run, ServedRun } from "../api/model";

/** Seconds between two profiles of a process. */
const AGE_STEP = 30;
/** Points of the age axis. */
const STEPS = 120;

/** The daemon's runs for a replica: the earlier ones of the whole service, the replica's own present one last. */
export function runsFor(served: readonly ServedRun[], target: string | undefined): Run[] {
  const drawn = served.map(
    (run): Run => ({
      id: run.id,
      target: run.target ?? null,
      started_at: run.started_at,
      ended_at: run.ended_at ?? null,
      ended_by: run.ended_by ?? null,
      version: run.version ?? null,
      age_seconds: run.age_seconds,
      values: run.memory_bytes,
    }),
  );
  const earlier = drawn.filter((run) => run.ended_at !== null).reverse();
  const present = drawn.filter((run) => run.ended_at === null);
  const own = present.find((run) => run.target === target) ?? present[0];
  return own ? [...earlier, own] : earlier;
}

/** The value of a run at an age, between its points; outside of its life there is none. */
export function valueAt(run: Run, age: number): number | null {
  const ages = run.age_seconds;
  let high = ages.findIndex((known) => known >= age);
  if (high < 0) return null;
  if (high === 0) {
    if ((ages[0] ?? 0) - age > 15) return null;
    high = 1;
  }
  const from = ages[high - 1] ?? 0;
  const to = ages[high] ?? from;
  const low = run.values[high - 1];
  const top = run.values[high];
  if (typeof low !== "number" || typeof top !== "number") return null;
  return to === from ? low : low + ((top - low) * Math.max(0, age - from)) / (to - from);
}

export interface Aligned {
  age: number[];
  present: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  earlier: number;
  /** Whether the present run is none any more. */
  ended: boolean;
}

export function align(runs: readonly Run[]): Aligned | null {
  const present = runs[runs.length - 1];
  const earlier = runs.slice(0, -1);
  if (!present || earlier.length === 0) return null;
  const end = Math.max(...runs.map((run) => run.age_seconds[run.age_seconds.length - 1] ?? 0));
  const age = Array.from({ length: STEPS + 1 }, (_, index) => (index * end) / STEPS);
  const low: (number | null)[] = [];
  const high: (number | null)[] = [];
  for (const instant of age) {
    const known = earlier
      .map((run) => valueAt(run, instant))
      .filter((value): value is number => value !== null);
    low.push(known.length > 0 ? Math.min(...known) : null);
    high.push(known.length > 0 ? Math.max(...known) : null);
  }
  return {
    age,
    present: age.map((instant) => valueAt(present, instant)),
    low,
    high,
    earlier: earlier.length,
    ended: present.ended_at !== null,
  };
}

/** Two runs to compare. */
export interface Choice {
  base: ServedRun;
  compare: ServedRun;
}

/** What a person would compare first: the version before with the newest, a sibling with the odd one, the run before with the present one. */
export function suggestRuns(runs: readonly ServedRun[], outlier: string | null): Choice | null {
  // Newest first, as they are served.
  const known = runs.filter((run) => run.target);
  const present = known.filter((run) => !run.ended_at);
  const odd = present.find((run) => run.target === outlier);
  const newest = present.find((run) => run.version) ?? known.find((run) => run.version);
  const before = newest && known.find((run) => run.version && run.version !== newest.version);
  if (newest && before) return { base: before, compare: newest };
  const sibling = present.find((run) => run.target !== outlier);
  if (odd && sibling) return { base: sibling, compare: odd };
  const compare = present[0] ?? known[0];
  const base = known.find((run) => run !== compare && run.ended_at) ?? known.find((run) => run !== compare);
  return compare && base ? { base, compare } : null;
}

/** The query of a diff of two runs, at the highest age that both have reached. */
export function diffLink(base: ServedRun, compare: ServedRun, type: string): Record<string, string> {
  const seconds = Math.min(base.seconds, compare.seconds);
  // In steps, so that a run that goes on does not ask anew with each of its samples.
  const age = 1000 * (seconds < AGE_STEP ? seconds : Math.floor(seconds / AGE_STEP) * AGE_STEP);
  const at = (run: ServedRun) => new Date(Date.parse(run.started_at) + age).toISOString();
  return { type, base_target: base.target ?? "", base: at(base), compare: at(compare) };
}
