/** What is left on a machine and gets to the store with a sync, in memory: what is whose, in which order, and what is left alone. */
import { beforeEach, describe, expect, test } from "vitest";
import { freshWorld, machine, type ObjectMachine, type ObjectWorld, web } from "../../test/support/object-world.ts";
import { textSpec } from "../../test/support/output-spec.ts";
import { Outputs, type OutputRecord } from "../data/outputs.ts";
import { Staging } from "../data/staging.ts";
import type { DataSync } from "../data/sync.ts";
import { DataVersions } from "../data/versions.ts";
import { FenError } from "../kernel/errors.ts";
import { LockManager } from "../lock/manager.ts";
import { claimFile } from "../store/drivers/filesystem/claim-file.ts";
import { runFiles } from "../workflow/run-files.ts";
import type { AppContext } from "./context.ts";
import { syncWorkspace } from "./datastore-sync.ts";

let world: ObjectWorld;
let one: ObjectMachine;
beforeEach(() => {
  world = freshWorld();
  one = world.machine("one");
});

const { signal } = new AbortController();
const context: AppContext = { machine, signal, lockTimeoutMs: 200, emit: () => undefined };
const runId = "dddddddd-0000-4000-a000-000000000001";
const stem = `outputs/${web.type}/execute/${web.id}-2026-01-01T00-00-00-000Z-dddddddd`;
const running: OutputRecord = {
  ...{ id: runId, definitionId: web.id, methodName: "execute", status: "running", retryCount: 0 },
  ...{ startedAt: "2026-01-01T00:00:00.000Z", provenance: {}, artifacts: { dataArtifacts: [] }, lockNonce: "gone" },
};

/** What data/objects/sync.test.ts is about. */
const nothing: DataSync = {
  pull: async () => ({ files: 0, errors: [] }),
  publish: async () => ({ files: 0, errors: [] }),
};

function workspaceOf({ datastore, versions }: ObjectMachine, sync = nothing) {
  const locks = new LockManager(datastore.locks, machine);
  return {
    ...{ datastore, sync, data: new DataVersions(versions), outputs: new Outputs(datastore.files) },
    lock: (requests: Parameters<LockManager["acquire"]>[0]) => locks.acquire(requests, { timeoutMs: 200 }),
  };
}

const push = (at = one) => syncWorkspace(context, workspaceOf(at), "push");

/** A record and a log that are on the machine only. */
async function leave(record: OutputRecord): Promise<void> {
  await one.datastore.local.write(`${stem}.log`, "a line");
  await new Outputs(one.datastore.files).write(stem, record, { durable: false });
}

async function stage(at: ObjectMachine, content: string): Promise<Staging> {
  const staging = new Staging(at.versions, machine, { model: web, runId });
  const file = await staging.openFile("result", textSpec);
  file.append(content);
  await file.close();
  return staging;
}

/** A run whose outputs could not reach the store, and that has ended. */
async function failed(): Promise<void> {
  const objects = Object.assign(Object.create(world.objects), {
    create: async () => Promise.reject(new FenError("store_unavailable", "No answer came.")),
  });
  const failing = world.machine("one", { objects });
  await using held = await failing.take();
  const staging = await stage(failing, "kept");
  const owner = { ownerType: "model-method", ownerRef: web.id, outputId: runId } as const;
  await expect(staging.commit({ owner, tags: {}, held })).rejects.toMatchObject({ code: "store_unavailable" });
  await staging.discard();
}

describe("outputs that could not reach the store", () => {
  test("are committed by a push, once, and told by their run; a pull leaves them", async () => {
    await failed();
    expect(await syncWorkspace(context, workspaceOf(one), "pull")).toEqual({
      mode: "pull",
      filesPulled: 0,
      errors: [],
    });
    expect(await one.versions.refresh(web)).toEqual(new Map());
    const told = { model: `${web.type}/${web.id}`, runId, committed: true };
    expect(await push()).toMatchObject({ mode: "push", runs: [told], errors: [] });
    expect(await world.machine("two").versions.numbers(web, "result")).toEqual([1]);
    expect(await push()).toMatchObject({ runs: [], filesPushed: 0 });
  });

  test("wait for whoever has the model", async () => {
    await failed();
    await using _ = await world.machine("two").take();
    await expect(push()).rejects.toMatchObject({ code: "lock_timeout" });
    expect(await one.datastore.local.list(".fen/staging")).toHaveLength(1);
  });
});

describe("a run that is at work on this machine", () => {
  test("is not waited for, and keeps its staging, its record and its log to itself", async () => {
    const staging = await stage(one, "in the making");
    await leave(running);
    await using _ = await one.take();
    expect(await push()).toMatchObject({ runs: [], filesPushed: 0 });
    expect([world.text(`${stem}.log`), world.text(`${stem}.yaml`)]).toEqual([undefined, undefined]);
    await staging.discard();
    expect(await one.datastore.local.stat(`${stem}.log`)).toBeDefined();
  });
});

