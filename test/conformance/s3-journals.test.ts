/** Journals in an object store: one writer, whoever else believes to be it, and read by all. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { type Machine, systemMachine } from "../../src/kernel/machine.ts";
import { openFilesystemDatastore } from "../../src/store/drivers/filesystem/datastore.ts";
import { S3Objects } from "../../src/store/drivers/s3/objects.ts";
import { ObjectJournals } from "../../src/store/object-journals.ts";
import { HandClock } from "../support/hand-clock.ts";
import { clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";

const path = "workflow-runs/w/workflow-run-1.journal";
const owner = ".fen/runs/1.owner";
let folder: string;
let prefix: string;
beforeAll(() => makeBucket(inject("s3"), "conformance"));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fen-journals-"));
  prefix = newPrefix();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What a machine of its own sees. */
async function machine(name: string, on: Machine = systemMachine("test"), quietMs = 3000): Promise<ObjectJournals> {
  const { local } = openFilesystemDatastore(join(folder, name), on);
  return new ObjectJournals({
    objects: new S3Objects(await clientOf(inject("s3"), { prefix })),
    local,
    machine: on,
    quietMs,
  });
}

async function text(journals: ObjectJournals, start = 0): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of journals.stream(path, { start })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe("a journal", () => {
  test("is read elsewhere up to what was waited for, from anywhere in it", async () => {
    const [here, there] = [await machine("here"), await machine("there")];
    expect(await there.stat(path)).toBeUndefined();
    const file = await here.create(path);
    file.append("one\n");
    file.append("two\n");
    await file.sync();
    file.append("three\n");
    expect(await text(there)).toBe("one\ntwo\n");
    await file.close();
    expect((await there.stat(path))?.size).toBe(file.size);
    expect([await text(there), await text(there, 2), await text(there, 9), await text(there, 14)]).toEqual([
      "one\ntwo\nthree\n",
      "e\ntwo\nthree\n",
      "hree\n",
      "",
    ]);
  });

  test("of more than nine pieces is in order", async () => {
    const here = await machine("here");
    const file = await here.create(path);
    const lines = Array.from({ length: 23 }, (_, index) => `line ${index}\n`);
    for (const line of lines) {
      file.append(line);
      await file.sync();
    }
    expect(await text(here)).toBe(lines.join(""));
  });

  test("of many pieces is two objects once its writer has ended, for who begins to read and for who was reading", async () => {
    const [here, there] = [await machine("here"), await machine("there")];
    const objects = new S3Objects(await clientOf(inject("s3"), { prefix }));
    const file = await here.create(path);
    const lines = Array.from({ length: 23 }, (_, index) => `line ${index}\n`);
    for (const line of lines) {
      file.append(line);
      await file.sync();
      if (line === "line 11\n") expect(await text(there)).toBe(lines.slice(0, 12).join(""));
    }
    await file.close();
    const names: string[] = [];
    for await (const { path: one } of objects.list(path)) names.push(one.slice(path.length + 1));
    expect(names).toEqual(["00000001", "00000023.whole"]);
    for (const reader of [there, await machine("another")]) {
      expect(await text(reader)).toBe(lines.join(""));
      expect(await text(reader, 100)).toBe(lines.join("").slice(100));
    }
    const next = await there.reopen(path, { size: lines.join("").length });
    next.append("resumed\n");
    await next.close();
    expect(await text(here)).toBe(`${lines.join("")}resumed\n`);
    expect(await here.remove(path)).toBe(true);
    expect(await there.stat(path)).toBeUndefined();
  });

  test("goes on where it was; the first writer finds that it has lost it, and adds nothing", async () => {
    const [here, there] = [await machine("here"), await machine("there")];
    const first = await here.create(path);
    first.append("one\n");
    await first.sync();
    const second = await there.reopen(path);
    second.append("resumed\n");
    await second.sync();
    first.append("late\n");
    await expect(first.sync()).rejects.toMatchObject({ code: "lock_lost" });
    await second.close();
    expect(await text(here)).toBe("one\nresumed\n");
  });

  test("is made by one of two", async () => {
    const files = await Promise.all(["here", "there"].map(async (name) => (await machine(name)).create(path)));
    for (const [index, file] of files.entries()) file.append(`${index}\n`);
    const done = await Promise.allSettled(files.map((file) => file.sync()));
    expect(done.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("that isn't there can't be gone on with", async () => {
    await expect((await machine("here")).reopen(path)).rejects.toMatchObject({ code: "store_unavailable" });
  });
});

describe("who carries a run out", () => {
  test("is alive everywhere, and gone everywhere once its word is removed", async () => {
    const [here, there] = [await machine("here"), await machine("there")];
    expect(await there.owner(owner)).toBe("absent");
    const owned = await here.own(owner);
    expect([await here.owner(owner), await there.owner(owner)]).toEqual(["alive", "alive"]);
    await here.remove(owner);
    owned.letGo();
    expect([await here.owner(owner), await there.owner(owner)]).toEqual(["absent", "absent"]);
  });

  test("is dead when it was quiet for too long, by the clock of the store", async () => {
    const stopped = systemMachine("test");
    const clock = new HandClock();
    const [here, there] = [await machine("here", { ...stopped, clock }, 1000), await machine("there", stopped, 1000)];
    const owned = await here.own(owner);
    expect(await there.owner(owner)).toBe("alive");
    const end = Date.now() + 15_000;
    while ((await there.owner(owner)) !== "dead" && Date.now() < end)
      await new Promise((next) => setTimeout(next, 100));
    expect(await there.owner(owner)).toBe("dead");
    owned.letGo();
  });

  test("is dead at once on the machine where it died, unless somebody else has gone on since", async () => {
    const [here, there] = [await machine("here"), await machine("there")];
    const owned = await here.own(owner);
    owned.letGo(); // as the end of its process does
    expect([await here.owner(owner), await there.owner(owner)]).toEqual(["dead", "alive"]);
    const next = await there.own(owner);
    expect(await here.owner(owner)).toBe("alive");
    await there.remove(owner);
    next.letGo();
  });
});
