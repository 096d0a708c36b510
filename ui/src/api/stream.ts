// What changes, as the daemon tells it: server-sent events, read with `fetch` because an `EventSource` cannot show a
// token.

import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import { createStore } from "../lib/store";
import { ApiError, BASE, request, tokenWanted } from "./client";

export type Connection = "connecting" | "live" | "polling" | "lost";

export const connection = createStore<Connection>("connecting");

/** Changes are shown at most this often. */
const MIN_PERIOD_MS = 4_000;
/** An answer that takes long to make and to read is asked for less often. */
const REST_FACTOR = 15;
const RETRY_MS = 5_000;
const POLL_MS = 10_000;

type Listener = (changed: ReadonlySet<string> | "unknown") => void;
const listeners = new Set<Listener>();

function tell(changed: ReadonlySet<string> | "unknown"): void {
  for (const listener of [...listeners]) listener(changed);
}

export interface ServerEvent {
  event: string;
  data: string;
}

/** Cuts text into events; returns what is not complete yet. */
export function cutEvents(text: string, found: (event: ServerEvent) => void): string {
  const blocks = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = blocks.pop() ?? "";
  for (const block of blocks) {
    let event = "message";
    const data: string[] = [];
    for (const line of block.split("\n")) {
      if (line.startsWith("event:")) event = line.slice(6).trim();
      else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    }
    if (data.length > 0) found({ event, data: data.join("\n") });
  }
  return rest;
}

function received(event: ServerEvent): void {
  if (event.event === "targets") {
    try {
      const body: unknown = JSON.parse(event.data);
      if (typeof body === "object" && body !== null && "changed" in body && Array.isArray(body.changed)) {
        tell(new Set(body.changed.map(String)));
        return;
      }
    } catch {
      // Something changed all the same.
    }
  }
  tell("unknown");
}

async function listen(): Promise<void> {
  const response = await request(`${BASE}/stream`);
  if (!response.body) throw new ApiError(0, "No stream", "This browser reads no streams.");
  connection.set("live");
  tell("unknown");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest = cutEvents(rest + value, received);
  }
}

/** Until the time is over, or a token was given. */
function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      stop();
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    const stop = tokenWanted.subscribe((wanted) => {
      if (!wanted) done();
    });
  });
}

/** Listens until the page is closed; without a stream it asks now and then. */
export async function follow(): Promise<never> {
  for (;;) {
    let wait = RETRY_MS;
    try {
      await listen();
      connection.set("connecting");
    } catch (error) {
      // Too many listen already: asking now and then does as well.
      const status = error instanceof ApiError ? error.status : 0;
      const refused = status === 429;
      connection.set(refused ? "polling" : status === 401 ? "connecting" : "lost");
      if (refused) {
        tell("unknown");
        wait = POLL_MS;
      }
    }
    await pause(wait);
  }
}

/** Counts changes of a target (`*`: of any), calmly; hidden pages count none. */
export function useLive(target: string | null, took: RefObject<number>): number {
  const [tick, setTick] = useState(0);
  useEffect(() => {
    if (target === null) return;
    let last = performance.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let missed = false;
    const fire = () => {
      timer = undefined;
      if (document.hidden) {
        missed = true;
        return;
      }
      last = performance.now();
      setTick((old) => old + 1);
    };
    const changed: Listener = (which) => {
      if (which !== "unknown" && target !== "*" && !which.has(target)) return;
      if (timer !== undefined) return;
      const period = Math.max(MIN_PERIOD_MS, (took.current ?? 0) * REST_FACTOR);
      timer = setTimeout(fire, Math.max(0, last + period - performance.now()));
    };
    const shown = () => {
      if (!document.hidden && missed) {
        missed = false;
        fire();
      }
    };
    listeners.add(changed);
    document.addEventListener("visibilitychange", shown);
    return () => {
      listeners.delete(changed);
      document.removeEventListener("visibilitychange", shown);
      clearTimeout(timer);
    };
  }, [target, took]);
  return tick;
}
