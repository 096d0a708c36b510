// How fast the page is, on data that is made up: `npm run bench`. Prints the first useful paint with 500 targets, and
// main-thread milliseconds per frame of a flame graph of 50,000 frames and of a chart of 14 days, from the browser's own
// counters.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";
import { open } from "./browser.mjs";

const TARGETS = 500;
const MANY = 2_000;
const NODES = 50_000;
const DAYS = 14;
const FRAMES = 120;
const RUNS = 5;

const now = Date.now();
const at = (ago) => new Date(now - ago * 1000).toISOString();

function target(index) {
  const leaks = index % 50 === 0;
  return {
    id: `t${index}`,
    kind: "container",
    name: `checkout-${index}`,
    service: `service-${index % 40}`,
    cgroup_path: `/kubepods/pod${index}`,
    started_at: at(86_400),
    memory: {
      charge_bytes: 1e8 + index,
      unreclaimable_bytes: 1e8,
      rss_bytes: 1e8,
      limit_bytes: 2 ** 28,
      missing: {},
    },
    processes: [],
    oom_kills: 0,
    losses: [],
    missing: {},
    verdict: {
      class: leaks ? "go_heap_leak" : "stable",
      confidence: 0.97,
      summary:
        "main.getOrQueryMarketsValues (markets.go:35) keeps what it allocates: 51.9 MiB more live heap.",
      since: at(600),
      growth_bytes_per_second: leaks ? 5e5 : 0,
      time_to_limit_seconds: leaks ? { p10: 100, p50: 200, p90: 300 } : null,
      culprit: null,
      evidence: [],
      rejected: [],
      advice: [],
      would_change_our_mind: [],
      missing: {},
    },
  };
}

function series(points, spanSeconds) {
  const values = (top) =>
    Array.from({ length: points }, (_, index) => Math.round(top * (0.5 + 0.4 * Math.sin(index / 40))));
  return {
    target: "t0",
    from: at(spanSeconds),
    to: at(0),
    step_seconds: spanSeconds / points,
    at: Array.from({ length: points }, (_, index) => at(spanSeconds * (1 - index / points))),
    series: [
      { metric: "charge_bytes", unit: "bytes", values: values(2e8) },
      { metric: "unreclaimable_bytes", unit: "bytes", values: values(1.8e8) },
      { metric: "limit_bytes", unit: "bytes", values: values(0).map(() => 2 ** 28) },
    ],
    losses: [],
  };
}

/** A tree as wide and as deep as a large service's. */
function tree(nodes) {
  let made = 1;
  const root = {
    name: "root",
    file: null,
    line: null,
    base: 0,
    compare: 0,
    self_base: 0,
    self_compare: 0,
    children: [],
  };
  let row = [root];
  while (made < nodes) {
    const next = [];
    for (const parent of row) {
      for (let child = 0; child < 4 && made < nodes; child += 1) {
        const node = {
          ...root,
          name: `example.com/pkg${made % 97}.(*T).Method${made}`,
          file: "file.go",
          line: made,
          children: [],
        };
        parent.children.push(node);
        next.push(node);
        made += 1;
      }
    }
    row = next.length > 3_000 ? next.filter((_, index) => index % 3 === 0) : next;
  }
  const order = [root];
  for (let index = 0; index < order.length; index += 1) order.push(...order[index].children);
  for (const node of order.toReversed()) {
    node.self_base = node.children.length === 0 ? 1_000 : 10;
    node.self_compare = node.self_base + (node.children.length === 0 ? order.length % 700 : 0);
    node.base = node.children.reduce((sum, child) => sum + child.base, node.self_base);
    node.compare = node.children.reduce((sum, child) => sum + child.compare, node.self_compare);
  }
  return root;
}

const snapshots = [3_600, 60].map((ago) => ({
  id: `s${ago}`,
  type: "heap",
  at: at(ago),
  unit: "bytes",
  samples: NODES,
  total: 1e8,
  source: "outside",
  complete: true,
  process: "1",
  link: "",
}));

const list = (items) => ({ items, next_cursor: null, losses: [], missing: {} });
let targets = TARGETS;
const ANSWERS = [
  [/\/targets\?/, () => list(Array.from({ length: targets }, (_, index) => target(index)))],
  [/\/series/, () => series(4_000, DAYS * 86_400)],
  [/\/profiles\?/, () => list(snapshots)],
  [
    /\/diff\?/,
    () => ({
      type: "heap",
      value: "inuse_space",
      unit: "bytes",
      base: { at: at(3_600), total: 1 },
      compare: { at: at(60), total: 2 },
      tree: tree(NODES),
      top: [],
    }),
  ],
  [/\/events/, () => list([])],
  [/\/investigation/, () => ({ target: "t0", at: at(0), verdict: target(0).verdict, steps: [], losses: [] })],
  [/\/targets\/t\d+$/, () => target(0)],
];
const FILES = { "/": "index.html", "/leakwatch.js": "leakwatch.js", "/leakwatch.css": "leakwatch.css" };
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css" };
const bundle = Object.values(FILES).map((name) => readFileSync(new URL(`../dist/${name}`, import.meta.url)));

