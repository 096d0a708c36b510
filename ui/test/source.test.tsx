import { describe, expect, it } from "vitest";
import { type Build, packageOf, sourceUrl } from "../src/lib/source";

const TEMPLATE = "https://{repository}/blob/{commit}/{path}#L{line}";
const BUILD: Build = {
  package: "github.com/acme/shop/cmd/shop",
  module: "github.com/acme/shop",
  module_version: "(devel)",
  revision: "8f2d31c7",
};
const frame = (name: string, file: string | null, line: number | null = 35) => ({ name, file, line });

describe("the address of a source line", () => {
  it.each([
    ["main.run", "/home/me/shop/cmd/shop/main.go", "blob/8f2d31c7/cmd/shop/main.go#L35"],
    ["github.com/acme/shop/cache.(*Store).Put", "/build/cache/store.go", "blob/8f2d31c7/cache/store.go#L35"],
    ["github.com/acme/shop.Run[...]", "github.com/acme/shop/run.go", "blob/8f2d31c7/run.go#L35"],
  ])("of %s is in its own repository", (name, file, end) => {
    expect(sourceUrl(TEMPLATE, frame(name, file), BUILD)).toBe(`https://github.com/acme/shop/${end}`);
  });
  it.each([
    ["/go/pkg/mod/github.com/x/y@v1.2.3/z/z.go", "github.com/x/y/blob/v1.2.3/z/z.go"],
    ["github.com/x/y/v4@v4.0.1+incompatible/z.go", "github.com/x/y/blob/v4.0.1/z.go"],
    [
      "github.com/x/y/sub@v0.0.0-20200102030405-0123456789ab/z.go",
      "github.com/x/y/blob/0123456789ab/sub/z.go",
    ],
    [
      "git.example.org/a/b/c@v1.2.4-0.20200102030405-0123456789ab/z.go",
      "git.example.org/a/b/c/blob/0123456789ab/z.go",
    ],
  ])("of another module, %s, is in that one's repository", (file, end) => {
    expect(sourceUrl(TEMPLATE, frame("dep.F", file), BUILD)).toBe(`https://${end}#L35`);
  });
  it("takes the version of the main module where no commit was recorded", () => {
    const build = { ...BUILD, revision: null, module_version: "v1.4.0" };
    expect(sourceUrl(TEMPLATE, frame("main.run", "main.go"), build)).toContain(
      "/blob/v1.4.0/cmd/shop/main.go",
    );
  });
  it.each([
    ["nothing is configured", null, frame("main.run", "main.go"), BUILD],
    ["the profile has no file", TEMPLATE, frame("main.run", null), BUILD],
    ["the profile has no line", TEMPLATE, frame("main.run", "main.go", null), BUILD],
    ["the program tells no build", TEMPLATE, frame("main.run", "main.go"), null],
    [
      "the function is of the standard library",
      TEMPLATE,
      frame("net/http.Get", "/go/src/net/http/client.go"),
      BUILD,
    ],
    ["no commit is known", TEMPLATE, frame("main.run", "main.go"), { ...BUILD, revision: null }],
    ["another module only begins alike", TEMPLATE, frame("github.com/acme/shopping.F", "f.go"), BUILD],
    ["the template is no address of the web", "javascript:{line}", frame("main.run", "main.go"), BUILD],
    ["it has a place that nobody knows", "https://h/{branch}/{line}", frame("main.run", "main.go"), BUILD],
    ["a place is called like a property", "https://h/{constructor}", frame("main.run", "main.go"), BUILD],
  ])("does not exist where %s", (_, template, of, build) => {
    expect(sourceUrl(template, of, build)).toBeNull();
  });
  it("needs no build where the template asks for none", () => {
    expect(sourceUrl("https://git/all/{file}?l={line}", frame("f", "/src/a b/c#.c", 7), null)).toBe(
      "https://git/all/src/a%20b/c%23.c?l=7",
    );
  });
  it("does not lead where a hostile program wants it to", () => {
    for (const module of ["user@evil.example/x", "evil.example:99/x", "a/../b", "a//b", "", "x y/z"]) {
      const build = { ...BUILD, module, package: module };
      expect(sourceUrl(TEMPLATE, frame("main.run", "main.go"), build)).toBeNull();
    }
    for (const file of ["github.com/x/y@v1.2.3/../../../evil/z.go", "github.com/x/y@v1.2.3/a/../../z.go"]) {
      expect(sourceUrl(TEMPLATE, frame("dep.F", file), BUILD)).toBeNull();
    }
    const build = { ...BUILD, revision: "../../evil?x#" };
    expect(sourceUrl(TEMPLATE, frame("main.run", 'a"><b>.go'), build)).toBe(
      "https://github.com/acme/shop/blob/..%2F..%2Fevil%3Fx%23/cmd/shop/a%22%3E%3Cb%3E.go#L35",
    );
  });
});

describe("the package of a function", () => {
  it.each([
    ["main.main", "main"],
    ["a.b/c/pkg.(*T[go.shape.int]).Method", "a.b/c/pkg"],
    ["gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml.v3"],
    ["malloc", "malloc"],
  ])("%s is of %s", (name, owner) => expect(packageOf(name)).toBe(owner));
});
