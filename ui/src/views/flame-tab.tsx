// Flame graphs of a target: which profile, which two instants, in which form. All of it is in the address.

import { useMemo } from "preact/hooks";
import { paths, withQuery } from "../api/client";
import type { Event, Investigation, Snapshot, SnapshotList, Target } from "../api/model";
import { useResource } from "../api/resource";
import type { GraphState, Mode } from "../flame/graph";
import { DiffGraph } from "../flame/source";
import { clock, profileUnit, quantity } from "../lib/format";
import { words } from "../lib/text";
import { patchQuery, useRoute } from "../lib/url";
import { whyAbsent } from "../parts/absent";
import { Download } from "../parts/download";
import { Loaded } from "../parts/frame";
import { Command } from "../parts/text";
import { CaptureButton } from "./capture";
import { MemoryChart } from "./memory";

const TYPES: [string, string][] = [
  ["heap", "Go heap"],
  ["goroutine", "Goroutines"],
  ["native", "Native allocations"],
  ["growth", "Memory growth"],
  ["mapping", "Mappings"],
  ["goroutineleak", "Leaked goroutines"],
];

const VALUES: Record<string, [string, string][]> = {
  heap: SAMPLE_TYPES(),
  native: SAMPLE_TYPES(),
};

function SAMPLE_TYPES(): [string, string][] {
  return [
    ["inuse_space", "in use, bytes"],
    ["inuse_objects", "in use, objects"],
    ["alloc_space", "allocated, bytes"],
    ["alloc_objects", "allocated, objects"],
  ];
}

interface Props {
  target: Target;
  investigation: Investigation | null;
  events: readonly Event[];
}

export function FlameTab({ target, investigation, events }: Props) {
  const profiles = useResource<SnapshotList>(paths.profiles(target.id), { live: target.id });
  return (
    <Loaded resource={profiles} what="profiles">
      {(list) => <Chosen target={target} investigation={investigation} events={events} list={list} />}
    </Loaded>
  );
}

/** The snapshot nearest to an instant. */
export function nearest(snapshots: readonly Snapshot[], at: number): Snapshot | null {
  let best: Snapshot | null = null;
  for (const snapshot of snapshots) {
    if (best === null || Math.abs(Date.parse(snapshot.at) - at) < Math.abs(Date.parse(best.at) - at))
      best = snapshot;
  }
  return best;
}

/** What the investigation compared, for a first look. */
function suggested(investigation: Investigation | null): URLSearchParams[] {
  const links = (investigation?.steps ?? [])
    .filter((step) => step.diff)
    .sort((a, b) => Number(b.answer === "yes") - Number(a.answer === "yes"));
  return links.map((step) => new URLSearchParams((step.diff ?? "").split("?")[1] ?? ""));
}

export function graphState(query: Record<string, string>): GraphState {
  const wide = innerWidth >= 900;
  const mode =
    query.mode === "table" || query.mode === "combined" || query.mode === "side"
      ? (query.mode as Mode)
      : wide
        ? "side"
        : "combined";
  const zoom = Number.parseInt(query.zoom ?? "", 16);
  return {
    mode,
    search: query.q ?? "",
    invert: query.invert === "1",
    focus: query.focus ?? null,
    zoom: Number.isNaN(zoom) ? null : zoom,
  };
}

export function changeAddress(patch: Partial<GraphState>): void {
  const query: Record<string, string | boolean | null> = {};
  if ("mode" in patch) query.mode = patch.mode ?? null;
  if ("search" in patch) query.q = patch.search ?? null;
  if ("invert" in patch) query.invert = patch.invert ?? null;
  if ("focus" in patch) query.focus = patch.focus ?? null;
  if ("zoom" in patch) query.zoom = typeof patch.zoom === "number" ? patch.zoom.toString(16) : null;
  patchQuery(query, "search" in patch ? "replace" : "push");
}

function Chosen({ target, investigation, events, list }: Props & { list: SnapshotList }) {
  const { query } = useRoute();
  const ideas = useMemo(() => suggested(investigation), [investigation]);
  const types = new Set(list.items.map((snapshot) => snapshot.type));
  const type = query.type ?? ideas[0]?.get("type") ?? TYPES.find(([key]) => types.has(key))?.[0] ?? "heap";
  const snapshots = useMemo(
    () => list.items.filter((snapshot) => snapshot.type === type).sort((a, b) => a.at.localeCompare(b.at)),
    [list, type],
  );
  const idea = ideas.find((entry) => entry.get("type") === type);
  const base = pick(snapshots, query.base ?? idea?.get("base"), "first");
  const compare = pick(snapshots, query.compare ?? idea?.get("compare"), "last");
  const values = Object.hasOwn(VALUES, type) ? (VALUES[type] ?? []) : [];
  const value = values.some(([key]) => key === query.value) ? query.value : undefined;
  const brush = (from: number, to: number) => {
    const earlier = nearest(snapshots, from * 1000);
    const later = nearest(snapshots, to * 1000);
    if (earlier && later) patchQuery({ type, base: earlier.at, compare: later.at, zoom: null }, "push");
  };
  const link =
    base && compare
      ? withQuery(`${paths.target(target.id)}/diff`, { type, base: base.at, compare: compare.at, value })
      : null;
  return (
    <div class="stack-of-cards">
      <section class="card">
        <div class="toolbar">
          <TypeChoice list={list} types={types} type={type} />
          {values.length > 0 ? (
            <label>
              <span class="sr">Value</span>
              <select
                value={value ?? "inuse_space"}
                onChange={(event) => patchQuery({ value: event.currentTarget.value })}
              >
                {values.map(([key, title]) => (
                  <option key={key} value={key}>
                    {title}
                  </option>
                ))}
              </select>
            </label>
          ) : null}
        </div>
        <MemoryChart
          target={target.id}
          events={events}
          title={snapshots.length > 1 ? "Drag over the chart to choose what is compared" : "Memory"}
          height={180}
          chosen={{
            base: base ? Date.parse(base.at) / 1000 : null,
            compare: compare ? Date.parse(compare.at) / 1000 : null,
          }}
          onBrush={brush}
        />
        {snapshots.length > 0 ? (
          <div class="toolbar">
            <InstantChoice label="Earlier" field="base" snapshots={snapshots} chosen={base} />
            <InstantChoice label="Later" field="compare" snapshots={snapshots} chosen={compare} />
          </div>
        ) : null}
      </section>
      <section class="card">
        {link && base && compare ? (
          <>
            <DiffGraph link={link} state={graphState(query)} change={changeAddress} maxHeight={520} />
            <Exports
              target={target.id}
              type={type}
              base={base.at}
              compare={compare.at}
              link={link}
              value={value}
            />
          </>
        ) : (
          <NoProfile list={list} type={type} target={target} />
        )}
      </section>
    </div>
  );
}