describe("a record that stayed on this machine", () => {
  test("is brought as it is where it says how its run ended, its log too, and both are here no longer", async () => {
    await leave({ ...running, status: "failed" });
    expect(await push()).toMatchObject({ filesPushed: 2 });
    expect(world.text(`${stem}.yaml`)).toMatch(/^status: failed$/m);
    expect(world.text(`${stem}.log`)).toBe("a line");
    expect(await one.datastore.local.list(`outputs/${web.type}/execute`)).toEqual([]);
    expect(await push()).toMatchObject({ filesPushed: 0 });
  });

  test("that says running is of a run that is dead, and says so", async () => {
    await leave(running);
    await push();
    const { record } = await new Outputs(world.machine("two").datastore.files).find(runId);
    expect(record).toMatchObject({
      status: "interrupted",
      error: { message: expect.stringMatching(/before its record/) },
    });
  });

  test("doesn't come without the lock of its model, nor before its log", async () => {
    await leave(running);
    {
      await using _ = await world.machine("two").take();
      await expect(push()).rejects.toMatchObject({ code: "lock_timeout" });
      expect(world.text(`${stem}.yaml`)).toBeUndefined();
    }
    const order: string[] = [];
    const objects = Object.assign(Object.create(world.objects), {
      put: (path: string, bytes: Uint8Array) => {
        order.push(path);
        return world.objects.put(path, bytes);
      },
    });
    await push(world.machine("one", { objects }));
    expect(order.filter((path) => path.startsWith("outputs/"))).toEqual([`${stem}.log`, `${stem}.yaml`]);
  });
});

describe("the record and the log of a workflow run", () => {
  const ref = { workflowId: "eeeeeeee-0000-4000-a000-000000000001", id: "ffffffff-0000-4000-a000-000000000001" };
  const files = runFiles(ref);
  beforeEach(async () => {
    for (const path of [files.record, files.log]) await one.datastore.local.write(path, "here");
  });
  const brought = () => [files.record, files.log].map((path) => world.text(path));

  test("are brought where nobody carries it out, from here or elsewhere", async () => {
    const two = world.machine("two").datastore.journals;
    const owned = await two.own(files.owner);
    const claim = await claimFile(machine, one.datastore.local.locate(`${files.owner}.claim`), {
      ...{ what: "the run", timeoutMs: 100, signal },
    });
    expect(await push()).toMatchObject({ filesPushed: 0 });
    claim.release();
    owned.letGo();
    expect(brought()).toEqual([undefined, undefined]);
    await two.remove(files.owner);
    expect(await push()).toMatchObject({ filesPushed: 2 });
    expect(brought()).toEqual(["here", "here"]);
  });

  test("are left alone where somebody goes on with it while the claim on it is waited for", async () => {
    const claim = await claimFile(machine, one.datastore.local.locate(`${files.owner}.claim`), {
      ...{ what: "the run", timeoutMs: 100, signal },
    });
    const { journals } = one.datastore;
    let look: ((state: unknown) => void) | undefined;
    const looked = new Promise((resolve) => (look = resolve));
    const watched = Object.assign(Object.create(journals), {
      owner: async (path: string) => {
        const state = await journals.owner(path);
        look?.(state);
        return state;
      },
    });
    const workspace = workspaceOf(one);
    const patient = { ...context, lockTimeoutMs: 5000 };
    const pushing = syncWorkspace(
      patient,
      { ...workspace, datastore: { ...one.datastore, journals: watched } },
      "push",
    );
    expect(await looked).toBe("absent");
    const owned = await world.machine("two").datastore.journals.own(files.owner);
    claim.release();
    expect(await pushing).toMatchObject({ filesPushed: 0 });
    owned.letGo();
    expect(brought()).toEqual([undefined, undefined]);
  });
});

describe("what a sync tells", () => {
  test("is each missing file once, though both ways come by it, and only what its way comes by", async () => {
    const sync: DataSync = {
      pull: async () => ({ files: 2, errors: ["a", "b"] }),
      publish: async () => ({ files: 3, errors: ["b", "c"] }),
    };
    const told = (mode: "pull" | "push" | "sync") => syncWorkspace(context, workspaceOf(one, sync), mode);
    expect(await told("pull")).toEqual({ mode: "pull", filesPulled: 2, errors: ["a", "b"] });
    expect(await told("push")).toEqual({ mode: "push", filesPushed: 3, runs: [], errors: ["b", "c"] });
    const both = { mode: "sync", filesPulled: 2, filesPushed: 3, runs: [], errors: ["b", "c", "a"] };
    expect(await told("sync")).toEqual(both);
  });

  test("is an error where the datastore is a folder", async () => {
    const folder = { ...workspaceOf(one), sync: undefined };
    await expect(syncWorkspace(context, folder, "sync")).rejects.toMatchObject({ code: "datastore_invalid" });
  });
});
