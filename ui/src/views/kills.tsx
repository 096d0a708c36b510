// OOM kills of the host, newest first.

import { useEffect } from "preact/hooks";
import { getList, paths } from "../api/client";
import type { OomKill } from "../api/model";
import { useResource } from "../api/resource";
import { bytes } from "../lib/format";
import { patchQuery, toHash, useRoute } from "../lib/url";
import { Absent, Value } from "../parts/absent";
import { Badge, Loaded } from "../parts/frame";
import { Instant, Name } from "../parts/text";

export function OomKills() {
  const kills = useResource<OomKill[]>(paths.oomKills, { live: "*", load: getList<OomKill> });
  const { query } = useRoute();
  useEffect(() => {
    document.title = "OOM kills \u2013 leakwatch";
  }, []);
  return (
    <>
      <h1>OOM kills</h1>
      <Loaded resource={kills} what="OOM kills">
        {(all) => {
          const list = query.target ? all.filter((kill) => kill.target === query.target) : all;
          return (
            <>
              {query.target ? (
                <p>
                  Of one target.{" "}
                  <button type="button" onClick={() => patchQuery({ target: null })}>
                    Show all {all.length}
                  </button>
                </p>
              ) : null}
              {list.length === 0 ? (
                <p class="state">No OOM kill was seen since the daemon started.</p>
              ) : (
                <KillTable kills={list} />
              )}
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function KillTable({ kills }: { kills: readonly OomKill[] }) {
  return (
    <div class="card scroll" tabIndex={0} role="region" aria-label="OOM kills">
      <table class="stacked">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Victim</th>
            <th scope="col">Scope</th>
            <th scope="col" class="number">
              Anonymous memory
            </th>
            <th scope="col" class="number">
              Limit
            </th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {kills.map((kill) => (
            <tr key={kill.id}>
              <th scope="row">
                <a href={toHash(["oom", kill.id])}>
                  <Instant at={kill.at} />
                </a>
                <span class="sub">
                  <Instant at={kill.at} relative />
                </span>
              </th>
              <td>
                <Name text={kill.victim.comm} max={40} /> <span class="sub">pid {kill.victim.pid}</span>
              </td>
              <td>
                <Value value={kill.scope} of={kill} field="scope">
                  {(scope) => (
                    <>{scope === "memcg" ? "its limit" : scope === "global" ? "whole host" : scope}</>
                  )}
                </Value>
              </td>
              <td class="number" data-label="Anonymous">
                <Value value={kill.victim.rss_anon_bytes} of={kill.victim} field="rss_anon_bytes">
                  {bytes}
                </Value>
              </td>
              <td class="number" data-label="Limit">
                <Value value={kill.limit_bytes} of={kill} field="limit_bytes">
                  {bytes}
                </Value>
              </td>
              <td>
                {kill.verdict ? <Badge verdict={kill.verdict} /> : <Absent of={kill} field="verdict" />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
