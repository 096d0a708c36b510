// Memory of one target in a line of a table.

import { bytes } from "../lib/format";
import { gaps } from "./gaps";

interface Props {
  values: (number | null)[];
  /** Unix seconds. */
  at: number[];
  limit: number | null;
  kills: number[];
  tone: string;
}

const WIDTH = 120;
const HEIGHT = 30;

/** Path of the line; a gap starts a new piece. */
export function sparkPath(
  values: readonly (number | null)[],
  top: number,
  width = WIDTH,
  height = HEIGHT,
): string {
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  let path = "";
  const starts = new Set(gaps(values).map(([, to]) => to));
  values.forEach((value, index) => {
    if (value === null) return;
    const y = height - 1 - (Math.max(0, value) / (top || 1)) * (height - 3);
    path += `${path === "" || starts.has(index) ? "M" : "L"}${(index * step).toFixed(1)} ${y.toFixed(1)}`;
  });
  return path;
}

export function Sparkline({ values, at, limit, kills, tone }: Props) {
  const known = values.filter((value): value is number => value !== null);
  if (known.length < 2) return <span class="absent">too few samples</span>;
  const largest = Math.max(...known);
  // A limit far above would press the line to the ground.
  const top = limit !== null && limit < largest * 6 ? Math.max(limit, largest) : largest * 1.15;
  const first = at[0] ?? 0;
  const span = (at[at.length - 1] ?? first) - first || 1;
  const marks = kills.filter((kill) => kill >= first && kill <= first + span);
  const limitY = limit !== null && limit <= top ? HEIGHT - 1 - (limit / top) * (HEIGHT - 3) : null;
  const label = `memory from ${bytes(known[0] ?? 0)} to ${bytes(known[known.length - 1] ?? 0)}${marks.length > 0 ? `, ${marks.length} OOM kills` : ""}`;
  return (
    <svg
      class={`spark ${tone}`}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={label}
      preserveAspectRatio="none"
    >
      {limitY !== null ? <line class="spark-limit" x1="0" x2={WIDTH} y1={limitY} y2={limitY} /> : null}
      {marks.map((kill) => {
        const x = ((kill - first) / span) * WIDTH;
        return <line key={kill} class="spark-kill" x1={x} x2={x} y1="0" y2={HEIGHT} />;
      })}
      <path d={sparkPath(values, top)} />
    </svg>
  );
}
