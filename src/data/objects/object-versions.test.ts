/** Reading what is there, in memory: adopted buckets, the cache, pages, and what nobody committed. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { freshWorld, type ObjectWorld, web, webFolder } from "../../../test/support/object-world.ts";
import { makeFolder } from "../../kernel/files.ts";
import { FenError } from "../../kernel/errors.ts";

let world: ObjectWorld;
beforeEach(() => {
  world = freshWorld();
});

const limit = { maxBytes: 1000 };

describe("a bucket of the older program", () => {
  test("has the versions whose metadata is there, by number, and nothing else", async () => {
    for (const number of [10, 9, 2]) await world.older("result", number);
    for (const path of ["result/11/raw", "result/latest", "result/3/more/metadata.yaml", "result/x/metadata.yaml"])
      await world.objects.put(`${webFolder}/${path}`, Buffer.from("?"));
    const { versions } = world.machine("one");
    expect(await versions.models()).toEqual([web]);
    expect(await versions.names(web)).toEqual(["result"]);
    expect(await versions.numbers(web, "result")).toEqual([2, 9, 10]);
    const read = await versions.read({ model: web, name: "result", number: 9 }, limit);
    expect(new TextDecoder().decode(read)).toBe("old 9");
  });

  test("keeps all of it with the first commit, which takes the next number, and lists it once for that", async () => {
    for (const number of [1, 10]) await world.older("result", number);
    let lists = 0;
    const counting = Object.assign(Object.create(world.objects), {
      list: (folder: string) => {
        lists++;
        return world.objects.list(folder);
      },
    });
    await world.machine("one", { objects: counting }).run("new", "result");
    expect(lists).toBe(1);
    expect(await world.machine("two").versions.numbers(web, "result")).toEqual([1, 10, 11]);
    expect(world.text(`${webFolder}/result/11/raw`)).toBe("new");
  });

  test("that can't be listed is not an empty one", async () => {
    await world.older("result", 1);
    const failing = Object.assign(Object.create(world.objects), {
      list: () => {
        throw new FenError("store_unavailable", "No answer came.");
      },
    });
    const one = world.machine("one", { objects: failing });
    await expect(one.versions.numbers(web, "result")).rejects.toMatchObject({ code: "store_unavailable" });
    await expect(one.run("new", "result")).rejects.toMatchObject({ code: "store_unavailable" });
  });
});

describe("what a run was to leave", () => {
  const named = (dataId: string, version: number, name = "result") => ({ dataId, name, version });
  async function idOf(number: number): Promise<string> {
    const metadata = await world.machine("reader").versions.metadata({ model: web, name: "result", number });
    return metadata?.id ?? "none";
  }
  const wasCommitted = (...versions: ReturnType<typeof named>[]) =>
    world.machine("reader").versions.wasCommitted(web, versions);

  test("was committed if a version has its id, whatever others have the number", async () => {
    const one = world.machine("one");
    await one.run("1", "result");
    expect(await wasCommitted(named(await idOf(1), 1))).toBe(true);
    expect(await wasCommitted(named("another", 1))).toBe(false);
    expect(await wasCommitted(named("another", 2))).toBe(false);
    expect(await wasCommitted(named("another", 1, "log"))).toBe(false);
  });

  test("was committed if it was removed since; what was only put where others had to pass it over was not", async () => {
    const one = world.machine("one");
    await world.objects.put(`${webFolder}/result/1/raw`, Buffer.from("of one that died"));
    await one.run("2", "result");
    const [first, second] = [named("died", 1), named(await idOf(2), 2)];
    const expected = async () => expect([await wasCommitted(first), await wasCommitted(second)]).toEqual([false, true]);
    await expected();
    await using held = await one.take();
    await one.versions.remove(web, "result", { numbers: [2], held });
    await expected();
    await one.versions.tidy();
    await expected();
  });

  test("is asked for anew where it wasn't there yet, and not again where it was", async () => {
    let reads = 0;
    const { versions } = world.machine("reader", { isStill: true });
    const one = world.machine("one");
    expect(await versions.wasCommitted(web, [named("not yet", 1)])).toBe(false);
    await one.run("1", "result");
    const found = named(await idOf(1), 1);
    expect(await versions.wasCommitted(web, [found])).toBe(true);
    const get = world.locks.objects.get.bind(world.locks.objects);
    world.locks.objects.get = (key) => {
      reads++;
      return get(key);
    };
    expect(await versions.wasCommitted(web, [found])).toBe(true);
    expect(reads).toBe(0);
  });

  test("of an adopted model is what the older program left", async () => {
    await world.older("result", 1);
    expect(await wasCommitted(named(await idOf(1), 1))).toBe(true);
    expect(await wasCommitted(named("died", 2))).toBe(false);
  });
});

describe("the cache", () => {
  test("is asked by the hash of the content: two versions of one name are never mixed up", async () => {
    const one = world.machine("one");
    await one.run("first", "result");
    await one.run("other", "result");
    const two = world.machine("two");
    await two.sync.pull();
    for (const [number, content] of [
      [1, "first"],
      [2, "other"],
    ] as const) {
      const read = await two.versions.read({ model: web, name: "result", number }, limit);
      expect(new TextDecoder().decode(read)).toBe(content);
    }
  });

  const version = { model: web, name: "result", number: 1 };
  const text = async (content: AsyncIterable<Uint8Array>): Promise<string> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };

  test.each(["", "firs", "other", "a folder"])(
    "whose file isn't what it should be (%j) is as good as none",
    async (left) => {
      await world.machine("one").run("first", "result");
      const { versions, sync, cache } = world.machine("two");
      expect((await sync.pull()).files).toBe(1);
      const path = cache.path((await versions.metadata(version))?.checksum ?? "");
      const spoil = () => {
        rmSync(path, { recursive: true, force: true });
        if (left === "a folder") mkdirSync(path);
        else writeFileSync(path, left);
      };
      spoil();
      expect(new TextDecoder().decode(await versions.read(version, limit))).toBe("first");
      spoil();
      expect(await text(versions.stream(version))).toBe("first");
      if (left === "a folder") return;
      expect(readFileSync(path, "utf8")).toBe("first");
      spoil();
      expect((await sync.pull()).files).toBe(left.length === "first".length ? 0 : 1);
    },
  );

  test("keeps what was read", async () => {
    await world.machine("one").run("first", "result");
    const { versions } = world.machine("two");
    expect(new TextDecoder().decode(await versions.read(version, limit))).toBe("first");
    await world.objects.removeAll([`${webFolder}/result/1/raw`]);
    expect(new TextDecoder().decode(await versions.read(version, limit))).toBe("first");
  });

  test("that can't be written keeps nobody from reading; what is being read may be removed", async () => {
    await world.machine("one").run("first", "result");
    const { versions } = world.machine("two");
    writeFileSync(join(world.root, "two-cache"), "a file where the folder should be");
    expect(new TextDecoder().decode(await versions.read(version, limit))).toBe("first");
    expect(await text(versions.stream(version))).toBe("first");
    rmSync(join(world.root, "two-cache"));
    for await (const chunk of versions.stream(version)) {
      rmSync(join(world.root, "two-cache"), { recursive: true });
      expect(Buffer.from(chunk).toString()).toBe("first");
    }
  });

  test("names no two contents alike, and isn't written where it is only read", async () => {
    const { cache } = world.machine("one");
    const [a, b] = [`aa${"0".repeat(61)}1`, `aa${"0".repeat(61)}2`];
    makeFolder(dirname(cache.path(a)), { durable: false });
    writeFileSync(cache.path(a), "a");
    expect([cache.has(a), cache.has(b)]).toEqual([true, false]);
    expect(await cache.read(b, 10)).toBeUndefined();
  });
});

describe("content", () => {
  test("that nobody committed is tidied up; what is committed, and what the older program left, is not", async () => {
    const one = world.machine("one");
    await one.run("1", "result");
    await world.objects.put(`${webFolder}/result/2/raw`, Buffer.from("of one that died"));
    const other = { type: "command/shell", id: "b0000000-0000-4000-b000-000000000002" };
    const untouched = `data/${other.type}/${other.id}/result/1/raw`;
    await world.objects.put(untouched, Buffer.from("old"));
    // Somebody has looked at it.
    await (await one.take(other)).release();
    await one.versions.tidy();
    expect(world.text(`${webFolder}/result/2/raw`)).toBeUndefined();
    expect(world.text(`${webFolder}/result/1/raw`)).toBe("1");
    expect(world.text(untouched)).toBe("old");
  });

  test("isn't what its version says: an error, never the wrong bytes", async () => {
    const one = world.machine("one");
    await one.run("1", "result");
    await world.objects.put(`${webFolder}/result/1/raw`, Buffer.from("2"));
    const { versions } = world.machine("two");
    await expect(versions.read({ model: web, name: "result", number: 1 }, limit)).rejects.toMatchObject({
      code: "data_corrupt",
    });
  });

  test("of a removed version is removed after the head has forgotten it", async () => {
    const one = world.machine("one");
    await one.run("1", "result");
    const failing = Object.assign(Object.create(world.objects), {
      removeAll: async () => {
        const numbers = await world.machine("two").versions.numbers(web, "result");
        expect(numbers).toEqual([]);
      },
    });
    const remover = world.machine("one", { objects: failing });
    await using held = await remover.take();
    await remover.versions.remove(web, "result", { numbers: [1], held });
    expect(world.text(`${webFolder}/result/1/raw`)).toBe("1");
  });

  test("gives up the parts of content that never became whole, after a day and no sooner", async () => {
    const asked: unknown[] = [];
    const watching = Object.assign(Object.create(world.objects), {
      abandonUploads: async (...args: unknown[]) => asked.push(args),
    });
    await world.machine("one", { objects: watching }).versions.tidy();
    expect(asked).toEqual([["data", { olderThanMs: 86_400_000 }]]);
  });
});
