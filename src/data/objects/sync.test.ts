/** What `datastore sync` writes for older programs and brings into the cache, on objects in memory. */
import { beforeEach, describe, expect, test } from "vitest";
import {
  freshWorld,
  machine,
  type ObjectMachine,
  type ObjectWorld,
  web,
  webFolder,
} from "../../../test/support/object-world.ts";
import { FenError } from "../../kernel/errors.ts";
import type { ConditionalStore } from "../../store/conditional.ts";
import { MemoryBucket, MemoryConditionalStore } from "../../store/drivers/memory/conditional.ts";
import type { ObjectInfo } from "../../store/objects.ts";
import { indexPath } from "./sync.ts";

let world: ObjectWorld;
let one: ObjectMachine;
beforeEach(() => {
  world = freshWorld();
  one = world.machine("one");
});

function named(): string[] {
  const body = world.index.objects.get(indexPath)?.body ?? '{"entries":{}}';
  return Object.keys(JSON.parse(body).entries);
}

/** One step of another machine, taken just before the index is written, once. */
function interrupted(step: () => Promise<void>): ConditionalStore {
  const store = new MemoryConditionalStore(world.index);
  let isTaken = false;
  return {
    get: (key) => store.get(key),
    list: (prefix) => store.list(prefix),
    remove: (key) => store.remove(key),
    put: async (key, body, condition) => {
      if (!isTaken) {
        isTaken = true;
        await step();
      }
      return store.put(key, body, condition);
    },
  };
}

/** One that waits for nobody who publishes. */
function beside(name: string): ObjectMachine {
  return world.machine(name, { turns: new MemoryConditionalStore(new MemoryBucket()) });
}

