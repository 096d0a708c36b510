// Values that may be absent: the value, or the reason why there is none. Never a zero, never an empty place.

import type { ComponentChildren } from "preact";
import type { Missing, MissingMap } from "../api/model";
import { readable, words } from "../lib/text";

const REASONS: Record<string, string> = {
  unsupported: "not supported here",
  not_permitted: "not permitted",
  gone: "gone",
  not_configured: "not configured",
  malformed: "unreadable",
  timeout: "took too long",
  too_large: "too large",
  not_yet: "not yet",
  failed: "not known",
  not_applicable: "does not apply",
};

export function reasonText(missing: Missing | undefined): string {
  if (!missing) return "no reason given";
  return Object.hasOwn(REASONS, missing.reason)
    ? (REASONS[missing.reason] as string)
    : words(String(missing.reason));
}

interface AbsentProps {
  /** The object that the field belongs to; its `missing` says why. */
  of: object;
  field: string;
  /** With the whole explanation, not only on hover. */
  full?: boolean;
}

/** Why a field has no value. */
export function whyAbsent(of: object, field: string): { short: string; long: string } {
  const map = "missing" in of ? (of.missing as MissingMap | null | undefined) : undefined;
  const missing = map && Object.hasOwn(map, field) ? map[field] : undefined;
  if (!missing && !(field in of)) {
    return { short: "not served", long: `This daemon does not serve \u201c${words(field)}\u201d.` };
  }
  const fix = missing?.fix ? ` To mend it: ${readable(missing.fix)}` : "";
  const detail = missing?.detail ? readable(missing.detail) : reasonText(missing);
  return { short: reasonText(missing), long: detail + fix };
}

export function Absent({ of, field, full }: AbsentProps) {
  const { short, long } = whyAbsent(of, field);
  if (full) return <span class="absent">{long}</span>;
  return (
    <span class="absent" title={long}>
      {short}
      <span class="sr">: {long}</span>
    </span>
  );
}

interface ValueProps<T> extends AbsentProps {
  value: T | null | undefined;
  children: (value: T) => ComponentChildren;
}

export function Value<T>({ value, children, ...absent }: ValueProps<T>) {
  if (value === null || value === undefined) return <Absent {...absent} />;
  return <>{children(value)}</>;
}
