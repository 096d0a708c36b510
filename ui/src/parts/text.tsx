// Small pieces of text: names, times, places in code, copy buttons.

import { useEffect, useRef, useState } from "preact/hooks";
import { copy } from "../lib/clipboard";
import { ago, clock, utc } from "../lib/format";
import { fileName, readable, shortFunction } from "../lib/text";
import { SourceLink } from "./source";

/** A name from a process, profile or container: only ever text, whatever it holds. */
export function Name({ text, max = 120 }: { text: string; max?: number }) {
  const shown = readable(text, max);
  return (
    <bdi class="name" title={shown === text ? undefined : readable(text, 1000)}>
      {shown || "(no name)"}
    </bdi>
  );
}

export function Instant({ at, relative }: { at: string; relative?: boolean }) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return <span class="absent">invalid time</span>;
  return (
    <time dateTime={at} title={`${clock(date)} here, ${utc(date)}`}>
      {relative ? ago(date) : clock(date)}
    </time>
  );
}

interface PlaceProps {
  name: string;
  file?: string | null | undefined;
  line?: number | null | undefined;
  long?: boolean;
  /** Inside of a button or of what a mouse cannot reach there are no links. */
  plain?: boolean;
}

/** A function with its source line, which leads to the source where that is configured. */
export function Place({ name, file, line, long, plain }: PlaceProps) {
  const title = readable(`${name}${file ? `\n${file}${line ? `:${line}` : ""}` : ""}`, 1000);
  return (
    <span class="place" title={title}>
      <code>{readable(long ? name : shortFunction(name), long ? 400 : 90)}</code>
      {file ? (
        <span class="file">
          {" "}
          {plain ? where(file, line) : <SourceLink {...{ name, file, line }}>{where(file, line)}</SourceLink>}
        </span>
      ) : null}
    </span>
  );
}

function where(file: string, line: number | null | undefined): string {
  return readable(fileName(file), 80) + (line ? `:${line}` : "");
}

/** Copies a text; works without a secure context, too. */
export function Copy({ text, what = "Copy" }: { text: string; what?: string }) {
  const [state, setState] = useState<"" | "Copied" | "Not copied">("");
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const run = async () => {
    setState((await copy(text)) ? "Copied" : "Not copied");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setState(""), 1500);
  };
  return (
    <button type="button" class="copy" onClick={run}>
      {state || what}
      <span class="sr" aria-live="polite">
        {state}
      </span>
    </button>
  );
}

/** A command or address with its copy button. */
export function Command({ text }: { text: string }) {
  return (
    <div class="command">
      <code>{text}</code>
      <Copy text={text} />
    </div>
  );
}