const cache = new Map();
/** What the browser itself takes: a page that has its table already. */
const FLOOR = "<!doctype html><title>floor</title><table class=targets><tbody><tr><td>1</table>";
const server = createServer((request, response) => {
  const path = request.url.split("?")[0];
  if (path === "/floor") {
    response.writeHead(200, { "content-type": "text/html" });
    response.end(FLOOR);
    return;
  }
  if (Object.hasOwn(FILES, path)) {
    const name = FILES[path];
    response.writeHead(200, { "content-type": TYPES[name.split(".").pop()] });
    response.end(readFileSync(new URL(`../dist/${name}`, import.meta.url)));
    return;
  }
  const answer = ANSWERS.find(([pattern]) => pattern.test(request.url));
  if (!answer) {
    response.writeHead(404).end();
    return;
  }
  if (!cache.has(answer[0])) cache.set(answer[0], JSON.stringify(answer[1]()));
  response.writeHead(200, { "content-type": "application/json" });
  response.end(cache.get(answer[0]));
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}`;
const { context, close } = await open();

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function firstPaint(path) {
  const page = await context.newPage();
  await page.goto(`${url}${path}`);
  const time = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const look = () => {
          if (document.querySelector(".targets tbody tr"))
            requestAnimationFrame(() => resolve(performance.now()));
          else requestAnimationFrame(look);
        };
        look();
      }),
  );
  await page.close();
  return time;
}

/** Milliseconds of the main thread for each frame while something moves. */
async function perFrame(hash, ready, move) {
  const page = await context.newPage();
  await page.setViewportSize({ width: 1600, height: 900 });
  await page.goto(`${url}/${hash}`);
  await page.locator(ready).first().waitFor();
  await page.waitForTimeout(1_000);
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  const busy = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration").value * 1_000;
  };
  const before = await busy();
  await page.evaluate(
    ([selector, frames, kind]) =>
      new Promise((resolve) => {
        const element = document.querySelector(selector);
        const box = element.getBoundingClientRect();
        let frame = 0;
        const step = () => {
          if (frame >= frames) return resolve();
          const clientX = box.left + (box.width * (frame + 0.5)) / frames;
          const clientY = box.top + 10 + ((frame * 7) % Math.max(box.height - 20, 1));
          element.dispatchEvent(new MouseEvent(kind, { bubbles: true, clientX, clientY }));
          frame += 1;
          requestAnimationFrame(step);
        };
        step();
      }),
    [move, FRAMES, "mousemove"],
  );
  const spent = (await busy()) - before;
  await page.close();
  return spent / FRAMES;
}

/** Medians of runs in turn: for each number of targets, and of the floor. */
async function paints(counts) {
  const times = [...counts, "floor"].map(() => []);
  for (let run = 0; run < RUNS; run += 1) {
    for (const [index, count] of counts.entries()) {
      targets = count;
      cache.clear();
      times[index].push(await firstPaint("/"));
    }
    times[counts.length].push(await firstPaint("/floor"));
  }
  return times.map(median);
}

const [first, many, floor] = await paints([TARGETS, MANY]);
const flame = await perFrame("#/targets/t0/flame?mode=combined", ".flame-canvas", ".flame-canvas");
const chart = await perFrame("#/targets/t0", ".u-over", ".u-over");
await close();
server.close();
const size = bundle.reduce((sum, file) => sum + gzipSync(file, { level: 9 }).length, 0);
console.log(`bundle, gzipped:                          ${(size / 1024).toFixed(1)} KiB (at most 120)`);
console.log(`first useful paint, ${TARGETS} targets:          ${first.toFixed(0)} ms (at most 300)`);
console.log(`- of an empty page, the floor:           ${floor.toFixed(0)} ms`);
console.log(`the same with ${MANY}:                      ${many.toFixed(0)} ms`);
console.log(`flame graph, ${NODES} frames, main thread:  ${flame.toFixed(1)} ms per frame (goal 16)`);
console.log(`chart of ${DAYS} days, main thread:             ${chart.toFixed(1)} ms per frame`);
