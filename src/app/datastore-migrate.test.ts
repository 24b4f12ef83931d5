/** From one datastore to another, folders and objects in memory: compared first, checked by hash, nothing twice, and the source is only read. */
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { freshWorld, machine, type ObjectWorld, web, webFolder } from "../../test/support/object-world.ts";
import { FolderVersions } from "../data/folders.ts";
import { parseRecord } from "../data/outputs.ts";
import { Staging } from "../data/staging.ts";
import { LockManager } from "../lock/manager.ts";
import { stringifyYaml } from "../repo/yaml.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import type { AppContext } from "./context.ts";
import { migrate } from "./datastore-migrate.ts";
import type { OpenedDatastore } from "./workspace.ts";

let world: ObjectWorld;
let source: OpenedDatastore;
let target: OpenedDatastore;
beforeEach(() => {
  world = freshWorld();
  const datastore = openFilesystemDatastore(join(world.root, "source"), machine);
  source = { datastore, versions: new FolderVersions(datastore.local) };
  target = world.machine("target");
});

const context: AppContext = {
  machine,
  signal: new AbortController().signal,
  lockTimeoutMs: 10_000,
  emit: () => undefined,
};
const record = "outputs/command/shell/execute/a.yaml";

async function run(content: string, on = source): Promise<void> {
  const resource = { kind: "model", ...web } as const;
  await using held = await new LockManager(on.datastore.locks, machine).acquire([{ resource, mode: "exclusive" }]);
  const staging = new Staging(on.versions, machine, { model: web, runId: machine.random.uuid() });
  const file = await staging.openFile("result", {
    ...{ contentType: "text/plain", lifetime: "infinite", garbageCollection: 10, streaming: false, tags: {} },
  });
  file.append(content);
  await file.close();
  await staging.commit({ owner: { ownerType: "model-method", ownerRef: web.id }, tags: {}, held });
}

async function contents(of: OpenedDatastore): Promise<unknown> {
  const numbers = await of.versions.numbers(web, "result");
  const read = numbers.map(async (number) => {
    const version = { model: web, name: "result", number };
    const bytes = await of.versions.read(version, { maxBytes: 1000 });
    return [number, (await of.versions.metadata(version))?.id, new TextDecoder().decode(bytes)];
  });
  return Promise.all(read);
}

const move = (dryRun = false) => migrate(context, { source, target, dryRun });
const back = () => migrate(context, { source: target, target: source, dryRun: false });

describe("what is brought", () => {
  test("has its numbers, ids and contents, records too; again there is nothing to do, and the source is as it was", async () => {
    await run("1");
    await run("2");
    await source.datastore.files.write(record, "a: 1");
    const before = await contents(source);
    expect(await move()).toEqual({ filesCopied: 3, bytesCopied: 6, filesThere: 0 });
    expect(await contents(world.machine("reader"))).toEqual(before);
    expect(world.text(record)).toBe("a: 1");
    expect(await contents(source)).toEqual(before);
    expect(await move()).toEqual({ filesCopied: 0, bytesCopied: 0, filesThere: 3 });
  });

  test("comes back with what was added, under the numbers that it has there", async () => {
    await run("1");
    await move();
    await run("2", target);
    expect(await back()).toMatchObject({ filesCopied: 1, filesThere: 1 });
    expect(await contents(source)).toEqual(await contents(target));
  });

  test("leaves no record that says more than what was committed, in a place where nobody could tell", async () => {
    const path = `outputs/${web.type}/execute/${web.id}-2026-01-01T00-00-00-000Z-aaaaaaaa.yaml`;
    const left = { dataId: "d", name: "result", version: 2, tags: {} };
    const said = {
      ...{ id: "aaaaaaaa", definitionId: web.id, methodName: "execute", status: "succeeded" },
      ...{ startedAt: "2026-01-01T00:00:00.000Z", artifacts: { dataArtifacts: [left] }, lockNonce: "n" },
    };
    await run("1", target);
    await target.datastore.files.write(path, stringifyYaml(said));
    expect(await back()).toMatchObject({ filesCopied: 2 });
    const copied = await source.datastore.files.read(path, { maxBytes: 10_000 });
    const text = new TextDecoder().decode(copied);
    expect(text).toContain("status: interrupted");
    expect(text).not.toContain("lockNonce");
    expect(parseRecord(text, path).artifacts.dataArtifacts).toEqual([]);
    expect(await back()).toMatchObject({ filesCopied: 0, filesThere: 2 });
    expect(await move()).toMatchObject({ filesCopied: 0, filesThere: 2 });
  });

  test("a dry run writes nothing", async () => {
    await run("1");
    expect(await move(true)).toEqual({ filesCopied: 1, bytesCopied: 1, filesThere: 0 });
    expect([...world.objects.objects.keys(), ...world.locks.objects.keys()]).toEqual([]);
  });
});

describe("lock-86: what is in the way", () => {
  test("another version of the same number, of the same content even: refused, and nothing is touched", async () => {
    await run("same");
    await run("same", target);
    await source.datastore.files.write(record, "a: 1");
    const before = [...world.objects.objects.keys()];
    await expect(move()).rejects.toMatchObject({ code: "data_exists" });
    expect([...world.objects.objects.keys()]).toEqual(before);
  });

  test("versions that the source hasn't got: they would be mixed", async () => {
    await run("1");
    await move();
    await run("2", target);
    await expect(move()).rejects.toMatchObject({ code: "data_exists" });
    await run("2");
    await expect(back()).rejects.toMatchObject({ code: "data_exists" });
  });

  test("a record of the same name and other content: refused, before any version is brought", async () => {
    await run("1");
    await source.datastore.files.write(record, "a: 1");
    await world.objects.put(record, Buffer.from("a: 2"));
    await expect(move()).rejects.toMatchObject({ code: "data_exists" });
    expect([...world.objects.objects.keys()]).toEqual([record]);
  });

  test("content that nobody committed under that key, which isn't ours: refused, and it is as it was", async () => {
    await run("1");
    await world.objects.put(`${webFolder}/result/1/raw`, Buffer.from("?"));
    await expect(move()).rejects.toMatchObject({ code: "data_exists" });
    expect(world.text(`${webFolder}/result/1/raw`)).toBe("?");
    expect(await target.versions.numbers(web, "result")).toEqual([]);
  });

  test("a version of the source that isn't what it says: it is named, and not brought", async () => {
    await run("1");
    await source.datastore.files.write(`${webFolder}/result/1/raw`, "2");
    await expect(move()).rejects.toMatchObject({ code: "data_corrupt" });
    expect(await target.versions.numbers(web, "result")).toEqual([]);
  });

  test("a holder of a model, in the source or in the target: it is waited for", async () => {
    await run("1");
    for (const one of [source, target]) {
      const resource = { kind: "model", ...web } as const;
      await using _ = await new LockManager(one.datastore.locks, machine).acquire([{ resource, mode: "exclusive" }]);
      const hasty = migrate({ ...context, lockTimeoutMs: 200 }, { source, target, dryRun: false });
      await expect(hasty).rejects.toMatchObject({ code: "lock_timeout" });
    }
    expect([...world.objects.objects.keys()]).toEqual([]);
  });
});
