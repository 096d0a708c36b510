// Starts a capture of allocations and shows what it costs.

import { useEffect, useState } from "preact/hooks";
import { ApiError, BASE, getJson, paths, postJson, request } from "../api/client";
import type { Capture } from "../api/model";
import { percent, quantity } from "../lib/format";
import { readable } from "../lib/text";

const SECONDS = 30;
const PERIOD_MS = 2_000;

export function CaptureButton({ target, lane }: { target: string; lane: "native" | "growth" }) {
  const [capture, setCapture] = useState<Capture | null>(null);
  const [error, setError] = useState<string | null>(null);
  const id = capture?.id;
  const running =
    capture !== null && capture.progress < 1 && !["done", "stopped", "failed"].includes(capture.state);
  useEffect(() => {
    if (!id || !running) return;
    const timer = setInterval(() => {
      getJson<Capture>(`${BASE}/captures/${encodeURIComponent(id)}`)
        .then(setCapture)
        .catch((reason: unknown) => setError(String(reason)));
    }, PERIOD_MS);
    return () => clearInterval(timer);
  }, [id, running]);
  const start = async () => {
    setError(null);
    try {
      setCapture(await postJson<Capture>(`${paths.target(target)}/captures`, { lane, seconds: SECONDS }));
    } catch (reason) {
      setError(reason instanceof ApiError ? reason.detail : String(reason));
    }
  };
  const stop = async () => {
    if (id)
      await request(`${BASE}/captures/${encodeURIComponent(id)}`, { method: "DELETE" }).catch(
        () => undefined,
      );
  };
  return (
    <div class="capture">
      {capture === null ? (
        <button type="button" onClick={start}>
          Capture {lane === "native" ? "allocator calls" : "page faults and mappings"} for {SECONDS} s
        </button>
      ) : (
        <p role="status">
          Capture {readable(capture.state)}: {percent(capture.progress)}, {capture.samples} samples,{" "}
          {quantity(capture.cost.cpu_seconds, "seconds")} of processor time.{" "}
          {running ? (
            <button type="button" onClick={stop}>
              Stop
            </button>
          ) : null}
        </p>
      )}
      {error ? (
        <p class="failed" role="alert">
          {readable(error)}
        </p>
      ) : null}
    </div>
  );
}
