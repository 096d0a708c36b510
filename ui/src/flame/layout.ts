// Where each frame of a flame graph lies.

import type { Tree } from "./tree";

/** Widths by the earlier profile, by the later one, or by whichever is larger: only the last shows what is gone, too. */
export type Side = "base" | "compare" | "both";

export interface Layout {
  /** In the unit of the profile. */
  left: Float64Array;
  width: Float64Array;
  /** By depth: nodes from left to right. */
  rows: Int32Array[];
}

function widths(tree: Tree, side: Side): Float64Array {
  if (side === "base") return tree.base;
  if (side === "compare") return tree.compare;
  const width = new Float64Array(tree.length);
  for (let index = tree.length - 1; index >= 0; index -= 1) {
    // The larger of the two for what belongs to the frame itself; children are added up, so that they always fit.
    const own = Math.max(tree.selfBase[index] ?? 0, tree.selfCompare[index] ?? 0);
    width[index] = Math.max((width[index] ?? 0) + own, tree.base[index] ?? 0, tree.compare[index] ?? 0);
    const parent = tree.parent[index] ?? -1;
    if (parent >= 0) width[parent] = (width[parent] ?? 0) + (width[index] ?? 0);
  }
  return width;
}

export function layout(tree: Tree, side: Side): Layout {
  const width = widths(tree, side);
  const left = new Float64Array(tree.length);
  // Where the next child of a node starts.
  const next = new Float64Array(tree.length);
  const rows: number[][] = [];
  for (let index = 0; index < tree.length; index += 1) {
    const parent = tree.parent[index] ?? -1;
    if (parent >= 0) {
      left[index] = next[parent] ?? 0;
      next[parent] = (next[parent] ?? 0) + (width[index] ?? 0);
    }
    next[index] = left[index] ?? 0;
    const depth = tree.depth[index] ?? 0;
    let row = rows[depth];
    if (!row) {
      row = [];
      rows[depth] = row;
    }
    row.push(index);
  }
  return { left, width, rows: rows.map((row) => Int32Array.from(row)) };
}

/** First place in a row whose frame ends right of `at`. */
export function firstVisible(row: Int32Array, plan: Layout, at: number): number {
  let low = 0;
  let high = row.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const node = row[middle] ?? 0;
    if ((plan.left[node] ?? 0) + (plan.width[node] ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The frame at a point: `depth` by row, `at` in the unit of the profile. */
export function nodeAt(tree: Tree, plan: Layout, zoom: number, depth: number, at: number): number | null {
  if (depth < (tree.depth[zoom] ?? 0)) {
    // Above the zoomed frame its callers fill the whole width.
    let node = zoom;
    while (node >= 0 && (tree.depth[node] ?? 0) > depth) node = tree.parent[node] ?? -1;
    return node < 0 ? null : node;
  }
  const row = plan.rows[depth];
  if (!row) return null;
  const node = row[firstVisible(row, plan, at)];
  if (node === undefined || (plan.left[node] ?? 0) > at) return null;
  return node >= zoom && node < (tree.end[zoom] ?? 0) ? node : null;
}

export type Step = "up" | "down" | "left" | "right";

/** Where the keyboard goes next: caller, callee, neighbours of the same row. */
export function neighbour(tree: Tree, plan: Layout, node: number, step: Step): number {
  switch (step) {
    case "up":
      return Math.max(tree.parent[node] ?? -1, 0);
    case "down": {
      const child = node + 1;
      return child < (tree.end[node] ?? 0) ? child : node;
    }
    default: {
      const row = plan.rows[tree.depth[node] ?? 0];
      if (!row) return node;
      const place = row.indexOf(node);
      return row[place + (step === "left" ? -1 : 1)] ?? node;
    }
  }
}
