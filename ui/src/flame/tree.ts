// The tree of a flame graph as flat arrays: nodes in preorder, parents before children. Building, merging and layout are
// loops over numbers, so that 50,000 nodes are no burden.

import type { Node } from "../api/model";

export interface Tree {
  length: number;
  name: string[];
  file: (string | null)[];
  line: (number | null)[];
  parent: Int32Array;
  depth: Int32Array;
  /** One past the last node below this one. */
  end: Int32Array;
  base: Float64Array;
  compare: Float64Array;
  selfBase: Float64Array;
  selfCompare: Float64Array;
  /** Names from the root down as one number: the same frame in another tree has the same. */
  key: Uint32Array;
}

/** While a tree is built. */
interface Draft {
  name: string;
  file: string | null;
  line: number | null;
  base: number;
  compare: number;
  selfBase: number;
  selfCompare: number;
  children: Map<string, Draft>;
}

function draft(name: string, file: string | null = null, line: number | null = null): Draft {
  return { name, file, line, base: 0, compare: 0, selfBase: 0, selfCompare: 0, children: new Map() };
}

// Hostile or broken answers: a number that is none counts nothing.
function amount(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;
}

function hash(seed: number, text: string): number {
  let value = seed ^ 0x9e3779b9;
  for (let index = 0; index < text.length; index += 1)
    value = Math.imul(value ^ text.charCodeAt(index), 16777619);
  return value >>> 0;
}

/** Deeper than any real stack; protects the arrays from an endless one. */
const MAX_DEPTH = 4_000;

function flatten(root: Draft): Tree {
  const order: Draft[] = [];
  const parents: number[] = [];
  const depths: number[] = [];
  const stack: [Draft, number, number][] = [[root, -1, 0]];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const [node, parent, depth] = next;
    const index = order.push(node) - 1;
    parents.push(parent);
    depths.push(depth);
    if (depth >= MAX_DEPTH) continue;
    // Largest first, on whichever side; the name decides between equals, so that both panes agree.
    const children = [...node.children.values()].sort(
      (a, b) => Math.max(a.base, a.compare) - Math.max(b.base, b.compare) || (a.name < b.name ? 1 : -1),
    );
    for (const child of children) stack.push([child, index, depth + 1]);
  }
  const length = order.length;
  const tree: Tree = {
    length,
    name: order.map((node) => node.name),
    file: order.map((node) => node.file),
    line: order.map((node) => node.line),
    parent: Int32Array.from(parents),
    depth: Int32Array.from(depths),
    end: new Int32Array(length),
    base: Float64Array.from(order, (node) => node.base),
    compare: Float64Array.from(order, (node) => node.compare),
    selfBase: Float64Array.from(order, (node) => node.selfBase),
    selfCompare: Float64Array.from(order, (node) => node.selfCompare),
    key: new Uint32Array(length),
  };
  for (let index = 0; index < length; index += 1) {
    const parent = tree.parent[index] ?? -1;
    tree.key[index] = hash(parent < 0 ? 0 : (tree.key[parent] ?? 0), tree.name[index] ?? "");
  }
  for (let index = length - 1; index >= 0; index -= 1) {
    tree.end[index] = Math.max(tree.end[index] ?? 0, index + 1);
    const parent = tree.parent[index] ?? -1;
    if (parent >= 0) tree.end[parent] = Math.max(tree.end[parent] ?? 0, tree.end[index] ?? 0);
  }
  return tree;
}

function childOf(parent: Draft, name: string, file: string | null, line: number | null): Draft {
  // One function may appear with several lines below one caller; each is a frame of its own.
  const key = `${name}\0${file ?? ""}\0${line ?? ""}`;
  const known = parent.children.get(key);
  if (known) return known;
  const made = draft(name, file, line);
  parent.children.set(key, made);
  return made;
}

function add(node: Draft, base: number, compare: number, selfBase: number, selfCompare: number): void {
  node.base += base;
  node.compare += compare;
  node.selfBase += selfBase;
  node.selfCompare += selfCompare;
}

/** From the answer of the API. */
export function fromNode(root: Node): Tree {
  const top = draft(String(root.name));
  const stack: [Node, Draft][] = [[root, top]];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const [node, into] = next;
    add(into, amount(node.base), amount(node.compare), amount(node.self_base), amount(node.self_compare));
    for (const child of Array.isArray(node.children) ? node.children : []) {
      stack.push([child, childOf(into, String(child.name), child.file ?? null, child.line ?? null)]);
    }
  }
  return flatten(top);
}