describe("the index", () => {
  test("names what both have put, of two that write it at once: the last writer loses nothing", async () => {
    await one.run("1", "a");
    await one.run("3", "c");
    await one.sync.publish();
    // One that knows less: so there is something to write, and nothing else.
    const index = new MemoryConditionalStore(world.index);
    await index.remove(indexPath);
    await index.put(indexPath, `{"version":1,"entries":{}}`, { ifAbsent: true });
    const two = beside("two");
    const steps = [
      async () => {
        await world.objects.put("outputs/b.yaml", Buffer.from("b: 1"));
        await two.sync.publish();
      },
    ];
    const listing = Object.assign(Object.create(world.objects), {
      async *list(folder: string) {
        const found: ObjectInfo[] = [];
        for await (const info of world.objects.list(folder)) found.push(info);
        await steps.pop()?.();
        yield* found;
      },
    });
    await world.machine("slow", { objects: listing }).sync.publish();
    expect(named()).toContain("outputs/b.yaml");
    expect(named().filter((path) => path.endsWith("/raw"))).toHaveLength(2);
  });

  test("names what others committed a moment ago, though what was read of the heads before is still at hand", async () => {
    const two = beside("two");
    const slow = world.machine("slow", {
      isStill: true,
      index: interrupted(async () => {
        await two.run("2", "b");
        await two.sync.publish();
      }),
    });
    await slow.run("3", "c");
    await slow.sync.publish();
    expect(named().filter((path) => path.endsWith("/raw"))).toHaveLength(2);
  });

  test("that was refused is written again, since another may know less", async () => {
    await one.run("1", "a");
    const store = new MemoryConditionalStore(world.index);
    const older = async () => void (await store.put(indexPath, `{"version":1,"entries":{}}`, { ifAbsent: true }));
    await world.machine("two", { index: interrupted(older) }).sync.publish();
    expect(named()).toContain(`${webFolder}/a/1/raw`);
  });

  test("that can't be read is not written", async () => {
    await one.run("1", "a");
    const store = new MemoryConditionalStore(world.index);
    const puts: string[] = [];
    const unreadable: ConditionalStore = {
      get: () => Promise.reject(new FenError("store_unavailable", "No answer came.")),
      list: (prefix) => store.list(prefix),
      remove: (key) => store.remove(key),
      put: (key, body, condition) => {
        puts.push(key);
        return store.put(key, body, condition);
      },
    };
    const two = world.machine("two", { index: unreadable });
    await expect(two.sync.publish()).rejects.toMatchObject({ code: "store_unavailable" });
    expect(puts).toEqual([]);
  });

  test("whose answer was lost is looked at again, and is there once", async () => {
    await one.run("1", "a");
    const store = new MemoryConditionalStore(world.index);
    let puts = 0;
    const losing: ConditionalStore = {
      get: (key) => store.get(key),
      list: (prefix) => store.list(prefix),
      remove: (key) => store.remove(key),
      put: async (key, body, condition) => {
        const outcome = await store.put(key, body, condition);
        if (puts++ > 0) return outcome;
        throw new FenError("store_unavailable", "No answer came.");
      },
    };
    await world.machine("two", { index: losing }).sync.publish();
    expect(puts).toBe(1);
    expect(named()).toContain(`${webFolder}/a/1/raw`);
  });

  test("names nothing that is ours alone, no lock, nothing unknown, and nothing that isn't committed", async () => {
    await one.run("1", "a");
    for (const path of [`${webFolder}/a/9/raw`, `${webFolder}/.lock`, "outputs/.lock", "unknown/file", ".fen/locks/x"])
      await world.objects.put(path, Buffer.from("?"));
    await one.sync.publish();
    expect(named()).toEqual(["latest", "1/metadata.yaml", "1/raw"].map((rest) => `${webFolder}/a/${rest}`).sort());
  });

  test("says of each object the whole key, its size and when it was put", async () => {
    await one.run("hello", "a");
    await one.sync.publish();
    const { entries } = JSON.parse(world.index.objects.get(indexPath)?.body ?? "");
    for await (const { path, size, modifiedAt } of world.objects.list("data"))
      expect(entries[path]).toEqual({ key: `prefix/${path}`, size, lastModified: new Date(modifiedAt).toISOString() });
    expect(entries[`${webFolder}/a/1/raw`].size).toBe(5);
  });

  test("of a large bucket is made from lists of its parts, wherever the last one would cut it, and names all of it", async () => {
    const padded = (number: number) => `data/older/${String(number).padStart(5, "0")}-${"x".repeat(150)}`;
    for (let number = 0; number < 8000; number++) await world.objects.put(padded(number), Buffer.from("x"));
    await one.sync.publish();
    const asked: string[] = [];
    const watched = Object.assign(Object.create(world.objects), {
      list: (folder: string, options: { readonly after?: string } = {}) => {
        if (options.after !== undefined) asked.push(options.after);
        return world.objects.list(folder, options);
      },
    });
    await one.run("1", "a");
    for (const path of ["data/0", padded(9000), "outputs/1", `${padded(4000)}/1`])
      await world.objects.put(path, Buffer.from("x"));
    await world.machine("two", { objects: watched }).sync.publish();
    expect(asked.length).toBeGreaterThan(2);
    expect([...asked].sort()).toEqual(asked.filter((path) => world.objects.objects.has(path)));
    expect(named()).toEqual([...world.objects.objects.keys()].sort());
    // Where what stood at a cut is gone, the parts are still the whole.
    await world.objects.removeAll(asked);
    await world.machine("three").sync.publish();
    expect(named()).toEqual([...world.objects.objects.keys()].sort());
  });

  test("of a large bucket is that of all who came before its list was begun, not only of those who came first", async () => {
    const row = `"data/${"x".repeat(150)}":{"key":"x","size":1}`;
    const body = `{"version":1,"lastPulled":"","entries":{${`${row},`.repeat(20_000)}${row}}}`;
    world.index.objects.set(indexPath, { body, etag: "large" });
    const turns = new MemoryBucket();
    const turn = () => JSON.parse(turns.objects.get("publication.json")?.body ?? "{}");
    const begun: number[] = [];
    const watched = Object.assign(Object.create(world.objects), {
      list: (folder: string) => {
        begun.push(turn().begun);
        return world.objects.list(folder);
      },
    });
    await one.run("1", "a");
    await world.machine("two", { objects: watched, turns: new MemoryConditionalStore(turns) }).sync.publish();
    expect(begun[0]).toBe(2);
    expect(turn()).toMatchObject({ begun: 2, ended: 2 });
  });

  test("is made anew whatever is in the one that is there", async () => {
    await one.run("1", "a");
    const asked: unknown[] = [];
    const watched = Object.assign(Object.create(world.objects), {
      list: (folder: string, options: { readonly after?: string } = {}) => {
        asked.push(options.after);
        return world.objects.list(folder, options);
      },
    });
    for (const path of ["data/../../x", "/data", "data//x", "data/\u0001", "data/a\\b", `data/${"x".repeat(5000)}`]) {
      const row = `${JSON.stringify(path)}:{"key":"x","size":1}`;
      const body = `{"version":1,"lastPulled":"","entries":{${`${row},`.repeat(4_000_000 / row.length)}${row}}}`;
      world.index.objects.set(indexPath, { body, etag: path });
      await world.machine("two", { objects: watched }).sync.publish();
      expect(named()).toContain(`${webFolder}/a/1/raw`);
    }
    expect(asked.filter((after) => after !== undefined)).toEqual([]);
  });

  test("is left as it is where nothing is new", async () => {
    await one.run("1", "a");
    await one.sync.publish();
    const before = world.index.objects.get(indexPath);
    await machine.clock.sleep(5); // an index says when it was made
    expect(await one.sync.publish()).toEqual({ files: 0, errors: [] });
    expect(world.index.objects.get(indexPath)).toBe(before);
  });
});

