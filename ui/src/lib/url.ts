// All state of the page is in the hash: `#/targets/ID/flame?type=heap&base=...`. One embedded document serves every
// view, and a copied address shows the same thing to somebody else.

import { createStore, useStore } from "./store";

export interface Route {
  path: string[];
  query: Record<string, string>;
}

type QueryPatch = Record<string, string | number | boolean | null | undefined>;

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A hand-written `%` is shown as it is.
    return text;
  }
}

export function parseHash(hash: string): Route {
  const text = hash.replace(/^#\/?/, "");
  const mark = text.indexOf("?");
  const pathText = mark < 0 ? text : text.slice(0, mark);
  const query: Record<string, string> = Object.create(null);
  if (mark >= 0) {
    for (const part of text.slice(mark + 1).split("&")) {
      if (part === "") continue;
      const equals = part.indexOf("=");
      const key = decode(equals < 0 ? part : part.slice(0, equals));
      query[key] = equals < 0 ? "" : decode(part.slice(equals + 1).replaceAll("+", "%20"));
    }
  }
  return { path: pathText.split("/").filter(Boolean).map(decode), query };
}

export function toHash(path: readonly string[], query: QueryPatch = {}): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
    .map(
      ([key, value]) =>
        `${encodeURIComponent(key)}=${encodeURIComponent(value === true ? "1" : String(value))}`,
    );
  const tail = pairs.length > 0 ? `?${pairs.join("&")}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${tail}`;
}

export const route = createStore<Route>(parseHash(globalThis.location?.hash ?? ""));

export function useRoute(): Route {
  return useStore(route);
}

/** Goes to another view; the browser's back button returns. */
export function navigate(path: readonly string[], query: QueryPatch = {}): void {
  location.hash = toHash(path, query);
}

/** Changes state of the present view. Typing and dragging replace the address instead of filling the history. */
export function patchQuery(patch: QueryPatch, how: "push" | "replace" = "replace"): void {
  const present = route.get();
  const hash = toHash(present.path, { ...present.query, ...patch });
  history[how === "push" ? "pushState" : "replaceState"](null, "", hash);
  route.set(parseHash(hash));
}

export function watchAddress(): void {
  addEventListener("hashchange", () => route.set(parseHash(location.hash)));
  addEventListener("popstate", () => route.set(parseHash(location.hash)));
}
