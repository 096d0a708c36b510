// Runs of a service's process, aligned by age: the present one against those before it.

import type { Event, Run, SeriesSet, ServedRun } from "../api/model";
import { times, valuesOf } from "./charts";

/** Points of the age axis. */
const STEPS = 120;

/** The runs that a target's own samples show: cut where its main process ended. */
export function runsOf(set: SeriesSet, events: readonly Event[]): Run[] {
  const at = times(set);
  const values = valuesOf(set, "unreclaimable_bytes");
  const first = at[0];
  const last = at[at.length - 1];
  if (first === undefined || last === undefined) return [];
  const ends = events
    .filter((event) => event.kind === "oom_kill" || event.kind === "restart")
    .map((event) => ({
      at: Date.parse(event.at) / 1000,
      by: event.kind === "oom_kill" ? "OOM kill" : "restart",
    }))
    .filter((end) => end.at > first && end.at < last)
    .sort((a, b) => a.at - b.at)
    // A kill is followed by the restart that it causes.
    .filter((end, index, all) => index === 0 || end.at - (all[index - 1]?.at ?? 0) > 10);
  const runs: Run[] = [];
  let start = first;
  for (const end of [...ends, { at: Number.POSITIVE_INFINITY, by: null }]) {
    const run: Run = {
      id: `${set.target}-${start}`,
      started_at: new Date(start * 1000).toISOString(),
      ended_at: Number.isFinite(end.at) ? new Date(end.at * 1000).toISOString() : null,
      ended_by: end.by,
      age_seconds: [],
      values: [],
    };
    at.forEach((instant, index) => {
      const value = values[index] ?? null;
      if (instant < start || instant >= end.at || value === null) return;
      run.age_seconds.push(instant - start);
      run.values.push(value);
    });
    if (run.values.length >= 3) runs.push(run);
    start = end.at;
  }
  // What was seen of the first run began somewhere in its life: its age is not known.
  return runs.filter((run) => ends.length === 0 || Date.parse(run.started_at) / 1000 > first);
}

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
  };
}
