// Which targets to look at first.

import type { Target } from "../api/model";
import { verdictClass } from "../lib/classes";

export type Sort = "worst" | "name" | "memory" | "growth" | "limit";

export const SORTS: [Sort, string][] = [
  ["worst", "Worst first"],
  ["limit", "Next to its limit"],
  ["growth", "Fastest growth"],
  ["memory", "Most memory"],
  ["name", "Name"],
];

/** A target that was killed is worth a look whatever its verdict is now. */
const KILLED = 62;

export function rank(target: Target): number {
  if (target.gone_at) return 0;
  const own = verdictClass(target.verdict?.class).rank;
  return target.oom_kills > 0 ? Math.max(own, KILLED) : own;
}

export function timeLeft(target: Target): number | null {
  return target.verdict?.time_to_limit_seconds?.p50 ?? null;
}

/** What is missing sorts last, in either direction. */
function byNumber(a: number | null | undefined, b: number | null | undefined, sign: 1 | -1): number {
  if (typeof a !== "number") return typeof b !== "number" ? 0 : 1;
  if (typeof b !== "number") return -1;
  return sign * (a - b);
}

const ORDERS: Record<Sort, (a: Target, b: Target) => number> = {
  worst: (a, b) =>
    rank(b) - rank(a) ||
    byNumber(timeLeft(a), timeLeft(b), 1) ||
    byNumber(a.verdict?.confidence, b.verdict?.confidence, -1) ||
    byNumber(a.memory.charge_bytes, b.memory.charge_bytes, -1),
  name: () => 0,
  memory: (a, b) => byNumber(a.memory.charge_bytes, b.memory.charge_bytes, -1),
  growth: (a, b) => byNumber(a.verdict?.growth_bytes_per_second, b.verdict?.growth_bytes_per_second, -1),
  limit: (a, b) => byNumber(timeLeft(a), timeLeft(b), 1),
};

export function sorted(targets: readonly Target[], sort: Sort): Target[] {
  const order = ORDERS[sort];
  return [...targets].sort((a, b) => order(a, b) || (a.name < b.name ? -1 : 1));
}

export function matching(
  targets: readonly Target[],
  search: string,
  verdict: string,
  gone: boolean,
): Target[] {
  const wanted = search.trim().toLowerCase();
  return targets.filter((target) => {
    if (!gone && target.gone_at) return false;
    if (verdict !== "" && (target.verdict?.class ?? "none") !== verdict) return false;
    if (wanted === "") return true;
    const names = [
      target.name,
      target.service,
      target.cgroup_path,
      target.namespace,
      target.pod,
      target.container_id,
    ];
    return (
      names.some((name) => name?.toLowerCase().includes(wanted)) ||
      target.processes.some(
        (process) => process.comm.toLowerCase().includes(wanted) || String(process.pid) === wanted,
      )
    );
  });
}
