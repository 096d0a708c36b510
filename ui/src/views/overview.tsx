// All targets of the host, worst first.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { getList, paths } from "../api/client";
import type { Event, SeriesSet, Target, Verdict } from "../api/model";
import { useResource } from "../api/resource";
import { Sparkline } from "../charts/sparkline";
import { verdictClass } from "../lib/classes";
import { bytes, horizon, percent } from "../lib/format";
import { readable } from "../lib/text";
import { patchQuery, toHash, useRoute } from "../lib/url";
import { Absent, Value } from "../parts/absent";
import { Badge, Loaded, Losses, sureness } from "../parts/frame";
import { Instant, Name } from "../parts/text";
import { times, valuesOf } from "./charts";
import { matching, rank, SORTS, type Sort, sorted } from "./ranking";

/** What a screen holds is drawn at once; the rest as it is scrolled to. */
const PAGE = 30;
const SPARK_PERIOD_MS = 30_000;

export function Overview() {
  const targets = useResource<Target[]>(paths.targets, { live: "*", load: getList<Target> });
  const kills = useResource<Event[]>(paths.events({ kinds: "oom_kill" }), {
    live: "*",
    load: getList<Event>,
  });
  useEffect(() => {
    document.title = "leakwatch";
  }, []);
  return (
    <>
      <h1 class="sr">Overview</h1>
      <Loaded resource={targets} what="targets">
        {(list) => (
          <>
            {targets.error ? (
              <p class="state failed" role="alert">
                The daemon does not answer ({readable(targets.error.detail)}); this is the last it said.
              </p>
            ) : null}
            <TargetList targets={list} kills={kills.data ?? []} />
          </>
        )}
      </Loaded>
    </>
  );
}

function killsByTarget(events: readonly Event[]): Map<string, number[]> {
  const map = new Map<string, number[]>();
  for (const event of events) {
    if (!event.target) continue;
    const list = map.get(event.target) ?? [];
    list.push(Date.parse(event.at) / 1000);
    map.set(event.target, list);
  }
  return map;
}

function TargetList({ targets, kills }: { targets: Target[]; kills: Event[] }) {
  const { query } = useRoute();
  const search = query.q ?? "";
  const verdict = query.verdict ?? "";
  const gone = query.gone === "1";
  const sort = SORTS.some(([key]) => key === query.sort) ? (query.sort as Sort) : "worst";
  const [shown, setShown] = useState(PAGE);
  const found = useMemo(
    () => sorted(matching(targets, search, verdict, gone), sort),
    [targets, search, verdict, gone, sort],
  );
  const killed = useMemo(() => killsByTarget(kills), [kills]);
  const goneCount = targets.filter((target) => target.gone_at).length;
  if (targets.length === 0) return <NoTargets />;
  return (
    <>
      <Counts targets={targets} chosen={verdict} gone={gone} />
      <div class="toolbar">
        <label class="search grow">
          <span class="sr">Search targets</span>
          <input
            type="search"
            placeholder="Search name, service, pod, path, command, pid"
            value={search}
            onInput={(event) => patchQuery({ q: event.currentTarget.value })}
          />
        </label>
        <label>
          <span class="sr">Order</span>
          <select
            value={sort}
            onChange={(event) =>
              patchQuery({ sort: event.currentTarget.value === "worst" ? null : event.currentTarget.value })
            }
          >
            {SORTS.map(([key, title]) => (
              <option key={key} value={key}>
                {title}
              </option>
            ))}
          </select>
        </label>
        {goneCount > 0 ? (
          <label class="check">
            <input
              type="checkbox"
              checked={gone}
              onChange={(event) => patchQuery({ gone: event.currentTarget.checked })}
            />{" "}
            Also {goneCount} that ended
          </label>
        ) : null}
      </div>
      {found.length === 0 ? (
        <p class="state">
          No target matches.{" "}
          <button type="button" onClick={() => patchQuery({ q: null, verdict: null })}>
            Show all {targets.length}
          </button>
        </p>
      ) : (
        <table class="targets">
          <caption class="sr">Targets, {SORTS.find(([key]) => key === sort)?.[1]}</caption>
          <thead>
            <tr>
              <th scope="col">Target</th>
              <th scope="col">Verdict</th>
              <th scope="col">Memory</th>
              <th scope="col">Limit reached in</th>
              <th scope="col">OOM kills</th>
            </tr>
          </thead>
          <tbody>
            {found.slice(0, shown).map((target) => (
              <TargetRow key={target.id} target={target} kills={killed.get(target.id) ?? NONE} />
            ))}
          </tbody>
        </table>
      )}
      {found.length > shown ? (
        <More onMore={() => setShown(shown + PAGE)}>
          Show {Math.min(PAGE, found.length - shown)} more of {found.length}
        </More>
      ) : null}
    </>
  );
}

