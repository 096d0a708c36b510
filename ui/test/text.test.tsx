import { render } from "preact";
import { describe, expect, it } from "vitest";
import { place, readable, shortFunction } from "../src/lib/text";
import { Name, Place } from "../src/parts/text";

const HOSTILE = [
  "<img src=x onerror=alert(1)>",
  "</script><script>alert(1)</script>",
  "javascript:alert(1)",
  "{{constructor.constructor('alert(1)')()}}",
  "\u202egnp.exe",
  "a\u0000b\u001b[31m",
  "x".repeat(4096),
  "\ud800broken",
  "\u05e9\u05dc\u05d5\u05dd/\u0645\u0631\u062d\u0628\u0627",
];

function html(node: preact.ComponentChild): HTMLElement {
  const holder = document.createElement("div");
  render(node, holder);
  return holder;
}

describe("hostile names", () => {
  it.each(HOSTILE)("%j is text and nothing else", (name) => {
    const holder = html(
      <div>
        <Name text={name} />
        <Place name={name} file={name} line={1} />
      </div>,
    );
    expect(holder.querySelectorAll("img, script, a").length).toBe(0);
    expect(holder.textContent?.length).toBeLessThan(700);
  });
  it("shows what would be invisible or change the direction", () => {
    expect(readable("a\u202eb\u0000c\u200bd")).toBe("a\u27e8U+202E\u27e9b\u2400c\u27e8U+200B\u27e9d");
    expect(readable("\ud800x")).toBe("\ufffdx");
    expect(readable("\ud83d\ude00")).toBe("\ud83d\ude00");
  });
  it("cuts endless names", () => expect(readable("x".repeat(5000), 10)).toBe(`${"x".repeat(9)}\u2026`));
});

describe("functions", () => {
  it.each([
    ["main.main", "main.main"],
    ["github.com/a/b/pkg.(*T).Method", "pkg.(*T).Method"],
    ["example.com/x.F[github.com/a/b.T]", "x.F[github.com/a/b.T]"],
    ["std::vec::Vec<a/b>::push", "std::vec::Vec<a/b>::push"],
  ])("%s is %s for short", (name, short) => expect(shortFunction(name)).toBe(short));
  it("names a place", () => {
    expect(place("/src/x/markets.go", 35)).toBe("markets.go:35");
    expect(place(null, 35)).toBeNull();
  });
});
