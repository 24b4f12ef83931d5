/** Disks that are full, read-only, vanish or hold the wrong things. A small disk is a tmpfs in a mount namespace of the test's own. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SmallDisk } from "./small-disk.ts";
import { execute, expectClean, expectRefusal, expectWholeData, tree } from "./attack.ts";

const id = "a0000000-0000-4000-a000-000000000001";
const definition = (run: string): string =>
  JSON.stringify({ type: "command/shell", id, name: "web", version: 1, methods: { execute: { arguments: { run } } } });

describe("a full disk", () => {
  let disk: SmallDisk;
  beforeEach(async () => {
    disk = new SmallDisk(6);
    await disk.ready();
    expect((await disk.fen("init")).exitCode).toBe(0);
    mkdirSync(join(disk.outside, "models/command/shell"), { recursive: true });
    writeFileSync(
      join(disk.outside, "models/command/shell/web.yaml"),
      definition("echo some words; echo other words >&2; touch ran"),
    );
    expect((await disk.fen(...execute("web"))).exitCode).toBe(0);
    rmSync(join(disk.outside, "ran"));
  });
  afterEach(() => disk.close());

  const store = (): string => join(disk.outside, ".swamp");
  /** Whatever happened, once there is room the next command works, and nothing half-made is left or visible. */
  const expectGoodAgain = async (): Promise<void> => {
    disk.empty();
    const next = await disk.fen(...execute("web"), "--json");
    expect(next.exitCode, next.stderr).toBe(0);
    expectClean(store());
    expectWholeData(store(), id);
    const { results } = (await disk.fen("model", "output", "search", "--json")).json();
    for (const { status } of results) expect(["succeeded", "failed", "interrupted"]).toContain(status);
    expect(results[0].status).toBe("succeeded");
  };

  test("at any write of a run: refused, nothing half-visible, and the next run works", async () => {
    const seen = new Set<number>();
    // Each block less ends at an earlier write: lock, record, output, metadata, plan, folders, latest.
    for (let blocks = 0; blocks <= 36; blocks += 2) {
      disk.fill(blocks * 4096);
      const before = tree(join(store(), "data"));
      const result = await disk.fen(...execute("web"), "--json");
      seen.add(result.exitCode);
      if (result.exitCode !== 0) {
        const error = expectRefusal(result, "disk_full", 69);
        expect(error.hint).toMatch(/space/);
        const isDone = error.committed === true || error.message.includes("data is kept");
        if (!isDone) expect(tree(join(store(), "data"))).toEqual(before);
      }
      const locks = tree(store()).filter((path) => path.endsWith(".lock"));
      expect(locks).toEqual([]);
      disk.empty();
      disk.sh("rm -rf .swamp/.fen/aside");
    }
    expect([...seen].sort()).toEqual([0, 69]);
    await expectGoodAgain();
  });

  test.each([
    ["model create", ["model", "create", "command/shell", "fresh"]],
    ["data rename", ["data", "rename", "web", "log", "journal"]],
    ["init", ["init", "--force"]],
  ])("%s is refused and changes nothing", async (_, args) => {
    const models = tree(join(disk.outside, "models"));
    const data = tree(join(store(), "data"));
    disk.fill(0);
    const result = await disk.fen(...args, "--json");
    if (args[0] === "init") expect([0, 69]).toContain(result.exitCode);
    else expectRefusal(result, "disk_full", 69);
    expect(tree(join(disk.outside, "models"))).toEqual(models);
    expect(tree(join(store(), "data"))).toEqual(data);
    await expectGoodAgain();
  });

  test("a rename is whole or not at all, wherever the room ends", async () => {
    for (let blocks = 4; blocks <= 24; blocks += 2) {
      disk.fill(blocks * 4096);
      const before = tree(join(store(), "data"));
      const name = `journal-${blocks}`;
      const result = await disk.fen("data", "rename", "web", "log", name, "--json");
      if (result.exitCode === 0) break;
      expectRefusal(result, "disk_full", 69);
      disk.empty();
      if (result.error().committed !== true) expect(tree(join(store(), "data"))).toEqual(before);
    }
    await expectGoodAgain();
  });

  test("model edit keeps the old definition", async () => {
    const before = readFileSync(join(disk.outside, "models/command/shell/web.yaml"), "utf8");
    disk.fill(0);
    const edit = await disk.feed(before.replace("touch ran", "touch run"), "model", "edit", "web", "--json");
    expectRefusal(edit, "disk_full", 69);
    expect(readFileSync(join(disk.outside, "models/command/shell/web.yaml"), "utf8")).toBe(before);
    expect(tree(join(disk.outside, "models")).filter((path) => path.endsWith(".tmp"))).toEqual([]);
    await expectGoodAgain();
  });

  test("data gc still works: it is what makes room", async () => {
    for (let round = 0; round < 11; round++) expect((await disk.fen(...execute("web"))).exitCode).toBe(0);
    disk.fill(12 * 4096); // a lock needs a few small files
    const gc = await disk.fen("data", "gc", "--force", "--json");
    expect(gc.exitCode, gc.stderr).toBe(0);
    expect(gc.json().versionsDeleted).toBe(4);
    expect((await disk.fen(...execute("web"))).exitCode).toBe(0);
  });

  test("output that is too much ends the command, and the record says why", async () => {
    writeFileSync(
      join(disk.outside, "models/command/shell/web.yaml"),
      definition("head -c 20000000 /dev/zero; touch ran"),
    );
    const error = expectRefusal(await disk.fen(...execute("web"), "--json"), "disk_full", 69);
    expect(error.message).toContain("No room left");
    expect(existsSync(join(disk.outside, "ran"))).toBe(false);
    const [newest] = (await disk.fen("model", "output", "search", "--json")).json().results;
    expect(newest.status).toBe("failed");
    expect((await disk.fen("model", "output", "get", newest.id, "--json")).json().error.message).toContain(
      "No room left",
    );
    writeFileSync(join(disk.outside, "models/command/shell/web.yaml"), definition("true"));
    await expectGoodAgain();
  });
});