/** A button that presses itself when it comes near the screen. */
export function More({ onMore, children }: { onMore: () => void; children: ComponentChildren }) {
  const holder = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    if (!holder.current) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) onMore();
      },
      { rootMargin: "600px" },
    );
    observer.observe(holder.current);
    return () => observer.disconnect();
  }, [onMore]);
  return (
    <p class="more" ref={holder}>
      <button type="button" onClick={onMore}>
        {children}
      </button>
    </p>
  );
}

const NONE: number[] = [];

function NoTargets() {
  return (
    <div class="state">
      <p>
        <strong>Nothing is watched yet.</strong>
      </p>
      <p>
        The daemon watches every cgroup with processes below its root. Start a container or a service, or look
        at <a href={toHash(["status"])}>the status</a> for what this host offers and which subtree{" "}
        <code>--only</code> chose.
      </p>
    </div>
  );
}

/** How many of each verdict, as filters. */
function Counts({ targets, chosen, gone }: { targets: Target[]; chosen: string; gone: boolean }) {
  const counts = new Map<string, number>();
  for (const target of targets) {
    if (!gone && target.gone_at) continue;
    const key = target.verdict?.class ?? "none";
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  if (chosen !== "" && !counts.has(chosen)) counts.set(chosen, 0);
  const keys = [...counts.keys()].sort((a, b) => verdictClass(b).rank - verdictClass(a).rank);
  return (
    <div class="counts" role="group" aria-label="Filter by verdict">
      {keys.map((key) => {
        const known = verdictClass(key === "none" ? null : key);
        return (
          <button
            key={key}
            type="button"
            class={`count ${known.tone}`}
            aria-pressed={chosen === key}
            title={known.means}
            onClick={() => patchQuery({ verdict: chosen === key ? null : key })}
          >
            <b>{counts.get(key)}</b> {known.label}
          </button>
        );
      })}
    </div>
  );
}

function TargetRow({ target, kills }: { target: Target; kills: number[] }) {
  const verdict = target.verdict;
  const tone = verdictClass(verdict?.class).tone;
  return (
    <tr class={target.gone_at ? "gone" : rank(target) >= 60 ? "urgent" : ""}>
      <th scope="row">
        <a href={toHash(["targets", target.id])}>
          <Name text={target.name} max={60} />
        </a>
        <span class="sub">
          {target.service === target.name ? (
            target.kind
          ) : (
            <a href={toHash(["services", target.service])}>
              <Name text={target.service} max={50} />
            </a>
          )}
          {target.namespace ? (
            <>
              {" "}
              in <Name text={target.namespace} max={40} />
            </>
          ) : null}
          {target.gone_at ? (
            <>
              , ended <Instant at={target.gone_at} relative />
            </>
          ) : target.processes.length === 0 ? (
            ", no process runs"
          ) : null}
        </span>
      </th>
      <td class="cell-verdict">
        <Badge verdict={verdict} /> {verdict ? <span class="sure">{sureness(verdict)}</span> : null}
        <span class="summary">
          {verdict ? readable(verdict.summary, 300) : <Absent of={target} field="verdict" full />}
        </span>
        {verdict ? <Decides verdict={verdict} /> : null}
        <Losses losses={target.losses} />
      </td>
      <td class="cell-memory">
        <SparkCell target={target} kills={kills} tone={tone} />
        <MemoryNumbers target={target} />
      </td>
      <td class="cell-limit">
        <span class="cell-name" aria-hidden="true">
          Limit reached in{" "}
        </span>
        <TimeToLimit target={target} />
      </td>
      <td class="cell-kills">
        {target.oom_kills > 0 ? (
          <a class="kills" href={toHash(["oom"], { target: target.id })}>
            {target.oom_kills}
            <span class="cell-name"> OOM kills</span>
          </a>
        ) : (
          <span class="none">
            0<span class="cell-name"> OOM kills</span>
          </span>
        )}
      </td>
    </tr>
  );
}

/** What will decide what is not decided yet, and when. */
function Decides({ verdict }: { verdict: Verdict }) {
  const next = verdict.decided_by?.[0];
  if (!next) return null;
  return (
    <span class="sub">
      Decided by: {readable(next.what, 200)}
      {next.at ? (
        <>
          , about <Instant at={next.at} />
        </>
      ) : null}
    </span>
  );
}

export function MemoryNumbers({ target }: { target: Target }) {
  const { memory } = target;
  const used = memory.unreclaimable_bytes ?? memory.charge_bytes;
  return (
    <span class="memory-numbers">
      <Value value={memory.charge_bytes} of={memory} field="charge_bytes">
        {bytes}
      </Value>
      {typeof memory.limit_bytes === "number" ? (
        <>
          {" "}
          of {bytes(memory.limit_bytes)}
          {typeof used === "number" && memory.limit_bytes > 0 ? (
            <b> {percent(Math.min(1, used / memory.limit_bytes))}</b>
          ) : null}
        </>
      ) : (
        <span class="absent">
          {" "}
          no limit
          {memory.limit_source === "node" && typeof memory.room_bytes === "number"
            ? `, ${bytes(memory.room_bytes)} left on the machine`
            : ""}
        </span>
      )}
    </span>
  );
}

export function TimeToLimit({ target }: { target: Pick<Target, "verdict"> & object }) {
  const verdict = target.verdict;
  if (!verdict) return <Absent of={target} field="verdict" />;
  const left = verdict.time_to_limit_seconds;
  if (!left || typeof left.p50 !== "number") {
    return <Absent of={left ?? verdict} field={left ? "p50" : "time_to_limit_seconds"} />;
  }
  const range =
    typeof left.p10 === "number"
      ? `${horizon(left.p10)} to ${typeof left.p90 === "number" ? horizon(left.p90) : "never"}, 10 % to 90 %`
      : undefined;
  return (
    <span class={left.p50 < 3600 ? "soon" : ""} title={range}>
      {horizon(left.p50)}
    </span>
  );
}

/** Asks for its series once its row is in sight. */
function SparkCell({ target, kills, tone }: { target: Target; kills: number[]; tone: string }) {
  const holder = useRef<HTMLSpanElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (!holder.current) return;
    const observer = new IntersectionObserver(
      (entries) => setSeen(entries.some((entry) => entry.isIntersecting)),
      {
        rootMargin: "200px",
      },
    );
    observer.observe(holder.current);
    return () => observer.disconnect();
  }, []);
  const resource = useResource<SeriesSet>(seen ? paths.series(target.id, ["unreclaimable_bytes"]) : null);
  const last = useRef<SeriesSet | null>(null);
  if (resource.data) last.current = resource.data;
  const { reload } = resource;
  useEffect(() => {
    if (!seen || target.gone_at) return;
    const timer = setInterval(() => {
      if (!document.hidden) reload();
    }, SPARK_PERIOD_MS);
    return () => clearInterval(timer);
  }, [seen, target.gone_at, reload]);
  const set = last.current;
  return (
    <span class="spark-holder" ref={holder}>
      {set ? (
        <Sparkline
          values={valuesOf(set, "unreclaimable_bytes")}
          at={times(set)}
          limit={target.memory.limit_bytes ?? null}
          kills={kills}
          tone={tone}
        />
      ) : null}
    </span>
  );
}
