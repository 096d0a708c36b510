// Two runs of a service compared at the same age: the old version against the new one, a replica against the odd one, or
// the run before against the present one.

import { paths, withQuery } from "../api/client";
import type { Event, ServedRun, Service, SnapshotList } from "../api/model";
import { useResource } from "../api/resource";
import { DiffGraph } from "../flame/source";
import { bytes, clock, duration } from "../lib/format";
import { readable, words } from "../lib/text";
import { patchQuery, useRoute } from "../lib/url";
import { Value } from "../parts/absent";
import { Loading } from "../parts/frame";
import { Instant, Name } from "../parts/text";
import { changeAddress, graphState } from "./flame-tab";
import { type Choice, diffLink, suggestRuns } from "./runs";

/** Runs in the table at first. */
const ROWS = 8;
const TYPES: Record<string, string> = {
  heap: "Go heap",
  goroutine: "Goroutines",
  native: "Native allocations",
};

interface Props {
  service: Service;
  runs: readonly ServedRun[];
  deploys: readonly Event[];
}

export function CompareRuns({ service, runs, deploys }: Props) {
  const { query } = useRoute();
  const names = new Map(service.replicas.map((replica) => [replica.target, replica.name]));
  const nameOf = (run: ServedRun) => names.get(run.target ?? "") ?? "an ended replica";
  const choice = suggestRuns(runs, service.outlier?.target ?? null);
  const find = (id: string | undefined) => runs.find((run) => run.id === id && run.target);
  const base = find(query.base) ?? choice?.base ?? null;
  const compare = find(query.compare) ?? choice?.compare ?? null;
  return (
    <section class="card" aria-labelledby="compare">
      <h2 id="compare">Runs and versions</h2>
      <Deploys events={deploys} />
      <RunTable runs={runs} nameOf={nameOf} />
      {base && compare ? (
        <Comparison {...{ base, compare, runs, nameOf }} />
      ) : (
        <p class="state">
          Two runs are compared here once there are two: two replicas, two versions, or the run before and the
          present one.
        </p>
      )}
    </section>
  );
}

function Comparison({ base, compare, runs, nameOf }: Choice & RunsProps) {
  const { query } = useRoute();
  const earlier = useTypes(base);
  const later = useTypes(compare);
  const types = (later ?? []).filter((type) => earlier?.includes(type));
  const type = types.find((known) => known === query.type) ?? types[0];
  return (
    <>
      <h3>{TITLES[choiceKind(base, compare)]}</h3>
      <p class="hint">
        Both when they were {duration(Math.min(base.seconds, compare.seconds))} old, the age of the younger
        one.
      </p>
      <div class="toolbar">
        <RunChoice label="Earlier" field="base" {...{ runs, nameOf }} chosen={base} />
        <RunChoice label="Later" field="compare" {...{ runs, nameOf }} chosen={compare} />
        {types.length > 1 ? (
          <label>
            Profile{" "}
            <select
              value={type}
              onChange={(event) => patchQuery({ type: event.currentTarget.value, zoom: null, focus: null })}
            >
              {types.map((known) => (
                <option key={known} value={known}>
                  {TYPES[known] ?? words(known)}
                </option>
              ))}
            </select>
          </label>
        ) : null}
      </div>
      {type !== undefined ? (
        <DiffGraph
          link={withQuery(`${paths.target(compare.target ?? "")}/diff`, diffLink(base, compare, type))}
          state={graphState(query)}
          change={changeAddress}
          maxHeight={420}
        />
      ) : earlier && later ? (
        <p class="state">No profile of the same kind is kept of both.</p>
      ) : (
        <Loading what="profiles" />
      )}
    </>
  );
}

/** The kinds of profiles that are kept of a run's target, those that say most first. */
function useTypes(run: ServedRun): string[] | null {
  const list = useResource<SnapshotList>(paths.profiles(run.target ?? ""));
  if (!list.data) return list.error ? [] : null;
  const kept = new Set<string>(list.data.items.map((snapshot) => snapshot.type));
  const order = Object.keys(TYPES);
  const place = (type: string) => (order.includes(type) ? order.indexOf(type) : order.length);
  return [...kept].sort((a, b) => place(a) - place(b));
}

