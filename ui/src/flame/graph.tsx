// Flame graphs of one profile or of two compared: combined, side by side or as a table, with search, zoom and focus.

import { useCallback, useId, useMemo, useState } from "preact/hooks";
import type { FunctionDelta, Node } from "../api/model";
import { quantity, signed } from "../lib/format";
import { useStore } from "../lib/store";
import { readable } from "../lib/text";
import { palette } from "../lib/theme";
import { Place } from "../parts/text";
import { DARK, LIGHT, largestChange, type Scale, scaleOf } from "./colour";
import { layout, type Side } from "./layout";
import { Pane } from "./pane";
import { Change, FunctionTable } from "./table";
import { focused, fromNode, inverted, matches, type Tree } from "./tree";

export type Mode = "side" | "combined" | "table";

/** What can be shared by address. */
export interface GraphState {
  mode: Mode;
  search: string;
  invert: boolean;
  /** One function with all that it called. */
  focus: string | null;
  /** Key of the frame that fills the width. */
  zoom: number | null;
}

export const PLAIN: GraphState = { mode: "combined", search: "", invert: false, focus: null, zoom: null };

interface Props {
  root: Node;
  unit: string;
  top: readonly FunctionDelta[];
  /** Headings of the two sides; one profile alone has no base. */
  base: string | null;
  compare: string;
  state: GraphState;
  change: (patch: Partial<GraphState>) => void;
  maxHeight?: number;
}

export function FlameGraph(props: Props) {
  const { root, unit, state, change } = props;
  const single = props.base === null;
  const whole = useMemo(() => fromNode(root), [root]);
  const { focus, invert } = state;
  const tree = useMemo(() => shape(whole, focus, invert), [whole, focus, invert]);
  const version = useStore(palette);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme changes the palette
  const scale = useMemo(() => {
    const dark = document.documentElement.dataset.theme === "dark";
    return single ? null : scaleOf(dark ? DARK : LIGHT, largestChange(tree));
  }, [tree, single, version]);
  const found = useMemo(
    () => (state.search.trim() === "" ? null : matches(tree, state.search)),
    [tree, state.search],
  );
  const zoom = useMemo(() => findKey(tree, state.zoom), [tree, state.zoom]);
  const [selected, setSelected] = useState<number | null>(null);
  const [hover, setHover] = useState<{ node: number; x: number; y: number } | null>(null);
  const chosen = selected !== null && selected < tree.length ? selected : null;
  const onHover = useCallback(
    (node: number | null, x: number, y: number) => setHover(node === null ? null : { node, x, y }),
    [],
  );
  const onZoom = (node: number) => change({ zoom: node === 0 ? null : (tree.key[node] ?? null) });
  const pane = (side: Side, label: string) => (
    <GraphSide
      {...{ tree, side, label, zoom, scale, unit, onZoom, onHover }}
      selected={chosen}
      hit={found?.hit ?? null}
      maxHeight={props.maxHeight ?? 420}
      onSelect={setSelected}
    />
  );
  return (
    <div class="flame">
      <Toolbar {...{ state, change, single }} />
      <Trail {...{ tree, zoom, state, change, unit, single }} />
      {found ? <Found {...{ found, tree, unit, single }} /> : null}
      {state.mode === "table" ? (
        <FunctionTable
          tree={tree}
          unit={unit}
          top={state.focus === null ? props.top : []}
          single={single}
          search={state.search}
          onPick={(name) =>
            change({ focus: name, mode: single ? "combined" : "side", zoom: null, search: "" })
          }
        />
      ) : (
        <>
          {scale ? <ColourLegend scale={scale} unit={unit} /> : null}
          <div class={state.mode === "side" && !single ? "panes two" : "panes"}>
            {single ? pane("compare", props.compare) : null}
            {!single && state.mode === "side" ? pane("base", `Earlier: ${props.base}`) : null}
            {!single && state.mode === "side" ? pane("compare", `Later: ${props.compare}`) : null}
            {!single && state.mode === "combined"
              ? pane("both", "Both: each frame as wide as the larger of its two values")
              : null}
          </div>
          <Details tree={tree} node={chosen} {...{ unit, single, change }} />
        </>
      )}
      {hover && state.mode !== "table" && hover.node < tree.length ? (
        <Tip tree={tree} {...hover} {...{ unit, single }} />
      ) : null}
    </div>
  );
}

function shape(whole: Tree, focus: string | null, invert: boolean): Tree {
  const part = focus === null ? whole : (focused(whole, focus) ?? whole);
  return invert ? inverted(part) : part;
}

function findKey(tree: Tree, key: number | null): number {
  return key === null ? 0 : Math.max(0, tree.key.indexOf(key));
}

interface SideProps extends Omit<Parameters<typeof Pane>[0], "plan"> {
  side: Side;
}

function GraphSide({ side, ...pane }: SideProps) {
  const plan = useMemo(() => layout(pane.tree, side), [pane.tree, side]);
  const total =
    side === "both"
      ? null
      : quantity((side === "base" ? pane.tree.base : pane.tree.compare)[0] ?? 0, pane.unit);
  return (
    <div class="pane">
      <p class="pane-title">
        {pane.label}
        {total === null ? null : <b> {total}</b>}
      </p>
      {(plan.width[0] ?? 0) > 0 ? (
        <Pane {...pane} plan={plan} />
      ) : (
        <p class="state">Nothing was in use here then.</p>
      )}
    </div>
  );
}

interface ToolbarProps {
  state: GraphState;
  change: (patch: Partial<GraphState>) => void;
  single: boolean;
}

