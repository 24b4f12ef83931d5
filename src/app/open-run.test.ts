/** Who owns a run that several machines on one datastore of objects would go on with; what is left of one that can't begin. */
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { freshWorld, machine, type ObjectWorld } from "../../test/support/object-world.ts";
import { FenError } from "../kernel/errors.ts";
import { layoutOf } from "../repo/repository.ts";
import type { Appender, Datastore } from "../store/contract.ts";
import type { JournalEntry } from "../workflow/entries.ts";
import { readJournal } from "../workflow/journal-reader.ts";
import { runFiles } from "../workflow/run-files.ts";
import { OpenRun } from "./open-run.ts";

let world: ObjectWorld;
beforeEach(() => {
  world = freshWorld();
});

const ref = { workflowId: "b0000000-0000-4000-a000-000000000001", id: "c0000000-0000-4000-a000-000000000001" };
const files = runFiles(ref);
const by = { holder: "me@here", pid: 1, command: "fen" };
const first: Extract<JournalEntry, { e: "run" }> = {
  ...{ e: "run", at: 0, run: ref.id, hash: "", inputs: {}, tags: {}, by },
  definition: { id: ref.workflowId, name: "w", version: 1, tags: {}, lock: "run", jobs: [] },
};
const emit = () => undefined;
const unavailable = async () => Promise.reject(new FenError("store_unavailable", "No answer came."));
/** What is asked for is done, but the answer doesn't come. */
const unanswered: Datastore["files"]["write"] = async (path, content) => {
  await world.machine("one").datastore.files.write(path, content);
  return unavailable();
};

/** The real one, but for what is given. */
function instead<T extends object>(real: T, given: Partial<T>): T {
  const get = (_: T, name: string) => {
    const found: unknown = Reflect.get(Object.hasOwn(given, name) ? given : real, name);
    return typeof found === "function" ? found.bind(real) : found;
  };
  return new Proxy(real, { get: (target, name) => get(target, String(name)) });
}

interface Changes {
  readonly journals?: Partial<Datastore["journals"]>;
  readonly files?: Partial<Datastore["files"]>;
}

/** A machine of which is known what it has open: files, and owners that it hasn't let go. */
function place(name: string, changes: Changes = {}) {
  const { datastore } = world.machine(name);
  const journals = instead(datastore.journals, changes.journals ?? {});
  const store = instead(datastore.files, changes.files ?? {});
  const open = new Set<string>();
  const watched = (path: string, file: Appender) => {
    open.add(path);
    return instead(file, {
      close: async (options) => {
        open.delete(path);
        await file.close(options);
      },
    });
  };
  const own = async (path: string) => {
    const owned = await journals.own(path);
    open.add(path);
    const letGo = () => {
      open.delete(path);
      owned.letGo();
    };
    return { letGo };
  };
  const watching = {
    ...datastore,
    files: instead(store, {
      create: async (path) => watched(path, await store.create(path)),
      reopen: async (path) => watched(path, await store.reopen(path)),
    }),
    journals: instead(journals, {
      own,
      create: async (path) => watched(path, await journals.create(path)),
      reopen: async (path, options) => watched(path, await journals.reopen(path, options)),
    }),
  };
  const workspace = {
    datastore: watching,
    repository: {
      layout: layoutOf(join(world.root, name)),
      marker: { raw: {} },
      datastore: { kind: "filesystem", root: join(world.root, name), exclude: [] },
      workflowExtensionsDir: join(world.root, "extensions"),
    } as const,
  };
  return { workspace, open };
}

type Place = ReturnType<typeof place>;

/** A run that somebody has left, as all machines see it. */
async function leave(): Promise<void> {
  const run = await OpenRun.begin(place("before").workspace, first, emit);
  await run.close();
}

async function look({ workspace }: Place) {
  const read = await readJournal(workspace.datastore.journals, files.journal);
  if (read === undefined) throw new Error("there is no journal");
  return { state: read.state, resumed: { at: machine.clock.now(), by, size: read.reader.offset, emit } };
}

const ownerSeen = () => world.machine("other").datastore.journals.owner(files.owner);

