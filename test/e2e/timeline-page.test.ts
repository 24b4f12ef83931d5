/** The page of a run's timeline, opened in a browser: what it draws, in which colours, how soon, and what keys and the mouse do. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { JournalEntry } from "../../src/workflow/entries.ts";
import { Browser, type BrowserOptions, needChromium } from "../support/browser.ts";
import { type Scratch, scratchRepo } from "../support/cli.ts";
import { author, journalOf, leaveJournal } from "../support/run-journals.ts";

let repo: Scratch;
let browser: Browser;
beforeAll(async () => {
  repo = await scratchRepo();
  needChromium();
});
afterAll(() => repo.remove());
afterEach(async () => {
  await browser.close();
  expect(browser.said).toEqual([]);
  const itself = `file://${join(repo.path, "page.html")}`;
  expect(browser.requests.filter((url) => url !== itself && !url.startsWith("data:"))).toEqual([]);
});

async function open(entries: readonly JournalEntry[], options: BrowserOptions = {}): Promise<void> {
  const [first] = entries;
  if (first?.e !== "run") throw new Error("a journal begins with its run");
  leaveJournal(repo.path, entries);
  const done = await repo.fen("workflow", "history", "timeline", first.run, "--html", "page.html");
  expect(done).toMatchObject({ exitCode: 0, stderr: "" });
  browser = await Browser.open(join(repo.path, "page.html"), options);
  await browser.until("document.documentElement?.dataset.paintedAfter !== undefined");
}

/** A run of single steps: each waits, works, and ends as it is said. */
function runOf(
  steps: readonly { name: string; status: "succeeded" | "failed" | "skipped" | "cancelled"; waits?: number }[],
) {
  const task = { type: "model_method", modelIdOrName: "web-01", methodName: "execute", inputs: {} } as const;
  const entries: JournalEntry[] = [
    {
      e: "run",
      at: 1_000_000,
      run: "0a0b0c0d-0000-4000-a000-000000000001",
      definition: {
        id: "0a0b0c0d-0000-4000-a000-00000000000f",
        name: "looked-at",
        version: 1,
        tags: {},
        lock: "run",
        jobs: [
          {
            name: "all",
            dependsOn: [],
            weight: 0,
            steps: steps.map(({ name }) => ({
              name,
              task,
              dependsOn: [],
              weight: 0,
              allowFailure: false,
              dataOutputOverrides: [],
            })),
          },
        ],
      },
      hash: "",
      inputs: {},
      tags: {},
      by: author,
    },
  ];
  for (const [n, { status, waits }] of steps.entries()) {
    if (status === "skipped") {
      entries.push({ e: "end", at: 1_005_000, n, s: status, why: "it had no reason to" });
      continue;
    }
    if (waits !== undefined) entries.push({ e: "wait", at: 1_000_000, n, model: "web-07", by: "bob@ci (pid 99)" });
    entries.push({ e: "start", at: 1_000_000 + (waits ?? 0), n, a: 1, model: "web-01" });
    const error = status === "failed" ? { error: "no <b>route</b> to host" } : {};
    entries.push({ e: "end", at: 1_010_000, n, s: status, ...error });
  }
  return [...entries, { e: "done", at: 1_010_000, s: "failed" } as const];
}

const canvas = (key: string) => browser.value(`Number(document.querySelector("canvas").dataset.${key})`);
const chosen = () => browser.value(`document.querySelector("#chosen").textContent`);
/** Where a step is at a time, in the window. */
async function place(row: number, ms: number): Promise<{ x: number; y: number }> {
  return browser.value(`(() => {
    const c = document.querySelector("canvas"), { gutter, axis, row, top, from, to } = c.dataset, b = c.getBoundingClientRect();
    const share = (${ms} - from) / (to - from);
    return { x: Math.round(b.left + +gutter + share * (b.width - gutter - 8)), y: Math.round(b.top + +axis + (${row} + 0.5) * row - top) };
  })()`);
}
async function colorAt(row: number, ms: number): Promise<readonly number[]> {
  const { x, y } = await place(row, ms);
  return browser.pixel(x, y);
}
/** The value of a colour of the page's style. */
async function color(name: string): Promise<readonly number[]> {
  const hex: string = await browser.value(
    `getComputedStyle(document.documentElement).getPropertyValue("--${name}").trim()`,
  );
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

const few = runOf([
  { name: "good", status: "succeeded" },
  { name: "queued", status: "succeeded", waits: 6000 },
  { name: "bad", status: "failed", waits: 2000 },
  { name: "left-out", status: "skipped" },
  { name: "stopped", status: "cancelled" },
]);

describe.each([
  { mode: "light", dark: false },
  { mode: "dark", dark: true },
])("in the $mode", ({ dark }) => {
  test("waiting, working, failed, skipped and cancelled have colours of their own, where they belong", async () => {
    await open(few, { dark });
    expect(await canvas("drawn")).toBe(7);
    const names = ["succeeded", "wait", "failed", "skip", "cancelled", "back"];
    const colors = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await color(name)])));
    expect(new Set(Object.values(colors).map(String)).size).toBe(names.length);
    expect(await colorAt(0, 1000)).toEqual(colors["succeeded"]);
    expect(await colorAt(1, 3000)).toEqual(colors["wait"]);
    expect(await colorAt(1, 8000)).toEqual(colors["succeeded"]);
    expect(await colorAt(2, 1000)).toEqual(colors["wait"]);
    expect(await colorAt(2, 5000)).toEqual(colors["failed"]);
    const skipped = await place(3, 5000);
    expect(await browser.pixel(skipped.x + 1, skipped.y)).toEqual(colors["skip"]);
    expect(await colorAt(4, 5000)).toEqual(colors["cancelled"]);
    expect(await colorAt(3, 2300)).toEqual(colors["back"]);
    const isDark = (colors["back"] ?? []).every((part: number) => part < 64);
    expect(isDark).toBe(dark);
  });
});

