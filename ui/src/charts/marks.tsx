// Marks above a chart: kills link to their post-mortem, so they are real links that a keyboard reaches.

import type uPlot from "uplot";
import type { Mark } from "./timeseries";

interface Props {
  plot: uPlot | null;
  marks: readonly Mark[];
  /** The two instants that are compared. */
  chosen: { base: number | null; compare: number | null } | undefined;
}

const SYMBOLS: Record<Mark["kind"], string> = {
  oom: "\u2715",
  restart: "\u21bb",
  deploy: "\u25b2",
  limit: "\u2195",
};
/** Marks nearer to each other than this are one mark with a number. */
const APART = 18;
/** Height of a row of marks. */
const ROW = 19;

export interface Group {
  mark: Mark;
  left: number;
  count: number;
  /** From above: what is of another kind and at the same place stands below. */
  row: number;
}

/** Marks of one kind that would cover each other become one, which leads to the last of them. */
export function grouped(marks: readonly Mark[], left: (at: number) => number): Group[] {
  const groups: Group[] = [];
  const last = new Map<Mark["kind"], Group>();
  for (const mark of [...marks].sort((a, b) => a.at - b.at)) {
    const place = left(mark.at);
    const before = last.get(mark.kind);
    if (before && place - before.left < APART) {
      before.count += 1;
      before.mark = mark;
      continue;
    }
    const group = { mark, left: place, count: 1, row: 0 };
    last.set(mark.kind, group);
    groups.push(group);
  }
  return inRows(groups);
}

/** Kills first: they lead somewhere, and nothing may cover them. */
function inRows(groups: Group[]): Group[] {
  const placed: Group[] = [];
  for (const group of [...groups].sort(
    (a, b) => Number(b.mark.kind === "oom") - Number(a.mark.kind === "oom"),
  )) {
    const taken = new Set(
      placed.filter(({ left }) => Math.abs(left - group.left) < APART).map(({ row }) => row),
    );
    while (taken.has(group.row)) group.row += 1;
    placed.push(group);
  }
  return groups;
}

export function Marks({ plot, marks, chosen }: Props) {
  if (!plot) return null;
  const left = (at: number) => plot.valToPos(at, "x") + plot.over.offsetLeft;
  const inside = (at: number) => {
    const { min, max } = plot.scales.x ?? {};
    return typeof min === "number" && typeof max === "number" && at >= min && at <= max;
  };
  const shown = grouped(
    marks.filter((mark) => inside(mark.at)),
    left,
  );
  return (
    <div class="marks">
      {shown.map((group) => (
        <MarkView key={`${group.mark.kind}${group.mark.at}`} {...group} />
      ))}
      {(["base", "compare"] as const).map((side) => {
        const at = chosen?.[side];
        if (at === null || at === undefined || !inside(at)) return null;
        return (
          <span key={side} class={`moment ${side}`} style={{ left: `${left(at)}px` }}>
            {side === "base" ? "earlier" : "later"}
          </span>
        );
      })}
    </div>
  );
}

function MarkView({ mark, left, count, row }: Group) {
  const style = { left: `${left}px`, top: `${row * ROW}px` };
  const label = count === 1 ? mark.label : `${count} here, the last: ${mark.label}`;
  const inner = <span aria-hidden="true">{count === 1 ? SYMBOLS[mark.kind] : count}</span>;
  return mark.href ? (
    <a class={`mark ${mark.kind}`} style={style} href={mark.href} title={label} aria-label={label}>
      {inner}
    </a>
  ) : (
    <span class={`mark ${mark.kind}`} style={style} title={label}>
      {inner}
    </span>
  );
}
