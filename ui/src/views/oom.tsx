// The post-mortem of one OOM kill. Its address can be handed on.

import { useEffect, useState } from "preact/hooks";
import { ApiError, getList, paths, setPinned, withQuery } from "../api/client";
import type { Event, OomKill, Target } from "../api/model";
import { useResource } from "../api/resource";
import { type GraphState, PLAIN } from "../flame/graph";
import { ProfileGraph } from "../flame/source";
import { bytes, duration } from "../lib/format";
import { readable, words } from "../lib/text";
import { toHash } from "../lib/url";
import { Absent, Value } from "../parts/absent";
import { Download } from "../parts/download";
import { Loaded, Losses, WhenSeen } from "../parts/frame";
import { SourcesOf } from "../parts/source";
import { Copy, Instant, Name, Place } from "../parts/text";
import { EventList } from "./events";
import { LedgerTable } from "./ledger";
import { MemoryChart } from "./memory";
import { EvidenceList, VerdictCard } from "./verdict";

const BEFORE_MS = 10 * 60_000;
const AFTER_MS = 5 * 60_000;
/** Events before the kill that are shown at once. */
const RECENT = 8;

export function OomKillView({ id }: { id: string }) {
  const kill = useResource<OomKill>(paths.oomKill(id));
  const comm = kill.data?.victim.comm;
  useEffect(() => {
    document.title =
      comm === undefined ? "OOM kill \u2013 leakwatch" : `OOM kill of ${readable(comm, 40)} \u2013 leakwatch`;
  }, [comm]);
  // For the build of its program: the victim is gone, what runs in its place is the same mostly.
  const target = useResource<Target>(kill.data?.target ? paths.target(kill.data.target) : null);
  return (
    <Loaded resource={kill} what="post-mortem">
      {(data) => (
        <SourcesOf target={target.data}>
          <PostMortem kill={data} replace={kill.replace} />
        </SourcesOf>
      )}
    </Loaded>
  );
}

interface Props {
  kill: OomKill;
  replace: (kill: OomKill) => void;
}

function PostMortem({ kill, replace }: Props) {
  const at = Date.parse(kill.at);
  const range = { from: new Date(at - BEFORE_MS).toISOString(), to: new Date(at + AFTER_MS).toISOString() };
  const target = kill.target ?? null;
  const events = useResource<Event[]>(target === null ? null : paths.events({ target, ...range }), {
    live: target ?? "*",
    load: getList<Event>,
  });
  const ordered = [...(events.data ?? [])].sort((a, b) => a.at.localeCompare(b.at));
  const before = ordered.filter((event) => Date.parse(event.at) <= at);
  const after = ordered.filter((event) => Date.parse(event.at) > at);
  return (
    <>
      <div class="heading">
        <p class="crumbs">
          <a href={toHash(["oom"])}>OOM kills</a>
          {target ? (
            <>
              {" "}
              {"\u203a"} <a href={toHash(["targets", target])}>the target</a>
            </>
          ) : null}
        </p>
        <h1>
          OOM kill of <Name text={kill.victim.comm} max={60} />
        </h1>
        <p class="facts">
          <span>
            <Instant at={kill.at} /> (<Instant at={kill.at} relative />)
          </span>
          <span>pid {kill.victim.pid}</span>
          <span>
            <Copy text={location.href} what="Copy link" />
          </span>
          <Bundle target={target} kill={kill} />
          <Pin kill={kill} replace={replace} />
        </p>
      </div>
      <div class="stack-of-cards">
        <Why kill={kill} />
        {kill.verdict ? (
          <VerdictCard verdict={kill.verdict} />
        ) : (
          <p class="state">
            Verdict: <Absent of={kill} field="verdict" full />
          </p>
        )}
        {target ? (
          <section class="card" aria-labelledby="before">
            <h2 id="before">The minutes before, and what happened after</h2>
            <MemoryChart
              target={target}
              events={ordered}
              range={range}
              title="Memory around the kill"
              height={220}
            />
            <h3>Before</h3>
            {before.length > RECENT ? (
              <details>
                <summary>{before.length - RECENT} earlier events</summary>
                <EventList events={before.slice(0, -RECENT)} around={kill.at} />
              </details>
            ) : null}
            <EventList events={before.slice(-RECENT)} around={kill.at} />
            <h3>After</h3>
            {after.length > 0 ? (
              <EventList events={after} around={kill.at} />
            ) : (
              <p class="hint">Nothing was recorded after it yet.</p>
            )}
          </section>
        ) : (
          <p class="state">
            The target: <Absent of={kill} field="target" full />
          </p>
        )}
        <section class="card" aria-labelledby="consisted">
          <h2 id="consisted">What the memory consisted of</h2>
          <Victim kill={kill} />
          <h3>
            The last sample,{" "}
            <Value value={kill.last_sample_age_seconds} of={kill} field="last_sample_age_seconds">
              {(age) => <>{duration(age)} before</>}
            </Value>
          </h3>
          <LedgerTable ledger={kill.ledger} />
        </section>
        <Profiles kill={kill} />
        {kill.verdict ? (
          <section class="card">
            <EvidenceList evidence={kill.verdict.evidence} target={target} title="Evidence" />
          </section>
        ) : null}
        <Losses losses={kill.losses} />
      </div>
    </>
  );
}

