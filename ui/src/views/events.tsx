// What happened to a target, and its processes.

import type { Event, Target } from "../api/model";
import type { Resource } from "../api/resource";
import { verdictClass } from "../lib/classes";
import { bytes } from "../lib/format";
import { readable, words } from "../lib/text";
import { toHash } from "../lib/url";
import { Value } from "../parts/absent";
import { Loaded } from "../parts/frame";
import { Copy, Instant, Name } from "../parts/text";

export function EventsTab({ target, events }: { target: Target; events: Resource<Event[]> }) {
  return (
    <div class="stack-of-cards">
      <section class="card" aria-labelledby="processes">
        <h2 id="processes">Processes</h2>
        {target.processes.length === 0 ? (
          <p class="state">No process is alive in this target.</p>
        ) : (
          <div class="scroll" tabIndex={0} role="region" aria-label="Table of processes">
            <table>
              <thead>
                <tr>
                  <th scope="col">Command</th>
                  <th scope="col" class="number">
                    Pid
                  </th>
                  <th scope="col">Runtime</th>
                  <th scope="col" class="number">
                    Resident
                  </th>
                  <th scope="col">Started</th>
                  <th scope="col">Executable</th>
                </tr>
              </thead>
              <tbody>
                {target.processes.map((process) => (
                  <tr key={process.id}>
                    <th scope="row">
                      <Name text={process.comm} max={40} />
                    </th>
                    <td class="number">{process.pid}</td>
                    <td>
                      <Value value={process.runtime} of={process} field="runtime">
                        {(runtime) => <>{readable(process.runtime_version ?? runtime, 40)}</>}
                      </Value>
                    </td>
                    <td class="number">
                      <Value value={process.rss_bytes} of={process} field="rss_bytes">
                        {bytes}
                      </Value>
                    </td>
                    <td>
                      <Instant at={process.started_at} />
                    </td>
                    <td>
                      <Value value={process.exe} of={process} field="exe">
                        {(exe) => (
                          <>
                            <code>
                              <Name text={exe} max={80} />
                            </code>{" "}
                            <Copy text={exe} />
                          </>
                        )}
                      </Value>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      <section class="card" aria-labelledby="events">
        <h2 id="events">Events</h2>
        <Loaded resource={events} what="events">
          {(list) =>
            list.length === 0 ? (
              <p class="state">Nothing happened since it is watched.</p>
            ) : (
              <EventList events={list} />
            )
          }
        </Loaded>
      </section>
    </div>
  );
}

export function EventList({ events, around }: { events: readonly Event[]; around?: string }) {
  const center = around ? Date.parse(around) : null;
  return (
    <ol class="events">
      {events.map((event) => (
        <li key={event.id} class={event.kind}>
          <Instant at={event.at} />
          {center === null ? null : <span class="offset">{offset(Date.parse(event.at) - center)}</span>}
          <span class="event-kind">
            {event.kind === "oom_kill" ? "OOM kill" : words(readable(event.kind, 40))}
          </span>
          <span class="event-text">
            {readable(inWords(event), 300)}{" "}
            {"oom_kill" in event.detail ? (
              <a href={toHash(["oom", event.detail.oom_kill])}>Post-mortem</a>
            ) : null}
          </span>
        </li>
      ))}
    </ol>
  );
}

/** What happened, with verdict classes in the words of the rest of the page. */
export function inWords({ kind, detail, summary }: Event): string {
  if (kind !== "verdict_change" || !("to" in detail) || typeof detail.to !== "string") return summary;
  const to = verdictClass(detail.to).label;
  return "from" in detail && typeof detail.from === "string"
    ? `${verdictClass(detail.from).label} → ${to}`
    : `first verdict: ${to}`;
}

function offset(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (Math.abs(seconds) < 0.05) return "0 s";
  const size = Math.abs(seconds);
  const text = size < 10 ? size.toFixed(1) : size < 120 ? size.toFixed(0) : `${(size / 60).toFixed(0)} min`;
  return `${seconds < 0 ? "\u2212" : "+"}${text}${size < 120 ? " s" : ""}`;
}
