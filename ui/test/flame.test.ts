import { describe, expect, it } from "vitest";
import type { Node } from "../src/api/model";
import { DARK, LIGHT, largestChange, luminance, mix, type Rgb, scaleOf, strength } from "../src/flame/colour";
import { firstVisible, layout, neighbour, nodeAt } from "../src/flame/layout";
import { focused, fromNode, functions, inverted, matches } from "../src/flame/tree";

function node(name: string, base: number, compare: number, children: Node[] = []): Node {
  const sum = (side: "base" | "compare") => children.reduce((total, child) => total + child[side], 0);
  return {
    name,
    file: null,
    line: null,
    base,
    compare,
    self_base: base - sum("base"),
    self_compare: compare - sum("compare"),
    children,
  };
}

const ROOT = node("root", 100, 180, [
  node("main", 100, 180, [
    node("cache", 20, 120, [node("alloc", 20, 110)]),
    node("gone", 30, 0),
    node("same", 40, 40, [node("alloc", 10, 10)]),
  ]),
]);

describe("the tree", () => {
  const tree = fromNode(ROOT);
  const find = (name: string) => tree.name.indexOf(name);
  it("keeps all values and puts the largest child first", () => {
    expect(tree.length).toBe(7);
    expect(tree.name).toEqual(["root", "main", "cache", "alloc", "same", "alloc", "gone"]);
    expect(tree.end[find("main")]).toBe(7);
    expect(tree.end[find("cache")]).toBe(4);
  });
  it("merges children of one name and place", () => {
    const merged = fromNode(node("root", 3, 5, [node("a", 1, 2), node("a", 2, 3)]));
    expect(merged.length).toBe(2);
    expect([merged.base[1], merged.compare[1]]).toEqual([3, 5]);
  });
  it("turns it upside down without losing anything", () => {
    const turned = inverted(tree);
    const first = [...turned.depth].flatMap((depth, index) => (depth === 1 ? [turned.name[index]] : []));
    expect(new Set(first)).toEqual(new Set(["alloc", "gone", "same", "cache", "main"]));
    const alloc = turned.name.indexOf("alloc");
    expect([turned.base[alloc], turned.compare[alloc]]).toEqual([30, 120]);
    expect([turned.base[0], turned.compare[0]]).toEqual([100, 180]);
  });
  it("merges all calls of one function", () => {
    const part = focused(tree, "alloc");
    expect([part?.base[0], part?.compare[0]]).toEqual([30, 120]);
    expect(focused(tree, "nobody")).toBeNull();
  });
  it("counts recursion once", () => {
    const deep = fromNode(node("root", 0, 10, [node("f", 0, 10, [node("f", 0, 10, [node("g", 0, 10)])])]));
    const rows = new Map(functions(deep).map((row) => [row.name, row]));
    expect(rows.get("f")?.cumCompare).toBe(10);
    expect(rows.get("g")?.selfCompare).toBe(10);
    expect(focused(deep, "f")?.compare[0]).toBe(10);
  });
  it("adds a function up over all its callers", () => {
    const rows = new Map(functions(tree).map((row) => [row.name, row]));
    expect(rows.get("alloc")).toMatchObject({ selfBase: 30, selfCompare: 120, cumBase: 30, cumCompare: 120 });
    expect(rows.get("main")).toMatchObject({ cumBase: 100, cumCompare: 180 });
  });
  it("finds by name and file, topmost matches summed", () => {
    expect(matches(tree, "ALLOC")).toMatchObject({ count: 2, base: 30, compare: 120 });
    expect(matches(tree, "main")).toMatchObject({ count: 1, compare: 180 });
    expect(matches(tree, " ").count).toBe(0);
  });
  it("takes broken answers without a crash", () => {
    const broken = { name: "root", base: Number.NaN, compare: -5, children: null } as unknown as Node;
    const odd = fromNode(broken);
    expect([odd.base[0], odd.compare[0]]).toEqual([0, 0]);
    expect(layout(odd, "both").width[0]).toBe(0);
  });
  it("does not overflow on endless stacks", () => {
    let deep = node("leaf", 0, 1);
    for (let index = 0; index < 20_000; index += 1) deep = node("f", 0, 1, [deep]);
    expect(fromNode(deep).length).toBeGreaterThan(3_000);
  });
});

