import { describe, expect, it } from "vitest";
import type { Event, SeriesSet, ServedRun, Service, ServiceSeries, Target, Verdict } from "../src/api/model";
import { cutEvents, type ServerEvent } from "../src/api/stream";
import { forecastOf } from "../src/charts/forecast";
import { gaps } from "../src/charts/gaps";
import { grouped } from "../src/charts/marks";
import { sparkPath } from "../src/charts/sparkline";
import { rowsOf } from "../src/charts/table";
import { axisTop } from "../src/charts/ticks";
import type { Mark } from "../src/charts/timeseries";
import { verdictClass } from "../src/lib/classes";
import { byUnit, marksOf } from "../src/views/charts";
import { inWords } from "../src/views/events";
import { stacked } from "../src/views/ledger";
import { trimmed } from "../src/views/memory";
import { matching, sorted } from "../src/views/ranking";
import { linesOf } from "../src/views/replicas";
import { align, diffLink, runsFor, suggestRuns, valueAt } from "../src/views/runs";
import { ofService } from "../src/views/service";
import { viewOfLink } from "../src/views/verdict";

function target(name: string, verdict: string | null, more: Partial<Target> = {}): Target {
  return {
    id: name,
    kind: "cgroup",
    name,
    service: "s",
    cgroup_path: `/${name}`,
    started_at: "2026-11-29T00:00:00Z",
    memory: { charge_bytes: 1, limit_bytes: null, missing: {} },
    processes: [],
    oom_kills: 0,
    losses: [],
    missing: {},
    verdict: verdict === null ? null : ({ class: verdict, confidence: 0.9 } as Verdict),
    ...more,
  } as Target;
}

describe("the order of targets", () => {
  const names = (list: Target[]) => list.map(({ name }) => name);
  it("puts the worst first, and the killed before the quiet", () => {
    const list = [
      target("ok", "stable"),
      target("unknown", null),
      target("killed", "not_enough_data", { oom_kills: 2 }),
      target("leak", "go_heap_leak"),
      target("grows", "growing"),
      target("newer", "quantum_leak"),
      target("ended", "go_heap_leak", { gone_at: "2026-11-29T00:00:00Z" }),
    ];
    expect(names(sorted(list, "worst"))).toEqual([
      "leak",
      "grows",
      "killed",
      "newer",
      "unknown",
      "ok",
      "ended",
    ]);
  });
  it("sorts what is missing last", () => {
    const memory = (bytes: number | null) =>
      ({ memory: { charge_bytes: bytes, missing: {} } }) as Partial<Target>;
    const list = [
      target("none", "stable", memory(null)),
      target("big", "stable", memory(9)),
      target("small", "stable", memory(0)),
    ];
    expect(names(sorted(list, "memory"))).toEqual(["big", "small", "none"]);
  });
  it("finds by name, path and verdict", () => {
    const list = [
      target("api", "stable"),
      target("db", "growing"),
      target("old", "stable", { gone_at: "x" }),
    ];
    expect(names(matching(list, "AP", "", false))).toEqual(["api"]);
    expect(names(matching(list, "", "growing", false))).toEqual(["db"]);
    expect(names(matching(list, "", "", true))).toHaveLength(3);
  });
  it("names classes that it does not know", () => {
    expect(verdictClass("quantum_leak").label).toBe("Quantum leak");
    expect(verdictClass("constructor").label).toBe("Constructor");
  });
});

describe("the stream", () => {
  it("is cut into events, whatever the pieces", () => {
    const found: ServerEvent[] = [];
    let rest = "";
    for (const piece of [
      "event: tar",
      'gets\ndata: {"changed":["a"]}\n',
      "\n: keep\n\ndata: x\ndata: y\n\nevent: l",
    ]) {
      rest = cutEvents(rest + piece, (event) => found.push(event));
    }
    expect(found).toEqual([
      { event: "targets", data: '{"changed":["a"]}' },
      { event: "message", data: "x\ny" },
    ]);
    expect(rest).toBe("event: l");
  });
});

