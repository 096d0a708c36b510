import { describe, expect, it } from "vitest";
import { parseHash, patchQuery, route, toHash } from "../src/lib/url";

describe("the address", () => {
  it.each([
    [["targets", "a/b?c#d"], { type: "heap", q: "x&y=z" }],
    [["services", "\u202eevil <b>"], {}],
    [[], { q: "100 %" }],
  ])("survives a round trip: %j %j", (path, query) => {
    const parsed = parseHash(toHash(path, query));
    expect(parsed.path).toEqual(path);
    expect({ ...parsed.query }).toEqual(query);
  });
  it("leaves out what is not set", () => {
    expect(toHash(["x"], { a: null, b: undefined, c: "", d: false, e: true, f: 0 })).toBe("#/x?e=1&f=0");
  });
  it("takes a broken escape as it is", () => {
    expect(parseHash("#/targets/%zz?q=%").path).toEqual(["targets", "%zz"]);
    expect(parseHash("#/targets/%zz?q=%").query.q).toBe("%");
  });
  it("does not mistake names of objects for parameters", () => {
    expect(parseHash("#/?constructor=1").query.constructor).toBe("1");
    expect(parseHash("#/").query.toString).toBeUndefined();
  });
  it("changes one parameter and keeps the others", () => {
    location.hash = "";
    route.set(parseHash("#/targets/t1/flame?type=heap&q=a"));
    patchQuery({ q: "b", invert: true });
    expect(location.hash).toBe("#/targets/t1/flame?type=heap&q=b&invert=1");
    expect(route.get().query.q).toBe("b");
  });
});
