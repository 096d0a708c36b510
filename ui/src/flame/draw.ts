// Draws what is visible of a flame graph on a canvas.

import { signed } from "../lib/format";
import { readable, shortFunction } from "../lib/text";
import { packageColour, type Scale } from "./colour";
import { firstVisible, type Layout } from "./layout";
import type { Tree } from "./tree";

export const ROW = 20;
/** Narrower frames run together into one grey strip. */
const MIN_PIXELS = 0.7;
const FONT = "11px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
const LETTER = 6.65;

export interface Scene {
  tree: Tree;
  plan: Layout;
  /** The frame that fills the width. */
  zoom: number;
  selected: number | null;
  hovered: number | null;
  /** Frames that a search found; `null` without a search. */
  hit: Uint8Array | null;
  /** `null`: one profile alone. */
  scale: Scale | null;
  unit: string;
  dark: boolean;
  strip: string;
  paper: string;
  mark: string;
}

export interface View {
  width: number;
  height: number;
  /** Pixels scrolled down. */
  top: number;
  ratio: number;
}

export function draw(ctx: CanvasRenderingContext2D, scene: Scene, view: View): void {
  const { tree, plan, zoom } = scene;
  ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  ctx.clearRect(0, 0, view.width, view.height);
  ctx.font = FONT;
  ctx.textBaseline = "middle";
  const zoomDepth = tree.depth[zoom] ?? 0;
  const from = plan.left[zoom] ?? 0;
  const span = plan.width[zoom] || 1;
  const perUnit = view.width / span;
  const firstRow = Math.max(0, Math.floor(view.top / ROW));
  const lastRow = Math.min(plan.rows.length - 1, Math.floor((view.top + view.height) / ROW));
  const chain = callers(tree, zoom);
  for (let depth = firstRow; depth <= lastRow; depth += 1) {
    const y = depth * ROW - view.top;
    if (depth < zoomDepth) {
      const node = chain[depth];
      if (node !== undefined) drawFrame(ctx, scene, node, 0, view.width, y, true);
      continue;
    }
    const row = plan.rows[depth];
    if (row) drawRow(ctx, scene, row, { from, span, perUnit, y, width: view.width });
  }
}

function callers(tree: Tree, node: number): number[] {
  const chain: number[] = [];
  for (let frame = tree.parent[node] ?? -1; frame >= 0; frame = tree.parent[frame] ?? -1) {
    chain[tree.depth[frame] ?? 0] = frame;
  }
  return chain;
}

interface RowView {
  from: number;
  span: number;
  perUnit: number;
  y: number;
  width: number;
}

function drawRow(ctx: CanvasRenderingContext2D, scene: Scene, row: Int32Array, view: RowView): void {
  const { plan } = scene;
  const end = view.from + view.span;
  let stripFrom = -1;
  let stripTo = -1;
  const flush = () => {
    if (stripFrom < 0) return;
    ctx.globalAlpha = 1;
    ctx.fillStyle = scene.strip;
    ctx.fillRect(stripFrom, view.y, Math.max(stripTo - stripFrom, 0.5), ROW - 1);
    stripFrom = -1;
  };
  for (let place = firstVisible(row, plan, view.from); place < row.length; place += 1) {
    const node = row[place] ?? 0;
    const left = plan.left[node] ?? 0;
    if (left >= end) break;
    const x = (left - view.from) * view.perUnit;
    const width = (plan.width[node] ?? 0) * view.perUnit;
    if (width < MIN_PIXELS) {
      if (width <= 0) continue;
      if (stripFrom >= 0 && x - stripTo > MIN_PIXELS) flush();
      if (stripFrom < 0) stripFrom = x;
      stripTo = x + width;
      continue;
    }
    flush();
    drawFrame(ctx, scene, node, x, width, view.y, false);
  }
  flush();
}

function drawFrame(
  ctx: CanvasRenderingContext2D,
  scene: Scene,
  node: number,
  x: number,
  width: number,
  y: number,
  above: boolean,
): void {
  const { tree, scale, hit } = scene;
  const base = tree.base[node] ?? 0;
  const compare = tree.compare[node] ?? 0;
  const change = compare - base;
  const name = tree.name[node] ?? "";
  const faded = hit !== null && hit[node] === 0;
  const step = scale ? scale.index(change) : 0;
  const inner = Math.max(width - (width > 3 ? 1 : 0), 0.5);
  ctx.globalAlpha = faded ? 0.25 : above ? 0.75 : 1;
  ctx.fillStyle = scale ? (scale.steps[step] ?? scene.strip) : packageColour(name, scene.dark);
  ctx.fillRect(x, y, inner, ROW - 1);
  if (scale && width > 8 && (base === 0 || compare === 0) && base !== compare) {
    markNewOrGone(ctx, scene, base === 0, x, inner, y);
  }
  if (node === scene.selected || node === scene.hovered) {
    ctx.globalAlpha = 1;
    ctx.strokeStyle = scene.mark;
    ctx.lineWidth = node === scene.selected ? 2 : 1;
    ctx.strokeRect(x + 1, y + 1, Math.max(inner - 2, 1), ROW - 3);
  }
  if (width < 28) return;
  ctx.fillStyle = scale ? (scale.inks[step] ?? "#000") : scene.dark ? "#eef1f5" : "#14181d";
  ctx.globalAlpha = faded ? 0.5 : 1;
  const room = Math.floor((inner - 10) / LETTER);
  ctx.fillText(label(scene, node, name, change, room), x + 6, y + ROW / 2);
}

/** New frames have a bar at their left edge, gone ones a dashed outline. */
function markNewOrGone(
  ctx: CanvasRenderingContext2D,
  scene: Scene,
  fresh: boolean,
  x: number,
  width: number,
  y: number,
): void {
  ctx.fillStyle = scene.mark;
  ctx.strokeStyle = scene.mark;
  if (fresh) {
    ctx.fillRect(x, y, 3, ROW - 1);
    return;
  }
  ctx.lineWidth = 1;
  ctx.setLineDash([3, 3]);
  ctx.strokeRect(x + 0.5, y + 0.5, width - 1, ROW - 2);
  ctx.setLineDash([]);
}

function label(scene: Scene, node: number, name: string, change: number, room: number): string {
  const short = readable(shortFunction(name), 200);
  if (scene.scale && change !== 0) {
    const base = scene.tree.base[node] ?? 0;
    const compare = scene.tree.compare[node] ?? 0;
    const tail = ` ${signed(change, scene.unit)}${base === 0 ? " new" : compare === 0 ? " gone" : ""}`;
    if (short.length + tail.length <= room) return short + tail;
    // The sign at least, so that nothing hangs on the colour alone.
    if (room > 6) return `${change > 0 ? "+" : "\u2212"} ${cut(short, room - 2)}`;
  }
  return cut(short, room);
}

function cut(text: string, room: number): string {
  if (text.length <= room) return text;
  return room < 2 ? "" : `${text.slice(0, room - 1)}\u2026`;
}