function Bundle({ target, kill }: { target: string | null; kill: OomKill }) {
  if (target === null) return null;
  const from = new Date(Date.parse(kill.at) - 3600_000).toISOString();
  const to = new Date(Date.parse(kill.at) + AFTER_MS).toISOString();
  return (
    <span>
      <Download
        path={withQuery(`${paths.target(target)}/bundle`, { from, to })}
        name={`${kill.id}.lwbundle`}
        title="Download bundle"
      />
    </span>
  );
}

/** Whether it is kept whatever its age, to be changed. */
function Pin({ kill, replace }: Props) {
  const [failed, setFailed] = useState<string | null>(null);
  const change = () => {
    setFailed(null);
    setPinned<OomKill>(kill.id, !kill.pinned)
      .then(replace)
      .catch((reason: unknown) => setFailed(reason instanceof ApiError ? reason.message : String(reason)));
  };
  return (
    <span>
      <button
        type="button"
        class="copy"
        title="Old OOM kills are removed when there is no room; a pinned one stays with its profiles"
        onClick={change}
      >
        {kill.pinned ? "Unpin" : "Pin"}
      </button>
      {failed ? <span role="alert"> {readable(failed, 200)}</span> : null}
    </span>
  );
}

/** Who was killed, and why them. */
function Why({ kill }: { kill: OomKill }) {
  const limit = kill.limit_bytes;
  const self = kill.trigger.pid === kill.victim.pid;
  return (
    <section class="card" aria-labelledby="why">
      <h2 id="why">Who was killed, and why them</h2>
      <p>
        {kill.scope === "memcg" ? (
          <>
            The cgroup{" "}
            <code>
              <Name text={kill.memcg_path ?? kill.cgroup_path ?? ""} max={90} />
            </code>{" "}
            reached its limit of{" "}
            <b>
              <Value value={limit} of={kill} field="limit_bytes">
                {bytes}
              </Value>
            </b>
            ; the rest of the host had memory left.
          </>
        ) : kill.scope === "global" ? (
          <>The host ran out of memory; the limit of the cgroup was not what decided.</>
        ) : (
          <>
            Which limit was reached: <Absent of={kill} field="scope" full />
          </>
        )}
      </p>
      <p>
        {self ? (
          <>
            <Name text={kill.victim.comm} max={40} /> (pid {kill.victim.pid}) asked for the page that was one
            too many, and was the one to die.
          </>
        ) : (
          <>
            <Name text={kill.trigger.comm} max={40} /> (pid {kill.trigger.pid}) asked for the page that was
            one too many; <Name text={kill.victim.comm} max={40} /> (pid {kill.victim.pid}) was chosen.
          </>
        )}{" "}
        The kernel chooses the process with most memory, moved by its <code>oom_score_adj</code> (here{" "}
        <Value value={kill.victim.oom_score_adj} of={kill.victim} field="oom_score_adj">
          {(value) => <>{value}</>}
        </Value>
        ).
      </p>
      {kill.other_processes.length > 0 ? (
        <>
          <h3>The others in the cgroup</h3>
          <ul class="others">
            {kill.other_processes.map((process) => (
              <li key={process.id}>
                <Name text={process.comm} max={40} /> (pid {process.pid}):{" "}
                <Value value={process.rss_bytes} of={process} field="rss_bytes">
                  {bytes}
                </Value>
              </li>
            ))}
          </ul>
        </>
      ) : (
        <p class="hint">No other process was in the cgroup.</p>
      )}
    </section>
  );
}

