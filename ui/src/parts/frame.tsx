// States that every view has: loading, failed, empty; and small frames around content.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Loss, Verdict } from "../api/model";
import type { Resource } from "../api/resource";
import { verdictClass } from "../lib/classes";
import { percent } from "../lib/format";
import { readable, words } from "../lib/text";

export function Loading({ what }: { what: string }) {
  return (
    <p class="state" role="status">
      Loading {what} …
    </p>
  );
}

export function Failed({
  resource,
  what,
}: {
  resource: Pick<Resource<unknown>, "error" | "reload">;
  what: string;
}) {
  const error = resource.error;
  if (!error) return null;
  if (error.status === 401) return <p class="state">Waiting for the token.</p>;
  return (
    <div class="state failed" role="alert">
      <p>
        <strong>
          {what}: {readable(error.title)}
        </strong>
      </p>
      <p>{readable(error.detail)}</p>
      {error.status === 404 ? (
        <p>
          It may have ended longer ago than the daemon remembers. <a href="#/">Go to the overview</a>
        </p>
      ) : (
        <button type="button" onClick={resource.reload}>
          Try again
        </button>
      )}
    </div>
  );
}

interface LoadedProps<T> {
  resource: Resource<T>;
  what: string;
  children: (data: T) => ComponentChildren;
}

/** The content, or why there is none; an old answer stays in sight while the daemon is away. */
export function Loaded<T>({ resource, what, children }: LoadedProps<T>) {
  if (resource.data === null) {
    return resource.error ? <Failed resource={resource} what={what} /> : <Loading what={what} />;
  }
  return <>{children(resource.data)}</>;
}

export function Badge({ verdict }: { verdict: Pick<Verdict, "class"> | null | undefined }) {
  const known = verdictClass(verdict?.class);
  return (
    <span class={`badge ${known.tone}`} title={known.means}>
      {known.label}
    </span>
  );
}

/** How sure a verdict is; nothing where nothing was found that one could be sure of. */
export function sureness(verdict: Verdict): string | null {
  if (verdict.class === "not_enough_data") return null;
  if (verdict.class === "growing" && typeof verdict.leak_probability === "number") {
    return `${percent(verdict.leak_probability)} likely a leak`;
  }
  return typeof verdict.confidence === "number" ? `${percent(verdict.confidence)} sure` : null;
}

interface LossesProps {
  losses: readonly Loss[] | null | undefined;
  /** What is incomplete, where that is not the whole view. */
  of?: string;
}

export function Losses({ losses, of }: LossesProps) {
  if (!losses || losses.length === 0) return null;
  return (
    <p class="losses">
      <strong>Incomplete{of ? ` ${of}` : ""}:</strong>{" "}
      {losses.map((loss) => `${loss.count} \u00d7 ${words(readable(loss.reason))}`).join(", ")}.
    </p>
  );
}

/** Renders its children once they come near the screen. */
export function WhenSeen({ children, height }: { children: () => ComponentChildren; height: number }) {
  const holder = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (!holder.current || seen) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) setSeen(true);
      },
      { rootMargin: "300px" },
    );
    observer.observe(holder.current);
    return () => observer.disconnect();
  }, [seen]);
  return (
    <div ref={holder} style={seen ? undefined : { minHeight: `${height}px` }}>
      {seen ? children() : null}
    </div>
  );
}