describe("charts", () => {
  const verdict = { time_to_limit_seconds: { p10: 50, p50: 100, p90: 200 } } as Verdict;
  it("draws a forecast from the last value that was read", () => {
    const forecast = forecastOf(verdict, 100, [0, 10, 20], [10, 20, null]);
    expect(forecast).toMatchObject({ from: { at: 10, value: 20 }, p10: 60, p50: 110, p90: 210 });
  });
  it("draws none without a limit, an end or a value", () => {
    expect(forecastOf(verdict, null, [0], [1])).toBeNull();
    expect(forecastOf({ ...verdict, time_to_limit_seconds: null }, 9, [0], [1])).toBeNull();
    expect(forecastOf(verdict, 9, [0], [null])).toBeNull();
    expect(forecastOf(verdict, 9, [0], [10])).toBeNull();
  });
  it("ends axes of bytes at round numbers", () => {
    expect(axisTop(250 * 2 ** 20, "bytes") % 2 ** 20).toBe(0);
    expect(axisTop(0, "bytes")).toBe(1);
    expect(axisTop(Number.NaN, "count")).toBe(1);
  });
  it("never stacks what is unknown as nothing", () => {
    expect(
      stacked([
        [1, null, 3],
        [1, 1, 1],
      ]),
    ).toEqual([
      [1, null, 3],
      [2, null, 4],
    ]);
  });
  it("keeps first and last row of a long table", () => {
    const rows = rowsOf(1000, 10);
    expect([rows.length, rows[0], rows[9]]).toEqual([10, 0, 999]);
  });
  it("starts a new line after a long gap only", () => {
    const gap = (length: number) => [1, ...Array<null>(length).fill(null), 1];
    expect(sparkPath(gap(2), 1).match(/M/g)).toHaveLength(1);
    expect(sparkPath(gap(20), 1).match(/M/g)).toHaveLength(2);
  });
  it("takes wide spacing for what it is, and a gap for a gap", () => {
    const every = (step: number, length: number) =>
      Array.from({ length }, (_, index) => (index % step === 0 ? 1 : null));
    expect(gaps(every(20, 100))).toEqual([]);
    expect(gaps([1, 1, ...Array<null>(20).fill(null), 1, 1])).toEqual([[1, 22]]);
    expect(gaps([null, null, 1])).toEqual([]);
  });
  it("joins marks that would cover each other", () => {
    const mark = (at: number) => ({ at, kind: "oom" as const, label: String(at) });
    const groups = grouped([mark(100), mark(0), mark(5)], (at) => at);
    expect(groups.map(({ count, mark: { label } }) => [count, label])).toEqual([
      [2, "5"],
      [1, "100"],
    ]);
  });
  it("puts marks of other kinds at the same place below the kill", () => {
    const mark = (kind: Mark["kind"], at: number) => ({ at, kind, label: kind });
    const marks = [mark("restart", 2), mark("deploy", 3), mark("oom", 4), mark("limit", 300)];
    const rows = grouped(marks, (at) => at).map((group) => [group.mark.kind, group.row]);
    expect(Object.fromEntries(rows)).toEqual({ oom: 0, restart: 1, deploy: 2, limit: 0 });
  });
  it("draws no series that never had a value, and no two in one colour", () => {
    const set = {
      series: [
        { metric: "anon_bytes", unit: "bytes", values: [1, 2] },
        { metric: "go_heap_live_bytes", unit: "bytes", values: [1, null] },
        { metric: "limit_bytes", unit: "bytes", values: [null, null] },
        { metric: "goroutines", unit: "goroutines", values: [3, 3] },
        { metric: "a_new_metric", unit: "bytes", values: [3, 3] },
      ],
    } as SeriesSet;
    const groups = byUnit(set);
    expect(groups.map(({ unit, lines }) => [unit, lines.length])).toEqual([
      ["bytes", 3],
      ["goroutines", 1],
    ]);
    expect(new Set(groups[0]?.lines.map(({ colour }) => colour)).size).toBe(3);
  });
});

function event(kind: string, seconds: number, detail: object = {}): Event {
  return {
    id: `${kind}${seconds}`,
    at: new Date(seconds * 1000).toISOString(),
    kind,
    summary: kind,
    detail,
    missing: {},
  } as unknown as Event;
}

