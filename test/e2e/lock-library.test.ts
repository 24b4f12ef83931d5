/** The door `fen/lock` as a stranger uses it: packed, unpacked elsewhere, type-checked by their compiler, run. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type * as LockDoor from "../../src/lock/index.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
let scratch: string;
let locks: LockDoor.Locks;
let door: typeof LockDoor;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "fen-lock-door-"));
  execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", scratch], { cwd: root, stdio: "pipe" });
  const modules = join(scratch, "node_modules");
  mkdirSync(join(modules, "@types"), { recursive: true });
  execFileSync("sh", ["-c", "tar xzf *.tgz && mv package node_modules/fen"], { cwd: scratch });
  for (const name of ["fs-native-extensions", "which-runtime", "@types/node", "undici-types"])
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  writeFileSync(join(scratch, "package.json"), '{ "type": "module" }');
  door = await import(pathToFileURL(join(modules, "fen/dist/lock.mjs")).href);
  locks = door.openLocks(join(scratch, "state"), { command: "door" });
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Compiles `source` as a user of the package would, strictly; gives what the compiler says. */
function compile(source: string): string {
  writeFileSync(join(scratch, "example.ts"), source);
  const options = { module: "NodeNext", target: "ES2022", strict: true, skipLibCheck: false, types: ["node"] };
  writeFileSync(join(scratch, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["example.ts"] }));
  return spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", scratch], { encoding: "utf8" }).stdout;
}

const errorWith = (code: string) => expect.objectContaining({ code });

describe("the packed library", () => {
  test("its documented example is at most 20 lines long, compiles, and runs", () => {
    const doc = readFileSync(join(root, "docs/lock-library.md"), "utf8");
    const example = /```ts\n([\s\S]*?)```/.exec(doc)?.[1] ?? "";
    expect(example.split("\n").filter((line) => line.trim() !== "").length).toBeLessThanOrEqual(20);
    expect(compile(example)).toBe("");
    const run = spawnSync(process.execPath, ["example.js"], { cwd: scratch, encoding: "utf8" });
    expect(run).toMatchObject({ stdout: "printed\ntoken 1\n", stderr: "", status: 0 });
  });

  test("its types refuse a mode that doesn't exist", () => {
    const wrong =
      'import { openLocks } from "fen/lock";\nawait openLocks("x").acquire([{ resource: "a", mode: "write" }]);';
    expect(compile(wrong)).toContain("Type '\"write\"' is not assignable");
  });

  test("only the documented doors open", () => {
    const open = (name: string) =>
      spawnSync(process.execPath, ["--input-type=module", "-e", `await import("${name}")`], { cwd: scratch }).status;
    expect([open("fen/lock"), open("fen"), open("fen/dist/lock.mjs")]).toEqual([0, 1, 1]);
  });
});

describe("names", () => {
  test.each(["", "/", "a//b", "../a", "a/../b", ".hidden", "_/a", "a*", "a\\b", "a\nb", "a/"])(
    "%j can't be locked",
    async (resource) => {
      await expect(locks.acquire([{ resource, mode: "exclusive" }])).rejects.toEqual(errorWith("name_invalid"));
    },
  );

  test("names of one, two and three segments are different locks, and * waits for all of them", async () => {
    const requests = ["a", "a/b", "a/b/c"].map((resource) => ({ resource, mode: "exclusive" as const }));
    const lease = await locks.acquire(requests);
    const status = await locks.status();
    expect(status.held.map((one) => one.resource).sort()).toEqual(["a", "a/b", "a/b/c"]);
    expect(status.held[0]).toMatchObject({ state: "held", mode: "exclusive", pid: process.pid, command: "door" });
    const all = [{ resource: "*", mode: "exclusive" as const }];
    await expect(locks.acquire(all, { timeout: 0 })).rejects.toEqual(errorWith("lock_timeout"));
    await lease.release();
    await (await locks.acquire(all, { timeout: 0 })).release();
    expect((await locks.status()).held).toEqual([]);
  });
});

describe("leases", () => {
  test("a token grows with each exclusive grant and is told by name or, where there is one lock, without", async () => {
    const tokens: number[] = [];
    for (let i = 0; i < 3; i++) {
      const lease = await locks.acquire([{ resource: "counted", mode: "exclusive" }]);
      expect(lease.token("counted")).toBe(lease.token());
      tokens.push(lease.token());
      await lease.release();
    }
    expect(tokens).toEqual([1, 2, 3]);
  });

  test("a wait is told with holder and place, and an abort ends it with the signal's reason", async () => {
    const lease = await locks.acquire([{ resource: "told", mode: "exclusive" }]);
    const stop = new AbortController();
    const reason = new Error("enough");
    const waits: LockDoor.Wait[] = [];
    const onWait = (wait: LockDoor.Wait) => {
      waits.push(wait);
      stop.abort(reason);
    };
    const waiting = locks.acquire([{ resource: "told", mode: "shared" }], { signal: stop.signal, onWait });
    await expect(waiting).rejects.toBe(reason);
    expect(waits).toMatchObject([{ resource: "told", reason: "holder", place: 1, by: { pid: process.pid } }]);
    await lease.release();
  });

  test("release by nonce takes the lock away: the lease says so, and its token is smaller than the next one", async () => {
    const lease = await locks.acquire([{ resource: "broken", mode: "exclusive" }]);
    const nonce = (await locks.status()).held.find((one) => one.resource === "broken")?.nonce;
    expect(await locks.release("broken", "00000000-0000-4000-8000-000000000000")).toBe(false);
    expect(await locks.release("broken", nonce)).toBe(true);
    await expect(lease.assertHeld()).rejects.toEqual(errorWith("lock_lost"));
    expect(lease.signal.aborted).toBe(true);
    const next = await locks.acquire([{ resource: "broken", mode: "exclusive" }], { timeout: 0 });
    expect(next.token()).toBeGreaterThan(lease.token());
    await Promise.all([lease.release(), next.release()]);
  });

  test("lock-18: a second acquire of the same work is told within, and is covered or refused at once", async () => {
    const shared = await locks.acquire([{ resource: "nested", mode: "shared" }]);
    const again = await locks.acquire([{ resource: "nested", mode: "shared" }], { within: shared });
    const wider = locks.acquire([{ resource: "nested", mode: "exclusive" }], { within: shared });
    await expect(wider).rejects.toEqual(errorWith("lock_would_deadlock"));
    await again.release();
    await shared.release();
  });

  test("a child that was given the lease keeps the lock after its holder is killed", async () => {
    const holder = `
      import { spawn } from "node:child_process";
      import { openLocks } from "fen/lock";
      const lease = await openLocks("state").acquire([{ resource: "given", mode: "exclusive" }]);
      const { descriptors, env } = lease.inherit();
      const child = spawn("sleep", ["30"], { detached: true, stdio: ["ignore", "ignore", "ignore", ...descriptors], env: { ...process.env, ...env } });
      console.log(child.pid);
      process.kill(process.pid, "SIGKILL");`;
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", holder], { cwd: scratch, encoding: "utf8" });
    const child = Number(run.stdout);
    const take = (timeout: number) => locks.acquire([{ resource: "given", mode: "exclusive" }], { timeout });
    await expect(take(50)).rejects.toMatchObject({ code: "lock_timeout", facts: { blockedBy: "orphan" } });
    process.kill(child, "SIGKILL");
    await (await take(20_000)).release();
  });
});
