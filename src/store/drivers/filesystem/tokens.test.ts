import { existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { db, LockWorld, web } from "../../../../test/support/lock-world.ts";
import { slotName } from "./lock-table.ts";
import type { LockMode, Resource } from "../../contract.ts";
import { TokenFile } from "./tokens.ts";

let world: LockWorld;
beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world[Symbol.dispose]());

const take = (resource: Resource, mode: LockMode): number => {
  const tokens = new TokenFile(world.folder, resource);
  try {
    return tokens.take(mode);
  } finally {
    tokens.close();
  }
};
const next = () => take(web, "exclusive");
const file = join(".fen/tokens", slotName({ resource: web }));
const state = () => readFileSync(join(world.root, file), "latin1");
const afterPowerCut = () => world.write(file, state().replace(/[0-9a-f-]{36}/, "00000000-0000-0000-0000-000000000000"));

describe("fencing tokens", () => {
  test("each exclusive grant gets the next number, also behind a block of reserved ones", () => {
    expect(Array.from({ length: 1030 }, next)).toEqual(Array.from({ length: 1030 }, (_, index) => index + 1));
  });

  test("a shared grant works with the present number and raises nothing", () => {
    expect(take(web, "shared")).toBe(0);
    next();
    for (let i = 0; i < 3; i++) expect(take(web, "shared")).toBe(1);
    expect(next()).toBe(2);
  });

  test("who is given the first number of a block waits until the block is on the disk; the others needn't", async () => {
    const tokens = new TokenFile(world.folder, web);
    tokens.take("exclusive");
    tokens.close(); // the file stays open until it is on the disk
    await expect(tokens.reserved).resolves.toBeUndefined();
    const other = new TokenFile(world.folder, web);
    expect(other.take("exclusive")).toBe(2);
    expect(other.reserved).toBeUndefined();
    other.close();
  });

  test.runIf(existsSync("/dev/null"))(
    "what can't be on the disk is told to whoever asks, whenever that is",
    async () => {
      mkdirSync(join(world.root, ".fen/tokens"), { recursive: true });
      symlinkSync("/dev/null", join(world.root, file)); // takes what is written, and can't be synced
      const tokens = new TokenFile(world.folder, web);
      tokens.take("exclusive");
      for (let turn = 0; turn < 2; turn++)
        await expect(tokens.reserved).rejects.toMatchObject({ code: "store_unavailable" });
      tokens.close();
    },
  );

  test("resources count apart", () => {
    next();
    next();
    expect(take(db, "exclusive")).toBe(1);
  });

  test("after a power cut the next number is behind all that were reserved", () => {
    next();
    const reserved = Number(state().split(" ")[1]);
    afterPowerCut();
    expect(next()).toBe(reserved + 1);
    expect(next()).toBe(reserved + 2);
  });

  test("lock-16: a wall clock that is set back or forward changes nothing", () => {
    expect(next()).toBe(1);
    world.clock.stepWall(-3_600_000);
    expect(next()).toBe(2);
    world.clock.stepWall(7_200_000);
    afterPowerCut();
    expect(next()).toBeLessThan(5000);
  });

  test.each(["junk", "-5 -5 x", "NaN 3 x"])(
    "a file that says %j never leads to a number that was given before",
    (text) => {
      for (let i = 0; i < 5; i++) next();
      world.write(file, text);
      expect(next()).toBeGreaterThan(5);
    },
  );
});