describe("the memory around a kill", () => {
  it("begins with its first sample and ends with its last, gaps inside stay", () => {
    const set = {
      at: ["a", "b", "c", "d", "e"],
      series: [{ metric: "m", unit: "bytes", values: [null, 1, null, 0, null] }],
    } as unknown as SeriesSet;
    const found = trimmed(set);
    expect([found.at, found.series[0]?.values]).toEqual([
      ["b", "c", "d"],
      [1, null, 0],
    ]);
    const silent = {
      at: ["a"],
      series: [{ metric: "m", unit: "bytes", values: [null] }],
    } as unknown as SeriesSet;
    expect(trimmed(silent)).toBe(silent);
  });
});

describe("events on a chart", () => {
  it("link kills to their post-mortem and leave out the restart that a kill causes", () => {
    const marks = marksOf([
      event("oom_kill", 100, { oom_kill: "k/1" }),
      event("restart", 102),
      event("restart", 500),
      event("loss", 3),
    ]);
    expect(marks.map(({ kind, href }) => [kind, href])).toEqual([
      ["oom", "#/oom/k%2F1"],
      ["restart", undefined],
    ]);
  });
});

const served = (id: string, more: Partial<ServedRun> = {}) =>
  ({
    id,
    target: id,
    version: "v1",
    started_at: "2026-01-01T00:00:00.000Z",
    ended_at: null,
    seconds: 100,
    ...more,
  }) as ServedRun;

describe("runs", () => {
  it("have no value outside of their life", () => {
    const run = {
      id: "",
      started_at: "",
      ended_at: null,
      ended_by: null,
      age_seconds: [0, 10],
      values: [0, 100],
    };
    expect(valueAt(run, 5)).toBe(50);
    expect(valueAt(run, 11)).toBeNull();
  });
  it("of the daemon are the earlier ones of the service and the present one of the replica", () => {
    const run = (id: string, target: string, ended: string | null) =>
      ({
        id,
        target,
        started_at: "2026-01-01T00:00:00.000Z",
        ended_at: ended,
        ended_by: ended && "exit",
        age_seconds: [1, 2],
        memory_bytes: [1, null],
      }) as ServedRun;
    const list = [run("4", "b", null), run("3", "a", null), run("2", "a", "x"), run("1", "gone", "x")];
    const ids = (target: string) => runsFor(list, target).map(({ id }) => id);
    expect(ids("a")).toEqual(["1", "2", "3"]);
    expect(ids("b")).toEqual(["1", "2", "4"]);
    expect(runsFor(list, "a")[0]?.values).toEqual([1, null]);
  });
  it("are not compared when there is only one", () => {
    expect(align(runsFor([served("a")], "a"))).toBeNull();
    expect(suggestRuns([served("a")], null)).toBeNull();
    expect(suggestRuns([], "a")).toBeNull();
  });
  it("are aligned by age, the band around the earlier ones", () => {
    const of = (values: number[], ended: string | null) =>
      served("a", { age_seconds: [0, 10, 20], memory_bytes: values, ended_at: ended });
    const aligned = align(runsFor([of([1, 5, 9], null), of([2, 2, 2], "x"), of([4, 4, 4], "x")], "a"));
    expect(aligned?.earlier).toBe(2);
    expect([aligned?.low[60], aligned?.high[60], aligned?.present[60]]).toEqual([2, 4, 5]);
  });
  it("are compared by version first, then with the odd one, then with the run before", () => {
    const chosen = (runs: ServedRun[], odd: string | null) => {
      const choice = suggestRuns(runs, odd);
      return [choice?.base.id, choice?.compare.id];
    };
    const ended = { ended_at: "2026-01-01T00:10:00.000Z" };
    const forgotten = served("gone", { target: null, version: "v0" });
    expect(chosen([served("new", { version: "v2" }), forgotten, served("old", ended)], "new")).toEqual([
      "old",
      "new",
    ]);
    expect(chosen([served("a"), served("b"), served("c", ended)], "b")).toEqual(["a", "b"]);
    expect(chosen([served("a"), served("b"), served("c", ended)], null)).toEqual(["c", "a"]);
    expect(chosen([served("a"), served("b")], null)).toEqual(["b", "a"]);
  });
  it("are compared at the age of the younger one", () => {
    const base = served("old", { seconds: 500 });
    const compare = served("new", { seconds: 95, started_at: "2026-01-02T00:00:00.000Z" });
    expect(diffLink(base, compare, "heap")).toEqual({
      type: "heap",
      base_target: "old",
      base: "2026-01-01T00:01:30.000Z",
      compare: "2026-01-02T00:01:30.000Z",
    });
  });
});

