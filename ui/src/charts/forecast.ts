// When the limit is reached, drawn into the memory chart: from the present value to the limit at the 10 %, 50 % and
// 90 % quantile of the time that is left.

import type { Verdict } from "../api/model";

export interface Forecast {
  /** Unix seconds and value of the last point seen. */
  from: { at: number; value: number };
  limit: number;
  p10: number;
  p50: number;
  p90: number | null;
}

export function forecastOf(
  verdict: Verdict,
  limit: number | null,
  at: number[],
  values: (number | null)[],
): Forecast | null {
  const left = verdict.time_to_limit_seconds;
  if (!left || limit === null || typeof left.p50 !== "number" || typeof left.p10 !== "number") return null;
  for (let index = values.length - 1; index >= 0; index -= 1) {
    const value = values[index];
    const last = at[index];
    if (typeof value !== "number" || last === undefined) continue;
    if (value >= limit) return null;
    const p90 = typeof left.p90 === "number" ? last + left.p90 : null;
    return { from: { at: last, value }, limit, p10: last + left.p10, p50: last + left.p50, p90 };
  }
  return null;
}

/** How far the time axis goes: the forecast may take up to two thirds of the chart. */
export function forecastEnd(forecast: Forecast, first: number): number {
  const span = Math.max(forecast.from.at - first, 60);
  const end = forecast.p90 ?? forecast.p50;
  return Math.min(forecast.from.at + (end - forecast.from.at) * 1.08, forecast.from.at + 2 * span);
}
