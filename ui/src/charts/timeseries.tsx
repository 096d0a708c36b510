// A chart of values over time. The canvas is drawn by uPlot; marks are links above it, so that a keyboard reaches them;
// the same numbers stand in a table below.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { clock, quantity, utc } from "../lib/format";
import { useStore } from "../lib/store";
import { colour, palette } from "../lib/theme";
import { type Forecast, forecastEnd } from "./forecast";
import { gaps } from "./gaps";
import { Marks } from "./marks";
import { drawOverlays } from "./overlay";
import { SeriesTable } from "./table";
import { AGE_STEPS, axisTop, BYTE_STEPS } from "./ticks";

export interface Line {
  label: string;
  values: (number | null)[];
  /** Name of a colour in the style sheet. */
  colour: string;
  dash?: number[];
  width?: number;
  fill?: boolean;
  /** One of many: drawn, and a column of the table, without a place in the legend. */
  unnamed?: boolean;
  /** Stacked charts draw sums; the legend shows what was added. */
  shown?: (number | null)[];
}

export interface Mark {
  /** Unix seconds. */
  at: number;
  kind: "oom" | "restart" | "deploy" | "limit";
  label: string;
  href?: string;
}

export interface Band {
  low: (number | null)[];
  high: (number | null)[];
  label: string;
}

interface Props {
  title: string;
  at: number[];
  lines: Line[];
  unit: string;
  height?: number;
  marks?: Mark[];
  forecast?: Forecast | null;
  /** The two instants that are compared. */
  chosen?: { base: number | null; compare: number | null };
  onBrush?: (from: number, to: number) => void;
  /** The x axis is an age in seconds, not a time. */
  ages?: boolean;
  band?: Band;
}