describe("the layout", () => {
  const tree = fromNode(ROOT);
  it("keeps children inside their parents, on every side", () => {
    for (const side of ["base", "compare", "both"] as const) {
      const plan = layout(tree, side);
      for (let index = 1; index < tree.length; index += 1) {
        const parent = tree.parent[index] ?? 0;
        const right = (plan.left[index] ?? 0) + (plan.width[index] ?? 0);
        expect(plan.left[index]).toBeGreaterThanOrEqual(plan.left[parent] ?? 0);
        expect(right).toBeLessThanOrEqual((plan.left[parent] ?? 0) + (plan.width[parent] ?? 0) + 1e-9);
      }
    }
  });
  it("shows what is gone when both sides count", () => {
    const plan = layout(tree, "both");
    expect(plan.width[tree.name.indexOf("gone")]).toBe(30);
    expect(layout(tree, "compare").width[tree.name.indexOf("gone")]).toBe(0);
  });
  it("finds the frame at a point", () => {
    const plan = layout(tree, "compare");
    for (let index = 0; index < tree.length; index += 1) {
      if ((plan.width[index] ?? 0) === 0) continue;
      const middle = (plan.left[index] ?? 0) + (plan.width[index] ?? 0) / 2;
      expect(nodeAt(tree, plan, 0, tree.depth[index] ?? 0, middle)).toBe(index);
    }
    expect(nodeAt(tree, plan, 0, 99, 0)).toBeNull();
    expect(nodeAt(tree, plan, tree.name.indexOf("cache"), 0, 0)).toBe(0);
  });
  it("walks by keyboard and stops at the edges", () => {
    const plan = layout(tree, "both");
    expect(neighbour(tree, plan, 0, "down")).toBe(1);
    expect(neighbour(tree, plan, 0, "up")).toBe(0);
    expect(neighbour(tree, plan, 2, "right")).toBe(4);
    expect(neighbour(tree, plan, 2, "left")).toBe(2);
    expect(neighbour(tree, plan, 3, "down")).toBe(3);
  });
  it("skips what lies left of the window", () => {
    const plan = layout(tree, "compare");
    expect(firstVisible(plan.rows[3] ?? new Int32Array(), plan, 115)).toBeGreaterThan(0);
  });
  it("lays 50,000 frames out", () => {
    const wide = Array.from({ length: 500 }, (_, a) =>
      node(
        `a${a}`,
        100,
        150,
        Array.from({ length: 100 }, (_, b) => node(`b${b}`, 1, 1.5)),
      ),
    );
    const big = fromNode(node("root", 50_000, 75_000, wide));
    const plan = layout(big, "both");
    expect(big.length).toBe(50_501);
    expect(plan.rows.map((row) => row.length)).toEqual([1, 500, 50_000]);
  });
});

// How the three kinds of colour blindness see (Machado, Oliveira and Fernandes 2009, severity 1.0), on linear light.
const SIGHT: Record<string, number[][]> = {
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

function seen(rgb: Rgb, sight: number[][]): Rgb {
  const linear = rgb.map((value) => (value / 255) ** 2.2);
  return sight.map((row) => {
    const sum = row.reduce((total, factor, index) => total + factor * (linear[index] ?? 0), 0);
    return Math.min(1, Math.max(0, sum)) ** (1 / 2.2) * 255;
  }) as unknown as Rgb;
}

const distance = (a: Rgb, b: Rgb) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

describe("colours", () => {
  it.each(Object.keys(SIGHT))("growth and shrinkage differ for %s", (name) => {
    for (const palette of [LIGHT, DARK]) {
      for (const change of [1, 0.3]) {
        const amount = strength(change, 1);
        const grew = seen(mix(palette, amount), SIGHT[name] ?? []);
        const shrank = seen(mix(palette, -amount), SIGHT[name] ?? []);
        expect(distance(grew, shrank)).toBeGreaterThan(60);
      }
    }
  });
  it("goes by the absolute change: a new kilobyte is not as loud as a new gigabyte", () => {
    expect(strength(2 ** 30, 2 ** 30)).toBe(1);
    expect(strength(2 ** 10, 2 ** 30)).toBeLessThan(0.15);
    expect(strength(0, 5)).toBe(0);
    expect(strength(-5, 5)).toBe(-1);
    expect(strength(5, 0)).toBe(0);
  });
  it("keeps text readable on every step", () => {
    for (const palette of [LIGHT, DARK]) {
      const scale = scaleOf(palette, 10);
      scale.steps.forEach((step, index) => {
        const rgb = (step.match(/\d+/g) ?? []).map(Number) as unknown as Rgb;
        const ink = scale.inks[index] === "#ffffff" ? 1 : 0;
        const ground = luminance(rgb);
        const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
        expect(contrast).toBeGreaterThanOrEqual(4.5);
      });
    }
  });
  it("takes the largest change below the root", () => expect(largestChange(fromNode(ROOT))).toBe(100));
});
