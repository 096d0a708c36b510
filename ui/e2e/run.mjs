// The page in a real browser against a real daemon:
// `npm run e2e -- URL [--token TOKEN] [--no-kill] [--hostile] [--versions] [--shots DIR]`.
//
// The daemon has to watch at least one target with a leak in Go; the test waits until its place is named, and for an
// OOM kill unless `--no-kill` says that there will be none. With `--hostile` the killed program's name is markup, with
// `--versions` another build of it runs since.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { open } from "./browser.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Classes that name the place of a leak in Go. */
const CLASSES = ["go_heap_leak", "growing"];
const WAIT_MS = 300_000;
const ACTION_MS = 20_000;
/** Time that a check needs at most. */
const LEFT_SECONDS = 90;
const WIDTHS = [360, 768, 1440];

const options = process.argv.slice(2);
const url = options.find((option) => option.startsWith("http"))?.replace(/\/$/, "");
const after = (name) => (options.includes(name) ? options[options.indexOf(name) + 1] : null);
const shots = after("--shots") ?? process.env.SHOTS;
const token = after("--token");
const wantsKill = !options.includes("--no-kill");
const hostile = options.includes("--hostile");
const versions = options.includes("--versions");
if (!url) {
  console.error(
    "usage: npm run e2e -- http://HOST:PORT [--token TOKEN] [--no-kill] [--hostile] [--versions] [--shots DIR]",
  );
  process.exit(2);
}

async function api(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(`${url}/api/v1${path}`, { headers });
  assert.ok(response.ok, `${path}: ${response.status}`);
  return response.json();
}

/** Asks until there is an answer. */
async function until(what, ask) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const found = await ask();
    if (found) return found;
    assert.ok(Date.now() < end, `not within ${WAIT_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

/** A leak in Go whose place is named and will stay for as long as a check takes: a kill starts everything anew. */
async function leakingTarget() {
  const { items } = await api("/targets?limit=1000");
  const leaks = items
    .filter(({ verdict }) => CLASSES.includes(verdict?.class) && verdict.culprit?.line)
    .filter(({ verdict }) => (verdict.time_to_limit_seconds?.p50 ?? Infinity) > LEFT_SECONDS);
  return leaks.sort((a, b) => CLASSES.indexOf(a.verdict.class) - CLASSES.indexOf(b.verdict.class))[0] ?? null;
}

/** One that is found in the live heap: a no to that question takes its place away. */
async function heapLeak() {
  const found = await leakingTarget();
  if (!found) return null;
  const { steps } = await api(`/targets/${found.id}/investigation`);
  return steps.some(({ id, answer }) => id === "live_heap" && answer === "yes") ? found : null;
}

const leak = () => until("a leak in Go with its line, some time before its limit", leakingTarget);

let passed = 0;
let failed = 0;
async function check(name, run) {
  try {
    await run();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n        ${error instanceof Error ? error.message : error}`);
  }
}

async function violations(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const told = found.violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .map(({ html, failureSummary }) => `${html.slice(0, 200)} (${failureSummary})`)
        .slice(0, 3)
        .join("; ")}`,
  );
  assert.deepEqual(told, [], where);
}

const kill = wantsKill
  ? await until(
      "an OOM kill",
      async () => (await api("/oom_kills?limit=100")).items.find((found) => found.target) ?? null,
    )
  : null;
let target = await leak();
const { context, close } = await open();
const page = await context.newPage();
page.setDefaultTimeout(ACTION_MS);
const complaints = [];
page.on("pageerror", (error) => complaints.push(String(error.stack)));
page.on("console", (message) => {
  if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
    complaints.push(message.text());
});
page.on("response", (response) => {
  if (token && response.status() === 401) return;
  if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`);
});
const outside = [];
page.on("request", (request) => {
  if (!request.url().startsWith(url) && !request.url().startsWith("data:")) outside.push(request.url());
});

/** The class of the verdict, and the place that it names. */
const CONCLUSION = [".verdict .badge", "#culprit .culprit-line"];
const conclusion = () =>
  page.evaluate(
    (parts) => parts.map((part) => document.querySelector(part)?.textContent ?? "").join(),
    CONCLUSION,
  );

await check("the page comes with a policy that allows nothing from elsewhere", async () => {
  const answer = await page.goto(`${url}/`);
  const policy = answer.headers()["content-security-policy"] ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:/);
});

