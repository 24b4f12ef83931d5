/** A command that settles what another has left, and is ended at any moment of it: data, record and folder say the same in the end. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FaultyFiles, Killed } from "../../test/support/faulty-files.ts";
import { machine, ObjectWorld, web } from "../../test/support/object-world.ts";
import { textSpec } from "../../test/support/output-spec.ts";
import type { VersionStore } from "../data/contract.ts";
import { FolderVersions } from "../data/folders.ts";
import { stagingFolder } from "../data/layout.ts";
import { Outputs, type OutputRecord } from "../data/outputs.ts";
import { Staging } from "../data/staging.ts";
import { DataVersions } from "../data/versions.ts";
import { FenError } from "../kernel/errors.ts";
import { LockManager } from "../lock/manager.ts";
import type { Datastore, LocalFiles } from "../store/contract.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import { ObjectFiles } from "../store/object-files.ts";
import { settlePast } from "./settle.ts";

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), "fen-settle-"))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

const runId = "dddddddd-0000-4000-a000-000000000001";
const owner = { ownerType: "model-method", ownerRef: web.id, outputId: runId } as const;

interface Place {
  readonly store: VersionStore;
  readonly datastore: Datastore;
}

/** The same place, through files that a test may break. */
type Open = (around?: (real: LocalFiles) => LocalFiles) => Place;

function folder(): Open {
  return (around = (real) => real) => {
    const datastore = openFilesystemDatastore(join(root, "folder"), machine);
    const local = around(datastore.local);
    return { store: new FolderVersions(local), datastore: { ...datastore, files: local, local } };
  };
}

function objects(): Open {
  const world = new ObjectWorld(root);
  return (around = (real) => real) => {
    const { datastore, versions } = world.machine("one", { around });
    const files = new ObjectFiles(world.objects, datastore.local);
    return { store: versions, datastore: { ...datastore, files } };
  };
}

const take = ({ datastore }: Place) => {
  const resource = { kind: "model", ...web } as const;
  return new LockManager(datastore.locks, machine).acquire([{ resource, mode: "exclusive" }], { timeoutMs: 10_000 });
};

const running: OutputRecord = {
  ...{ id: runId, definitionId: web.id, methodName: "execute", status: "running", retryCount: 0 },
  ...{ startedAt: "2026-01-01T00:00:00.000Z", provenance: {}, artifacts: { dataArtifacts: [] }, lockNonce: "gone" },
};

/** A run whose process dies at a change of a file. */
async function dies(open: Open, when: (method: string, number: number) => boolean): Promise<void> {
  const faulty: FaultyFiles[] = [];
  const place = open((real) => {
    const one = new FaultyFiles(real, async (step) => {
      if (step.when === "after" && when(step.method, step.number)) throw new Killed("killed");
    });
    faulty.push(one);
    return one.files;
  });
  const outputs = new Outputs(open().datastore.files);
  await using held = await take(open());
  const stem = outputs.newStem(web, "execute", running);
  await outputs.write(stem, running, { durable: false });
  const staging = new Staging(place.store, machine, { model: web, runId });
  const work = async () => {
    const file = await staging.openFile("result", textSpec);
    file.append("content");
    await file.close();
    await staging.commit({ owner, tags: {}, held });
  };
  await expect(work()).rejects.toThrow();
  for (const one of faulty) one.die();
}

/** Gives the changes of files that it came to. */
async function settles(open: Open, at: (number: number) => boolean): Promise<number> {
  let steps: FaultyFiles | undefined;
  const place = open((real) => {
    steps = new FaultyFiles(real, async ({ number }) => {
      if (at(number)) throw new Killed("killed");
    });
    return steps.files;
  });
  await using lease = await take(open());
  const outputs = new Outputs(place.datastore.files);
  const workspace = { outputs, datastore: place.datastore, data: new DataVersions(place.store) };
  await settlePast({ emit: () => undefined }, workspace, { definition: web, lease }).catch((error: unknown) => {
    if (!(error instanceof Killed)) throw error;
  });
  return steps?.steps.length ?? 0;
}

async function outcome(open: Open) {
  const { store, datastore } = open();
  const { record } = await new Outputs(datastore.files).find(runId);
  const numbers = await store.numbers(web, "result");
  const left = (await datastore.local.list(stagingFolder(web))).length;
  return { status: record.status, message: record.error?.message, left, numbers };
}

describe.each([
  ["a folder", folder],
  ["an object store", objects],
])("settling in %s", (_name, opened) => {
  test("ended at any moment: as long as the record isn't right, what the dead run left is there for the next to find", async () => {
    const settled = {
      status: "interrupted",
      message: expect.stringMatching(/before its outputs/),
      left: 0,
      numbers: [],
    };
    let at = 0;
    for (let moments = 1; at < moments; at++) {
      rmSync(root, { recursive: true, force: true });
      const open = opened();
      await dies(open, (method) => method === "create");
      moments = (await settles(open, (number) => number === at)) + 1;
      const between = await outcome(open);
      if (between.left === 0) expect(between).toEqual(settled);
      await settles(open, () => false);
      expect(await outcome(open)).toEqual(settled);
    }
    expect(at).toBeGreaterThan(4);
  });
});