function Toolbar({ state, change, single }: ToolbarProps) {
  const id = useId();
  const modes: [Mode, string][] = single
    ? [
        ["combined", "Graph"],
        ["table", "Table"],
      ]
    : [
        ["side", "Side by side"],
        ["combined", "Combined"],
        ["table", "Table"],
      ];
  const shown = single && state.mode === "side" ? "combined" : state.mode;
  return (
    <div class="toolbar">
      <div class="segments" role="group" aria-label="Form of the flame graph">
        {modes.map(([mode, title]) => (
          <button key={mode} type="button" aria-pressed={shown === mode} onClick={() => change({ mode })}>
            {title}
          </button>
        ))}
      </div>
      <label class="search" for={id}>
        <span class="sr">Search functions and files</span>
        <input
          id={id}
          type="search"
          placeholder="Search functions, files"
          value={state.search}
          onInput={(event) => change({ search: event.currentTarget.value })}
        />
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={state.invert}
          onChange={(event) => change({ invert: event.currentTarget.checked, zoom: null })}
        />{" "}
        Callers below (inverted)
      </label>
    </div>
  );
}

interface TrailProps extends ToolbarProps {
  tree: Tree;
  zoom: number;
  unit: string;
}

/** What is shown of the whole, and the way back. */
function Trail({ tree, zoom, state, change }: TrailProps) {
  if (zoom === 0 && state.focus === null) return null;
  return (
    <p class="trail">
      {state.focus === null ? null : (
        <span class="chip">
          Only <code>{readable(state.focus, 80)}</code> and what it calls{" "}
          <button type="button" onClick={() => change({ focus: null, zoom: null })}>
            Show all
          </button>
        </span>
      )}
      {zoom === 0 ? null : (
        <span class="chip">
          Zoomed to <code>{readable(tree.name[zoom] ?? "", 80)}</code>{" "}
          <button type="button" onClick={() => change({ zoom: null })}>
            Zoom out
          </button>
        </span>
      )}
    </p>
  );
}

interface FoundProps {
  found: ReturnType<typeof matches>;
  tree: Tree;
  unit: string;
  single: boolean;
}

function Found({ found, tree, unit, single }: FoundProps) {
  const total = tree.compare[0] ?? 0;
  const share = total > 0 ? ` (${Math.round((found.compare / total) * 100)} % of all)` : "";
  return (
    <p class="found" role="status">
      {found.count} frames match: {quantity(found.compare, unit)}
      {share}
      {single ? null : (
        <>
          , <Change value={found.compare - found.base} unit={unit} />
        </>
      )}
      .
    </p>
  );
}

function ColourLegend({ scale, unit }: { scale: Scale; unit: string }) {
  return (
    <div class="colour-legend">
      <span>{scale.largest > 0 ? signed(-scale.largest, unit) : ""} shrank</span>
      <span class="ramp" aria-hidden="true">
        {scale.steps.map((step) => (
          <i key={step} style={{ background: step }} />
        ))}
      </span>
      <span>grew {scale.largest > 0 ? signed(scale.largest, unit) : ""}</span>
      <span class="key-new">new</span>
      <span class="key-gone">gone</span>
    </div>
  );
}

interface FrameProps {
  tree: Tree;
  node: number;
  unit: string;
  single: boolean;
}

function FrameNumbers({ tree, node, unit, single }: FrameProps) {
  const base = tree.base[node] ?? 0;
  const compare = tree.compare[node] ?? 0;
  const total = tree.compare[0] ?? 0;
  const own = (tree.selfCompare[node] ?? 0) - (single ? 0 : (tree.selfBase[node] ?? 0));
  const share = total > 0 ? `${((compare / total) * 100).toFixed(1)} % of all` : "";
  if (single) {
    return (
      <span>
        {quantity(compare, unit)}, {share}; own {quantity(own, unit)}
      </span>
    );
  }
  return (
    <span>
      <Change value={compare - base} unit={unit} />{" "}
      {base === 0 && compare > 0 ? "(new)" : compare === 0 && base > 0 ? "(gone)" : ""} from{" "}
      {quantity(base, unit)} to {quantity(compare, unit)}
      {share ? `, ${share}` : ""}; own change {signed(own, unit)}
    </span>
  );
}

function Tip({ tree, node, x, y, unit, single }: FrameProps & { x: number; y: number }) {
  const right = x > innerWidth - 380;
  const style = right
    ? { right: `${innerWidth - x + 12}px`, top: `${Math.min(y + 14, innerHeight - 90)}px` }
    : { left: `${x + 12}px`, top: `${Math.min(y + 14, innerHeight - 90)}px` };
  return (
    <div class="tip" style={style} aria-hidden="true">
      <Place
        name={tree.name[node] ?? ""}
        file={tree.file[node] ?? null}
        line={tree.line[node] ?? null}
        long
        plain
      />
      <FrameNumbers {...{ tree, node, unit, single }} />
    </div>
  );
}

interface DetailsProps {
  tree: Tree;
  node: number | null;
  unit: string;
  single: boolean;
  change: (patch: Partial<GraphState>) => void;
}

/** The selected frame in words, also for screen readers. */
function Details({ tree, node, unit, single, change }: DetailsProps) {
  return (
    <div class="frame-details" aria-live="polite">
      {node === null ? (
        <span class="hint">
          Click a frame to zoom, click a caller above to go back. With the keyboard: arrows, Enter, Escape.
        </span>
      ) : (
        <>
          <Place
            name={tree.name[node] ?? ""}
            file={tree.file[node] ?? null}
            line={tree.line[node] ?? null}
            long
          />{" "}
          <FrameNumbers {...{ tree, node, unit, single }} />{" "}
          {node > 0 ? (
            <button type="button" onClick={() => change({ focus: tree.name[node] ?? null, zoom: null })}>
              Only this function
            </button>
          ) : null}
        </>
      )}
    </div>
  );
}
