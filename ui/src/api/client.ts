// Requests to the daemon. The token, where one is wanted, is kept for this tab only.

import { createStore } from "../lib/store";
import type { Page } from "./model";

export const BASE = "/api/v1";
const TOKEN_KEY = "leakwatch-token";
/** Pages of a list that are read at most: 2,000 targets are two. */
const MAX_PAGES = 20;

/** An answer that is no success, as the daemon words it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

export const tokenWanted = createStore(false);

function storedToken(): string | null {
  try {
    return sessionStorage.getItem(TOKEN_KEY);
  } catch {
    return null;
  }
}

// Kept here too, for browsers that allow a page no storage.
let token = storedToken();

export function setToken(value: string | null): void {
  token = value;
  try {
    if (value === null) sessionStorage.removeItem(TOKEN_KEY);
    else sessionStorage.setItem(TOKEN_KEY, value);
  } catch {
    // It lasts until the page is closed.
  }
  if (value !== null) tokenWanted.set(false);
}

export function hasToken(): boolean {
  return token !== null;
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  let response: Response;
  try {
    // Without credentials of the browser's own, it does not ask for a password itself when a token is wanted.
    response = await fetch(path, { ...init, headers, credentials: "omit" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "The daemon does not answer", "No connection. Is `leakwatch agent` running?");
  }
  if (response.status === 401) tokenWanted.set(true);
  if (!response.ok) throw await problem(response);
  return response;
}

async function problem(response: Response): Promise<ApiError> {
  let title = `HTTP ${response.status}`;
  let detail = response.statusText;
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null) {
      if ("title" in body && typeof body.title === "string") title = body.title;
      if ("detail" in body && typeof body.detail === "string") detail = body.detail;
    }
  } catch {
    // A proxy in between may answer in another form; the status says enough.
  }
  return new ApiError(response.status, title, detail);
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, signal ? { signal } : {});
  return (await response.json()) as T;
}

export async function postJson<T>(path: string, body: unknown): Promise<T> {
  const response = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return (await response.json()) as T;
}

/** Keeps an OOM kill whatever its age, or no more. */
export async function setPinned<T>(id: string, pinned: boolean): Promise<T> {
  const response = await request(`${paths.oomKill(id)}/pin`, { method: pinned ? "POST" : "DELETE" });
  return (await response.json()) as T;
}

/** All pages of a list. */
export async function getList<T>(path: string, signal?: AbortSignal): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const url: string = cursor === null ? path : withQuery(path, { cursor });
    const answer: Page<T> = await getJson<Page<T>>(url, signal);
    items.push(...answer.items);
    cursor = answer.next_cursor ?? null;
    if (cursor === null) break;
  }
  return items;
}

export function withQuery(path: string, query: Record<string, string | number | null | undefined>): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`);
  if (pairs.length === 0) return path;
  return `${path}${path.includes("?") ? "&" : "?"}${pairs.join("&")}`;
}

export const paths = {
  targets: `${BASE}/targets?life=all&limit=1000`,
  target: (id: string) => `${BASE}/targets/${encodeURIComponent(id)}`,
  investigation: (id: string) => `${paths.target(id)}/investigation`,
  ledger: (id: string, at?: string) => withQuery(`${paths.target(id)}/ledger`, { at }),
  series: (
    id: string,
    metrics: readonly string[],
    range: { from?: string; to?: string; step?: string } = {},
  ) =>
    `${withQuery(`${paths.target(id)}/series`, range)}${Object.values(range).some(Boolean) ? "&" : "?"}metrics=${metrics.join(",")}`,
  profiles: (id: string) => `${paths.target(id)}/profiles?limit=1000`,
  service: (name: string) => `${BASE}/services/${encodeURIComponent(name)}`,
  serviceSeries: (name: string, metrics: readonly string[], from?: string) =>
    withQuery(`${paths.service(name)}/series`, { metrics: metrics.join(","), from }),
  runs: (name: string) => `${paths.service(name)}/runs?limit=100`,
  events: (query: { kinds?: string; target?: string; from?: string; to?: string }) =>
    withQuery(`${BASE}/events?limit=1000`, query),
  oomKill: (id: string) => `${BASE}/oom_kills/${encodeURIComponent(id)}`,
  oomKills: `${BASE}/oom_kills?limit=100`,
};