if (token) {
  await check("a token is asked for, a wrong one refused, and the right one opens the page", async () => {
    const input = page.getByLabel(/wants a token/);
    await input.fill("wrong");
    await page.getByRole("button", { name: "Use token" }).click();
    await page.getByText("was refused").waitFor();
    await input.fill(token);
    await page.getByRole("button", { name: "Use token" }).click();
    await page.locator(".targets").waitFor();
    assert.equal(await page.locator("form.token").count(), 0);
  });
}

await check("one click from the overview to the culprit line", async () => {
  target = await leak();
  const { file, line, function: name } = target.verdict.culprit;
  await page.goto(`${url}/#/`);
  await page.locator(`.targets a[href="#/targets/${target.id}"]`).click();
  const culprit = page.locator("#culprit .culprit-line");
  await culprit.waitFor();
  const text = await culprit.textContent();
  assert.ok(text.includes(name), text);
  assert.ok(text.includes(`${file.split("/").pop()}:${line}`), text);
});

const { source } = await api("/status");
if (source?.url_template) {
  await check("a place in the code leads to its source", async () => {
    target = await leak();
    const { file, line } = target.verdict.culprit;
    await page.goto(`${url}/#/targets/${target.id}`);
    const link = page.locator("#culprit .culprit-line .file a");
    await link.waitFor();
    const href = await link.getAttribute("href");
    assert.ok(href.startsWith(source.url_template.split("{")[0]), href);
    assert.ok(href.includes(file.split("/").pop()) && href.endsWith(String(line)), href);
    await page.goto(`${url}/#/targets/${target.id}/flame?mode=table`);
    await page.locator('.functions a[target="_blank"]').first().waitFor();
  });
}

await check("the flame graph of the step shows growth in orange", async () => {
  target = await leak();
  await page.goto(`${url}/#/targets/${target.id}`);
  await page.locator("#culprit").waitFor();
  await page.locator("#step-live_heap").scrollIntoViewIfNeeded();
  const canvas = page.locator("#step-live_heap .flame-canvas");
  await canvas.waitFor();
  const found = await until("orange frames", () =>
    canvas.evaluate((element) => {
      const { data } = element.getContext("2d").getImageData(0, 0, element.width, element.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4)
        if (data[at] > 200 && data[at + 1] < 160 && data[at + 2] < 60) count += 1;
      return count;
    }),
  );
  assert.ok(found > 500, `${found} orange pixels`);
});

async function answer(id, step, value) {
  const headers = {
    "Content-Type": "application/json",
    ...(token ? { Authorization: `Bearer ${token}` } : {}),
  };
  const body = JSON.stringify({ step, answer: value });
  await fetch(`${url}/api/v1/targets/${id}/investigation/answers`, { method: "POST", headers, body });
}

async function overrule() {
  const before = await conclusion();
  const step = page.locator("#step-live_heap");
  await step.getByRole("button", { name: "No", exact: true }).click();
  await step.getByRole("button", { name: "Undo" }).waitFor();
  const overruled = await conclusion();
  assert.notEqual(overruled, before);
  await page.locator(".overruled").waitFor();
  await step.getByRole("button", { name: "Undo" }).click();
  await page.waitForFunction(
    ([parts, text]) => parts.map((part) => document.querySelector(part)?.textContent ?? "").join() === text,
    [CONCLUSION, before],
  );
  await page.locator(".overruled").waitFor({ state: "detached" });
}

await check("overruling an answer changes the conclusion, and undoing restores it", async () => {
  target = await until("a leak of the live heap", heapLeak);
  await page.goto(`${url}/#/targets/${target.id}`);
  await page.locator("#culprit").waitFor();
  try {
    await overrule();
  } finally {
    // Whatever happened: an answer that stays would change what the next checks see.
    await answer(target.id, "live_heap", null);
  }
});

await check("the keyboard reaches the culprit from the overview", async () => {
  target = await leak();
  await page.goto(`${url}/#/`);
  await page.locator(`.targets a[href="#/targets/${target.id}"]`).waitFor();
  const wanted = `#/targets/${target.id}`;
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press("Tab");
    if ((await page.evaluate(() => document.activeElement?.getAttribute("href"))) === wanted) break;
  }
  await page.keyboard.press("Enter");
  await page.locator("#culprit").waitFor();
});