test("10,000 steps are on the screen within a second, all of them; zooming in shows fewer, larger ones, and all come back", async () => {
  await open(journalOf({ seed: 11, steps: 10_000, failing: 0 }));
  const paintedAfter = async () => Number(await browser.value("document.documentElement?.dataset.paintedAfter ?? NaN"));
  // A machine that does much else may be slow once, not five times.
  for (let times = 0; times < 5 && (await paintedAfter()) > 1000; times++) {
    await browser.again();
    await browser.until("document.documentElement?.dataset.paintedAfter !== undefined");
  }
  expect(await paintedAfter()).toBeLessThanOrEqual(1000);
  const all = await canvas("drawn");
  expect(all).toBeGreaterThanOrEqual(10_000);
  const span = (await canvas("to")) - (await canvas("from"));
  await browser.press("+");
  await browser.press("+");
  expect((await canvas("to")) - (await canvas("from"))).toBeCloseTo(span / 4, 0);
  expect(await canvas("drawn")).toBeLessThan(all);
  await browser.press("]");
  expect(await canvas("row")).toBeGreaterThan(0.08);
  await browser.press("0");
  expect(await canvas("drawn")).toBe(all);
  expect((await canvas("to")) - (await canvas("from"))).toBe(span);
});

test("the wheel zooms to where the mouse is, dragging moves what is seen, and neither leads beyond the run", async () => {
  await open(few);
  const at = await place(1, 2500);
  await browser.mouse("mouseWheel", at, { deltaX: 0, deltaY: -400, modifiers: 2 });
  const from = await canvas("from");
  expect((await canvas("to")) - from).toBeLessThan(5000);
  expect(await place(1, 2500)).toEqual(at);
  await browser.mouse("mousePressed", at, { button: "left", clickCount: 1 });
  await browser.mouse("mouseMoved", { x: at.x - 200, y: at.y }, { button: "left", buttons: 1 });
  await browser.mouse("mouseReleased", { x: at.x - 200, y: at.y }, { button: "left" });
  expect(await canvas("from")).toBeGreaterThan(from);
  expect(await chosen()).toBe("");
  for (let times = 0; times < 12; times++) await browser.press("ArrowRight");
  expect(await canvas("to")).toBe(10_000);
  for (let times = 0; times < 12; times++) await browser.press("-");
  expect([await canvas("from"), await canvas("to")]).toEqual([0, 10_000]);
});

test("keys go from step to step and to the failed ones; what is chosen is told in words, as the mouse tells it", async () => {
  await open(few);
  await browser.press("ArrowDown");
  expect(await chosen()).toContain("good: succeeded");
  await browser.press("ArrowDown");
  expect(await chosen()).toContain("waited 6.0 s for the lock on web-07, held by bob@ci (pid 99)");
  await browser.press("f");
  const told =
    "all / bad: failed\nmodel web-01\nbegan at 0 ms\nworked 8.0 s\nwaited 2.0 s for the lock on web-07, held by bob@ci (pid 99)\nno <b>route</b> to host";
  expect(await chosen()).toBe(told);
  await browser.mouse("mouseMoved", await place(2, 5000));
  expect(await browser.value(`document.querySelector("#tip").hidden`)).toBe(false);
  expect(await browser.value(`document.querySelector("#tip").textContent`)).toBe(told);
});

test("searching by name dims the others and leads to the next", async () => {
  await open(few);
  await browser.press("/");
  await browser.type("STOP");
  expect(await browser.value(`document.querySelector("#found").textContent`)).toBe("1 found");
  expect(await colorAt(4, 5000)).toEqual(await color("cancelled"));
  expect(await colorAt(0, 1000)).not.toEqual(await color("succeeded"));
  await browser.press("Enter");
  expect(await chosen()).toContain("stopped: cancelled");
});

test("when the person's taste changes, so does the page", async () => {
  await open(few);
  const light = await colorAt(3, 2300);
  await browser.dark(true);
  await browser.frame();
  expect(await colorAt(3, 2300)).toEqual(await color("back"));
  expect(await colorAt(3, 2300)).not.toEqual(light);
});

test("names and errors can't become part of the page: they are drawn as they are", async () => {
  const evil = `</script><script>document.title="taken"</script><img src=x onerror="document.title='taken'">`;
  await open(runOf([{ name: `${evil} $& $1`, status: "failed" }]));
  expect(readFileSync(join(repo.path, "page.html"), "utf8")).not.toContain("</script><script>document");
  await browser.press("ArrowDown");
  expect(await chosen()).toContain(`all / ${evil} $& $1: failed`);
  expect(await browser.value("document.title")).toBe("looked-at failed");
  expect(await browser.value(`document.querySelectorAll("img").length`)).toBe(0);
});