function ageLabel(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Number((seconds / 60).toFixed(1))} min`;
  return `${Number((seconds / 3600).toFixed(1))} h`;
}

/** Values and overlays change while the chart stays: what is drawn later reads them from `latest`. */
function options(
  latest: { current: Props },
  width: number,
  hover: (index: number | null) => void,
  drawn: () => void,
): uPlot.Options {
  const props = latest.current;
  const { lines, unit } = props;
  const axis = {
    stroke: colour("muted"),
    grid: { stroke: colour("grid"), width: 1 },
    ticks: { stroke: colour("grid"), width: 1, size: 4 },
    font: "12px system-ui, sans-serif",
  };
  return {
    width,
    height: props.height ?? 240,
    legend: { show: false },
    padding: [14, 8, 0, 0],
    cursor: {
      drag: { x: Boolean(props.onBrush), y: false, setScale: false, dist: 4 },
      points: { size: 6 },
      y: false,
    },
    scales: {
      x: { time: !props.ages, range: (_u, min, max) => [min, timeEnd(latest.current, min, max)] },
      y: {
        range: (_u, _min, max) => [0, axisTop(largest(latest.current, max ?? 0), unit)],
      },
    },
    axes: [
      props.ages
        ? { ...axis, space: 70, incrs: AGE_STEPS, values: (_u, splits) => splits.map(ageLabel) }
        : { ...axis, space: 78, values: TIME_FORMATS },
      {
        ...axis,
        size: 74,
        ...(unit === "bytes" ? { incrs: BYTE_STEPS } : {}),
        values: (_u, splits) =>
          splits.map((value) => quantity(value, unit === "bytes" ? "bytes" : "count").replace(".0 ", " ")),
      },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: line.width ?? 1.75,
        gaps: realGaps,
        points: { show: line.values.filter((value) => value !== null).length < 3 },
        ...(line.dash ? { dash: line.dash } : {}),
        ...(line.fill ? { fill: colour(`${line.colour}-fill`) } : {}),
      })),
    ],
    hooks: {
      // Marks are placed by scales, which are known once the chart is drawn.
      draw: [drawn],
      drawClear: [(u) => drawOverlays(u, latest.current)],
      setCursor: [(u) => hover(u.cursor.idx ?? null)],
      setSelect: [
        (u) => {
          if (u.select.width > 3 && latest.current.onBrush) {
            latest.current.onBrush(
              u.posToVal(u.select.left, "x"),
              u.posToVal(u.select.left + u.select.width, "x"),
            );
          }
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

function timeEnd({ forecast }: Props, min: number, max: number): number {
  return Math.max(max, forecast ? forecastEnd(forecast, min) : max, min + 1);
}

function largest({ forecast, band }: Props, max: number): number {
  return (band?.high ?? []).reduce<number>(
    (most, value) => Math.max(most, value ?? 0),
    Math.max(max, forecast?.limit ?? 0),
  );
}

function realGaps(u: uPlot, series: number): uPlot.Series.Gaps {
  const at = u.data[0];
  const place = (index: number) => u.valToPos(at[index] ?? 0, "x", true);
  return gaps(u.data[series] ?? []).map(([from, to]): [number, number] => [place(from), place(to)]);
}

// Times on 24 hours, days in words; uPlot's own are American.
const TIME_FORMATS: uPlot.Axis.Values = [
  [86400 * 28, "{MMM} {YYYY}", null, null, null, null, null, null, 1],
  [86400, "{D} {MMM}", null, null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
];

export function TimeSeries(props: Props) {
  const { title, at, lines, unit, marks = [] } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dragging = useRef(false);
  const [hovered, setHovered] = useState<number | null>(null);
  const [width, setWidth] = useState(0);
  const [, setDrawn] = useState(0);
  const version = useStore(palette);
  const data = useMemo(() => [at, ...lines.map((line) => line.values)] as uPlot.AlignedData, [at, lines]);
  // What makes another chart, not just other values.
  const wanted = JSON.stringify([
    lines.map((l) => [l.label, l.colour, l.dash, l.fill]),
    unit,
    props.height,
    version,
    Boolean(props.onBrush),
  ]);
  // Another chart in its place would lose the drag: the next sample brings it.
  const drawnShape = useRef(wanted);
  if (!dragging.current) drawnShape.current = wanted;
  const shape = drawnShape.current;
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(Math.floor(element.clientWidth)));
    observer.observe(element);
    setWidth(Math.floor(element.clientWidth));
    return () => observer.disconnect();
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` stands for all that makes another chart
  useEffect(() => {
    if (!holder.current || width < 40) return;
    const made = new uPlot(
      options(latest, width, setHovered, () => setDrawn((old) => old + 1)),
      data,
      holder.current,
    );
    made.root.setAttribute("aria-hidden", "true");
    const released = () => {
      dragging.current = false;
    };
    made.over.addEventListener("mousedown", () => {
      dragging.current = true;
    });
    document.addEventListener("mouseup", released);
    plot.current = made;
    return () => {
      document.removeEventListener("mouseup", released);
      released();
      made.destroy();
      plot.current = null;
    };
  }, [shape, width > 40]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: overlays are drawn with the data
  useEffect(() => {
    // Under a mouse that drags nothing moves; the next sample brings what is left out here.
    if (!dragging.current) plot.current?.setData(data);
  }, [data, props.forecast, props.marks, props.chosen?.base, props.chosen?.compare, props.band]);

  useEffect(() => {
    if (plot.current && width > 40) {
      plot.current.setSize({ width, height: props.height ?? 240 });
    }
  }, [width, props.height]);

  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <Legend {...props} hovered={hovered} />
      </figcaption>
      <div class="chart-holder" ref={holder} style={{ minHeight: `${props.height ?? 240}px` }}>
        <Marks plot={plot.current} marks={marks} chosen={props.chosen} />
      </div>
      <SeriesTable title={title} at={at} lines={lines} unit={unit} ages={props.ages ?? false} />
    </figure>
  );
}

function Legend({ lines, at, unit, hovered, ages, band, forecast }: Props & { hovered: number | null }) {
  const instant = hovered === null ? undefined : at[hovered];
  const named = lines.filter((line) => !line.unnamed);
  const more = lines.length - named.length;
  return (
    <span class="legend">
      {instant !== undefined ? (
        <span class="legend-at">
          {ages
            ? `age ${ageLabel(instant)}`
            : `${clock(new Date(instant * 1000))} (${utc(new Date(instant * 1000)).slice(11)})`}
        </span>
      ) : null}
      {named.map((line) => {
        const values = line.shown ?? line.values;
        const value = hovered === null ? lastOf(values) : values[hovered];
        return (
          <span class="legend-item" key={line.label}>
            <i
              class={line.dash ? "swatch dashed" : "swatch"}
              style={{ "--swatch": `var(--${line.colour})` }}
            />
            {line.label} <b>{typeof value === "number" ? quantity(value, unit) : "\u2013"}</b>
          </span>
        );
      })}
      {more > 0 ? <span class="legend-item">and {more} more</span> : null}
      {band ? (
        <span class="legend-item">
          <i class="swatch band" />
          {band.label}
        </span>
      ) : null}
      {forecast ? (
        <span class="legend-item">
          <i class="swatch forecast" />
          forecast, 10 to 90 %
        </span>
      ) : null}
    </span>
  );
}

export function lastOf(values: readonly (number | null)[]): number | null {
  for (let index = values.length - 1; index >= 0; index -= 1) {
    const value = values[index];
    if (typeof value === "number") return value;
  }
  return null;
}
