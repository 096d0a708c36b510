// Services: groups of replicas, with the odd one.

import { useEffect, useState } from "preact/hooks";
import { BASE, getList } from "../api/client";
import type { Service } from "../api/model";
import { useResource } from "../api/resource";
import { verdictClass } from "../lib/classes";
import { readable } from "../lib/text";
import { patchQuery, toHash, useRoute } from "../lib/url";
import { Loaded } from "../parts/frame";
import { Name } from "../parts/text";
import { More } from "./overview";

const PAGE = 100;

function worst(service: Service): number {
  const ranks = service.replicas.map((replica) => verdictClass(replica.verdict).rank);
  return Math.max(0, ...ranks) + (service.outlier ? 5 : 0);
}

export function Services() {
  const services = useResource<Service[]>(`${BASE}/services?limit=1000`, {
    live: "*",
    load: getList<Service>,
  });
  const { query } = useRoute();
  const [shown, setShown] = useState(PAGE);
  const wanted = (query.q ?? "").trim().toLowerCase();
  useEffect(() => {
    document.title = "Services \u2013 leakwatch";
  }, []);
  return (
    <>
      <h1>Services</h1>
      <p class="hint">
        Targets that run the same program. The one that behaves differently from its siblings is marked.
      </p>
      <Loaded resource={services} what="services">
        {(all) => {
          const list = all
            .filter((service) => service.name.toLowerCase().includes(wanted))
            .sort((a, b) => worst(b) - worst(a) || (a.name < b.name ? -1 : 1));
          return (
            <>
              <div class="toolbar">
                <label class="search grow">
                  <span class="sr">Search services</span>
                  <input
                    type="search"
                    placeholder="Search services"
                    value={query.q ?? ""}
                    onInput={(event) => patchQuery({ q: event.currentTarget.value })}
                  />
                </label>
              </div>
              {list.length === 0 ? <p class="state">No service matches.</p> : null}
              <ul class="services">
                {list.slice(0, shown).map((service) => (
                  <ServiceRow key={service.name} service={service} />
                ))}
              </ul>
              {list.length > shown ? (
                <More onMore={() => setShown(shown + PAGE)}>
                  Show {Math.min(PAGE, list.length - shown)} more of {list.length}
                </More>
              ) : null}
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function ServiceRow({ service }: { service: Service }) {
  const odd = service.replicas.find((replica) => replica.outlier);
  const classes = new Map<string, number>();
  for (const { verdict } of service.replicas)
    classes.set(verdict ?? "", (classes.get(verdict ?? "") ?? 0) + 1);
  const worstFirst = [...classes].sort(([a], [b]) => verdictClass(b).rank - verdictClass(a).rank);
  const kills = service.replicas.reduce((sum, replica) => sum + replica.oom_kills, 0);
  return (
    <li class="card service-row">
      <a class="service-name" href={toHash(["services", service.name])}>
        <Name text={service.name} max={80} />
      </a>
      <span class="sub">
        {service.replicas.length === 1 ? "1 target" : `${service.replicas.length} replicas`}
        {kills > 0 ? `, ${kills} OOM ${kills === 1 ? "kill" : "kills"}` : ""}
      </span>
      <span class="service-classes">
        {worstFirst.map(([verdict, count]) => {
          const { label, tone, means } = verdictClass(verdict);
          return (
            <span key={verdict} class={`badge ${tone}`} title={means}>
              {count} {label}
            </span>
          );
        })}
      </span>
      {odd && service.outlier ? (
        <span class="odd">
          <a href={toHash(["targets", odd.target])}>
            <Name text={odd.name} max={60} />
          </a>{" "}
          {readable(service.outlier.because, 200)}
        </span>
      ) : null}
    </li>
  );
}
