// One flame graph: a canvas that draws what is in sight, with mouse and keyboard.

import type { RefObject } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useStore } from "../lib/store";
import { colour, palette } from "../lib/theme";
import type { Scale } from "./colour";
import { draw, ROW } from "./draw";
import { type Layout, neighbour, nodeAt, type Step } from "./layout";
import type { Tree } from "./tree";

interface Props {
  label: string;
  tree: Tree;
  plan: Layout;
  zoom: number;
  selected: number | null;
  hit: Uint8Array | null;
  scale: Scale | null;
  unit: string;
  maxHeight: number;
  onZoom: (node: number) => void;
  onSelect: (node: number | null) => void;
  onHover: (node: number | null, x: number, y: number) => void;
}

const KEYS: Record<string, Step> = {
  ArrowUp: "up",
  ArrowDown: "down",
  ArrowLeft: "left",
  ArrowRight: "right",
};

export function Pane(props: Props) {
  const { tree, plan, label } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [hovered, setHovered] = useState<number | null>(null);
  const version = useStore(palette);
  const total = plan.rows.length * ROW;
  const height = Math.min(total, props.maxHeight);
  const width = useWidth(scroller);
  const render = useDrawing(scroller, canvas, props, hovered, width, height);

  // biome-ignore lint/correctness/useExhaustiveDependencies: all of these change the picture
  useEffect(render, [
    tree,
    plan,
    props.zoom,
    props.selected,
    props.hit,
    props.scale,
    hovered,
    width,
    height,
    version,
  ]);

  const find = (event: MouseEvent): number | null => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box || !scroller.current) return null;
    const depth = Math.floor((event.clientY - box.top + scroller.current.scrollTop) / ROW);
    const share = (event.clientX - box.left) / box.width;
    const at = (plan.left[props.zoom] ?? 0) + share * (plan.width[props.zoom] ?? 0);
    return nodeAt(tree, plan, props.zoom, depth, at);
  };
  const move = (event: MouseEvent) => {
    const node = find(event);
    setHovered(node);
    props.onHover(node, event.clientX, event.clientY);
  };
  const leave = () => {
    setHovered(null);
    props.onHover(null, 0, 0);
  };
  const key = (event: KeyboardEvent) => {
    const step = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : undefined;
    if (step) {
      const next = props.selected === null ? props.zoom : neighbour(tree, plan, props.selected, step);
      props.onSelect(next);
      scrollTo(scroller.current, (tree.depth[next] ?? 0) * ROW);
    } else if (event.key === "Enter" || event.key === " ") props.onZoom(props.selected ?? 0);
    else if (event.key === "Escape") props.onZoom(0);
    else return;
    event.preventDefault();
  };
  return (
    <div
      class="flame-scroll"
      ref={scroller}
      style={{ height: `${height}px` }}
      onScroll={render}
      tabIndex={0}
      role="application"
      aria-roledescription="flame graph"
      aria-label={`${label}. Arrow keys move between frames, Enter zooms, Escape shows all. The table view has the same numbers.`}
      onKeyDown={key}
    >
      <div style={{ height: `${total}px` }}>
        <canvas
          ref={canvas}
          class="flame-canvas"
          onMouseMove={move}
          onMouseLeave={leave}
          onClick={(event) => {
            const node = find(event);
            if (node === null) return;
            props.onSelect(node);
            props.onZoom(node);
          }}
        />
      </div>
    </div>
  );
}

function scrollTo(element: HTMLElement | null, y: number): void {
  if (!element) return;
  if (y < element.scrollTop) element.scrollTop = y;
  else if (y + ROW > element.scrollTop + element.clientHeight)
    element.scrollTop = y + ROW - element.clientHeight;
}

function useWidth(holder: RefObject<HTMLDivElement | null>): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    setWidth(element.clientWidth);
    return () => observer.disconnect();
  }, [holder]);
  return width;
}

/** Draws once per frame of the screen, however often it is asked to. */
function useDrawing(
  scroller: RefObject<HTMLDivElement | null>,
  canvas: RefObject<HTMLCanvasElement | null>,
  props: Props,
  hovered: number | null,
  width: number,
  height: number,
): () => void {
  const latest = useRef({ props, hovered, width, height });
  latest.current = { props, hovered, width, height };
  const waiting = useRef(0);
  useEffect(() => () => cancelAnimationFrame(waiting.current), []);
  return useCallback(() => {
    cancelAnimationFrame(waiting.current);
    waiting.current = requestAnimationFrame(() => {
      const { props, hovered, width, height } = latest.current;
      const element = canvas.current;
      const ctx = element?.getContext("2d");
      if (!element || !ctx || width === 0) return;
      const ratio = devicePixelRatio || 1;
      if (element.width !== Math.round(width * ratio) || element.height !== Math.round(height * ratio)) {
        element.width = Math.round(width * ratio);
        element.height = Math.round(height * ratio);
        element.style.width = `${width}px`;
        element.style.height = `${height}px`;
      }
      const scene = {
        tree: props.tree,
        plan: props.plan,
        zoom: props.zoom,
        selected: props.selected,
        hovered,
        hit: props.hit,
        scale: props.scale,
        unit: props.unit,
        dark: document.documentElement.dataset.theme === "dark",
        strip: colour("strip"),
        paper: colour("paper"),
        mark: colour("ink"),
      };
      draw(ctx, scene, { width, height, top: scroller.current?.scrollTop ?? 0, ratio });
    });
  }, [scroller, canvas]);
}
