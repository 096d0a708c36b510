// The daemon about itself: lanes, what this host offers and how to mend what is missing, losses, bounds.

import { useEffect } from "preact/hooks";
import { BASE, getList } from "../api/client";
import type { Capability, Status } from "../api/model";
import { useResource } from "../api/resource";
import { bytes, count, duration } from "../lib/format";
import { readable, words } from "../lib/text";
import { toHash } from "../lib/url";
import { Value } from "../parts/absent";
import { Loaded } from "../parts/frame";
import { Copy, Instant, Name } from "../parts/text";
import { Disk, Reload } from "./disk";

const percentOf = (value: number) => `${Number(value.toFixed(2))} %`;

export function StatusView() {
  const status = useResource<Status>(`${BASE}/status`, { live: "*" });
  const capabilities = useResource<Capability[]>(`${BASE}/capabilities`, { load: getList<Capability> });
  useEffect(() => {
    document.title = "Status \u2013 leakwatch";
  }, []);
  return (
    <>
      <h1>Status</h1>
      <div class="stack-of-cards">
        <Loaded resource={status} what="status">
          {(data) => (
            <>
              {data.warnings.map((warning) => (
                <p class="state failed" role="alert" key={warning}>
                  {readable(warning)}
                </p>
              ))}
              <Own status={data} />
              <Lanes status={data} />
              <LossTable status={data} />
              <Disk store={data.store} />
              {data.config_reload ? <Reload reload={data.config_reload} /> : null}
            </>
          )}
        </Loaded>
        <Loaded resource={capabilities} what="capabilities">
          {(list) => <Capabilities list={list} />}
        </Loaded>
      </div>
    </>
  );
}

function Own({ status }: { status: Status }) {
  const { own, store, bounds } = status;
  // Older daemons do not say which host they watch, nor where sources are.
  const host: Status["host"] | undefined = status.host;
  const source: Status["source"] | undefined = status.source;
  return (
    <section class="card" aria-labelledby="own">
      <h2 id="own">leakwatch {readable(status.version, 40)}</h2>
      <dl class="outlook">
        {host ? (
          <div>
            <dt>Host</dt>
            <dd>
              <Value value={host.node_name} of={host} field="node_name">
                {(name) => <Name text={name} max={60} />}
              </Value>
            </dd>
          </div>
        ) : null}
        {source ? (
          <div>
            <dt>Source links</dt>
            <dd>
              <Value value={source.url_template} of={source} field="url_template" full>
                {(template) => <code>{readable(template, 200)}</code>}
              </Value>
            </dd>
          </div>
        ) : null}
        <div>
          <dt>Running for</dt>
          <dd>
            {duration(status.uptime_seconds)}
            <span class="sub">
              since <Instant at={status.started_at} />
            </span>
          </dd>
        </div>
        <div>
          <dt>Own processor time</dt>
          <dd>
            <Value value={own.cpu_percent} of={own} field="cpu_percent">
              {(value) => <>{percentOf(value)} of a core</>}
            </Value>
          </dd>
        </div>
        <div>
          <dt>Own memory</dt>
          <dd>
            <Value value={own.rss_bytes} of={own} field="rss_bytes">
              {bytes}
            </Value>
          </dd>
        </div>
        <div>
          <dt>eBPF maps</dt>
          <dd>
            <Value value={own.bpf_map_bytes} of={own} field="bpf_map_bytes">
              {bytes}
            </Value>
          </dd>
        </div>
        <div>
          <dt>Targets</dt>
          <dd>
            {count(store.targets)}
            <span class="sub">
              of at most {count(bounds.targets)}; {count(store.gone_targets)} that ended
            </span>
          </dd>
        </div>
        <div>
          <dt>Events</dt>
          <dd>
            {count(store.events)}
            <span class="sub">of at most {count(bounds.events)}</span>
          </dd>
        </div>
        <div>
          <dt>Post-mortems</dt>
          <dd>
            {count(store.post_mortems)}
            <span class="sub">of at most {count(bounds.post_mortems)}</span>
          </dd>
        </div>
        <div>
          <dt>Profiles</dt>
          <dd>
            {bytes(store.profile_bytes)}
            <span class="sub">of at most {bytes(bounds.profile_bytes)}</span>
          </dd>
        </div>
      </dl>
    </section>
  );
}

function Lanes({ status }: { status: Status }) {
  return (
    <section class="card" aria-labelledby="lanes">
      <h2 id="lanes">Lanes</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of lanes">
        <table class="stacked">
          <thead>
            <tr>
              <th scope="col">Lane</th>
              <th scope="col">State</th>
              <th scope="col">Overhead</th>
              <th scope="col">What it does</th>
            </tr>
          </thead>
          <tbody>
            {status.lanes.map((lane) => (
              <tr key={lane.name}>
                <th scope="row">{words(readable(lane.name, 40))}</th>
                <td>
                  <span class={`dot ${lane.state === "on" ? "good" : "warn"}`}>
                    {readable(lane.state, 30)}
                  </span>
                </td>
                <td class="short">
                  <Value value={lane.overhead_cpu_percent} of={lane} field="overhead_cpu_percent">
                    {(value) => <>{percentOf(value)}</>}
                  </Value>
                </td>
                <td>
                  {readable(lane.detail, 400)}
                  {lane.fix ? <Fix text={lane.fix} /> : null}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {status.captures.length > 0 ? (
        <>
          <h3>Captures that run</h3>
          <ul>
            {status.captures.map((capture) => (
              <li key={capture.id}>
                {readable(capture.lane, 20)} of{" "}
                <a href={toHash(["targets", capture.target])}>{readable(capture.target, 60)}</a>:{" "}
                {capture.attached ? "attached" : "resting"},{" "}
                <Value value={capture.cpu_percent} of={capture} field="cpu_percent">
                  {(value) => <>{percentOf(value)}</>}
                </Value>{" "}
                of a budget of {percentOf(capture.cpu_budget_percent)}
              </li>
            ))}
          </ul>
        </>
      ) : null}
    </section>
  );
}

function LossTable({ status }: { status: Status }) {
  return (
    <section class="card" aria-labelledby="losses">
      <h2 id="losses">Losses</h2>
      {status.losses.length === 0 ? (
        <p>Nothing was dropped, truncated or missed.</p>
      ) : (
        <ul>
          {status.losses.map((loss) => (
            <li key={loss.reason}>
              <b>{count(loss.count)}</b> {words(readable(loss.reason))}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Capabilities({ list }: { list: readonly Capability[] }) {
  const ordered = [...list].sort((a, b) => Number(a.available) - Number(b.available));
  if (list.length === 0)
    return <p class="state">What the host offers is not told: a file was opened here, there is no host.</p>;
  return (
    <section class="card" aria-labelledby="capabilities">
      <h2 id="capabilities">What this host offers</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of capabilities">
        <table class="stacked">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Available</th>
              <th scope="col">Why, and what to do</th>
            </tr>
          </thead>
          <tbody>
            {ordered.map((entry) => (
              <tr key={entry.name}>
                <th scope="row">
                  <code>{readable(entry.name, 60)}</code>
                </th>
                <td>
                  <span class={`dot ${entry.available ? "good" : "warn"}`}>
                    {entry.available ? "yes" : "no"}
                  </span>
                </td>
                <td>
                  {readable(entry.reason, 300)}
                  {entry.fix ? <Fix text={entry.fix} /> : null}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Fix({ text }: { text: string }) {
  return (
    <span class="fix">
      To mend it: {readable(text, 400)} <Copy text={text} />
    </span>
  );
}
