// Where every byte of the charge went: over time, and now, line by line, with what is left over.

import { useMemo } from "preact/hooks";
import { paths } from "../api/client";
import type { Event, Ledger, LedgerLine, SeriesSet, Target } from "../api/model";
import { useResource } from "../api/resource";
import { type Line, TimeSeries } from "../charts/timeseries";
import { bytes, percent, signed } from "../lib/format";
import { readable } from "../lib/text";
import { Absent, Value } from "../parts/absent";
import { Loaded, Losses } from "../parts/frame";
import { Instant } from "../parts/text";
import { marksOf, times, valuesOf } from "./charts";
import { lineText } from "./ledger-lines";

const PARTS: [string, string][] = [
  ["kernel_bytes", "kernel"],
  ["shmem_bytes", "shmem"],
  ["file_bytes", "file"],
  ["anon_bytes", "anonymous"],
];

export function LedgerTab({ target, events }: { target: Target; events: readonly Event[] }) {
  const ledger = useResource<Ledger>(paths.ledger(target.id), { live: target.id });
  const series = useResource<SeriesSet>(
    paths.series(target.id, [...PARTS.map(([metric]) => metric), "charge_bytes"]),
    {
      live: target.id,
    },
  );
  return (
    <div class="stack-of-cards">
      <section class="card">
        <Loaded resource={series} what="series">
          {(set) => <Stacked set={set} events={events} />}
        </Loaded>
      </section>
      <section class="card" aria-labelledby="ledger-title">
        <h2 id="ledger-title">The charge, line by line</h2>
        <Loaded resource={ledger} what="ledger">
          {(data) => <LedgerTable ledger={data} />}
        </Loaded>
      </section>
    </div>
  );
}

/** Sums from below; a place where one part is unknown has no sum. */
export function stacked(parts: readonly (readonly (number | null)[])[]): (number | null)[][] {
  const sums: (number | null)[][] = [];
  for (const part of parts) {
    const below = sums[sums.length - 1];
    sums.push(
      part.map((value, index) => {
        const under = below ? below[index] : 0;
        return value === null || under === null || under === undefined ? null : value + under;
      }),
    );
  }
  return sums;
}

function Stacked({ set, events }: { set: SeriesSet; events: readonly Event[] }) {
  const at = useMemo(() => times(set), [set]);
  const lines = useMemo(() => {
    // A part that no sample has cannot be drawn; the rest still adds up, and the residual shows it.
    const parts = PARTS.map(([metric, name]) => ({ name, values: valuesOf(set, metric) })).filter(
      ({ values }) => values.some((value) => value !== null),
    );
    const sums = stacked(parts.map(({ values }) => values));
    const charge = valuesOf(set, "charge_bytes");
    const top = sums[sums.length - 1];
    const drawn: Line[] = parts.map(({ name, values }, index) => ({
      label: lineText(name).label,
      colour: lineText(name).colour,
      values: sums[index] ?? [],
      shown: values,
      fill: true,
      width: 1,
    }));
    // Drawn from the top, so that each area covers what lies below it.
    drawn.reverse();
    drawn.push({ label: "charge", colour: "ink", values: charge, dash: [4, 3], width: 1.25 });
    const residual = charge.map((value, index) => {
      const sum = top?.[index];
      return value === null || sum === null || sum === undefined ? null : value - sum;
    });
    return { drawn, residual };
  }, [set]);
  const marks = useMemo(() => marksOf(events), [events]);
  const known = lines.residual.filter((value): value is number => value !== null);
  const last = known[known.length - 1];
  return (
    <>
      <TimeSeries
        title="What the charge consists of"
        at={at}
        lines={lines.drawn}
        unit="bytes"
        marks={marks}
        height={260}
      />
      <p class="hint">
        The areas add up to the charge (dashed). What no line explains, the residual, is now{" "}
        {last === undefined ? "unknown" : signed(last, "bytes")}.
      </p>
    </>
  );
}

export function LedgerTable({ ledger }: { ledger: Ledger }) {
  const charge = ledger.charge_bytes ?? null;
  const tops = ledger.lines.filter((line) => !line.part_of);
  const parts = (name: string) => ledger.lines.filter((line) => line.part_of === name);
  const orphans = ledger.lines.filter(
    (line) => line.part_of && line.part_of !== "residual" && !tops.some((top) => top.name === line.part_of),
  );
  return (
    <>
      <p>
        Charge{" "}
        <b>
          <Value value={ledger.charge_bytes} of={ledger} field="charge_bytes">
            {bytes}
          </Value>
        </b>
        {ledger.at ? (
          <>
            {" "}
            at <Instant at={ledger.at} />
          </>
        ) : null}
        , swap{" "}
        <Value value={ledger.swap_bytes} of={ledger} field="swap_bytes">
          {bytes}
        </Value>
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Ledger">
        <table class="ledger">
          <thead>
            <tr>
              <th scope="col">Line</th>
              <th scope="col" class="number">
                Bytes
              </th>
              <th scope="col">Share</th>
              <th scope="col">What it is, and where the number is from</th>
            </tr>
          </thead>
          <tbody>
            {tops.flatMap((top) => [
              <LedgerRow key={top.name} line={top} charge={charge} part={false} />,
              ...parts(top.name).map((line) => (
                <LedgerRow key={line.name} line={line} charge={charge} part />
              )),
            ])}
            {orphans.map((line) => (
              <LedgerRow key={line.name} line={line} charge={charge} part />
            ))}
            <tr class="residual">
              <th scope="row">Residual</th>
              <td class="number">
                <Value value={ledger.residual_bytes} of={ledger} field="residual_bytes">
                  {(value) => signed(value, "bytes")}
                </Value>
              </td>
              <td />
              <td>The charge minus the lines above: what leakwatch cannot explain.</td>
            </tr>
            {parts("residual").map((line) => (
              <LedgerRow key={line.name} line={line} charge={charge} part />
            ))}
          </tbody>
        </table>
      </div>
      <Losses losses={ledger.losses} />
    </>
  );
}

function LedgerRow({ line, charge, part }: { line: LedgerLine; charge: number | null; part: boolean }) {
  const text = lineText(line.name);
  const share =
    typeof line.bytes === "number" && charge ? Math.max(0, Math.min(1, line.bytes / charge)) : null;
  return (
    <tr class={part ? "part" : ""}>
      <th scope="row">{readable(text.label, 60)}</th>
      <td class="number">
        {typeof line.bytes === "number" ? bytes(line.bytes) : <Absent of={line} field="bytes" />}
      </td>
      <td>
        {share === null ? null : (
          <span class="bar" title={percent(share)}>
            <i style={{ width: `${share * 100}%`, background: `var(--${text.colour})` }} />
          </span>
        )}
      </td>
      <td>
        {text.means}{" "}
        <span class="source">
          {typeof line.bytes === "number" ? (
            readable(line.source, 200)
          ) : (
            <Absent of={line} field="bytes" full />
          )}
        </span>
      </td>
    </tr>
  );
}
