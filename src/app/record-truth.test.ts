/** What a record that was written ahead of its commit is taken to say, at every moment of its run. */
import { beforeEach, expect, test } from "vitest";
import { freshWorld, machine, type ObjectMachine, type ObjectWorld, web } from "../../test/support/object-world.ts";
import { textSpec } from "../../test/support/output-spec.ts";
import { type OutputRecord, Outputs } from "../data/outputs.ts";
import { Staging } from "../data/staging.ts";
import { DataVersions } from "../data/versions.ts";
import { FenError } from "../kernel/errors.ts";
import type { LockDriver } from "../store/contract.ts";
import { RecordTruth } from "./record-truth.ts";

let world: ObjectWorld;
let one: ObjectMachine;
beforeEach(() => {
  world = freshWorld();
  one = world.machine("one");
});

const path = `outputs/${web.type}/execute/${web.id}-2026-01-01T00-00-00-000Z-dddddddd.yaml`;
const runId = "dddddddd-0000-4000-a000-000000000001";

/** As another machine is told, which may do something while the locks are looked at. */
async function told(record: OutputRecord, meanwhile: () => Promise<unknown> = async () => undefined) {
  const { datastore, versions } = world.machine("two");
  const locks: LockDriver = Object.assign(Object.create(datastore.locks), {
    inspect: async (scope: Parameters<LockDriver["inspect"]>[0]) => {
      await meanwhile();
      return datastore.locks.inspect(scope);
    },
  });
  const truth = new RecordTruth({ datastore: { ...datastore, locks }, data: new DataVersions(versions) });
  const { status, artifacts, durationMs } = await truth.of({ record, type: web.type, path });
  return { status, artifacts: artifacts.dataArtifacts.length, durationMs };
}

/** A run that has put its record, and does the rest when it is told to. */
async function begun() {
  const held = await one.take();
  const staging = new Staging(one.versions, machine, { model: web, runId });
  const file = await staging.openFile("result", textSpec);
  file.append("content");
  await file.close();
  let goOn: (() => void) | undefined;
  const paused = new Promise<void>((resolve) => (goOn = resolve));
  let put: ((record: OutputRecord) => void) | undefined;
  const record = new Promise<OutputRecord>((resolve) => (put = resolve));
  const committing = staging.commit({
    ...{ owner: { ownerType: "model-method", ownerRef: web.id, outputId: runId }, tags: {}, held, last: true },
    beside: async (committed) => {
      put?.({
        ...{
          id: runId,
          definitionId: web.id,
          methodName: "execute",
          status: "succeeded",
          retryCount: 0,
          durationMs: 5,
        },
        ...{ startedAt: "2026-01-01T00:00:00.000Z", provenance: {}, lockNonce: held.grants[0]?.nonce ?? "" },
        artifacts: { dataArtifacts: committed },
      });
      await paused;
    },
  });
  const end = async () => {
    goOn?.();
    await committing;
    await held.release();
  };
  return { record: await record, held, committing, goOn, end };
}

const interrupted = { status: "interrupted", artifacts: 0, durationMs: 5 };
const succeeded = { status: "succeeded", artifacts: 1, durationMs: 5 };
const running = { status: "running", artifacts: 0, durationMs: undefined };

test("says running before its commit, and what it says after that", async () => {
  const { record, end } = await begun();
  expect(await told(record)).toEqual(running);
  await end();
  expect(await told(record)).toEqual(succeeded);
});

test("says what it says where the commit came between two looks", async () => {
  const { record, end } = await begun();
  expect(await told(record, end)).toEqual(succeeded);
});

test("says interrupted, without data, when its lock is in other hands: then it can't be committed any more", async () => {
  const { record, held, committing, goOn } = await begun();
  const nonce = held.grants[0]?.nonce;
  expect(await world.machine("two").datastore.locks.revoke({ kind: "model", ...web }, nonce)).toBe(true);
  expect(await told(record)).toEqual(interrupted);
  await using _ = await world.machine("two").take();
  expect(await told(record)).toEqual(interrupted);
  goOn?.();
  await expect(committing).rejects.toMatchObject({ code: "lock_lost" });
  expect(await told(record)).toEqual(interrupted);
});

test("is believed where it has no data, and where nothing says that it was written ahead", async () => {
  const { record, end } = await begun();
  const { lockNonce: _nonce, ...after } = record;
  expect(await told(after)).toEqual(succeeded);
  expect(await told({ ...record, artifacts: { dataArtifacts: [] } })).toEqual({ ...succeeded, artifacts: 0 });
  await end();
});

test("is believed where the list of versions is damaged; a list that can't be read is an error", async () => {
  const { record, end } = await begun();
  await end();
  const asked = (error: FenError) => {
    const { datastore, versions } = world.machine("two");
    const failing = Object.assign(Object.create(versions), { wasCommitted: async () => Promise.reject(error) });
    return new RecordTruth({ datastore, data: new DataVersions(failing) }).of({ record, type: web.type, path: "a" });
  };
  expect((await asked(new FenError("data_corrupt", "It can't be read."))).status).toBe("succeeded");
  const unavailable = asked(new FenError("store_unavailable", "No answer came."));
  await expect(unavailable).rejects.toMatchObject({ code: "store_unavailable" });
});

test("that says running is read once more where nobody holds its lock: its run may have ended between two looks", async () => {
  const { record: ended, end } = await begun();
  const { durationMs: _ms, ...begins } = ended;
  const record: OutputRecord = { ...begins, status: "running", artifacts: { dataArtifacts: [] } };
  const outputs = new Outputs(one.datastore.files);
  const put = (now: OutputRecord) => outputs.write(path.replace(/\.yaml$/, ""), now, { durable: true });
  await put(record);
  expect(await told(record)).toEqual(running);
  expect(await told(record, () => put(ended).then(end))).toEqual(succeeded);
  await put(record);
  expect(await told(record)).toEqual({ ...running, status: "interrupted" });
  // Written ahead of a commit that doesn't come: it isn't believed either.
  const ahead = {
    ...ended,
    lockNonce: "gone",
    artifacts: { dataArtifacts: [{ dataId: "x", name: "y", version: 1, tags: {} }] },
  };
  expect(await told(record, () => put(ahead))).toEqual(interrupted);
  await one.datastore.files.remove(path);
  expect(await told(record)).toEqual({ ...running, status: "interrupted" });
});
