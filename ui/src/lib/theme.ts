// Light or dark: the system's choice, or the viewer's. Charts read their colours from the style sheet.

import { createStore } from "./store";

export type Theme = "auto" | "light" | "dark";
const KEY = "leakwatch-theme";

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto";
  }
}

const system = matchMedia("(prefers-color-scheme: dark)");
export const theme = createStore<Theme>(stored());
/** Counts changes, so that canvases draw themselves again. */
export const palette = createStore(0);

function apply(): void {
  const chosen = theme.get();
  const dark = chosen === "dark" || (chosen === "auto" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  palette.set(palette.get() + 1);
}

export function followTheme(): void {
  apply();
  system.addEventListener("change", apply);
  theme.subscribe((value) => {
    try {
      localStorage.setItem(KEY, value);
    } catch {
      // It lasts until the page is closed.
    }
    apply();
  });
}

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