function pick(
  snapshots: readonly Snapshot[],
  at: string | null | undefined,
  otherwise: "first" | "last",
): Snapshot | null {
  const wanted = at ? Date.parse(at) : Number.NaN;
  if (!Number.isNaN(wanted)) return nearest(snapshots, wanted);
  return (otherwise === "first" ? snapshots[0] : snapshots[snapshots.length - 1]) ?? null;
}

function TypeChoice({ list, types, type }: { list: SnapshotList; types: Set<string>; type: string }) {
  const more = [...types]
    .filter((key) => !TYPES.some(([known]) => known === key))
    .map((key): [string, string] => [key, words(key)]);
  return (
    <div class="segments" role="group" aria-label="Profile">
      {[...TYPES, ...more].map(([key, title]) => (
        <button
          key={key}
          type="button"
          class={types.has(key) ? "" : "unavailable"}
          aria-pressed={key === type}
          title={types.has(key) ? undefined : noneYet(list, key)}
          onClick={() =>
            patchQuery({ type: key, base: null, compare: null, value: null, zoom: null, focus: null }, "push")
          }
        >
          {title}
          {types.has(key) ? null : <span class="sr"> (none)</span>}
        </button>
      ))}
    </div>
  );
}

interface ChoiceProps {
  label: string;
  field: "base" | "compare";
  snapshots: readonly Snapshot[];
  chosen: Snapshot | null;
}

/** The same choice as by brushing, for the keyboard. */
function InstantChoice({ label, field, snapshots, chosen }: ChoiceProps) {
  return (
    <label class={`instant ${field}`}>
      {label}{" "}
      <select
        value={chosen?.id}
        onChange={(event) => {
          const found = snapshots.find((snapshot) => snapshot.id === event.currentTarget.value);
          patchQuery({ [field]: found?.at ?? null, zoom: null });
        }}
      >
        {snapshots.map((snapshot) => (
          <option key={snapshot.id} value={snapshot.id}>
            {clock(new Date(snapshot.at))}:{" "}
            {quantity(snapshot.total, profileUnit(snapshot.type, snapshot.unit))}
            {snapshot.complete ? "" : ", incomplete"}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The daemon's reason; without one, nobody asked for such a profile. */
function noneYet(list: SnapshotList, type: string): string {
  return Object.hasOwn(list.missing, type)
    ? whyAbsent(list, type).long
    : "None was taken of this target so far.";
}

function NoProfile({ list, type, target }: { list: SnapshotList; type: string; target: Target }) {
  const title = TYPES.find(([key]) => key === type)?.[1] ?? words(type);
  return (
    <div class="state">
      <p>
        <strong>No profile of this kind: {title}.</strong>
      </p>
      <p>{noneYet(list, type)}</p>
      {type === "native" || type === "growth" || type === "mapping" ? (
        <CaptureButton target={target.id} lane={type === "native" ? "native" : "growth"} />
      ) : null}
    </div>
  );
}

interface ExportProps {
  target: string;
  type: string;
  base: string;
  compare: string;
  link: string;
  value: string | undefined;
}

function Exports({ target, type, base, compare, link, value }: ExportProps) {
  const one = (at: string, format: string) =>
    withQuery(`${paths.target(target)}/profiles/${type}`, { at, format, value });
  const url = `${location.origin}/pprof/${encodeURIComponent(target)}/${type}`;
  const files: [string, string, string][] = [
    ["Difference: pprof", withQuery(link, { format: "pprof" }), `${type}-diff.pb.gz`],
    ["folded", withQuery(link, { format: "folded" }), `${type}-diff.folded`],
    ["Earlier: pprof", one(base, "pprof"), `${type}-earlier.pb.gz`],
    ["speedscope", one(base, "speedscope"), `${type}-earlier.speedscope.json`],
    ["Later: pprof", one(compare, "pprof"), `${type}-later.pb.gz`],
    ["speedscope", one(compare, "speedscope"), `${type}-later.speedscope.json`],
  ];
  return (
    <details class="exports">
      <summary>Files and commands</summary>
      <p class="files">
        {files.map(([title, path, name]) => (
          <Download key={path} path={path} name={name} title={title} />
        ))}
      </p>
      <Command text={`go tool pprof -http=: -diff_base '${url}?at=${base}' '${url}?at=${compare}'`} />
    </details>
  );
}
