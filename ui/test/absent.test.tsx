import { render } from "preact";
import { describe, expect, it } from "vitest";
import { Value, whyAbsent } from "../src/parts/absent";

function text(node: preact.ComponentChild): string {
  const holder = document.createElement("div");
  render(node, holder);
  return holder.textContent ?? "";
}

describe("what is missing", () => {
  const body = {
    limit_bytes: null,
    swap_bytes: null,
    missing: {
      limit_bytes: { reason: "not_permitted" as const, detail: "memory.max: EACCES", fix: "run as root" },
    },
  };
  it("says the reason and how to mend it, never 0", () => {
    const shown = text(
      <Value value={body.limit_bytes} of={body} field="limit_bytes" full>
        {(value) => <>{value}</>}
      </Value>,
    );
    expect(shown).toContain("memory.max: EACCES");
    expect(shown).toContain("run as root");
    expect(shown).not.toMatch(/\b0\b/);
  });
  it("tells a field that has no reason from one that is not served", () => {
    expect(whyAbsent(body, "swap_bytes").short).toBe("no reason given");
    expect(whyAbsent(body, "leak_probability").short).toBe("not served");
  });
  it("survives reasons that it does not know", () => {
    const odd = { x: null, missing: { x: { reason: "solar_flare", detail: "" } } };
    expect(whyAbsent(odd, "x").short).toBe("solar flare");
    expect(whyAbsent({ x: null, missing: null }, "x").short).toBe("no reason given");
    expect(whyAbsent({ toString: null, missing: {} }, "toString").short).toBe("no reason given");
  });
  it("shows a zero that was measured", () => {
    expect(
      text(
        <Value value={0} of={body} field="swap_bytes">
          {(value) => <>{value}</>}
        </Value>,
      ),
    ).toBe("0");
  });
});
