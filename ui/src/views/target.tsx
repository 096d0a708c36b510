// One target: what it is, and its views.

import { useEffect } from "preact/hooks";
import { getList, paths } from "../api/client";
import type { Event, Investigation, Target } from "../api/model";
import { useResource } from "../api/resource";
import { bytes } from "../lib/format";
import { fileName, readable } from "../lib/text";
import { toHash } from "../lib/url";
import { Value } from "../parts/absent";
import { Download } from "../parts/download";
import { Badge, Loaded, Losses, sureness } from "../parts/frame";
import { SourcesOf } from "../parts/source";
import { Copy, Instant, Name } from "../parts/text";
import { EventsTab } from "./events";
import { FlameTab } from "./flame-tab";
import { InvestigationTab } from "./investigation";
import { LedgerTab } from "./ledger";
import { MemoryNumbers } from "./overview";

const TABS: [string, string][] = [
  ["investigation", "Investigation"],
  ["flame", "Flame graphs"],
  ["ledger", "Ledger"],
  ["events", "Events and processes"],
];

export function TargetView({ id, tab }: { id: string; tab: string }) {
  const target = useResource<Target>(paths.target(id), { live: id });
  const investigation = useResource<Investigation>(paths.investigation(id), { live: id });
  const events = useResource<Event[]>(paths.events({ target: id }), { live: id, load: getList<Event> });
  const name = target.data?.name;
  useEffect(() => {
    document.title = name === undefined ? "leakwatch" : `${readable(name, 60)} \u2013 leakwatch`;
  }, [name]);
  return (
    <Loaded resource={target} what="target">
      {(found) => (
        <SourcesOf target={found}>
          <Heading target={found} />
          <nav class="tabs" aria-label="Views of this target">
            {TABS.map(([key, title]) => (
              <a
                key={key}
                href={toHash(key === "investigation" ? ["targets", id] : ["targets", id, key])}
                aria-current={tab === key ? "page" : undefined}
              >
                {title}
              </a>
            ))}
          </nav>
          {tab === "investigation" ? (
            <Loaded resource={investigation} what="investigation">
              {(data) => (
                <InvestigationTab
                  target={found}
                  investigation={data}
                  events={events.data ?? []}
                  replace={investigation.replace}
                />
              )}
            </Loaded>
          ) : null}
          {tab === "flame" ? (
            <FlameTab target={found} investigation={investigation.data} events={events.data ?? []} />
          ) : null}
          {tab === "ledger" ? <LedgerTab target={found} events={events.data ?? []} /> : null}
          {tab === "events" ? <EventsTab target={found} events={events} /> : null}
        </SourcesOf>
      )}
    </Loaded>
  );
}

function Heading({ target }: { target: Target }) {
  const process = target.processes[0];
  return (
    <div class="heading">
      <p class="crumbs">
        <a href="#/">Overview</a> {"\u203a"}{" "}
        <a href={toHash(["services", target.service])}>
          service <Name text={target.service} max={60} />
        </a>
      </p>
      <h1>
        <Name text={target.name} max={100} /> <Badge verdict={target.verdict} />
        {target.verdict ? <span class="sure"> {sureness(target.verdict)}</span> : null}
      </h1>
      <p class="facts">
        <span>
          <MemoryNumbers target={target} />
        </span>
        <span>
          RSS{" "}
          <Value value={target.memory.rss_bytes} of={target.memory} field="rss_bytes">
            {bytes}
          </Value>
        </span>
        {process ? (
          <span>
            {target.processes.length === 1 ? "1 process" : `${target.processes.length} processes`}:{" "}
            <Name text={process.comm} max={30} />
            {process.runtime ? ` (${readable(process.runtime_version ?? process.runtime, 30)})` : ""}
          </span>
        ) : (
          <span class="absent">no process</span>
        )}
        <span>
          {target.kind} since <Instant at={target.started_at} />
        </span>
        {target.gone_at ? (
          <span class="absent">
            ended <Instant at={target.gone_at} />
          </span>
        ) : null}
        {target.muted ? (
          <span>
            muted until <Instant at={target.muted.until} />: <Name text={target.muted.reason} max={60} />
          </span>
        ) : null}
        <span class="path">
          <code>
            <Name text={target.cgroup_path} max={90} />
          </code>{" "}
          <Copy text={target.cgroup_path} what="Copy path" />
        </span>
        <span>
          <Download
            path={`${paths.target(target.id)}/bundle`}
            name={`${fileName(target.name)}.lwbundle`}
            title="Download bundle"
            hint="Everything known of this target, in one file that leakwatch replay opens elsewhere"
          />
        </span>
      </p>
      <Losses losses={target.losses} />
    </div>
  );
}
