// Which colour and which words a series has, everywhere.

import type { Event, SeriesSet } from "../api/model";
import type { Line, Mark } from "../charts/timeseries";
import { readable, words } from "../lib/text";
import { toHash } from "../lib/url";

const SERIES: Record<string, { label: string; colour: string; dash?: number[]; width?: number }> = {
  unreclaimable_bytes: { label: "not reclaimable", colour: "line-1", width: 2.25 },
  charge_bytes: { label: "charge", colour: "line-2" },
  limit_bytes: { label: "limit", colour: "limit", dash: [6, 4], width: 1.5 },
  rss_bytes: { label: "resident (RSS)", colour: "line-3" },
  anon_bytes: { label: "anonymous", colour: "line-1" },
  file_bytes: { label: "page cache", colour: "line-2" },
  shmem_bytes: { label: "shared, tmpfs", colour: "line-3" },
  kernel_bytes: { label: "kernel", colour: "line-4" },
  go_heap_live_bytes: { label: "live Go heap", colour: "line-1", width: 2.25 },
  go_heap_marked_bytes: { label: "live at last GC", colour: "line-2" },
  go_heap_goal_bytes: { label: "GC goal", colour: "line-4", dash: [4, 3] },
  go_idle_heap_bytes: { label: "idle Go heap", colour: "line-3" },
  go_stacks_bytes: { label: "goroutine stacks", colour: "line-4" },
  go_mapped_bytes: { label: "mapped by Go", colour: "line-2" },
  goroutines: { label: "goroutines", colour: "line-1", width: 2.25 },
  leaked_goroutines: { label: "proven leaked", colour: "bad" },
  go_collections: { label: "collections", colour: "line-2" },
};

export function times(set: SeriesSet): number[] {
  return set.at.map((at) => Date.parse(at) / 1000);
}

export function line(metric: string, values: (number | null)[], index = 0): Line {
  const known = Object.hasOwn(SERIES, metric) ? SERIES[metric] : undefined;
  return { label: words(metric), colour: `line-${(index % 6) + 1}`, ...known, values };
}

const COLOURS = ["line-1", "line-2", "line-3", "line-4", "line-5", "line-6"];

/** Two lines of one chart never have one colour: the later one takes a free one. */
function distinct(lines: Line[]): Line[] {
  const used = new Set<string>();
  return lines.map((entry) => {
    const free = used.has(entry.colour) ? COLOURS.find((colour) => !used.has(colour)) : undefined;
    const colour = free ?? entry.colour;
    used.add(colour);
    return { ...entry, colour };
  });
}

/** Series of one unit share a chart. */
export function byUnit(set: SeriesSet): { unit: string; lines: Line[] }[] {
  const units = new Map<string, Line[]>();
  set.series.forEach((series, index) => {
    // A series that never had a value has nothing to draw; without a limit there is no line.
    if (series.values.every((value) => value === null)) return;
    const lines = units.get(series.unit) ?? [];
    lines.push(line(series.metric, series.values, index));
    units.set(series.unit, lines);
  });
  return [...units].map(([unit, lines]) => ({ unit, lines: distinct(lines) }));
}

export function valuesOf(set: SeriesSet, metric: string): (number | null)[] {
  return set.series.find((series) => series.metric === metric)?.values ?? [];
}

const KINDS: Record<string, Mark["kind"]> = {
  oom_kill: "oom",
  restart: "restart",
  deploy: "deploy",
  limit_change: "limit",
};

/** Kills, restarts, deploys and new limits on the time axis. */
export function marksOf(events: readonly Event[]): Mark[] {
  const kills = events.filter((event) => event.kind === "oom_kill").map((event) => Date.parse(event.at));
  const marks: Mark[] = [];
  for (const event of events) {
    const kind = Object.hasOwn(KINDS, event.kind) ? KINDS[event.kind] : undefined;
    if (!kind) continue;
    const at = Date.parse(event.at);
    // The restart after a kill is the kill's consequence and stands at the same place.
    if (kind === "restart" && kills.some((kill) => at >= kill && at - kill < 10_000)) continue;
    const kill = "oom_kill" in event.detail ? event.detail.oom_kill : null;
    marks.push({
      at: at / 1000,
      kind,
      label: readable(event.summary) + (kill ? ": open the post-mortem" : ""),
      ...(kill ? { href: toHash(["oom", kill]) } : {}),
    });
  }
  return marks;
}
