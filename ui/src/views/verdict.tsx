// The one answer for a target: what grows, where, how sure, when it ends, and what to do.

import type { Culprit, Evidence, Rejected, Verdict } from "../api/model";
import { verdictClass } from "../lib/classes";
import { bytes, chance, clock, horizon, percent, quantity, signed } from "../lib/format";
import { readable } from "../lib/text";
import { toHash } from "../lib/url";
import { Absent, Value } from "../parts/absent";
import { Badge, sureness } from "../parts/frame";
import { Copy, Instant, Place } from "../parts/text";

export function VerdictCard({ verdict }: { verdict: Verdict }) {
  const known = verdictClass(verdict.class);
  return (
    <section class={`card verdict ${known.tone}`} aria-labelledby="verdict-title">
      <h2 id="verdict-title" class="sr">
        Verdict
      </h2>
      <p class="verdict-head">
        <Badge verdict={verdict} />
        {typeof verdict.confidence === "number" || verdict.class === "growing" ? (
          <span class="sure">{sureness(verdict)}</span>
        ) : (
          <Absent of={verdict} field="confidence" />
        )}
        <span class="means">{known.means}</span>
      </p>
      <p class="verdict-summary">{readable(verdict.summary, 600)}</p>
      {verdict.culprit ? <CulpritLine culprit={verdict.culprit} /> : null}
      <Outlook verdict={verdict} />
      {verdict.advice.length > 0 ? (
        <>
          <h3>What to do</h3>
          <ul class="advice">
            {verdict.advice.map((line) => (
              <li key={line}>{readable(line, 600)}</li>
            ))}
          </ul>
        </>
      ) : null}
    </section>
  );
}

function CulpritLine({ culprit }: { culprit: Culprit }) {
  const growth = culprit.growth_bytes ?? culprit.growth_goroutines;
  const unit = culprit.growth_bytes ? "bytes" : "goroutines";
  const where = culprit.file ? `${culprit.file}${culprit.line ? `:${culprit.line}` : ""}` : culprit.function;
  return (
    <div class="culprit" id="culprit">
      <p class="culprit-line">
        <span class="culprit-label">Grows at</span>{" "}
        <Place name={culprit.function} file={culprit.file} line={culprit.line} long />{" "}
        <Copy text={where} what="Copy place" />
      </p>
      <p class="culprit-numbers">
        {growth ? (
          <>
            <span class="grew">{signed(growth.estimate, unit)}</span> (95 % interval{" "}
            {quantity(growth.low, unit)} to {quantity(growth.high, unit)})
          </>
        ) : (
          <Absent of={culprit} field="growth_bytes" full />
        )}
        ,{" "}
        <Value value={culprit.share_of_growth} of={culprit} field="share_of_growth">
          {(share) => <>{percent(share)} of the growth</>}
        </Value>
      </p>
      <details>
        <summary>Stack, innermost first ({culprit.stack.length} frames)</summary>
        <ol class="stack">
          {culprit.stack.map((frame, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a stack may hold one frame twice, and its order is its identity
            <li key={index}>
              <code>{readable(frame, 600)}</code>
            </li>
          ))}
        </ol>
      </details>
    </div>
  );
}

const HORIZONS = ["1h", "6h", "24h"];

/** What comes: growth, the limit, the probabilities. */
function Outlook({ verdict }: { verdict: Verdict }) {
  const left = verdict.time_to_limit_seconds;
  return (
    <dl class="outlook">
      <div>
        <dt>Growth</dt>
        <dd>
          <Value value={verdict.growth_bytes_per_second} of={verdict} field="growth_bytes_per_second">
            {(rate) => <>{rate === 0 ? "none" : `${signed(rate, "bytes_per_second")}`}</>}
          </Value>
        </dd>
      </div>
      <div>
        <dt>Limit reached in</dt>
        <dd>
          {left && typeof left.p50 === "number" ? (
            <>
              {horizon(left.p50)}
              <span class="sub">
                {typeof left.p10 === "number" ? horizon(left.p10) : "?"} to{" "}
                {typeof left.p90 === "number" ? horizon(left.p90) : "never"} (10 to 90 %)
              </span>
            </>
          ) : (
            <Absent of={left ?? verdict} field={left ? "p50" : "time_to_limit_seconds"} full />
          )}
        </dd>
      </div>
      <div>
        <dt>Recommended limit</dt>
        <dd>
          <Value value={verdict.recommended_limit_bytes} of={verdict} field="recommended_limit_bytes" full>
            {(limit) => (
              <>
                <b>{bytes(limit)}</b> <Copy text={String(limit)} what="Copy bytes" />
              </>
            )}
          </Value>
        </dd>
      </div>
      <div>
        <dt>Probability of a leak</dt>
        <dd>
          <Value value={verdict.leak_probability} of={verdict} field="leak_probability">
            {percent}
          </Value>
        </dd>
      </div>
      <div>
        <dt>Probability to reach the limit</dt>
        <dd>
          <Value value={verdict.limit_probability} of={verdict} field="limit_probability">
            {(by) => <LimitProbability by={by} />}
          </Value>
        </dd>
      </div>
      <div>
        <dt>Part of the memory needed that this explains</dt>
        <dd>
          <Value value={verdict.explains_share_of_need} of={verdict} field="explains_share_of_need" full>
            {percent}
          </Value>
        </dd>
      </div>
      <div class="wide">
        <dt>What decides it</dt>
        <dd>
          <Value value={verdict.decided_by} of={verdict} field="decided_by">
            {(list) =>
              list.length === 0 ? (
                <span class="absent">nothing is open</span>
              ) : (
                <ul>
                  {list.map((entry) => (
                    <li key={entry.what}>
                      {readable(entry.what)}
                      {entry.at ? (
                        <>
                          {" "}
                          (about <Instant at={entry.at} />)
                        </>
                      ) : null}
                    </li>
                  ))}
                </ul>
              )
            }
          </Value>
        </dd>
      </div>
    </dl>
  );
}

