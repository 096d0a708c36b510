// Links to source lines, for all frames below a target: `[source] url_template` of the daemon, filled in.

import { type ComponentChildren, createContext } from "preact";
import { useContext } from "preact/hooks";
import { BASE } from "../api/client";
import type { Status, Target } from "../api/model";
import { useResource } from "../api/resource";
import { type Build, sourceUrl } from "../lib/source";

interface Sources {
  template: string | null;
  build: (Build & { modified?: boolean | null }) | null;
}

const Context = createContext<Sources>({ template: null, build: null });

/** The build of the largest process that tells one. */
export function buildOf(target: Pick<Target, "processes"> | null | undefined): Sources["build"] {
  return target?.processes.find((process) => process.build)?.build ?? null;
}

interface SourcesProps {
  target: Pick<Target, "processes"> | null | undefined;
  children: ComponentChildren;
}

export function SourcesOf({ target, children }: SourcesProps) {
  const status = useResource<Status>(`${BASE}/status`);
  // An older daemon has no such setting.
  const template = status.data?.source?.url_template ?? null;
  return <Context.Provider value={{ template, build: buildOf(target) }}>{children}</Context.Provider>;
}

interface LinkProps {
  name: string;
  file: string | null | undefined;
  line: number | null | undefined;
  children: ComponentChildren;
}

/** Its content, as a link where the source can be read. */
export function SourceLink({ name, file, line, children }: LinkProps) {
  const { template, build } = useContext(Context);
  const url = sourceUrl(template, { name, file: file ?? null, line: line ?? null }, build);
  if (url === null) return <>{children}</>;
  const changed = build?.modified ? "; it was built with changes that are not in this commit" : "";
  return (
    <a href={url} target="_blank" rel="noopener noreferrer" title={`Source: ${url}${changed}`}>
      {children}
    </a>
  );
}