test.each([
  ["was written after the commit stays: a power cut has brought back the folder's old name", undefined, "succeeded"],
  ["was written ahead of a commit that never came is mended", "nonce", "interrupted"],
])("a record that %s", async (_name, lockNonce, status) => {
  const open = folder();
  await dies(open, (method) => method === "create");
  const outputs = new Outputs(open().datastore.files);
  const { lockNonce: _gone, ...begun } = running;
  const artifacts = { dataArtifacts: [{ dataId: "one", name: "result", version: 1, tags: {} }] };
  const ended = {
    ...begun,
    status: "succeeded" as const,
    artifacts,
    ...(lockNonce === undefined ? {} : { lockNonce }),
  };
  await outputs.write(outputs.newStem(web, "execute", running), ended, { durable: true });
  await settles(open, () => false);
  expect(await outcome(open)).toMatchObject({ status, left: 0 });
});

/** A run whose outputs could not reach the store, and whose record says so: here, or there too. */
async function fails(world: ObjectWorld, record: { readonly durable: boolean }): Promise<void> {
  const failing = Object.assign(Object.create(world.objects), { create: unavailable });
  const outputs = new Outputs(world.machine("one").datastore.files);
  await outputs.write(outputs.newStem(web, "execute", running), { ...running, status: "failed" }, record);
  const one = world.machine("one", { objects: failing });
  await using held = await one.take();
  const staging = new Staging(one.versions, machine, { model: web, runId });
  const file = await staging.openFile("result", textSpec);
  file.append("content");
  await file.close();
  await expect(staging.commit({ owner, tags: {}, held })).rejects.toMatchObject({ code: "store_unavailable" });
}

const unavailable = async () => Promise.reject(new FenError("store_unavailable", "No answer came."));

describe("what could not reach the object store at the end of its run", () => {
  test.each([
    ["the list of records", "entries"],
    ["the record", "get"],
  ])("is told later where %s can't be read now", async (_name, method) => {
    const world = new ObjectWorld(root);
    await fails(world, { durable: true });
    const open: Open = () => ({ store: world.machine("one").versions, datastore: world.machine("one").datastore });
    {
      const { store, datastore } = open();
      await using lease = await take(open());
      const failing = Object.assign(Object.create(world.objects), { [method]: unavailable });
      const outputs = new Outputs(new ObjectFiles(failing, datastore.local));
      const workspace = { outputs, datastore, data: new DataVersions(store) };
      const settling = settlePast({ emit: () => undefined }, workspace, { definition: web, lease });
      await expect(settling).rejects.toMatchObject({ code: "store_unavailable" });
    }
    expect(await outcome(open)).toMatchObject({ status: "failed", left: 1, numbers: [1] });
    await settles(open, () => false);
    expect(await outcome(open)).toMatchObject({ status: "interrupted", left: 0, numbers: [1] });
    const { record } = await new Outputs(open().datastore.files).find(runId);
    expect(record.artifacts.dataArtifacts).toMatchObject([{ name: "result", version: 1 }]);
  });

  test("is settled beside a record that is damaged", async () => {
    const world = new ObjectWorld(root);
    await fails(world, { durable: true });
    const { datastore } = world.machine("one");
    const stem = new Outputs(datastore.files).newStem(web, "execute", running);
    await datastore.files.write(`${stem}.yaml`, "id: [");
    const open: Open = (around) => {
      const { versions, ...one } = world.machine("one", around === undefined ? {} : { around });
      return { store: versions, datastore: one.datastore };
    };
    await settles(open, () => false);
    expect(await datastore.local.list(stagingFolder(web))).toEqual([]);
    expect(world.text(`${stem}.yaml`)).toBe("id: [");
  });

  test("ended at any moment of the later commit: it is there once, and its record names it", async () => {
    let at = 0;
    for (let moments = 1; at < moments; at++) {
      rmSync(root, { recursive: true, force: true });
      const world = new ObjectWorld(root);
      await fails(world, { durable: false });
      const open: Open = (around = (real) => real) => {
        const { datastore, versions } = world.machine("one", { around });
        return { store: versions, datastore };
      };
      moments = (await settles(open, (number) => number === at)) + 1;
      await settles(open, () => false);
      expect(await outcome(open)).toMatchObject({ status: "interrupted", left: 0, numbers: [1] });
      const { record } = await new Outputs(open().datastore.files).find(runId);
      expect(record.artifacts.dataArtifacts).toMatchObject([{ name: "result", version: 1 }]);
    }
    expect(at).toBeGreaterThan(4);
  });
});