describe("a run that two machines go on with at the same time", () => {
  test("stays that of who was first to write, also where the other had shown it as its own", async () => {
    await leave();
    const [one, two] = [place("one"), place("two")];
    const [atOne, atTwo] = [await look(one), await look(two)];
    const owned = await OpenRun.own(two.workspace, ref);
    const run = await OpenRun.reopen(one.workspace, atOne.state, atOne.resumed);
    const said = world.text(files.owner);
    await one.workspace.datastore.files.write(files.cancel, "");
    await expect(OpenRun.reopen(two.workspace, atTwo.state, { ...atTwo.resumed, owned })).rejects.toMatchObject({
      code: "lock_lost",
    });
    await OpenRun.disown(two.workspace, ref, { owned, size: atTwo.resumed.size });
    expect([await ownerSeen(), world.text(files.owner), world.text(files.cancel)]).toEqual(["alive", said, ""]);
    expect([...two.open]).toEqual([]);
    await run.close();
    expect([await ownerSeen(), [...one.open]]).toEqual(["absent", []]);
  });

  test("isn't touched by who finds more written than it has read", async () => {
    await leave();
    const [one, two] = [place("one"), place("two")];
    const [atOne, atTwo] = [await look(one), await look(two)];
    const run = await OpenRun.reopen(one.workspace, atOne.state, atOne.resumed);
    const said = world.text(files.owner);
    await expect(OpenRun.reopen(two.workspace, atTwo.state, atTwo.resumed)).rejects.toMatchObject({
      code: "lock_lost",
    });
    expect([world.text(files.owner), [...two.open]]).toEqual([said, []]);
    await run.close();
  });

  test("is let go by who comes too late by a moment, and nothing of it is removed", async () => {
    await leave();
    const one = place("one");
    const atOne = await look(one);
    let run: OpenRun | undefined;
    const { journals } = world.machine("two").datastore;
    const own: Datastore["journals"]["own"] = async (path) => {
      run = await OpenRun.reopen(one.workspace, atOne.state, atOne.resumed);
      return journals.own(path);
    };
    const two = place("two", { journals: { own } });
    const atTwo = await look(two);
    await expect(OpenRun.reopen(two.workspace, atTwo.state, atTwo.resumed)).rejects.toMatchObject({
      code: "lock_lost",
    });
    expect([world.text(files.owner) === undefined, [...two.open]]).toEqual([false, []]);
    await run?.close();
  });
});

test("a run that was shown as alive, and isn't gone on with after all, is again nobody's", async () => {
  await leave();
  const one = place("one");
  const { resumed } = await look(one);
  const owned = await OpenRun.own(one.workspace, ref);
  expect(await ownerSeen()).toBe("alive");
  await one.workspace.datastore.files.write(files.cancel, "");
  await OpenRun.disown(one.workspace, ref, { owned, size: resumed.size });
  expect([await ownerSeen(), world.text(files.cancel), [...one.open]]).toEqual(["absent", undefined, []]);
});

test("a run whose end isn't in its journal has no record that says that it has ended", async () => {
  let syncs = 0;
  const { journals } = world.machine("one").datastore;
  const create: Datastore["journals"]["create"] = async (path) => {
    const file = await journals.create(path);
    return instead(file, { sync: () => (++syncs > 1 ? unavailable() : file.sync()) });
  };
  const one = place("one", { journals: { create } });
  const run = await OpenRun.begin(one.workspace, first, emit);
  run.add({ e: "done", at: 1, s: "succeeded" }, emit);
  await expect(run.journal.durable()).rejects.toMatchObject({ code: "store_unavailable" });
  await run.close();
  const { state } = await look(place("two"));
  expect([state.status, await ownerSeen(), [...one.open]]).toEqual(["running", "absent", []]);
  expect(world.text(files.record)).toContain("status: running");
});

test.each([
  ["log", { files: { create: unavailable } }],
  ["journal", { journals: { create: unavailable } }],
  ["record", { files: { write: unavailable } }],
  ["record (though it is there)", { files: { write: unanswered } }],
])("a run that can't begin, as its %s can't be made, leaves nothing, and nothing open", async (_name, changes) => {
  const one = place("one", changes);
  await expect(OpenRun.begin(one.workspace, first, emit)).rejects.toMatchObject({ code: "store_unavailable" });
  const { local } = world.machine("one").datastore;
  const here = await Promise.all([files.log, files.journal, files.owner].map((path) => local.stat(path)));
  expect([[...one.open], [...world.objects.objects.keys()], here]).toEqual([[], [], [undefined, undefined, undefined]]);
});