describe("beside versions", () => {
  test("latest is the highest number that is committed, also after that was removed; of a name that is gone there is none", async () => {
    await one.run("1", "a", "b");
    await one.run("2", "a");
    await one.sync.publish();
    expect(world.text(`${webFolder}/a/latest`)).toBe("2");
    {
      await using held = await one.take();
      await one.versions.remove(web, "a", { numbers: [2], held });
      await one.versions.remove(web, "b", { numbers: [1], held });
    }
    await one.sync.publish();
    expect(world.text(`${webFolder}/a/latest`)).toBe("1");
    expect(world.text(`${webFolder}/b/latest`)).toBeUndefined();
    expect(named().filter((path) => path.includes("/b/"))).toEqual([]);
  });

  test("what the older program left, of models that no head names yet, is neither changed nor left out", async () => {
    await world.older("result", 1);
    const half = `${webFolder}/result/2/raw`;
    await world.objects.put(half, Buffer.from("?"));
    // Somebody looked at the model and took its lock, no more.
    await (await one.take()).release();
    await one.sync.publish();
    expect(named()).toContain(half);
    expect(world.text(`${webFolder}/result/latest`)).toBeUndefined();
  });

  test("a version whose content is gone is told, and is in no index as if it were there", async () => {
    await one.run("1", "a", "b");
    await world.objects.removeAll([`${webFolder}/a/1/raw`]);
    const { errors } = await one.sync.publish();
    expect(errors).toEqual([expect.stringContaining("a/1/raw")]);
    expect(named()).not.toContain(`${webFolder}/a/1/raw`);
  });
});

describe("a pull", () => {
  test("brings what isn't in the cache, once, checked; what is damaged or gone is told, and the others are brought", async () => {
    for (const name of ["a", "b", "c"]) await one.run(name, name);
    await world.objects.put(`${webFolder}/a/1/raw`, Buffer.from("x"));
    await world.objects.removeAll([`${webFolder}/b/1/raw`]);
    const two = world.machine("two");
    const { files, errors } = await two.sync.pull();
    expect(files).toBe(1);
    expect(errors).toHaveLength(2);
    expect((await two.sync.pull()).files).toBe(0);
  });

  test("that the store ends is a failure, not a list of what is missing", async () => {
    await one.run("1", "a");
    const failing = Object.assign(Object.create(world.objects), {
      getTo: () => Promise.reject(new FenError("store_unavailable", "No answer came.")),
    });
    const two = world.machine("two", { objects: failing });
    await expect(two.sync.pull()).rejects.toMatchObject({ code: "store_unavailable" });
  });
});
