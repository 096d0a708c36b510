// One service: a line per replica, the odd one and why, earlier runs behind the present one.

import { useEffect, useMemo } from "preact/hooks";
import { ApiError, getJson, getList, paths } from "../api/client";
import type { Event, Page, Replica, SeriesSet, ServedRun, Service } from "../api/model";
import { useResource } from "../api/resource";
import { type Line, lastOf, TimeSeries } from "../charts/timeseries";
import { verdictClass } from "../lib/classes";
import { bytes, signed } from "../lib/format";
import { readable } from "../lib/text";
import { patchQuery, toHash, useRoute } from "../lib/url";
import { Absent, Value } from "../parts/absent";
import { Badge, Loaded, Losses } from "../parts/frame";
import { Name } from "../parts/text";
import { line, marksOf, times, valuesOf } from "./charts";
import { align, runsFor, runsOf } from "./runs";

/** More lines than that nobody can tell apart; the odd one is always among them. */
const MAX_LINES = 12;
/** One axis for all replicas. */
const STEPS = 240;

export function ServiceView({ name }: { name: string }) {
  const service = useResource<Service>(paths.service(name), { live: "*" });
  useEffect(() => {
    document.title = `${readable(name, 60)} \u2013 leakwatch`;
  }, [name]);
  return (
    <Loaded resource={service} what="service">
      {(data) => <ServicePage service={data} />}
    </Loaded>
  );
}

