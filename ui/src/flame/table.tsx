// The table twin of a flame graph: by function, with estimate and interval.

import { useMemo, useState } from "preact/hooks";
import type { FunctionDelta } from "../api/model";
import { quantity, signed } from "../lib/format";
import { place, readable } from "../lib/text";
import { SourceLink } from "../parts/source";
import { Place } from "../parts/text";
import { type FunctionRow, functions, type Tree } from "./tree";

interface Props {
  tree: Tree;
  unit: string;
  /** Intervals, where the daemon has them. */
  top: readonly FunctionDelta[];
  /** One profile alone has no change. */
  single: boolean;
  search: string;
  onPick: (name: string) => void;
}

type Column = "name" | "selfChange" | "cumChange" | "selfCompare" | "cumBase" | "cumCompare";
const PAGE = 30;

const VALUE: Record<Exclude<Column, "name">, (row: FunctionRow) => number> = {
  selfChange: (row) => row.selfCompare - row.selfBase,
  cumChange: (row) => row.cumCompare - row.cumBase,
  selfCompare: (row) => row.selfCompare,
  cumBase: (row) => row.cumBase,
  cumCompare: (row) => row.cumCompare,
};

export function sortRows(rows: readonly FunctionRow[], column: Column, down: boolean): FunctionRow[] {
  const sign = down ? -1 : 1;
  return [...rows].sort((a, b) => {
    if (column === "name") return sign * (a.name < b.name ? -1 : 1);
    const value = VALUE[column];
    return sign * (value(a) - value(b)) || value(b) - value(a) || (a.name < b.name ? -1 : 1);
  });
}

export function FunctionTable({ tree, unit, top, single, search, onPick }: Props) {
  const [column, setColumn] = useState<Column>(single ? "selfCompare" : "selfChange");
  const [down, setDown] = useState(true);
  const [shown, setShown] = useState(PAGE);
  const rows = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    const all = functions(tree);
    return wanted === ""
      ? all
      : all.filter(
          (row) => row.name.toLowerCase().includes(wanted) || row.file?.toLowerCase().includes(wanted),
        );
  }, [tree, search]);
  const sorted = useMemo(() => sortRows(rows, column, down), [rows, column, down]);
  const intervals = useMemo(() => new Map(top.map((entry) => [entry.function, entry])), [top]);
  const columns: [Column, string][] = single
    ? [
        ["name", "Function"],
        ["selfCompare", "Own"],
        ["cumCompare", "With callees"],
      ]
    : [
        ["name", "Function"],
        ["selfChange", "Own change"],
        ["cumChange", "Change with callees"],
        ["cumBase", "Earlier"],
        ["cumCompare", "Later"],
      ];
  const sortBy = (next: Column) => {
    if (next === column) setDown(!down);
    else {
      setColumn(next);
      setDown(next !== "name");
    }
  };
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Functions">
      <table class="functions">
        <thead>
          <tr>
            {columns.map(([key, title]) => (
              <th
                key={key}
                scope="col"
                class={key === "name" ? "" : "number"}
                aria-sort={key === column ? (down ? "descending" : "ascending") : "none"}
              >
                <button type="button" class="plain" onClick={() => sortBy(key)}>
                  {title}
                  <span aria-hidden="true">{key === column ? (down ? " \u2193" : " \u2191") : ""}</span>
                </button>
              </th>
            ))}
            {single ? null : (
              <th scope="col" class="number">
                with callees, 95 %
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, shown).map((row) => (
            <tr key={row.name}>
              {columns.map(([key]) =>
                key === "name" ? (
                  <th scope="row" key={key}>
                    <button
                      type="button"
                      class="plain"
                      onClick={() => onPick(row.name)}
                      title="Show this function alone"
                    >
                      <Place name={row.name} plain />
                    </button>{" "}
                    {row.file ? (
                      <SourceLink name={row.name} file={row.file} line={row.line}>
                        <span class="file">{readable(place(row.file, row.line) ?? "", 80)}</span>
                      </SourceLink>
                    ) : null}
                  </th>
                ) : (
                  <td key={key} class="number">
                    {key.endsWith("Change") ? (
                      <Change value={VALUE[key](row)} unit={unit} />
                    ) : (
                      quantity(VALUE[key](row), unit)
                    )}
                  </td>
                ),
              )}
              {single ? null : (
                <td class="number interval">
                  <Interval entry={intervals.get(row.name)} unit={unit} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {sorted.length === 0 ? <p class="state">No function matches.</p> : null}
      {sorted.length > shown ? (
        <button type="button" onClick={() => setShown(shown + 100)}>
          Show more of {sorted.length} functions
        </button>
      ) : null}
    </div>
  );
}

export function Change({ value, unit }: { value: number; unit: string }) {
  return <span class={value > 0 ? "grew" : value < 0 ? "shrank" : ""}>{signed(value, unit)}</span>;
}

function Interval({ entry, unit }: { entry: FunctionDelta | undefined; unit: string }) {
  if (!entry) return <span class="absent">{"\u2013"}</span>;
  if (typeof entry.low !== "number" || typeof entry.high !== "number") {
    const reason = entry.missing?.low ?? entry.missing?.high;
    return (
      <span class="absent" title={reason?.detail}>
        none
      </span>
    );
  }
  return (
    <>
      <span class="short">{signed(entry.low, unit)} to</span>{" "}
      <span class="short">{signed(entry.high, unit)}</span>
    </>
  );
}
