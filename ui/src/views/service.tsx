// One service: a line per replica, the odd one and why, earlier runs behind the present one, and two runs compared.

import { useEffect, useMemo } from "preact/hooks";
import { getJson, getList, paths } from "../api/client";
import type { Event, Page, ServedRun, Service, Target } from "../api/model";
import { useResource } from "../api/resource";
import { verdictClass } from "../lib/classes";
import { bytes, signed } from "../lib/format";
import { readable } from "../lib/text";
import { toHash } from "../lib/url";
import { Absent, Value } from "../parts/absent";
import { Badge, Loaded, Losses } from "../parts/frame";
import { SourcesOf } from "../parts/source";
import { Name } from "../parts/text";
import { CompareRuns } from "./compare-runs";
import { ReplicaChart } from "./replicas";
import { EarlierRuns } from "./runs-by-age";

const KINDS = "oom_kill,restart,limit_change,deploy";

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
  const events = useResource<Event[]>(paths.events({ kinds: KINDS }), { live: "*", load: getList<Event> });
  const runs = useResource<Page<ServedRun>>(paths.runs(service.name), { live: "*", load: getJson });
  const subject = (odd ?? service.replicas[0])?.target;
  const target = useResource<Target>(subject === undefined ? null : paths.target(subject));
  const own = useMemo(
    () => ofService(events.data ?? [], service, runs.data?.items ?? []),
    [events.data, service, runs.data],
  );
  return (
    <SourcesOf target={target.data}>
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
        <section class="card" aria-label="Replicas">
          <ReplicaTable service={service} />
          <Losses losses={service.losses} />
        </section>
        <Loaded resource={runs} what="runs">
          {({ items }) => (
            <>
              <EarlierRuns service={service} runs={items} />
              <CompareRuns service={service} runs={items} deploys={own} />
            </>
          )}
        </Loaded>
      </div>
    </SourcesOf>
  );
}

/** Events of its replicas, those that are gone too, and of the service as a whole. */
export function ofService(
  events: readonly Event[],
  service: Service,
  runs: readonly ServedRun[],
): readonly Event[] {
  const targets = new Set<string | null | undefined>([
    ...service.replicas.map((replica) => replica.target),
    ...runs.map((run) => run.target),
  ]);
  targets.delete(null);
  targets.delete(undefined);
  return events.filter(
    (event) =>
      targets.has(event.target) || ("service" in event.detail && event.detail.service === service.name),
  );
}

function ReplicaTable({ service }: { service: Service }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Table of replicas">
      <table class="stacked">
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
                <td class="number" data-label="Charge">
                  <Value value={replica.charge_bytes} of={replica} field="charge_bytes">
                    {bytes}
                  </Value>
                </td>
                <td class="number" data-label="Growth">
                  <Value value={replica.growth_bytes_per_second} of={replica} field="growth_bytes_per_second">
                    {(rate) => <>{rate === 0 ? "none" : signed(rate, "bytes_per_second")}</>}
                  </Value>
                </td>
                <td class="number" data-label="OOM kills">
                  {replica.oom_kills > 0 ? (
                    <a class="kills" href={toHash(["oom"], { target: replica.target })}>
                      {replica.oom_kills}
                    </a>
                  ) : (
                    <span class="none">0</span>
                  )}
                </td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}