function ServicePage({ service }: { service: Service }) {
  const odd = service.replicas.find((replica) => replica.outlier);
  const ids = service.replicas.map((replica) => replica.target);
  const events = useResource<Event[]>(paths.events({ kinds: "oom_kill,restart,limit_change" }), {
    live: "*",
    load: getList<Event>,
  });
  // Asked for by itself: a daemon that does not know this kind refuses it.
  const deploys = useResource<Event[] | null>(paths.events({ kinds: "deploy" }), {
    load: (path, signal) => getList<Event>(path, signal).catch(skip),
  });
  const all = useMemo(() => [...(events.data ?? []), ...(deploys.data ?? [])], [events.data, deploys.data]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the list of ids is made anew each time
  const own = useMemo(
    () => all.filter((event) => event.target && ids.includes(event.target)),
    [all, ids.join()],
  );
  return (
    <>
      <div class="heading">
        <p class="crumbs">
          <a href={toHash(["services"])}>Services</a>
        </p>
        <h1>
          <Name text={service.name} max={100} />
        </h1>
        <p class="facts">
          <span>{service.replicas.length === 1 ? "1 target" : `${service.replicas.length} replicas`}</span>
        </p>
      </div>
      <div class="stack-of-cards">
        <section class="card">
          {odd && service.outlier ? (
            <p class="odd-line">
              <strong>
                <a href={toHash(["targets", odd.target])}>
                  <Name text={odd.name} max={80} />
                </a>{" "}
                is the odd one:
              </strong>{" "}
              it {readable(service.outlier.because, 300)}.
            </p>
          ) : (
            <p>
              No odd one: <Absent of={service} field="outlier" full />
            </p>
          )}
          <ReplicaChart service={service} events={own} />
        </section>
        <section class="card">
          <ReplicaTable service={service} />
          <Losses losses={service.losses} />
        </section>
        <Runs service={service} events={own} />
        <Versions events={own} served={deploys.loading || deploys.data !== null} />
      </div>
    </>
  );
}

function chosenReplicas(service: Service): Replica[] {
  return [...service.replicas]
    .sort((a, b) => Number(b.outlier) - Number(a.outlier) || (b.charge_bytes ?? 0) - (a.charge_bytes ?? 0))
    .slice(0, MAX_LINES);
}

interface Lines {
  at: number[];
  lines: Line[];
}

/** All replicas on one time axis. The second request has the range that the first one found. */
async function loadReplicas(replicas: readonly Replica[], signal: AbortSignal): Promise<Lines> {
  const metrics = ["rss_bytes", "limit_bytes"];
  const found = await Promise.all(
    replicas.map((replica) => getJson<SeriesSet>(paths.series(replica.target, metrics), signal).catch(skip)),
  );
  const known = found.filter((set): set is SeriesSet => set !== null);
  const from = Math.min(...known.map((set) => Date.parse(set.from)));
  const to = Math.max(...known.map((set) => Date.parse(set.to)));
  if (!Number.isFinite(from)) return { at: [], lines: [] };
  const finest = Math.max(...known.map((set) => set.step_seconds));
  const step = Math.max(1, finest, Math.ceil((to - from) / 1000 / STEPS));
  const range = { from: new Date(from).toISOString(), to: new Date(to).toISOString(), step: `${step}s` };
  const sets = await Promise.all(
    replicas.map((replica) =>
      getJson<SeriesSet>(paths.series(replica.target, metrics, range), signal).catch(skip),
    ),
  );
  const first = sets.find((set) => set !== null);
  const lines: Line[] = [];
  let limit: Line | null = null;
  sets.forEach((set, index) => {
    const replica = replicas[index];
    if (!set || !replica) return;
    lines.push({
      label: readable(replica.name, 40),
      values: valuesOf(set, "rss_bytes"),
      colour: replica.outlier ? "bad" : `quiet-${(index % 4) + 1}`,
      width: replica.outlier ? 2.75 : 1.5,
    });
    const values = valuesOf(set, "limit_bytes");
    const last = lastOf(values);
    // Replicas mostly share one limit; the lowest is the one that is reached first.
    if (last !== null && (limit === null || last < (lastOf(limit.values) ?? 0)))
      limit = line("limit_bytes", values);
  });
  // The odd one is drawn last, over the others.
  lines.reverse();
  if (limit) lines.push(limit);
  return { at: first ? times(first) : [], lines };
}

function skip(error: unknown): null {
  // A replica that ended in between has no series; the others are drawn.
  if (error instanceof ApiError && error.status !== 0) return null;
  throw error;
}

function ReplicaChart({ service, events }: { service: Service; events: readonly Event[] }) {
  const replicas = chosenReplicas(service);
  // The identity of the question; it is not asked as it stands.
  const key = `service ${replicas.map((replica) => replica.target + replica.outlier).join(" ")}`;
  const resource = useResource<Lines>(key, {
    live: "*",
    load: (_path, signal) => loadReplicas(replicas, signal),
  });
  const marks = useMemo(() => marksOf(events), [events]);
  return (
    <Loaded resource={resource} what="replicas">
      {({ at, lines }) =>
        at.length === 0 ? (
          <p class="state">No sample of these replicas is kept.</p>
        ) : (
          <>
            <TimeSeries
              title="Resident memory (RSS), one line per replica"
              at={at}
              lines={lines}
              unit="bytes"
              marks={marks}
              height={280}
            />
            {service.replicas.length > replicas.length ? (
              <p class="hint">
                {replicas.length} of {service.replicas.length} replicas are drawn: the odd one and those with
                most memory.
              </p>
            ) : null}
          </>
        )
      }
    </Loaded>
  );
}

function ReplicaTable({ service }: { service: Service }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Replicas">
      <table>
        <thead>
          <tr>
            <th scope="col">Replica</th>
            <th scope="col">Verdict</th>
            <th scope="col" class="number">
              Charge
            </th>
            <th scope="col" class="number">
              Growth
            </th>
            <th scope="col" class="number">
              OOM kills
            </th>
          </tr>
        </thead>
        <tbody>
          {[...service.replicas]
            .sort(
              (a, b) =>
                verdictClass(b.verdict).rank - verdictClass(a.verdict).rank || (a.name < b.name ? -1 : 1),
            )
            .map((replica) => (
              <tr key={replica.target} class={replica.outlier ? "urgent" : ""}>
                <th scope="row">
                  <a href={toHash(["targets", replica.target])}>
                    <Name text={replica.name} max={80} />
                  </a>
                  {replica.outlier ? <span class="sub">the odd one</span> : null}
                </th>
                <td>
                  {replica.verdict ? (
                    <Badge verdict={{ class: replica.verdict }} />
                  ) : (
                    <Absent of={replica} field="verdict" />
                  )}
                </td>
                <td class="number">
                  <Value value={replica.charge_bytes} of={replica} field="charge_bytes">
                    {bytes}
                  </Value>
                </td>
                <td class="number">
                  <Value value={replica.growth_bytes_per_second} of={replica} field="growth_bytes_per_second">
                    {(rate) => <>{rate === 0 ? "none" : signed(rate, "bytes_per_second")}</>}
                  </Value>
                </td>
                <td class="number">{replica.oom_kills}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}

/** The daemon's own list of runs, where it serves one; else what the samples of one replica show. */
function Runs({ service, events }: { service: Service; events: readonly Event[] }) {
  const { query } = useRoute();
  const odd = service.replicas.find((replica) => replica.outlier) ?? chosenReplicas(service)[0];
  const id = service.replicas.some((replica) => replica.target === query.runs) ? query.runs : odd?.target;
  const served = useResource<Page<ServedRun> | null>(`${paths.service(service.name)}/runs?limit=50`, {
    load: (path, signal) => getJson<Page<ServedRun>>(path, signal).catch(skip),
  });
  const set = useResource<SeriesSet>(id === undefined ? null : paths.series(id, ["unreclaimable_bytes"]), {
    live: id ?? "*",
  });
  const own = useMemo(() => events.filter((event) => event.target === id), [events, id]);
  const runs = useMemo(
    () => (served.data ? runsFor(served.data.items, id) : set.data ? runsOf(set.data, own) : []),
    [served.data, set.data, own, id],
  );
  const aligned = useMemo(() => align(runs), [runs]);
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
    const present: Line = { label: "present run", values: aligned.present, colour: "line-1", width: 2.25 };
    if (aligned.earlier > 1) return [present];
    return [{ label: "run before", values: aligned.low, colour: "quiet-1", dash: [4, 3] }, present];
  }, [aligned]);
  return (
    <section class="card" aria-labelledby="runs">
      <h2 id="runs">Earlier runs, by age of the process</h2>
      <div class="toolbar">
        <label>
          Replica{" "}
          <select value={id} onChange={(event) => patchQuery({ runs: event.currentTarget.value })}>
            {service.replicas.map((replica) => (
              <option key={replica.target} value={replica.target}>
                {readable(replica.name, 60)}
              </option>
            ))}
          </select>
        </label>
      </div>
      {aligned ? (
        <TimeSeries
          title="Memory that cannot be reclaimed, by age"
          at={aligned.age}
          lines={lines}
          unit="bytes"
          ages
          {...(band ? { band } : {})}
          height={200}
        />
      ) : (
        <p class="state">
          This replica was not restarted since it is watched: there is no earlier run to compare with.
        </p>
      )}
      {served.data === null && !served.loading ? (
        <p class="hint">
          This daemon does not serve the runs of a service; what is shown comes from the samples of this
          replica that it still holds.
        </p>
      ) : null}
    </section>
  );
}

function Versions({ events, served }: { events: readonly Event[]; served: boolean }) {
  const deploys = events.filter((event) => event.kind === "deploy");
  return (
    <section class="card" aria-labelledby="versions">
      <h2 id="versions">Versions</h2>
      {deploys.length === 0 ? (
        <p class="hint">
          {served ? "No deploy of this service was seen:" : "This daemon does not report deploys:"} there is
          no older version to compare with.
        </p>
      ) : (
        <ul>
          {deploys.map((event) => (
            <li key={event.id}>{readable(event.summary)}</li>
          ))}
        </ul>
      )}
    </section>
  );
}