describe("lines of replicas", () => {
  const replica = (target: string, rss: (number | null)[], limit: number | null, living = true) => ({
    target,
    name: "shop",
    living,
    series: [
      { metric: "rss_bytes", unit: "bytes", values: rss },
      { metric: "limit_bytes", unit: "bytes", values: rss.map(() => limit) },
    ],
    missing: {},
  });
  it("have the odd one over the others, and the limit that is reached first", () => {
    const set = {
      replicas: [
        replica("a", [1, 1], 90),
        replica("odd", [1, 5], 80),
        replica("gone", [3, null], 10, false),
        replica("silent", [null, null], 5),
      ],
    } as unknown as ServiceSeries;
    const lines = linesOf(set, "odd");
    expect(lines.map(({ label, colour }) => [label, colour])).toEqual([
      ["shop, ended", "quiet-3"],
      ["shop (2)", "quiet-2"],
      ["shop", "bad"],
      ["limit", "limit"],
    ]);
    expect(lines[3]?.values).toEqual([80, 80]);
    expect(linesOf({ replicas: [] } as unknown as ServiceSeries, null)).toEqual([]);
  });
  it("are all drawn and not all named", () => {
    const many = Array.from({ length: 30 }, (_, index) => replica(`t${index}`, [1], null));
    const lines = linesOf({ replicas: many } as unknown as ServiceSeries, null);
    expect([lines.length, lines.filter(({ unnamed }) => unnamed).length]).toEqual([30, 20]);
    expect(new Set(lines.map(({ label }) => label)).size).toBe(30);
  });
  it("have the events of the service, of its targets and of those that are gone", () => {
    const service = { name: "shop", replicas: [{ target: "a" }] } as unknown as Service;
    const events = [
      { ...event("oom_kill", 1), target: "a" },
      { ...event("oom_kill", 2), target: "past" },
      { ...event("oom_kill", 3), target: "other" },
      { ...event("deploy", 4, { service: "shop" }), target: null },
      { ...event("loss", 5), target: null },
    ] as Event[];
    const own = ofService(events, service, [served("past"), served("x", { target: null })]);
    expect(own.map(({ id }) => id)).toEqual(["oom_kill1", "oom_kill2", "deploy4"]);
  });
});

describe("links of evidence", () => {
  it("lead to the view that shows them", () => {
    expect(
      viewOfLink("/api/v1/targets/t/diff?type=heap&base=2026-11-29T00:00:00Z&compare=now", "t")?.href,
    ).toContain("#/targets/t/flame?type=heap");
    expect(viewOfLink("/api/v1/targets/t/series?metrics=a", "t")?.href).toBe(
      "/api/v1/targets/t/series?metrics=a",
    );
  });
  it("never leave the daemon", () => {
    expect(viewOfLink("javascript:alert(1)", "t")).toBeNull();
    expect(viewOfLink("https://elsewhere/", "t")).toBeNull();
  });
});

describe("an event in words", () => {
  const change = (detail: object) =>
    inWords({
      kind: "verdict_change",
      summary: "said by the daemon",
      detail,
      missing: {},
    } as unknown as Event);

  it.each([
    [{ from: null, to: "not_enough_data" }, "first verdict: Not decided yet"],
    [{ from: "growing", to: "go_heap_leak" }, "Growing → Go heap leak"],
    [{ from: "growing", to: "of_a_newer_daemon" }, "Growing → Of a newer daemon"],
    [{}, "said by the daemon"],
  ])("%o is %s", (detail, expected) => expect(change(detail)).toBe(expected));
});