await check("the flame graph works by keyboard, and its state is in the address", async () => {
  target = await leak();
  await page.goto(`${url}/#/targets/${target.id}/flame?mode=combined`);
  const graph = page.getByRole("application").first();
  await graph.focus();
  for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "Enter"]) await page.keyboard.press(key);
  await page.waitForFunction(() => location.hash.includes("zoom="));
  assert.ok((await page.locator(".frame-details").textContent()).length > 10);
  const address = page.url();
  await page.reload();
  await page.getByText("Zoomed to").waitFor();
  assert.equal(page.url(), address);
  await page.getByRole("application").first().focus();
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !location.hash.includes("zoom="));
});

await check("brushing the memory chart chooses the two instants", async () => {
  target = await leak();
  await page.goto(`${url}/#/targets/${target.id}/flame`);
  const chart = page.locator(".u-over").first();
  await chart.waitFor();
  await page.locator(".flame-canvas").first().waitFor();
  // What comes in beside the chart moves it: whoever misses it drags again.
  for (let drags = 1; ; drags += 1) {
    // The page stays scrolled where the check before left it.
    await chart.scrollIntoViewIfNeeded();
    const box = await chart.boundingBox();
    await page.mouse.move(box.x + box.width * 0.15, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.9, box.y + box.height / 2, { steps: 8 });
    await page.mouse.up();
    const chosen = page.waitForFunction(
      () => location.hash.includes("base=") && location.hash.includes("compare="),
      null,
      { timeout: ACTION_MS / 4 },
    );
    if (await (drags < 4 ? chosen.catch(() => null) : chosen)) break;
  }
});

await check("search, table and focus agree on the culprit", async () => {
  target = await leak();
  const name = target.verdict.culprit.function;
  await page.goto(`${url}/#/targets/${target.id}/flame?mode=table&q=${encodeURIComponent(name)}`);
  const row = page.locator(".functions tbody tr").first();
  await row.waitFor();
  assert.match(await row.textContent(), /\+/);
  await row.getByRole("button").click();
  await page.waitForFunction((text) => decodeURIComponent(location.hash).includes(`focus=${text}`), name);
});

