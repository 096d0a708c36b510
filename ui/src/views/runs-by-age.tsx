// The present run of a replica, and the earlier runs of its service as a band behind it, by the age of the process.

import { useMemo } from "preact/hooks";
import type { ServedRun, Service } from "../api/model";
import { type Line, TimeSeries } from "../charts/timeseries";
import { readable } from "../lib/text";
import { patchQuery, useRoute } from "../lib/url";
import { align, runsFor } from "./runs";

interface Props {
  service: Service;
  runs: readonly ServedRun[];
}

export function EarlierRuns({ service, runs }: Props) {
  const { query } = useRoute();
  const first = service.replicas.find((replica) => replica.outlier) ?? service.replicas[0];
  const id = service.replicas.some((replica) => replica.target === query.runs) ? query.runs : first?.target;
  const aligned = useMemo(() => align(runsFor(runs, id)), [runs, id]);
  // One earlier run is a line; a band needs two.
  const band = useMemo(
    () =>
      aligned && aligned.earlier > 1
        ? { low: aligned.low, high: aligned.high, label: `${aligned.earlier} earlier runs` }
        : undefined,
    [aligned],
  );
  const lines = useMemo<Line[]>(() => {
    if (!aligned) return [];
    const present: Line = {
      label: aligned.ended ? "newest run" : "present run",
      values: aligned.present,
      colour: "line-1",
      width: 2.25,
    };
    if (aligned.earlier > 1) return [present];
    return [{ label: "run before", values: aligned.low, colour: "quiet-1", dash: [4, 3] }, present];
  }, [aligned]);
  return (
    <section class="card" aria-labelledby="runs">
      <h2 id="runs">Earlier runs, by age of the process</h2>
      <p class="hint">
        A run is one life of the main process. Where the present one leaves the band of those before it, it is
        not what they were.
      </p>
      {aligned ? (
        <>
          {service.replicas.length > 1 ? (
            <div class="toolbar">
              <label>
                Present run of{" "}
                <select value={id} onChange={(event) => patchQuery({ runs: event.currentTarget.value })}>
                  {service.replicas.map((replica) => (
                    <option key={replica.target} value={replica.target}>
                      {readable(replica.name, 60)}
                    </option>
                  ))}
                </select>
              </label>
            </div>
          ) : null}
          <TimeSeries
            title="Memory that cannot be reclaimed, by age"
            at={aligned.age}
            lines={lines}
            unit="bytes"
            ages
            {...(band ? { band } : {})}
            height={200}
          />
        </>
      ) : (
        <p class="state">
          No run of this service has ended since it is watched: there is nothing to compare with.
        </p>
      )}
    </section>
  );
}