const TITLES = {
  versions: "The old version against the new one",
  replicas: "One replica against another",
  runs: "A run before against a later one",
};

function choiceKind(base: ServedRun, compare: ServedRun): keyof typeof TITLES {
  if (base.version && compare.version && base.version !== compare.version) return "versions";
  return base.target === compare.target || base.ended_at ? "runs" : "replicas";
}

function Deploys({ events }: { events: readonly Event[] }) {
  const deploys = events.filter((event) => event.kind === "deploy");
  if (deploys.length === 0) return null;
  return (
    <ul class="deploys">
      {deploys.slice(0, ROWS).map((event) => (
        <li key={event.id}>
          <Instant at={event.at} />: {readable(event.summary, 300)}
        </li>
      ))}
    </ul>
  );
}

/** What tells builds apart: the end of a build id is as good as its beginning. */
function short(version: string): string {
  return readable(version, 12).replace("\u2026", "");
}

interface RunsProps {
  runs: readonly ServedRun[];
  nameOf: (run: ServedRun) => string;
}

function RunTable({ runs, nameOf }: RunsProps) {
  if (runs.length === 0) return <p class="hint">No run of this service was seen yet.</p>;
  const rows = runs.slice(0, ROWS);
  return (
    <>
      <Rows runs={rows} nameOf={nameOf} />
      {runs.length > rows.length ? (
        <details>
          <summary>{runs.length - rows.length} earlier runs</summary>
          <Rows runs={runs.slice(ROWS)} nameOf={nameOf} />
        </details>
      ) : null}
    </>
  );
}

function Rows({ runs, nameOf }: RunsProps) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Table of runs">
      <table class="runs stacked">
        <thead>
          <tr>
            <th scope="col">Replica</th>
            <th scope="col">Started</th>
            <th scope="col" class="number">
              Lasted
            </th>
            <th scope="col">Ended by</th>
            <th scope="col" class="number">
              Highest
            </th>
            <th scope="col">Version</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id}>
              <th scope="row">
                <Name text={nameOf(run)} max={60} />
              </th>
              <td>
                <Instant at={run.started_at} />
              </td>
              <td class="number" data-label="Lasted">
                {duration(run.seconds)}
              </td>
              <td>
                {run.ended_at
                  ? (ENDS[run.ended_by ?? ""] ?? words(readable(run.ended_by ?? "", 30)))
                  : "it runs"}
              </td>
              <td class="number" data-label="Highest">
                <Value value={run.peak_bytes} of={run} field="peak_bytes">
                  {bytes}
                </Value>
              </td>
              <td data-label="Version">
                <Value value={run.version} of={run} field="version">
                  {(version) => <code title={readable(version)}>{short(version)}</code>}
                </Value>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const ENDS: Record<string, string> = {
  oom_kill: "OOM kill",
  out_of_memory: "own heap full",
  exit: "exit",
  unseen: "not seen",
};

interface ChoiceProps extends RunsProps {
  label: string;
  field: keyof Choice;
  chosen: ServedRun;
}

function RunChoice({ label, field, runs, nameOf, chosen }: ChoiceProps) {
  return (
    <label class={`instant ${field}`}>
      {label}{" "}
      <select
        value={chosen.id}
        onChange={(event) => patchQuery({ [field]: event.currentTarget.value, zoom: null })}
      >
        {runs
          .filter((run) => run.target)
          .map((run) => (
            <option key={run.id} value={run.id}>
              {readable(nameOf(run), 40)}, {clock(new Date(run.started_at))}
              {run.version ? `, ${short(run.version)}` : ""}
              {run.ended_at ? ", ended" : ""}
            </option>
          ))}
      </select>
    </label>
  );
}