function LimitProbability({ by }: { by: Record<string, number> }) {
  const keys = [
    ...HORIZONS.filter((key) => Object.hasOwn(by, key)),
    ...Object.keys(by).filter((key) => !HORIZONS.includes(key)),
  ];
  return (
    <>
      {keys.map((key) => (
        <span class="horizon" key={key}>
          {readable(key, 10)}: <b>{typeof by[key] === "number" ? chance(by[key]) : "unknown"}</b>
        </span>
      ))}
    </>
  );
}

/** Evidence with what it weighs for and against. */
interface EvidenceProps {
  evidence: Evidence[];
  target: string | null;
  title: string;
}

export function EvidenceList({ evidence, target, title }: EvidenceProps) {
  if (evidence.length === 0) return null;
  const weighed = evidence.some((entry) => typeof entry.weight === "number");
  const largest = Math.max(1, ...evidence.map((entry) => Math.abs(entry.weight ?? 0)));
  return (
    <div class="evidence">
      <h3>{title}</h3>
      <ul>
        {evidence.map((entry, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: claims may be equal
          <li key={index}>
            {weighed ? <Weight entry={entry} largest={largest} /> : null}
            <span class="claim">{readable(entry.claim, 400)}</span>
            <span class="evidence-value">
              <Value value={entry.value} of={entry} field="value">
                {(value) => <b>{quantity(Number(value), entry.unit)}</b>}
              </Value>{" "}
              <EvidenceLink link={entry.link ?? null} target={target} />
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Weight({ entry, largest }: { entry: Evidence; largest: number }) {
  const weight = entry.weight;
  if (typeof weight !== "number") return <span class="weight absent">describes</span>;
  const width = `${(Math.abs(weight) / largest) * 50}%`;
  const side = weight < 0 ? { right: "50%", width } : { left: "50%", width };
  return (
    <span class="weight" title="log-odds: + speaks for a leak, \u2212 against">
      <i class={weight < 0 ? "against" : "for"} style={side} />
      <span>
        {weight < 0 ? "against" : "for"} {signed(Number(weight.toFixed(1)), "")}
      </span>
    </span>
  );
}

/** Evidence points into the API; a person is led to the view that shows it. */
export function viewOfLink(link: string, target: string | null): { href: string; title: string } | null {
  if (!link.startsWith("/")) return null;
  const mark = link.indexOf("?");
  const query = new URLSearchParams(mark < 0 ? "" : link.slice(mark + 1));
  if (target !== null && link.includes("/diff?")) {
    const chosen = { type: query.get("type"), base: query.get("base"), compare: query.get("compare") };
    const base = chosen.base ? clock(new Date(chosen.base)) : "the first";
    return { href: toHash(["targets", target, "flame"], chosen), title: `Flame graphs from ${base}` };
  }
  if (link.includes("/events"))
    return target === null ? null : { href: toHash(["targets", target, "events"]), title: "Events" };
  return { href: link, title: "as JSON" };
}

function EvidenceLink({ link, target }: { link: string | null; target: string | null }) {
  if (link === null) return null;
  const view = viewOfLink(link, target);
  return view ? <a href={view.href}>{view.title}</a> : null;
}

/** Why it is not something else. */
export function OtherExplanations({ verdict }: { verdict: Verdict }) {
  return (
    <section class="card" aria-labelledby="others">
      <h2 id="others">Other explanations</h2>
      <p class="hint">
        Why the verdict is none of these: what speaks against each, or what was not looked at.
      </p>
      <ClassTable rows={verdict.rejected} />
      {verdict.would_change_our_mind.length > 0 ? (
        <>
          <h3>What would change this verdict</h3>
          <ul>
            {verdict.would_change_our_mind.map((line) => (
              <li key={line}>{readable(line, 400)}</li>
            ))}
          </ul>
        </>
      ) : null}
    </section>
  );
}

function ClassTable({ rows }: { rows: readonly Rejected[] }) {
  return (
    <dl class="rejected">
      {rows.map((row) => (
        <div key={row.class}>
          <dt title={verdictClass(row.class).means}>{verdictClass(row.class).label}</dt>
          <dd>{readable(row.because, 400)}</dd>
        </div>
      ))}
    </dl>
  );
}
