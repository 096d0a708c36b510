import { describe, expect, it } from "vitest";
import {
  ago,
  bytes,
  chance,
  clock,
  count,
  duration,
  percent,
  quantity,
  signed,
  utc,
} from "../src/lib/format";

describe("bytes", () => {
  it.each([
    [0, "0 B"],
    [1, "1 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1024 * 1024 - 1, "1.0 MiB"],
    [256 * 2 ** 20, "256 MiB"],
    [1.5 * 2 ** 30, "1.5 GiB"],
    [-1.5 * 2 ** 30, "\u22121.5 GiB"],
    [-0.2, "0 B"],
    [2 ** 63, "8.0 EiB"],
    [Number.NaN, "not a number"],
  ])("%d is %s", (value, text) => expect(bytes(value)).toBe(text));
});

describe("signs", () => {
  it("shows that something did not change", () => expect(signed(0, "bytes")).toBe("\u00b10 B"));
  it("tells growth from shrinkage without colour", () => {
    expect(signed(3 * 2 ** 20, "bytes")).toBe("+3.0 MiB");
    expect(signed(-2, "goroutines")).toBe("\u22122 goroutines");
  });
  it("knows the units of the API", () => {
    expect(quantity(1024, "bytes_per_second")).toBe("1.0 KiB/s");
    expect(quantity(90, "seconds")).toBe("1 min 30 s");
    expect(quantity(0.5, "ratio")).toBe("50 %");
    expect(quantity(12345, "objects")).toBe("12,345 objects");
  });
});

describe("percent", () => {
  it.each([
    [0, "0 %"],
    [0.004, "< 1 %"],
    [0.971, "97 %"],
    [0.9999, "> 99 %"],
    [1, "100 %"],
  ])("%d is %s", (value, text) => expect(percent(value)).toBe(text));
});

describe("chance", () => {
  it.each([
    [0, "< 1 %"],
    [0.5, "50 %"],
    [1, "> 99 %"],
  ])("%d is %s", (value, text) => expect(chance(value)).toBe(text));
});

describe("duration", () => {
  it.each([
    [0, "0 s"],
    [0.25, "250 ms"],
    [59.6, "1 min"],
    [61, "1 min 1 s"],
    [3599, "1 h"],
    [5400, "1 h 30 min"],
    [86400 * 3 + 3600, "3 d 1 h"],
    [Number.POSITIVE_INFINITY, "not a number"],
  ])("%d is %s", (value, text) => expect(duration(value)).toBe(text));
});

describe("times", () => {
  const now = new Date("2026-11-29T12:00:00Z");
  it("names the date only when it is another day", () => {
    expect(clock(new Date(now.getTime() - 1000), now)).toMatch(/^\d\d:\d\d:\d\d$/);
    expect(clock(new Date("2026-01-02T12:00:00Z"), now)).toContain("2 Jan 2026");
  });
  it("has UTC beside the viewer's zone", () => expect(utc(now)).toBe("2026-11-29 12:00:00 UTC"));
  it("survives what is no time", () => expect(utc(new Date("x"))).toBe("invalid time"));
  it("tells how long ago", () => expect(ago(new Date("2026-11-29T11:00:00Z"), now)).toBe("1 h ago"));
});

it("counts with separators", () => expect(count(-1234567)).toBe("\u22121,234,567"));
