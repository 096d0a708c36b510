// Names come from processes and profiles of others and may hold anything. They reach the document as text nodes only;
// here they are made readable: no control characters, no changes of direction, no endless lines.

// Control characters, and what changes the direction or is invisible.
const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
// Half of a pair without the other.
const BROKEN = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function visible(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

/** Every hidden character shown, at most `max` characters. */
export function readable(text: string, max = 400): string {
  const cut = text.length > max ? `${text.slice(0, max - 1)}\u2026` : text;
  return cut.replace(HIDDEN, visible).replace(BROKEN, "\ufffd");
}

/** The end of a path is what tells files apart. */
export function fileName(path: string): string {
  const parts = path.split("/");
  return parts[parts.length - 1] || path;
}

/** `pkg.(*T).Method` of `host/owner/pkg.(*T).Method`. */
export function shortFunction(name: string): string {
  // Slashes inside of type parameters do not count.
  const end = name.search(/[[<(]/);
  const head = end < 0 ? name : name.slice(0, end);
  return name.slice(head.lastIndexOf("/") + 1);
}

export function place(file: string | null | undefined, line: number | null | undefined): string | null {
  if (!file) return null;
  return line ? `${fileName(file)}:${line}` : fileName(file);
}

/** A field's name as words. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
