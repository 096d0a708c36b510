import { render } from "preact";
import { describe, expect, it } from "vitest";
import type { Verdict } from "../src/api/model";
import { sureness } from "../src/parts/frame";
import { EvidenceList, VerdictCard } from "../src/views/verdict";

const GROWING: Verdict = {
  class: "growing",
  confidence: null,
  leak_probability: 0.42,
  limit_probability: { "24h": 0.93, "1h": 0.1, "6h": 0.55 },
  decided_by: [{ what: "the run before levelled off after 3 h", at: "2026-11-29T12:00:00Z" }],
  summary: "it grows",
  since: "2026-11-29T10:00:00Z",
  growth_bytes_per_second: 1024,
  time_to_limit_seconds: { p10: 60, p50: 120, p90: null, missing: {} },
  culprit: {
    function: "main.<script>",
    file: "/src/a.go",
    line: 7,
    share_of_growth: null,
    growth_bytes: { estimate: 2048, low: 1024, high: 4096 },
    growth_goroutines: null,
    stack: ["main.f"],
    missing: {},
  },
  evidence: [],
  rejected: [],
  advice: [],
  recommended_limit_bytes: null,
  would_change_our_mind: [],
  missing: { recommended_limit_bytes: { reason: "not_yet", detail: "the need is not known yet", fix: null } },
};

function text(node: preact.ComponentChild): string {
  const holder = document.createElement("div");
  render(node, holder);
  expect(holder.querySelector("script")).toBeNull();
  return holder.textContent ?? "";
}

describe("how sure a verdict is", () => {
  it.each([
    ["stable", 0.97, "97 % sure"],
    ["not_enough_data", 0.5, null],
    ["growing", null, "42 % likely a leak"],
  ])("%s", (name, confidence, told) => {
    expect(sureness({ ...GROWING, class: name, confidence })).toBe(told);
  });
});

describe("a verdict", () => {
  it("of growth shows its probabilities and what will decide it", () => {
    const shown = text(<VerdictCard verdict={GROWING} />);
    expect(shown).toContain("42 % likely a leak");
    expect(shown).toMatch(/1h: 10 %.*6h: 55 %.*24h: 93 %/);
    expect(shown).toContain("levelled off after 3 h");
    expect(shown).toContain("2 min1 min to never");
    expect(shown).toContain("the need is not known yet");
    expect(shown).toContain("a.go:7");
  });
  it("of a daemon that serves none of that says so", () => {
    const { leak_probability, limit_probability, decided_by, ...old } = GROWING;
    expect([leak_probability, limit_probability, decided_by]).not.toContain(undefined);
    expect(text(<VerdictCard verdict={old} />).match(/not served/g)).toHaveLength(3);
  });
  it("of a daemon with fields that nobody knows is shown all the same", () => {
    const odd = { ...GROWING, class: "quantum_leak", confidence: 0.5, future: { a: 1 } };
    expect(text(<VerdictCard verdict={odd} />)).toContain("Quantum leak");
  });
});

describe("evidence", () => {
  const claim = { claim: "c", value: 0, unit: "bytes", link: null, missing: {} };
  it("speaks for or against", () => {
    const shown = text(
      <EvidenceList
        title="Evidence"
        target="t"
        evidence={[
          { ...claim, weight: 1.4 },
          { ...claim, weight: -2.9 },
          { ...claim, weight: null },
        ]}
      />,
    );
    expect(shown).toContain("for +1.4");
    expect(shown).toContain("against \u22122.9");
    expect(shown).toContain("describes");
    expect(shown).toContain("0 B");
  });
  it("without weights only describes", () => {
    const shown = text(<EvidenceList title="Evidence" target="t" evidence={[claim]} />);
    expect(shown).toContain("0 B");
    expect(shown).not.toMatch(/for |against /);
  });
});
