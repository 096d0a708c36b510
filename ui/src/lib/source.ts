// Where the source of a frame can be read: the configured template, filled in with what the frame and the build
// information of its program tell. Without what the template asks for there is no address.

export interface SourceFrame {
  name: string;
  file: string | null;
  line: number | null;
}

/** What a program tells of its sources. */
export interface Build {
  package: string;
  module: string;
  module_version?: string | null;
  revision?: string | null;
}

interface Place {
  repository: string;
  commit: string | null;
  path: string;
}

/** Hosts whose repositories have two names; a module may be deeper inside of one. */
const TWO_NAMES = ["github.com", "bitbucket.org"];
/** A path of names, none of which leads out or away. */
const SAFE = /^[\w.~+-]+(\/[\w.~+-]+)*$/;

export function sourceUrl(template: string | null, frame: SourceFrame, build: Build | null): string | null {
  if (!template || !/^https?:\/\//.test(template) || !frame.file) return null;
  const place = build ? placeOf(frame, build) : null;
  const values: Record<string, string | null> = {
    repository: place ? place.repository : null,
    commit: place?.commit ? encodeURIComponent(place.commit) : null,
    path: place ? encoded(place.path) : null,
    file: encoded(frame.file.replace(/^\/+/, "")),
    line: frame.line ? String(frame.line) : null,
  };
  let complete = true;
  const url = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : null;
    if (!value) complete = false;
    return value ?? "";
  });
  return complete ? url : null;
}

function encoded(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** The package of a function: `a.b/c/pkg` of `a.b/c/pkg.(*T).Method[...]`. Dots in its last name are escaped. */
export function packageOf(name: string): string {
  const end = name.search(/[[(<]/);
  const head = end < 0 ? name : name.slice(0, end);
  const slash = head.lastIndexOf("/");
  const dot = head.indexOf(".", slash + 1);
  const found = dot < 0 ? head : head.slice(0, dot);
  return found.replaceAll("%2e", ".");
}

function placeOf(frame: SourceFrame, build: Build): Place | null {
  const file = frame.file ?? "";
  // Of another module: the directory of its sources carries its version, wherever they were kept.
  const kept = file.split("/pkg/mod/").at(-1) ?? file;
  const other = /^([^@]+)@([^/]+)\/(.+)$/.exec(kept);
  if (other?.[1] && other[2] && other[3]) return inModule(other[1], commitOf(other[2]), other[3]);
  const owner = packageOf(frame.name);
  const own = owner === "main" ? build.package : owner;
  if (own !== build.module && !own.startsWith(`${build.module}/`)) return null;
  const directory = own.slice(build.module.length + 1);
  const base = file.slice(file.lastIndexOf("/") + 1);
  const commit = build.revision ?? (build.module_version ? commitOf(build.module_version) : null);
  return inModule(build.module, commit, directory === "" ? base : `${directory}/${base}`);
}

function inModule(module: string, commit: string | null, path: string): Place | null {
  // The major version is a part of the path, not of the repository.
  const names = module.replace(/\/v\d+$/, "").split("/");
  const inside = TWO_NAMES.includes(names[0] ?? "") ? names.splice(3) : [];
  const repository = names.join("/");
  const whole = [...inside, path].join("/");
  const leadsOut = whole.split("/").includes("..") || names.includes("..");
  return SAFE.test(repository) && !leadsOut ? { repository, commit, path: whole } : null;
}

/** The tag of a version, or the commit inside of one that Go made up. */
function commitOf(version: string): string | null {
  const made =
    /-(?:0\.)?\d{14}-([0-9a-f]{12})(?:\+.*)?$/.exec(version) ??
    /\.\d{14}-([0-9a-f]{12})(?:\+.*)?$/.exec(version);
  if (made?.[1]) return made[1];
  return /^v\d/.test(version) ? version.replace(/\+.*$/, "") : null;
}
