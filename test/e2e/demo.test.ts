/** The demo as a newcomer meets it: on a terminal of any size, in a log, as JSON, interrupted, and the commands that it recommends. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { program, runFen, scratchRepo, until } from "../support/cli.ts";
import { Terminal } from "../support/terminal.ts";

const calls = 25;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fen-demo-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The demo makes its own folder; here that is inside of ours. */
const options = () => ({ cwd: folder, env: { TMPDIR: folder } });
const escape = "\u001B";

describe("not on a terminal", () => {
  test("each step is a line, and at the end stand the timeline and what one global lock would take", async () => {
    const done = await runFen(["demo", "--fast"], options());
    expect(done.exitCode).toBe(0);
    expect(done.stderr).toBe("");
    expect(done.stdout).not.toContain(escape);
    expect(done.stdout).toMatch(/\d\.\d s {2}web-07 \S+ +waits for web-07( \S+)? \(pid \d+\)/);
    expect(done.stdout).toMatch(/\d\.\d s {2}data gc +has its lock and works/);
    expect(done.stdout.match(/^✔ /gm)).toHaveLength(calls);
    expect(done.stdout).toMatch(/^✔ web-07 .*░+█+ waited .*, last for /m);
    expect(done.stdout).toMatch(/^one lock per model {2}█+ \d\.\d s\none global lock {5}█+ \d+\.\d s$/m);
  });

  test("as JSON it is one document: the contended calls work one after another, and a global lock takes the sum", async () => {
    const done = await runFen(["demo", "--fast", "--json"], options());
    const document = done.json();
    expect(done.exitCode).toBe(0);
    expect(document.failed).toBe(0);
    expect(document.calls).toHaveLength(calls);
    expect(existsSync(join(document.path, ".swamp.yaml"))).toBe(true);
    // 24 runs that sleep 0.2 s, and a clean-up.
    expect(document.globalLockMs).toBeGreaterThanOrEqual(24 * 200);
    for (const call of document.calls) {
      expect(call.begunAtMs).toBeLessThanOrEqual(call.grantedAtMs);
      expect(call.grantedAtMs).toBeLessThanOrEqual(call.endedAtMs);
      expect(call.endedAtMs).toBeLessThanOrEqual(document.durationMs);
    }

    // By the records that the calls wrote under their lock: what the demo itself sees comes late on a busy machine.
    const { results } = (await runFen(["model", "output", "search", "--json"], { cwd: document.path })).json();
    const contended = results
      .filter((run: { modelName: string }) => run.modelName === "web-07")
      .map((run: { startedAt: string; durationMs: number }) => ({
        from: Date.parse(run.startedAt),
        ms: run.durationMs,
      }))
      .sort((one: { from: number }, other: { from: number }) => one.from - other.from);
    expect(contended).toHaveLength(4);
    for (const [index, { from, ms }] of contended.entries()) {
      const next = contended[index + 1]?.from ?? Infinity;
      expect(next).toBeGreaterThanOrEqual(from + ms - 2); // both are rounded to milliseconds
    }
  });

  test("whatever SWAMP_ variables say, nothing is done outside of its own folder", async () => {
    const mine = await scratchRepo();
    mine.model("web-01", "touch touched");
    const before = readdirSync(mine.path, { recursive: true }).sort();
    const env = {
      TMPDIR: folder,
      SWAMP_REPO_DIR: mine.path,
      SWAMP_DATASTORE: `filesystem:${mine.path}/.swamp`,
      SWAMP_LOCK_TIMEOUT_MS: "0",
    };
    const done = await runFen(["demo", "--fast", "--json"], { cwd: mine.path, env });
    expect(done.json().failed).toBe(0);
    expect(readdirSync(mine.path, { recursive: true }).sort()).toEqual(before);
    const [history] = done.json().next;
    const shown = execFileSync("sh", ["-c", history.command], { cwd: folder, env: { ...process.env, ...env } });
    expect(shown.toString()).toContain("web-07");
    mine.remove();
  });

  test("a folder that can't be made is an error that says what to do", async () => {
    const done = await runFen(["demo", "--json"], { cwd: folder, env: { TMPDIR: join(folder, "none") } });
    expect(done.exitCode).toBe(69);
    expect(done.error()).toMatchObject({ code: "not_writable", hint: expect.stringContaining("TMPDIR=") });
  });
});

