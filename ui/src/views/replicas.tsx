// The memory of all replicas over time, those that are gone too: the odd one above the others, limit, kills, restarts and
// deploys.

import { useMemo } from "preact/hooks";
import { paths } from "../api/client";
import type { Event, Service, ServiceSeries } from "../api/model";
import { useResource } from "../api/resource";
import { type Line, lastOf, TimeSeries } from "../charts/timeseries";
import { readable } from "../lib/text";
import { patchQuery, useRoute } from "../lib/url";
import { Loaded, Losses } from "../parts/frame";
import { line, marksOf } from "./charts";

const METRICS = ["rss_bytes", "limit_bytes"];
/** Names in a legend; more lines are drawn without. */
const MAX_NAMES = 10;

const RANGES: [string, string][] = [
  ["", "All kept in memory"],
  ["1h", "The last hour"],
  ["6h", "6 hours"],
  ["24h", "24 hours"],
  ["7d", "7 days"],
  ["14d", "14 days"],
];

export function ReplicaChart({ service, events }: { service: Service; events: readonly Event[] }) {
  const { query } = useRoute();
  const range = RANGES.some(([key]) => key === query.range) ? (query.range ?? "") : "";
  const from = range === "" ? undefined : `-${range}`;
  const resource = useResource<ServiceSeries>(paths.serviceSeries(service.name, METRICS, from), {
    live: "*",
    keep: true,
  });
  return (
    <>
      <div class="toolbar">
        <label>
          Time{" "}
          <select value={range} onChange={(event) => patchQuery({ range: event.currentTarget.value })}>
            {RANGES.map(([key, title]) => (
              <option key={key} value={key}>
                {title}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Loaded resource={resource} what="memory of the replicas">
        {(set) => <Drawn set={set} outlier={service.outlier?.target ?? null} events={events} />}
      </Loaded>
    </>
  );
}

interface DrawnProps {
  set: ServiceSeries;
  outlier: string | null;
  events: readonly Event[];
}

function Drawn({ set, outlier, events }: DrawnProps) {
  const at = useMemo(() => set.at.map((at) => Date.parse(at) / 1000), [set]);
  const lines = useMemo(() => linesOf(set, outlier), [set, outlier]);
  const marks = useMemo(() => marksOf(events), [events]);
  if (lines.length === 0) return <p class="state">No sample of these replicas is kept for this time.</p>;
  return (
    <>
      <TimeSeries
        title="Resident memory (RSS), one line per replica"
        at={at}
        lines={lines}
        unit="bytes"
        marks={marks}
        height={280}
      />
      {set.left_out > 0 ? (
        <p class="hint">
          {set.replicas.length} replicas are drawn; {set.left_out} more were there in this time.
        </p>
      ) : null}
      <Losses losses={set.losses} />
    </>
  );
}

/** The odd one last, over the others; then the lowest limit, which is the one that is reached first. */
export function linesOf(set: ServiceSeries, outlier: string | null): Line[] {
  const values = (replica: ServiceSeries["replicas"][number], metric: string) =>
    replica.series.find((series) => series.metric === metric)?.values ?? [];
  const drawn = set.replicas.filter((replica) =>
    values(replica, "rss_bytes").some((value) => value !== null),
  );
  const odd = (replica: { target: string }) => replica.target === outlier;
  const ordered = [...drawn].sort((a, b) => Number(odd(b)) - Number(odd(a)));
  const names = new Map<string, number>();
  const lines = ordered.map((replica, index): Line => {
    const name = readable(replica.name ?? replica.target, 40) + (replica.living ? "" : ", ended");
    const count = (names.get(name) ?? 0) + 1;
    names.set(name, count);
    return {
      label: count === 1 ? name : `${name} (${count})`,
      values: values(replica, "rss_bytes"),
      // Beside an odd one the others are calm; where all are alike they are to be told apart.
      colour: odd(replica) ? "bad" : outlier ? `quiet-${(index % 4) + 1}` : `line-${(index % 6) + 1}`,
      width: odd(replica) ? 2.75 : 1.5,
      ...(replica.living ? {} : { dash: [2, 3] }),
      ...(index < MAX_NAMES ? {} : { unnamed: true }),
    };
  });
  lines.reverse();
  const limits = drawn
    .filter((replica) => replica.living)
    .map((replica) => values(replica, "limit_bytes"))
    .filter((limit) => lastOf(limit) !== null)
    .sort((a, b) => (lastOf(a) ?? 0) - (lastOf(b) ?? 0));
  return limits[0] && lines.length > 0 ? [...lines, line("limit_bytes", limits[0])] : lines;
}
