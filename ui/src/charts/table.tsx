// The table twin of a chart, for screen readers and for whoever wants numbers.

import { useState } from "preact/hooks";
import { clock, duration, quantity, utc } from "../lib/format";
import type { Line } from "./timeseries";

const ROWS = 40;

interface Props {
  title: string;
  at: number[];
  lines: Line[];
  unit: string;
  ages: boolean;
}

/** Rows evenly over the whole range, the last one always. */
export function rowsOf(length: number, most = ROWS): number[] {
  if (length <= most) return Array.from({ length }, (_, index) => index);
  return Array.from({ length: most }, (_, index) => Math.round((index * (length - 1)) / (most - 1)));
}

export function SeriesTable({ title, at, lines, unit, ages }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <details class="twin" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        Numbers<span class="sr"> of {title} as a table</span>
      </summary>
      {open ? (
        <div class="scroll" tabIndex={0} role="region" aria-label={`${title}: numbers`}>
          <table>
            <thead>
              <tr>
                <th scope="col">{ages ? "Age" : "Time"}</th>
                {lines.map((line) => (
                  <th scope="col" class="number" key={line.label}>
                    {line.label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rowsOf(at.length).map((index) => {
                const instant = at[index] ?? 0;
                return (
                  <tr key={index}>
                    <th scope="row">
                      {ages ? (
                        duration(instant)
                      ) : (
                        <time title={utc(new Date(instant * 1000))}>{clock(new Date(instant * 1000))}</time>
                      )}
                    </th>
                    {lines.map((line) => {
                      const value = (line.shown ?? line.values)[index];
                      return (
                        <td class="number" key={line.label}>
                          {typeof value === "number" ? quantity(value, unit) : "no sample"}
                        </td>
                      );
                    })}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      ) : null}
    </details>
  );
}