/** Callees on top, callers below: who asked for what. */
export function inverted(tree: Tree): Tree {
  const top = draft(tree.name[0] ?? "root");
  add(top, tree.base[0] ?? 0, tree.compare[0] ?? 0, 0, 0);
  for (let index = 1; index < tree.length; index += 1) {
    const selfBase = tree.selfBase[index] ?? 0;
    const selfCompare = tree.selfCompare[index] ?? 0;
    if (selfBase === 0 && selfCompare === 0) continue;
    let into = top;
    for (let frame = index; frame > 0; frame = tree.parent[frame] ?? -1) {
      into = childOf(into, tree.name[frame] ?? "", tree.file[frame] ?? null, tree.line[frame] ?? null);
      add(into, selfBase, selfCompare, 0, 0);
    }
    // What a stack allocated itself ends with its outermost caller.
    add(into, 0, 0, selfBase, selfCompare);
  }
  return flatten(top);
}

/** Everything that one function called, from wherever it was called, merged. */
export function focused(tree: Tree, name: string): Tree | null {
  const top = draft(name);
  let found = false;
  for (let index = 0; index < tree.length; index += 1) {
    if (tree.name[index] !== name) continue;
    found = true;
    add(
      top,
      tree.base[index] ?? 0,
      tree.compare[index] ?? 0,
      tree.selfBase[index] ?? 0,
      tree.selfCompare[index] ?? 0,
    );
    if (top.file === null) {
      top.file = tree.file[index] ?? null;
      top.line = tree.line[index] ?? null;
    }
    const end = tree.end[index] ?? index + 1;
    const into = new Map<number, Draft>([[index, top]]);
    for (let below = index + 1; below < end; below += 1) {
      const parent = into.get(tree.parent[below] ?? -1);
      if (!parent) continue;
      const child = childOf(
        parent,
        tree.name[below] ?? "",
        tree.file[below] ?? null,
        tree.line[below] ?? null,
      );
      add(
        child,
        tree.base[below] ?? 0,
        tree.compare[below] ?? 0,
        tree.selfBase[below] ?? 0,
        tree.selfCompare[below] ?? 0,
      );
      into.set(below, child);
    }
    // Calls of itself below are counted already.
    index = end - 1;
  }
  return found ? flatten(top) : null;
}

/** One line of the table. */
export interface FunctionRow {
  name: string;
  file: string | null;
  line: number | null;
  selfBase: number;
  selfCompare: number;
  cumBase: number;
  cumCompare: number;
}

/** By function: its own share, and all that was below it, recursion counted once. */
export function functions(tree: Tree): FunctionRow[] {
  const rows = new Map<string, FunctionRow>();
  const open: { name: string; end: number }[] = [];
  const active = new Map<string, number>();
  for (let index = 1; index < tree.length; index += 1) {
    for (let last = open.at(-1); last && last.end <= index; last = open.at(-1)) {
      open.pop();
      active.set(last.name, (active.get(last.name) ?? 1) - 1);
    }
    const name = tree.name[index] ?? "";
    let row = rows.get(name);
    if (!row) {
      row = {
        name,
        file: tree.file[index] ?? null,
        line: tree.line[index] ?? null,
        selfBase: 0,
        selfCompare: 0,
        cumBase: 0,
        cumCompare: 0,
      };
      rows.set(name, row);
    }
    row.selfBase += tree.selfBase[index] ?? 0;
    row.selfCompare += tree.selfCompare[index] ?? 0;
    if ((active.get(name) ?? 0) === 0) {
      row.cumBase += tree.base[index] ?? 0;
      row.cumCompare += tree.compare[index] ?? 0;
    }
    active.set(name, (active.get(name) ?? 0) + 1);
    open.push({ name, end: tree.end[index] ?? index + 1 });
  }
  return [...rows.values()];
}

/** Frames whose name or file holds the text, and what the topmost of them sum up to. */
export function matches(
  tree: Tree,
  text: string,
): { hit: Uint8Array; count: number; base: number; compare: number } {
  const hit = new Uint8Array(tree.length);
  const wanted = text.trim().toLowerCase();
  let count = 0;
  let base = 0;
  let compare = 0;
  let covered = 0;
  if (wanted === "") return { hit, count, base, compare };
  const known = new Map<string, boolean>();
  for (let index = 1; index < tree.length; index += 1) {
    const name = tree.name[index] ?? "";
    let fits = known.get(name);
    if (fits === undefined) {
      fits = name.toLowerCase().includes(wanted);
      known.set(name, fits);
    }
    if (!fits && !(tree.file[index]?.toLowerCase().includes(wanted) ?? false)) continue;
    hit[index] = 1;
    count += 1;
    if (index >= covered) {
      base += tree.base[index] ?? 0;
      compare += tree.compare[index] ?? 0;
      covered = tree.end[index] ?? index + 1;
    }
  }
  return { hit, count, base, compare };
}
