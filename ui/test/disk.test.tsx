import type { ComponentChildren } from "preact";
import { render } from "preact";
import { describe, expect, it } from "vitest";
import type { Status } from "../src/api/model";
import { Disk, Reload } from "../src/views/disk";

const held = {
  state: "written",
  bytes: 3 << 20,
  max_bytes: 1 << 30,
  written_bytes: 5 << 20,
  pinned: 0,
  pinned_bytes: 0,
  tiers: [{ name: "raw", bytes: 2 << 20, partitions: 4 }],
  notes: ["a damaged file was set aside"],
};
function text(content: ComponentChildren): string {
  const holder = document.createElement("div");
  render(content, holder);
  return holder.textContent ?? "";
}

const shown = (disk: object | null, missing = {}) =>
  text(<Disk store={{ disk, missing } as unknown as Status["store"]} />);

describe("history on disk", () => {
  it("says what is held, and what happened to it", () => {
    const all = shown(held);
    expect(all).toMatch(/3.0 MiB of at most 1.0 GiB/);
    expect(all).toContain("every sample");
    expect(all).toContain("nothing yet");
    expect(all).toContain("a damaged file was set aside");
    expect(all).not.toContain("pinned");
    expect(shown({ ...held, pinned: 2, pinned_bytes: 1 << 20 })).toContain(
      "2 OOM kills are pinned and stay, with 1.0 MiB.",
    );
  });

  it("says why nothing is written", () => {
    expect(shown({ ...held, state: "suspended", suspended_because: "no space left" })).toContain(
      "Nothing is written: no space left",
    );
    expect(shown(null, { disk: { reason: "not_configured", detail: "no state directory" } })).toContain(
      "no state directory",
    );
  });
});

describe("a reload", () => {
  it("says why it was refused, and what waits for a restart", () => {
    const reload = { at: "2026-11-29T00:00:00Z", applied: [], need_restart: ["listen"], missing: {} };
    expect(text(<Reload reload={{ ...reload, refused: "unknown key" }} />)).toContain("unknown key");
    expect(text(<Reload reload={{ ...reload, refused: null }} />)).toContain("After a restart: listen");
  });
});
