// Numbers and times in words. A value that is not there is never formatted here: see `parts/absent.tsx`.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const MINUS = "\u2212";

/** `12.3 MiB`. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return "not a number";
  let size = Math.abs(value);
  let unit = 0;
  // From 1023.95 on one decimal would show 1024.0 of the smaller unit.
  while (size >= 1023.95 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  const digits = unit === 0 ? Math.round(size).toString() : size.toFixed(size < 100 ? 1 : 0);
  return `${value < 0 && Number(digits) !== 0 ? MINUS : ""}${digits} ${UNITS[unit]}`;
}

/** `1,234`. */
export function count(value: number): string {
  if (!Number.isFinite(value)) return "not a number";
  const text = Math.abs(value).toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 2 : 0 });
  return value < 0 && text !== "0" ? MINUS + text : text;
}

/** In the unit of a profile or a series. */
export function quantity(value: number, unit: string): string {
  switch (unit) {
    case "bytes":
      return bytes(value);
    case "bytes_per_second":
      return `${bytes(value)}/s`;
    case "seconds":
      return duration(value);
    case "ratio":
      return percent(value);
    case "":
    case "count":
      return count(value);
    default:
      return `${count(value)} ${unit.replaceAll("_", " ")}`;
  }
}

/** Goroutine profiles count; the type says what. */
export function profileUnit(type: string, unit: string): string {
  return unit === "count" && type.startsWith("goroutine") ? "goroutines" : unit;
}

/** With its sign, also for nothing: `+3.1 MiB`, `−2 goroutines`, `±0 B`. */
export function signed(value: number, unit: string): string {
  const text = quantity(Math.abs(value), unit);
  if (value === 0) return `\u00b1${text}`;
  return `${value < 0 ? MINUS : "+"}${text}`;
}

/** `97 %`; what is not certain is never shown as 100 %. */
export function percent(ratio: number): string {
  if (!Number.isFinite(ratio)) return "not a number";
  if (ratio > 0.99 && ratio < 1) return "> 99 %";
  if (ratio < 0.01 && ratio > 0) return "< 1 %";
  return `${Math.round(ratio * 100)} %`;
}

/** The chance of what has not happened yet: no forecast is certain. */
export function chance(ratio: number): string {
  return percent(Math.min(Math.max(ratio, 0.001), 0.999));
}

/** Two units at most: `45 s`, `12 min`, `3 h 20 min`, `5 d 4 h`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "not a number";
  if (seconds < 0) return MINUS + duration(-seconds);
  if (seconds > 0 && seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.5) return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (seconds < 600 && seconds % 60 >= 1) {
    const whole = Math.round(seconds);
    return whole % 60 === 0 ? `${whole / 60} min` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
  }
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(seconds / 3600);
  if (hours < 24 * 365) return pair(Math.floor(hours / 24), "d", hours % 24, "h");
  return `${count(Math.round(hours / 24))} d`;
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** Time of day in the viewer's zone, with the date when it is not today. */
export function clock(date: Date, now = new Date()): string {
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  if (date.toDateString() === now.toDateString()) return time;
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })} ${time}`;
}

/** `2026-11-29 23:37:45 UTC`. */
export function utc(date: Date): string {
  return Number.isNaN(date.getTime())
    ? "invalid time"
    : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** `3 min ago`. */
export function ago(date: Date, now = new Date()): string {
  const seconds = (now.getTime() - date.getTime()) / 1000;
  if (Math.abs(seconds) < 5) return "now";
  return seconds < 0 ? `in ${coarse(-seconds)}` : `${coarse(seconds)} ago`;
}

function coarse(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** How long until the limit, from three quantiles. */
export function horizon(seconds: number): string {
  return seconds > 30 * 86400 ? "over 30 d" : duration(seconds < 600 ? Math.round(seconds) : seconds);
}