const VICTIM_LINES: ["rss_anon_bytes" | "rss_file_bytes" | "rss_shmem_bytes" | "page_table_bytes", string][] =
  [
    ["rss_anon_bytes", "anonymous"],
    ["rss_file_bytes", "mapped files"],
    ["rss_shmem_bytes", "shared"],
    ["page_table_bytes", "page tables"],
  ];

function Victim({ kill }: { kill: OomKill }) {
  return (
    <dl class="outlook">
      {VICTIM_LINES.map(([field, label]) => (
        <div key={field}>
          <dt>Victim: {label}</dt>
          <dd>
            <Value value={kill.victim[field]} of={kill.victim} field={field}>
              {bytes}
            </Value>
          </dd>
        </div>
      ))}
    </dl>
  );
}

const SOURCES: Record<string, string> = {
  kernel_at_death: "read in the kernel as it died",
  snapshot: "the last regular snapshot",
  endpoint: "the last answer of its endpoint",
};

function Profiles({ kill }: { kill: OomKill }) {
  const [type, setType] = useState<string | null>(null);
  const [state, setState] = useState<GraphState>(PLAIN);
  const order = [...kill.profiles].sort((a, b) => a.age_seconds - b.age_seconds);
  const chosen = order.find((profile) => profile.type === type) ?? order[0];
  return (
    <section class="card" aria-labelledby="at-death">
      <h2 id="at-death">What it held when it died</h2>
      {chosen ? (
        <>
          <div class="segments" role="group" aria-label="Profile">
            {order.map((profile) => (
              <button
                key={profile.type}
                type="button"
                aria-pressed={profile === chosen}
                onClick={() => {
                  setType(profile.type);
                  setState(PLAIN);
                }}
              >
                {words(profile.type)}
              </button>
            ))}
          </div>
          <p>
            {SOURCES[chosen.source] ?? words(chosen.source)},{" "}
            {chosen.age_seconds === 0 ? "at the kill" : `${duration(chosen.age_seconds)} before`},{" "}
            {chosen.complete ? "complete" : "incomplete"}.{" "}
            {chosen.type === "heap"
              ? "Sizes are estimates from the objects that the runtime samples. "
              : null}
            <Download path={chosen.link} name={`${chosen.type}-at-death.pb.gz`} title="pprof" />
          </p>
          <WhenSeen height={240}>
            {() => (
              <ProfileGraph
                link={chosen.link}
                state={state}
                change={(patch) => setState((old) => ({ ...old, ...patch }))}
              />
            )}
          </WhenSeen>
        </>
      ) : (
        <p class="state">
          No profile of the victim was kept. <Absent of={kill} field="profiles" full />
        </p>
      )}
      <Goroutines kill={kill} />
    </section>
  );
}

function Goroutines({ kill }: { kill: OomKill }) {
  const groups = kill.at_death.goroutine_groups;
  if (groups.length === 0) return null;
  return (
    <>
      <h3>
        Goroutines at death:{" "}
        <Value value={kill.at_death.goroutines} of={kill.at_death} field="goroutines">
          {(count) => <>{count}</>}
        </Value>
      </h3>
      <ul class="goroutines">
        {groups.slice(0, 20).map((group, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: groups have no name of their own
          <li key={index}>
            <b>{group.count}</b> {readable(group.state, 40)} in{" "}
            <Place name={group.function} file={group.file} line={group.line} />
            {group.created_by ? <span class="sub"> started by {readable(group.created_by, 80)}</span> : null}
          </li>
        ))}
      </ul>
    </>
  );
}
