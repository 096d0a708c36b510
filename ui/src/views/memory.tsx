// The memory of a target over time: limit, kills, restarts, forecast, and the two instants that are compared.

import { useMemo } from "preact/hooks";
import { paths } from "../api/client";
import type { Event, SeriesSet, Verdict } from "../api/model";
import { useResource } from "../api/resource";
import { forecastOf } from "../charts/forecast";
import { lastOf, TimeSeries } from "../charts/timeseries";
import { Loaded } from "../parts/frame";
import { byUnit, marksOf, times, valuesOf } from "./charts";

interface Props {
  target: string;
  events: readonly Event[];
  verdict?: Verdict | null | undefined;
  title?: string;
  height?: number;
  range?: { from?: string; to?: string };
  chosen?: { base: number | null; compare: number | null };
  onBrush?: (from: number, to: number) => void;
}

const METRICS = ["charge_bytes", "unreclaimable_bytes", "limit_bytes"];

export function MemoryChart(props: Props) {
  const resource = useResource<SeriesSet>(paths.series(props.target, METRICS, props.range), {
    live: props.target,
  });
  return (
    <Loaded resource={resource} what="memory">
      {(set) => <Drawn set={set} {...props} />}
    </Loaded>
  );
}

function Drawn({ set, events, verdict, title, height, chosen, onBrush }: Props & { set: SeriesSet }) {
  const known = useMemo(() => trimmed(set), [set]);
  const at = useMemo(() => times(known), [known]);
  const bytes = useMemo(() => byUnit(known).find(({ unit }) => unit === "bytes")?.lines ?? [], [known]);
  const marks = useMemo(() => marksOf(events), [events]);
  const limit = lastOf(valuesOf(known, "limit_bytes"));
  const forecast = useMemo(
    () => (verdict ? forecastOf(verdict, limit, at, valuesOf(known, "unreclaimable_bytes")) : null),
    [verdict, limit, at, known],
  );
  if (bytes.length === 0) return <p class="state">No sample of its memory is kept for this time.</p>;
  return (
    <TimeSeries
      title={title ?? "Memory"}
      at={at}
      lines={bytes}
      unit="bytes"
      marks={marks}
      forecast={forecast}
      height={height ?? 260}
      {...(chosen ? { chosen } : {})}
      {...(onBrush ? { onBrush } : {})}
    />
  );
}

/** Without what lies before the first sample and after the last one. */
export function trimmed(set: SeriesSet): SeriesSet {
  const known = set.at.map((_, index) =>
    set.series.some((series) => typeof series.values[index] === "number"),
  );
  const [from, to] = [known.indexOf(true), known.lastIndexOf(true) + 1];
  if (from < 0) return set;
  return {
    ...set,
    at: set.at.slice(from, to),
    series: set.series.map((series) => ({ ...series, values: series.values.slice(from, to) })),
  };
}
