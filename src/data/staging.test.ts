import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { isQuick } from "../../test/support/quick.ts";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "../../test/support/cli.ts";
import { FaultyFiles, Killed, type Step } from "../../test/support/faulty-files.ts";
import { FenError } from "../kernel/errors.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { LocalFiles } from "../store/contract.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import type { Held, VersionStore } from "./contract.ts";
import { FolderVersions } from "./folders.ts";
import { modelFolder, stagingFolder } from "./layout.ts";
import { parseMetadata } from "./metadata.ts";
import { type Committed, Staging } from "./staging.ts";
import { textSpec as spec } from "../../test/support/output-spec.ts";

const machine = systemMachine("test");
const model = { type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" };
const names = ["log", "result"];

let root: string;
let real: LocalFiles;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-staging-"));
  real = openFilesystemDatastore(root, machine).local;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Runs are seen from their start, and may get ready for their end while they are at work; or they are seen when there is something to commit. */
type Way = "seen from its start" | "ready for its end" | "seen when it commits";
let way: Way = "seen from its start";

/** A run that leaves two outputs whose content is its id. */
async function run(files: LocalFiles, runId: string, isHeld: () => boolean = () => true): Promise<Committed[]> {
  return commit(await staged(files, runId), { isHeld });
}

async function staged(files: LocalFiles, runId: string): Promise<Staging> {
  const isLate = way === "seen when it commits";
  const staging = new Staging(new FolderVersions(files), machine, { model, runId, isLate });
  if (way === "ready for its end") staging.getReady([...names, "another"], heldBy());
  for (const name of names) {
    const file = await staging.openFile(name, spec);
    file.append(runId);
    await file.close();
  }
  return staging;
}

async function commit(
  staging: Staging,
  {
    isHeld = () => true,
    ...options
  }: { readonly isHeld?: () => boolean; readonly durable?: boolean; readonly held?: Held } = {},
): Promise<Committed[]> {
  return staging.commit({
    owner: { ownerType: "model-method", ownerRef: model.id },
    tags: {},
    held: heldBy(isHeld),
    ...options,
  });
}

function heldBy(isHeld: () => boolean = () => true): Held {
  return {
    grants: [],
    signal: new AbortController().signal,
    commit: () => Promise.reject(new Error("a folder has no head")),
    assertHeld: async () => {
      if (!isHeld()) throw new FenError("lock_lost", "The lock was taken away.");
    },
  };
}

/** The versions of one output by the run that made them; checks that each is whole and says what it is. */
function versionsOf(name: string): Map<string, number> {
  const folder = join(root, modelFolder(model), name);
  const found = new Map<string, number>();
  for (const number of existsSync(folder) ? readdirSync(folder).filter((entry) => entry !== "latest") : []) {
    const metadata = parseMetadata(readFileSync(join(folder, number, "metadata.yaml"), "utf8"), number);
    const runId = readFileSync(join(folder, number, "raw"), "utf8");
    expect({ number: String(metadata.version), name: metadata.name }).toEqual({ number, name });
    expect(metadata.size).toBe(runId.length);
    expect(found.has(runId)).toBe(false);
    found.set(runId, metadata.version);
  }
  return found;
}

/** True where all outputs of a run are data, false where none is. */
function isData(runId: string): boolean {
  const there = names.map((name) => versionsOf(name).has(runId));
  expect(new Set(there).size, `${runId} is half there`).toBe(1);
  return there[0] === true;
}

const left = () => readdirSync(join(root, stagingFolder(model)));
const latest = (name: string) => Number(readFileSync(join(root, modelFolder(model), name, "latest"), "utf8"));

function expectLatestIsHighest(): void {
  for (const name of names) expect(latest(name)).toBe(Math.max(...versionsOf(name).values()));
}

/** What of a run is kept aside. */
function aside(runId: string): string[] {
  const folder = join(root, ".fen/aside");
  if (!existsSync(folder)) return [];
  const folders = readdirSync(folder).filter((name) => name === runId || name.startsWith(`${runId}.`));
  return folders
    .flatMap((name) => readdirSync(join(folder, name)).map((output) => [output, join(folder, name, output, "raw")]))
    .filter(([, raw = ""]) => existsSync(raw) && readFileSync(raw, "utf8") === runId)
    .map(([output = ""]) => output)
    .sort();
}

/** How many moments a whole run has. */
async function momentsOf(work: (files: LocalFiles) => Promise<unknown>): Promise<number> {
  const counted = new FaultyFiles(real, async () => undefined);
  await work(counted.files);
  return counted.steps.length;
}

const diesAt = (number: number) => async (step: Step) => {
  if (step.number === number) throw new Killed("killed");
};

/** Named places where one side waits until the other lets it pass. */
class Pause {
  readonly #passed = new Set<string>();
  readonly #waiting = new Map<string, () => void>();
  readonly #reached = new Map<string, () => void>();
  readonly #seen = new Set<string>();

  async at(place: string): Promise<void> {
    this.#seen.add(place);
    this.#reached.get(place)?.();
    if (!this.#passed.has(place)) await new Promise<void>((resolve) => this.#waiting.set(place, resolve));
  }

  async reached(place: string): Promise<void> {
    if (!this.#seen.has(place)) await new Promise<void>((resolve) => this.#reached.set(place, resolve));
  }

  pass(place: string): void {
    this.#passed.add(place);
    this.#waiting.get(place)?.();
  }

  passed(place: string): boolean {
    return this.#passed.has(place);
  }
}

/** Resolves with what was thrown. */
const outcomeOf = (work: Promise<unknown>) => work.then(() => undefined).catch((error: unknown) => error);

const ways: readonly Way[] = ["seen from its start", "ready for its end", "seen when it commits"];
afterEach(() => (way = "seen from its start"));

describe.each(ways)("a run that is killed, %s", (each) => {
  beforeEach(() => (way = each));

  test("at any change of a file, before or after its effect, leaves its data whole or not at all, and nothing else", async () => {
    const moments = await momentsOf((files) => run(files, "first"));
    const kept: boolean[] = [];
    for (let at = 0; at < moments; at++) {
      const runId = `killed-${at}`;
      const faulty = new FaultyFiles(real, diesAt(at));
      expect(await outcomeOf(run(faulty.files, runId))).toBeInstanceOf(Killed);
      await new FolderVersions(real).settle(model);
      kept.push(isData(runId));
      expect(left()).toEqual([]);
      expect(aside(runId)).toEqual([]);
      expectLatestIsHighest();
    }
    // One moment divides them: before the commit nothing is kept, after it everything.
    expect(kept).toEqual([...kept].sort((a, b) => Number(a) - Number(b)));
    expect(new Set(kept).size).toBe(2);
  });

  test("while it settles what another left, leaves the rest to the next", async () => {
    const leave = async (runId: string) => {
      const faulty = new FaultyFiles(real, async ({ method, when }) => {
        if (method === "adopt" && when === "after") throw new Killed("killed right after its commit");
      });
      await outcomeOf(run(faulty.files, runId));
    };
    await leave("counted");
    const moments = await momentsOf((files) => new FolderVersions(files).settle(model));
    for (let at = 0; at < moments; at++) {
      await leave(`left-${at}`);
      await outcomeOf(new FolderVersions(new FaultyFiles(real, diesAt(at)).files).settle(model));
      await new FolderVersions(real).settle(model);
      expect(isData(`left-${at}`)).toBe(true);
      expect(left()).toEqual([]);
      expectLatestIsHighest();
    }
    expect(moments).toBeGreaterThan(4);
  });
});

describe.each(ways)("a run whose disk fails, %s", (each) => {
  beforeEach(() => (way = each));

  test("at any change of a file, before or after its effect, says `committed` where its outputs are or become data, and only there", async () => {
    const moments = await momentsOf((files) => run(files, "first"));
    const told = new Set<string>();
    for (let at = 0; at < moments; at++) {
      const runId = `failed-${at}`;
      const faulty = new FaultyFiles(real, async ({ number }) => {
        if (number === at) throw new FenError("disk_full", "No room left.");
      });
      const error = await outcomeOf(run(faulty.files, runId));
      faulty.die();
      await new FolderVersions(real).settle(model);
      const says = error === undefined || (error instanceof FenError && error.facts["committed"] === true);
      expect({ at, step: faulty.steps[at], says }).toEqual({ at, step: faulty.steps[at], says: isData(runId) });
      told.add(`${says}, ${error instanceof FenError ? error.code : "nothing"}`);
    }
    expect([...told].sort()).toEqual(["false, disk_full", "true, disk_full", "true, nothing"]);
  });
});

describe.each(ways)("a holder whose lock is taken away while it is paused, %s", (each) => {
  beforeEach(() => (way = each));

  test.skipIf(isQuick)(
    "at any change of a file either has committed, or says lock_lost and where its outputs are; never both, never silence",
    async () => {
      const moments = await momentsOf((files) => run(files, "first"));
      const outcomes = new Set<string>();
      for (let at = 0; at < moments; at++) {
        const [zombie, successor] = [`zombie-${at}`, `successor-${at}`];
        let isHeld = true;
        let succeeding: Promise<unknown> = Promise.resolve();
        const succeed = async () => {
          await new FolderVersions(real).settle(model);
          await run(real, successor);
        };
        const faulty = new FaultyFiles(real, async ({ number }) => {
          if (number !== at) return;
          isHeld = false;
          await (succeeding = succeed());
        });
        const error = await outcomeOf(run(faulty.files, zombie, () => isHeld));
        await succeeding; // what a run does ahead doesn't stop it
        await new FolderVersions(real).settle(model);
        expect(isData(successor)).toBe(true);
        expect(left()).toEqual([]);
        expectLatestIsHighest();
        const where = isData(zombie) ? "data" : "aside";
        // What is asked of the disk ahead doesn't stop the zombie: both may put it aside at the same time, and then it is there twice.
        const isBeside = each === "ready for its end" && faulty.steps[at]?.method === "keep";
        expect(isBeside ? [...new Set(aside(zombie))] : aside(zombie)).toEqual(where === "aside" ? names : []);
        if (error === undefined) expect(where).toBe("data");
        else {
          expect(error).toMatchObject({ code: "lock_lost" });
          const { keptAside, committed } = error instanceof FenError ? error.facts : {};
          expect({ keptAside, committed }).toEqual(
            where === "data"
              ? { keptAside: undefined, committed: true }
              : { keptAside: join(root, ".fen/aside", zombie), committed: undefined },
          );
        }
        outcomes.add(`${error === undefined ? "committed" : "lost"}, ${where}`);
      }
      expect([...outcomes].sort()).toEqual(["committed, data", "lost, aside", "lost, data"]);
    },
  );

  test("commits nothing, also where nobody has come after it", async () => {
    const error = await outcomeOf(run(real, "late", () => false));
    expect(error).toMatchObject({ code: "lock_lost", facts: { keptAside: join(root, ".fen/aside/late") } });
    expect(isData("late")).toBe(false);
    expect(aside("late")).toEqual(names);
  });

  test.each([
    ["where nobody has come after it", "never"],
    ["where its successor has put it aside", "after"],
    ["where its successor has put it aside before", "before"],
  ])("keeps what was too large for memory, too, %s", async (__, settles) => {
    const isLate = each === "seen when it commits";
    const staging = new Staging(new FolderVersions(real), machine, { model, runId: "large", isLate });
    if (each === "ready for its end") staging.getReady([...names, "another"], heldBy());
    const log = await staging.openFile("log", spec);
    const isMade = () =>
      each !== "ready for its end" || existsSync(join(root, stagingFolder(model), "large/another/metadata.yaml"));
    await until(isMade, () => "what is made ready");
    if (settles === "before") await new FolderVersions(real).settle(model);
    log.append("x".repeat(100_000));
    (await staging.openFile("result", spec)).append("small");
    await until(
      () => existsSync(join(root, stagingFolder(model), "large/log/raw")),
      () => "its file",
    );
    if (settles === "after") await new FolderVersions(real).settle(model);
    expect(await outcomeOf(commit(staging, { isHeld: () => false }))).toMatchObject({ code: "lock_lost" });
    expect(readdirSync(join(root, ".fen/aside/large")).sort()).toEqual(names);
    const kept = (name: string) => statSync(join(root, ".fen/aside/large", name, "raw")).size;
    expect([kept("log"), kept("result")]).toEqual([100_000, 5]);
    const metadata = names.map((name) => join(root, ".fen/aside/large", name, "metadata.yaml")).filter(existsSync);
    expect(metadata.filter((path) => statSync(path).size === 0)).toEqual([]);
  });

  test("between the check and its commit finds its folder gone", async () => {
    const faulty = new FaultyFiles(real, async ({ method, when }) => {
      if (method === "adopt" && when === "before" && !existsSync(join(root, ".fen/aside")))
        await new FolderVersions(real).settle(model);
    });
    const error = await outcomeOf(run(faulty.files, "paused"));
    expect(error).toMatchObject({ code: "lock_lost", facts: { keptAside: join(root, ".fen/aside/paused") } });
    expect(versionsOf("result").size).toBe(0);
  });

  test("that commits while its successor is about to put its folder aside has committed: the successor looks again", async () => {
    const pause = new Pause();
    const holder = new FaultyFiles(real, async ({ method, when }) => {
      if (method === "adopt") await pause.at(when === "before" ? "commit" : "moves");
    });
    const running = run(holder.files, "quick");
    await pause.reached("commit");
    const successor = new FaultyFiles(real, async ({ method, when }) => {
      if (method !== "adopt" || when !== "before" || pause.passed("commit")) return;
      pause.pass("commit");
      await pause.reached("moves");
    });
    await new FolderVersions(successor.files).settle(model);
    expect(isData("quick")).toBe(true);
    expect(left()).toEqual([]);
    pause.pass("moves");
    expect(await outcomeOf(running)).toMatchObject({ code: "lock_lost", facts: { committed: true } });
    expect(aside("quick")).toEqual([]);
  });

  test("finds nothing any more in a commit that its successor has begun to finish", async () => {
    const pause = new Pause();
    let adopts = 0;
    const holder = new FaultyFiles(real, async ({ method, when }) => {
      if (method === "adopt" && when === "before" && ++adopts === 2) await pause.at("moves");
    });
    const running = run(holder.files, "slow");
    await pause.reached("moves");
    let outcome: unknown;
    const successor = new FaultyFiles(real, async ({ method, when }) => {
      // It has the folder now and moves the first output: in this moment the former holder wakes.
      if (method !== "adopt" || when !== "before" || left().some((name) => name.endsWith(".commit"))) return;
      pause.pass("moves");
      outcome ??= await outcomeOf(running);
    });
    await new FolderVersions(successor.files).settle(model);
    expect(outcome).toMatchObject({ code: "lock_lost", facts: { committed: true } });
    expect(isData("slow")).toBe(true);
    expect(left()).toEqual([]);
  });
});

/** What the files are asked for from now on. */
function toldOf(...methods: ("prepare" | "create" | "list")[]): string[] {
  const order: string[] = [];
  for (const method of methods) {
    const asked = real[method]?.bind(real);
    Object.assign(real, {
      [method]: (path: string, ...rest: []) => {
        order.push(`${method} ${path}`);
        return asked?.(path, ...rest);
      },
    });
  }
  return order;
}

describe("what a commit waits for", () => {
  /** What is said to the disk of folders that get another name. */
  function told() {
    const order: string[] = [];
    const { adopt, keep } = real;
    real.adopt = (from, to, options) => {
      order.push(`${options?.durable === false ? "moved" : "moved durably"}: ${to.split("/").at(-1)}`);
      return adopt.call(real, from, to, options);
    };
    real.keep = (paths) => {
      order.push(`kept: ${paths.map((path) => path.slice(modelFolder(model).length + 1)).join()}`);
      return keep.call(real, paths);
    };
    return order;
  }
  const moves = ["moved durably: a-run.commit", "moved: 1", "moved: 1"];

  test("under the lock only for the one rename that commits it; that its outputs are versions may come to the disk later", async () => {
    const order = told();
    const staging = await staged(real, "a-run");
    await commit(staging, { durable: false });
    expect(isData("a-run")).toBe(true);
    expect(left()).toEqual([]);
    expect(order).toEqual(moves);
    await staging.settle();
    expect(order).toEqual([...moves, "kept: log/1,result/1"]);
    await staging.settle();
    expect(order.at(-1)).toBe("kept: ");
  });

  test("for all of it, where nobody says otherwise", async () => {
    const order = told();
    await run(real, "a-run");
    expect(order).toEqual([...moves, "kept: log/1,result/1"]);
  });

  test("whoever finishes it for a dead one waits for each move", async () => {
    const faulty = new FaultyFiles(real, async ({ method, when }) => {
      if (method === "adopt" && when === "after") throw new Killed("killed right after its commit");
    });
    await outcomeOf(run(faulty.files, "dead"));
    const order = told();
    await new FolderVersions(real).settle(model);
    expect(order).toEqual(["moved durably: 1", "moved durably: 1"]);
  });
});

describe("a run that gets ready for its end", () => {
  const staging = () => new Staging(new FolderVersions(real), machine, { model, runId: "a-run" });
  const files = () =>
    readdirSync(join(root, stagingFolder(model), "a-run"), { recursive: true })
      .map(String)
      .sort();

  test("makes the files of the outputs that are expected, and leaves none for one that doesn't come", async () => {
    const order = toldOf("prepare", "create");
    const one = staging();
    one.getReady(names, heldBy());
    await until(
      () => order.length === 4,
      () => order.join(),
    );
    expect(files()).toEqual([
      ".owner",
      "log",
      "log/metadata.yaml",
      "log/raw",
      "result",
      "result/metadata.yaml",
      "result/raw",
    ]);
    const file = await one.openFile("result", spec);
    file.append("a-run");
    await file.close();
    await commit(one);
    expect([versionsOf("log").size, versionsOf("result").get("a-run")]).toEqual([0, 1]);
    expect(left()).toEqual([]);
  });

  test("knows the numbers then: the commit reads no list of versions, unless somebody has come between", async () => {
    await run(real, "before");
    const order = toldOf("list");
    const one = staging();
    const held = heldBy();
    one.getReady(["log"], held);
    await until(
      () => order.length === 1,
      () => order.join(),
    );
    await (await one.openFile("log", spec)).close();
    await commit(one, { held });
    expect(order).toEqual([`list ${modelFolder(model)}/log`]);
    expect(latest("log")).toBe(2);

    const other = new Staging(new FolderVersions(real), machine, { model, runId: "other" });
    other.getReady(["log"], held);
    await until(
      () => order.length === 2,
      () => order.join(),
    );
    await run(real, "between");
    await (await other.openFile("log", spec)).close();
    await commit(other, { held });
    expect(latest("log")).toBe(4);
  });

  /** As a command may do while it is at work: the folder is removed, or what is in it exchanged. */
  const staged = () => join(root, stagingFolder(model), "a-run");
  test.each([
    ["its folder is removed", () => rmSync(staged(), { recursive: true })],
    ["all folders are", () => rmSync(join(root, ".fen/staging"), { recursive: true })],
  ])("commits all that it produced though %s meanwhile, what is too large for memory too", async (_, meddle) => {
    const one = staging();
    one.getReady(names, heldBy());
    await until(
      () => existsSync(join(staged(), "result/metadata.yaml")),
      () => "what is made ready",
    );
    meddle();
    const large = await one.openFile("log", spec);
    large.append("x".repeat(100_000));
    await large.close();
    const small = await one.openFile("result", spec);
    small.append("a-run");
    await small.close();
    await commit(one);
    const raw = (name: string) => readFileSync(join(root, modelFolder(model), name, "1/raw"), "utf8");
    expect([raw("log").length, raw("result")]).toEqual([100_000, "a-run"]);
    expect(left()).toEqual([]);
  });

  test("doesn't commit what somebody has put in the place of a file that was made ready", async () => {
    const one = staging();
    one.getReady(names, heldBy());
    await until(
      () => existsSync(join(staged(), "result/metadata.yaml")),
      () => "what is made ready",
    );
    rmSync(join(staged(), "result/raw"));
    writeFileSync(join(staged(), "result/raw"), "somebody else's");
    const file = await one.openFile("result", spec);
    file.append("a-run");
    await file.close();
    expect(await outcomeOf(commit(one))).toMatchObject({ facts: { keptAside: join(root, ".fen/aside/a-run") } });
    expect(versionsOf("result").size).toBe(0);
    expect(readFileSync(join(root, ".fen/aside/a-run/result/raw"), "utf8")).toBe("a-run");
  });

  test.each(["data", "data/command/shell", modelFolder(model), `${modelFolder(model)}/result`])(
    "writes nothing elsewhere where %s has become a link meanwhile",
    async (folder) => {
      await run(real, "before");
      const one = staging();
      const asked = toldOf("list");
      one.getReady(["result"], heldBy());
      await until(
        () => asked.length === 1,
        () => "the look at the numbers",
      );
      const elsewhere = mkdtempSync(join(tmpdir(), "fen-elsewhere-"));
      renameSync(join(root, folder), join(elsewhere, "moved"));
      symlinkSync(join(elsewhere, "moved"), join(root, folder));
      const before = readdirSync(elsewhere, { recursive: true });
      await (await one.openFile("result", spec)).close();
      expect(await outcomeOf(commit(one))).toMatchObject({ code: "path_escapes" });
      expect(readdirSync(elsewhere, { recursive: true })).toEqual(before);
      rmSync(elsewhere, { recursive: true });
    },
  );

  test("on a full disk does without", async () => {
    const full = new FaultyFiles(real, async ({ method, when }) => {
      if (method === "prepare" && when === "after") throw new FenError("disk_full", "No room left.");
    });
    way = "ready for its end";
    await run(full.files, "a-run");
    expect(isData("a-run")).toBe(true);
    expect(left()).toEqual([]);
  });
});

describe("a run that is seen when it commits", () => {
  beforeEach(() => (way = "seen when it commits"));

  test("has nothing on the disk before", async () => {
    const staging = await staged(real, "late");
    expect(existsSync(join(root, stagingFolder(model)))).toBe(false);
    await commit(staging);
    expect(isData("late")).toBe(true);
    expect(left()).toEqual([]);
  });

  test("without outputs leaves nothing", async () => {
    const staging = new Staging(new FolderVersions(real), machine, { model, runId: "empty", isLate: true });
    expect(await commit(staging)).toEqual([]);
    expect(existsSync(join(root, stagingFolder(model)))).toBe(false);
  });

  test.each([1, 64 * 1024, 64 * 1024 + 1, 1024 * 1024])(
    "writes %d bytes whole, and small ones beside",
    async (bytes) => {
      const staging = new Staging(new FolderVersions(real), machine, { model, runId: "large", isLate: true });
      for (const name of names) {
        const file = await staging.openFile(name, spec);
        for (let at = 0; at < bytes; at += 8192)
          file.append("x".repeat(Math.min(8192, name === "log" ? bytes - at : 1)));
        expect(file.size).toBe(name === "log" ? bytes : Math.ceil(bytes / 8192));
        await file.close();
      }
      await commit(staging);
      expect(statSync(join(root, modelFolder(model), "log/1/raw"))).toMatchObject({ size: bytes, nlink: 1 });
      expect(
        parseMetadata(readFileSync(join(root, modelFolder(model), "log/1/metadata.yaml"), "utf8"), ""),
      ).toMatchObject({
        size: bytes,
      });
      expect(left()).toEqual([]);
    },
  );

  test("by another thread: alone, and twelve at once", async () => {
    const life = await real.own(".fen/runs/r.owner");
    expect(real.later?.()).toBeDefined();
    await run(real, "alone");
    await Promise.all(Array.from({ length: 12 }, (_, number) => run(real, `run-${number}`)));
    for (const name of names)
      expect([...versionsOf(name).values()].sort((a, b) => a - b)).toEqual(Array.from({ length: 13 }, (_, n) => n + 1));
    expectLatestIsHighest();
    expect(left()).toEqual([]);
    const error = await outcomeOf(run(real, "lost", () => false));
    expect(error).toMatchObject({ code: "lock_lost", facts: { keptAside: join(root, ".fen/aside/lost") } });
    expect(aside("lost")).toEqual(names);
    life.letGo();
  });

  test("what can't be written isn't kept half: it is as if there had been nothing", async () => {
    const full = new FaultyFiles(real, async ({ method, when }) => {
      if (when === "before" && (method === "create" || method === "write"))
        throw new FenError("disk_full", "No room left.");
    });
    const error = await outcomeOf(run(full.files, "full"));
    expect(error).toMatchObject({ code: "disk_full" });
    expect((error as FenError).facts["keptAside"]).toBeUndefined();
    full.die();
    await new FolderVersions(real).settle(model);
    expect([left(), aside("full")]).toEqual([[], []]);
  });
});

describe("holders that share the lock", () => {
  test.skipIf(isQuick)(
    "commit side by side, at whatever change of a file they meet: each version has its own number",
    async () => {
      const moments = await momentsOf((files) => run(files, "first"));
      const data = new FolderVersions(real);
      for (let at = 0; at < moments; at++) {
        const [one, other] = [`one-${at}`, `other-${at}`];
        const before = (await data.numbers(model, "result")).length;
        const faulty = new FaultyFiles(real, async ({ number }) => {
          if (number === at) await run(real, other);
        });
        const committed = await run(faulty.files, one);
        expect(isData(one) && isData(other)).toBe(true);
        expect((await data.numbers(model, "result")).length).toBe(before + 2);
        for (const { name, version } of committed) expect(versionsOf(name).get(one)).toBe(version);
        expectLatestIsHighest();
      }
    },
  );

  test("twelve at once give twelve versions without a gap", async () => {
    await Promise.all(Array.from({ length: 12 }, (_, number) => run(real, `run-${number}`)));
    for (const name of names)
      expect([...versionsOf(name).values()].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
    expectLatestIsHighest();
    expect(left()).toEqual([]);
  });
});

test("outputs that are opened at the same time are files of their own, and none is what tells that the run lives", async () => {
  const staging = new Staging(new FolderVersions(real), machine, { model, runId: "a-run" });
  const names = ["log", "result", "third"];
  await Promise.all(
    names.map(async (name) => {
      const file = await staging.openFile(name, spec);
      file.append(name.repeat(30_000)); // more than stays in memory
      await file.close();
    }),
  );
  await commit(staging);
  const raw = names.map((name) => join(root, modelFolder(model), name, "1/raw"));
  expect(raw.map((path) => readFileSync(path, "utf8"))).toEqual(names.map((name) => name.repeat(30_000)));
  expect(raw.map((path) => statSync(path).nlink)).toEqual([1, 1, 1]);
});

describe("a run whose commit fails", () => {
  const owner = { ownerType: "model-method", ownerRef: model.id } as const;
  const lost = new FenError("lock_lost", "The lock was taken away.");
  const held = {
    grants: [],
    signal: AbortSignal.abort(lost),
    commit: () => Promise.reject(lost),
    assertHeld: () => Promise.reject(lost),
  };

  /** With more in its spool than memory keeps; `commit` as the store of versions does it. */
  async function failing(commit: VersionStore["commit"]): Promise<unknown> {
    const store = new FolderVersions(real);
    store.commit = commit;
    const staging = new Staging(store, machine, { model, runId: "a-run" });
    if (way === "ready for its end") staging.getReady(["log", "another"], heldBy());
    await (await staging.openFile("log", spec)).close();
    staging.spool().append(new Uint8Array(1024 * 1024));
    return staging.commit({ owner, tags: {}, held }).catch((error: unknown) => error);
  }

  const descriptors = () =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(root);
      } catch {
        return false; // the one that lists them
      }
    });

  test("says where the store has kept it for the next holder, though the lock is lost by now", async () => {
    const kept = new FenError("store_unavailable", "It is gone.", { facts: { keptAside: "/there.push" } });
    expect(await failing(() => Promise.reject(kept))).toBe(kept);
  });

  test.each<[string, Way, FenError["facts"]]>([
    ["is committed all the same", "seen from its start", { committed: true }],
    ["is kept for the next holder", "seen from its start", { keptAside: "/there.push" }],
    ["is put aside", "seen from its start", {}],
    ["got ready, and is put aside", "ready for its end", {}],
  ])("leaves no file open: one that %s", async (_, each, facts) => {
    way = each;
    const before = descriptors();
    await failing(() => Promise.reject(new FenError("store_unavailable", "It is gone.", { facts })));
    await until(
      () => descriptors().length === before.length,
      () => `the end of ${descriptors().join()}`,
    );
  });
});
