// Colours of a comparison: orange grew, blue shrank, grey stayed. Strength goes by the absolute change, so that a frame
// that gained a gigabyte is never as pale as one that gained a kilobyte. Orange and blue differ for every kind of
// colour vision; the sign stands in the text, too.

import type { Tree } from "./tree";

export type Rgb = readonly [number, number, number];

export interface Palette {
  same: Rgb;
  growth: Rgb;
  shrink: Rgb;
}

export const LIGHT: Palette = { same: [226, 228, 232], growth: [240, 128, 10], shrink: [46, 134, 222] };
export const DARK: Palette = { same: [62, 68, 78], growth: [232, 122, 12], shrink: [58, 138, 220] };

const LEVELS = 24;

/** From -1 (shrank most) to 1 (grew most). Roots lift small changes above what an eye can tell apart. */
export function strength(change: number, largest: number): number {
  if (change === 0 || !(largest > 0)) return 0;
  const ratio = Math.min(1, Math.abs(change) / largest);
  return Math.sign(change) * (0.12 + 0.88 * Math.sqrt(ratio));
}

export function mix(palette: Palette, amount: number): Rgb {
  const to = amount < 0 ? palette.shrink : palette.growth;
  const part = Math.min(1, Math.abs(amount));
  return [0, 1, 2].map((index) =>
    Math.round((palette.same[index] ?? 0) + ((to[index] ?? 0) - (palette.same[index] ?? 0)) * part),
  ) as unknown as Rgb;
}

export function css(rgb: Rgb): string {
  return `rgb(${rgb[0]},${rgb[1]},${rgb[2]})`;
}

/** Prepared once, so that drawing only looks colours up. */
export interface Scale {
  largest: number;
  steps: string[];
  /** Readable on the step of the same index. */
  inks: string[];
  index: (change: number) => number;
}

export function scaleOf(palette: Palette, largest: number): Scale {
  const colours = Array.from({ length: 2 * LEVELS + 1 }, (_, index) =>
    mix(palette, (index - LEVELS) / LEVELS),
  );
  return {
    largest,
    steps: colours.map(css),
    inks: colours.map(inkOn),
    index: (change) => Math.round(strength(change, largest) * LEVELS) + LEVELS,
  };
}

/** The largest change of any frame below the root. */
export function largestChange(tree: Tree): number {
  let largest = 0;
  for (let index = tree.length > 1 ? 1 : 0; index < tree.length; index += 1) {
    largest = Math.max(largest, Math.abs((tree.compare[index] ?? 0) - (tree.base[index] ?? 0)));
  }
  return largest;
}

/** Black or white, whichever is easier to read on a colour. */
export function inkOn(rgb: Rgb): string {
  return luminance(rgb) > 0.179 ? "#000000" : "#ffffff";
}

export function luminance(rgb: Rgb): number {
  const linear = rgb.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0);
}

/** One profile alone: calm colours by package, so that neighbours can be told apart. */
export function packageColour(name: string, dark: boolean): string {
  const head = name.slice(name.lastIndexOf("/") + 1);
  const owner = head.split(".")[0] ?? head;
  let value = 7;
  for (let index = 0; index < owner.length; index += 1) value = (value * 31 + owner.charCodeAt(index)) >>> 0;
  return `hsl(${30 + (value % 24) * 8} ${dark ? "22% 34%" : "38% 84%"})`;
}
