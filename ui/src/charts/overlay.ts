// What is drawn below the lines of a chart: the band of earlier runs, the forecast, the span that is compared, marks.

import type uPlot from "uplot";
import { colour } from "../lib/theme";
import type { Forecast } from "./forecast";
import type { Band, Mark } from "./timeseries";

interface Overlays {
  at: number[];
  marks?: Mark[];
  forecast?: Forecast | null;
  chosen?: { base: number | null; compare: number | null };
  band?: Band;
}

export function drawOverlays(u: uPlot, overlays: Overlays): void {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  if (overlays.band) drawBand(u, overlays.at, overlays.band);
  if (overlays.chosen) drawChosen(u, overlays.chosen);
  if (overlays.forecast) drawForecast(u, overlays.forecast);
  for (const mark of overlays.marks ?? []) {
    drawVertical(
      u,
      mark.at,
      colour(mark.kind === "oom" ? "bad" : "muted"),
      mark.kind === "oom" ? [] : [3, 3],
    );
  }
  ctx.restore();
}

function x(u: uPlot, at: number): number {
  return u.valToPos(at, "x", true);
}

function y(u: uPlot, value: number): number {
  return u.valToPos(value, "y", true);
}

function drawVertical(u: uPlot, at: number, stroke: string, dash: number[]): void {
  const { ctx, bbox } = u;
  const position = Math.round(x(u, at)) + 0.5;
  ctx.beginPath();
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  ctx.lineWidth = devicePixelRatio;
  ctx.strokeStyle = stroke;
  ctx.moveTo(position, bbox.top);
  ctx.lineTo(position, bbox.top + bbox.height);
  ctx.stroke();
  ctx.setLineDash([]);
}

function drawChosen(u: uPlot, chosen: { base: number | null; compare: number | null }): void {
  const { ctx, bbox } = u;
  if (chosen.base !== null && chosen.compare !== null) {
    const left = x(u, Math.min(chosen.base, chosen.compare));
    const right = x(u, Math.max(chosen.base, chosen.compare));
    ctx.fillStyle = colour("span-fill");
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  if (chosen.base !== null) drawVertical(u, chosen.base, colour("shrink-strong"), []);
  if (chosen.compare !== null) drawVertical(u, chosen.compare, colour("growth-strong"), []);
}

function drawForecast(u: uPlot, forecast: Forecast): void {
  const { ctx } = u;
  const from = { x: x(u, forecast.from.at), y: y(u, forecast.from.value) };
  const top = y(u, forecast.limit);
  // Without an upper end the limit may never be reached: the interval is open to the right.
  const right = forecast.p90 === null ? u.bbox.left + u.bbox.width : x(u, forecast.p90);
  ctx.beginPath();
  ctx.moveTo(from.x, from.y);
  ctx.lineTo(x(u, forecast.p10), top);
  ctx.lineTo(right, top);
  if (forecast.p90 === null) ctx.lineTo(right, from.y);
  ctx.closePath();
  ctx.fillStyle = colour("forecast-fill");
  ctx.fill();
  ctx.beginPath();
  ctx.moveTo(from.x, from.y);
  ctx.lineTo(x(u, forecast.p50), top);
  ctx.strokeStyle = colour("forecast");
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.stroke();
  ctx.setLineDash([]);
}

function drawBand(u: uPlot, at: number[], band: Band): void {
  const { ctx } = u;
  ctx.fillStyle = colour("band-fill");
  ctx.strokeStyle = colour("band-fill");
  ctx.lineWidth = 2 * devicePixelRatio;
  let start = 0;
  const known = (index: number) =>
    typeof band.low[index] === "number" && typeof band.high[index] === "number";
  while (start < at.length) {
    if (!known(start)) {
      start += 1;
      continue;
    }
    let end = start;
    while (end + 1 < at.length && known(end + 1)) end += 1;
    ctx.beginPath();
    for (let index = start; index <= end; index += 1)
      ctx.lineTo(x(u, at[index] ?? 0), y(u, band.high[index] ?? 0));
    for (let index = end; index >= start; index -= 1)
      ctx.lineTo(x(u, at[index] ?? 0), y(u, band.low[index] ?? 0));
    ctx.closePath();
    ctx.fill();
    // Runs that were alike leave a band that is thinner than a line.
    ctx.stroke();
    start = end + 1;
  }
}