describe("three commands to try next", () => {
  test("called through a link on the PATH they use its name, and work when pasted", async () => {
    symlinkSync(program, join(folder, "fen"));
    const env = { TMPDIR: folder, PATH: `${folder}:${process.env["PATH"] ?? ""}` };
    const done = await runFen(["demo", "--fast"], { cwd: folder, env, as: [join(folder, "fen")] });
    const pasted = [...done.stdout.matchAll(/^ {2}(fen .*)$/gm)].map((match) => match[1] ?? "");
    expect(pasted).toHaveLength(3);
    const said = pasted.map((line) =>
      execFileSync("sh", ["-c", line], { cwd: "/", env: { ...process.env, ...env, NO_COLOR: "1" } }).toString(),
    );
    expect(said[0]?.match(/succeeded/g)).toHaveLength(24);
    expect(said[1]).toContain("patching web-07 in ams");
    expect(said[2]).toContain("done");
  });
});

describe("on a terminal", () => {
  const demo = `${process.execPath} ${program} demo --fast`;

  test.each([
    { columns: 110, rows: 45 },
    { columns: 80, rows: 24 },
    { columns: 44, rows: 12 },
  ])(
    "in $columns x $rows the picture stays in the window, no line of it wraps, and it gives way to the timeline",
    async ({ columns, rows }) => {
      const terminal = new Terminal(demo, { ...options(), columns, rows });
      await terminal.shows("of 25 done");
      expect(terminal.window.cursorShown).toBe(false);
      await terminal.shows("web-07 2nd");
      await terminal.shows("Three commands");
      expect(await terminal.done).toBe(0);
      const { window } = terminal;
      expect(window.cursorShown).toBe(true);
      expect(window.lostTop).toBe(false);
      expect(window.text()).not.toContain("of 25 done");
      expect(window.text().match(/^✔ /gm)).toHaveLength(calls);
      const long = /fen-demo-|fen\.cjs/; // a path or a command to paste may be as long as it is
      expect(window.wrapped.filter((line) => !long.test(line) && /[█░·●◌✔]/.test(line))).toEqual([]);
      expect(terminal.raw).toContain(`${escape}[32m`);
    },
  );

  test("who waits for whom is on the screen", async () => {
    const terminal = new Terminal(demo, { ...options(), columns: 110, rows: 45 });
    await until(
      () => /◌ web-07 \S+ +·*░+ waits for web-07/.test(terminal.window.text()),
      () => `a wait in:\n${terminal.window.text()}`,
    );
    expect(await terminal.done).toBe(0);
  });

  test("NO_COLOR takes the colours and nothing else", async () => {
    const size = { columns: 100, rows: 40 };
    const terminal = new Terminal(demo, { ...options(), ...size, env: { TMPDIR: folder, NO_COLOR: "1" } });
    expect(await terminal.done).toBe(0);
    expect(terminal.raw).not.toMatch(new RegExp(`${escape}\\[[\\d;]*m`));
    expect(terminal.raw).toContain(`${escape}[?25l`);
    expect(terminal.window.text()).toContain("█");
  });

  test("a dumb terminal gets plain lines", async () => {
    const size = { columns: 100, rows: 40 };
    const terminal = new Terminal(demo, { ...options(), ...size, env: { TMPDIR: folder, TERM: "dumb" } });
    expect(await terminal.done).toBe(0);
    expect(terminal.raw).not.toContain(escape);
    expect(terminal.raw).toContain("has its lock and works");
  });

  test("Ctrl-C ends all children, says where the folder is and gives the cursor back", async () => {
    const slow = `${process.execPath} ${program} demo`;
    const terminal = new Terminal(slow, { ...options(), columns: 100, rows: 45 });
    await until(
      () => /●/.test(terminal.window.text()),
      () => "work",
    );
    terminal.type("\u0003");
    expect(await terminal.done).toBe(130);
    const text = terminal.window.text();
    const path = /What it did until then is in (\S+)/.exec(text)?.[1] ?? "";
    expect(existsSync(join(path, ".swamp.yaml"))).toBe(true);
    expect(terminal.window.cursorShown).toBe(true);
    expect(processesIn(path)).toEqual([]);
    const locks = readdirSync(join(path, ".swamp"), { recursive: true }).filter((name) =>
      String(name).endsWith(".lock"),
    );
    expect(locks).toEqual([]);
  });
});

/** Command lines of processes that work in a folder. */
function processesIn(path: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const state = /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        const cwd = execFileSync("readlink", [`/proc/${pid}/cwd`]).toString();
        return state !== "Z" && (cwd.startsWith(path) || command.includes(path)) ? [command] : [];
      } catch {
        return []; // it has just ended
      }
    });
}