if (kill) {
  await check("an OOM kill's mark on the chart leads to its post-mortem", async () => {
    await page.goto(`${url}/#/targets/${kill.target}`);
    const mark = page.locator("a.mark.oom").first();
    await mark.waitFor();
    await mark.click();
    await page.getByRole("heading", { name: /OOM kill of/ }).waitFor();
    assert.match(page.url(), /#\/oom\//);
    await page.getByRole("heading", { name: "Who was killed, and why them" }).waitFor();
  });
}

const HOSTILE = [
  "<img src=x onerror=hostile=1>",
  "\u202egnp.exe",
  "a\u0000\u001b[31mb",
  "\u05e9\u05dc\u05d5\u05dd",
  "x".repeat(4_096),
];

await check("names in profiles are text, whatever they hold", async () => {
  target = await leak();
  await page.route(/\/diff\?/, async (route) => {
    const response = await route.fetch();
    const json = await response.json();
    const nodes = [...json.tree.children];
    for (let at = 0; at < nodes.length; at += 1) nodes.push(...nodes[at].children);
    nodes.forEach((node, at) => {
      if (at < 50) node.name = node.file = HOSTILE[at % HOSTILE.length];
    });
    await route.fulfill({ response, json });
  });
  for (const mode of ["combined", "table"]) {
    await page.goto(`${url}/#/targets/${target.id}/flame?mode=${mode}`);
    await page.reload();
    await page
      .locator(mode === "table" ? ".functions tbody tr" : ".flame-canvas")
      .first()
      .waitFor();
    assert.equal(await page.locator("main img, main script").count(), 0);
    assert.ok((await page.locator("main").textContent()).length < 20_000);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${wide} px too wide`);
  }
  await page.getByText("<img src=x", { exact: false }).first().waitFor();
  await page.unroute(/\/diff\?/);
});

await check("what is missing, and what the page does not know, is said and no zero", async () => {
  await page.route(/\/targets\?/, async (route) => {
    const response = await route.fetch();
    const json = await response.json();
    const [first] = json.items;
    Object.assign(first, {
      name: "odd-answer",
      gone_at: null,
      a_new_field: { of: ["a", "later", "version"] },
    });
    Object.assign(first.memory, { charge_bytes: null, unreclaimable_bytes: null });
    first.memory.missing = {
      charge_bytes: { reason: "not_permitted", detail: "permission denied", fix: "run as root" },
    };
    Object.assign(first.verdict ?? {}, { class: "quantum_leak" });
    await route.fulfill({ response, json });
  });
  await page.goto(`${url}/#/?q=odd-answer`);
  await page.reload();
  const row = page.locator(".targets tbody tr").first();
  await row.getByText("odd-answer").waitFor();
  const memory = await row.locator(".memory-numbers").textContent();
  assert.match(memory, /not permitted.*permission denied.*run as root/);
  assert.doesNotMatch(memory, /0 B/);
  await row.getByText("Quantum leak").waitFor();
  await page.unroute(/\/targets\?/);
});

if (kill && hostile) {
  await check("names that are markup are shown as text, and do nothing", async () => {
    const { name, service, processes } = await api(`/targets/${kill.target}`);
    assert.match(name + service, /<img/, "the victim is not the hostile one");
    for (const hash of [
      "#/",
      `#/services/${encodeURIComponent(service)}`,
      `#/targets/${kill.target}/events`,
      "#/oom",
    ]) {
      await page.goto(`${url}/${hash}`);
      await page.getByText("<img", { exact: false }).first().waitFor();
      assert.equal(await page.locator("main img, main script").count(), 0, hash);
      assert.ok(
        !(await page.locator("main").textContent()).includes("\u202e"),
        `${hash}: a change of direction`,
      );
    }
    assert.equal(await page.evaluate(() => globalThis.hostile), undefined);
    assert.ok(processes.length >= 0);
  });
}

if (kill && versions) {
  await check("the old version of a service is compared with the new one", async () => {
    const { service } = await api(`/targets/${kill.target}`);
    await until("a deploy", async () =>
      (await api("/events?kinds=deploy&limit=100")).items.find(({ detail }) => detail.service === service),
    );
    await page.goto(`${url}/#/services/${encodeURIComponent(service)}`);
    await page.getByRole("heading", { name: "The old version against the new one" }).waitFor();
    await page
      .locator("#compare ~ .flame .flame-canvas, .card:has(#compare) .flame-canvas")
      .first()
      .waitFor();
    await page.locator(".mark.deploy").first().waitFor();
    await page.locator(".runs tbody tr").nth(1).waitFor();
  });
}

await check("a bundle of the target is handed out", async () => {
  target = await leak();
  await page.goto(`${url}/#/targets/${target.id}`);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download bundle" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /\.lwbundle$/);
  assert.ok(readFileSync(await download.path()).length > 1_000);
});

const views = [
  ["overview", "#/", ".targets"],
  ["services", "#/services", ".services"],
  ["service", `#/services/${encodeURIComponent(target.service)}`, ".chart"],
  ["investigation", `#/targets/${target.id}`, "#culprit"],
  ["flame", `#/targets/${target.id}/flame`, ".flame-canvas"],
  ["flame-table", `#/targets/${target.id}/flame?mode=table`, ".functions"],
  ["ledger", `#/targets/${target.id}/ledger`, ".ledger"],
  ["events", `#/targets/${target.id}/events`, ".events"],
  ["kills", "#/oom", "h1"],
  ["status", "#/status", "#lanes"],
  ...(kill ? [["post-mortem", `#/oom/${kill.id}`, "#why"]] : []),
];

/** Scrolls through the page: what is far below is drawn when it comes near. */
async function everything() {
  const loaded = () => page.waitForFunction(() => !document.body.textContent.includes("Loading "));
  for (let y = 0; y < (await page.evaluate(() => document.documentElement.scrollHeight)); y += 600) {
    await page.evaluate((to) => scrollTo(0, to), y);
    await page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
    );
    await loaded();
  }
  await page.evaluate(() => scrollTo(0, 0));
  await loaded();
}

for (const scheme of ["light", "dark"]) {
  for (const width of WIDTHS) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 900 });
    for (const [name, hash, content] of views) {
      await check(`${name} at ${width} px, ${scheme}: fits, and axe has nothing to say`, async () => {
        if (content === "#culprit") await leak();
        await page.goto(`${url}/${hash}`);
        await page.locator(content).first().waitFor();
        await everything();
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${wide} px too wide`);
        await violations(page, `${name} ${width} ${scheme}`);
        if (shots) await page.screenshot({ path: `${shots}/${name}-${width}-${scheme}.png`, fullPage: true });
      });
    }
  }
}

await check("nothing was asked of anybody else, and nothing failed on the way", async () => {
  assert.deepEqual(outside, []);
  assert.deepEqual(complaints, []);
  assert.equal(await page.locator("main img, main script, main iframe").count(), 0);
});

await close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
