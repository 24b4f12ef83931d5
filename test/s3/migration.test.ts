/** `datastore setup` brings what the datastore has along, both ways, whole, and again after it was ended in the middle. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { S3Objects } from "../../src/store/drivers/s3/objects.ts";
import { clientOf, makeBucket, newPrefix } from "../support/s3-client.ts";
import { s3World } from "../support/s3-machine.ts";
import { startProxy } from "../support/s3-proxy.ts";
import { oneIn } from "../support/share.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const run = (model: string) => ["model", "method", "run", model, "execute", "--json"];

/** Paths and hashes of what people and programs read below a folder. */
function tree(root: string): Record<string, string> {
  const files = readdirSync(root, { recursive: true }).map(String).sort();
  const kept = files.filter(
    (path) => /^(data|outputs|workflow-runs)\//.test(path) && statSync(join(root, path)).isFile(),
  );
  return Object.fromEntries(
    kept.map((path) => [
      path,
      createHash("sha256")
        .update(readFileSync(join(root, path)))
        .digest("hex"),
    ]),
  );
}

type Scene = Awaited<ReturnType<typeof openScene>>;

/** A repository with two models, a bucket's prefix and a folder: a place to move from, and two to move to. */
async function openScene() {
  const proxy = await startProxy(inject("s3"));
  const prefix = newPrefix();
  const world = await s3World(prefix);
  const folder = mkdtempSync(join(tmpdir(), "fen-migrated-"));
  world.repo.model("web", "echo hello");
  world.repo.model("other", "echo other");
  /** On the datastore that the marker names. */
  const one = world.machine(proxy, { SWAMP_DATASTORE: "", FEN_LOCK_TTL_MS: "1500" });
  const toS3 = (...more: string[]) => [
    ...["datastore", "setup", "s3", "--bucket", "conformance", "--prefix", prefix, "--endpoint", proxy.endpoint],
    ...more,
    "--json",
  ];
  const toFolder = (...more: string[]) => ["datastore", "setup", "filesystem", "--path", folder, ...more, "--json"];

  async function done(...args: string[]) {
    const result = await one.fen(...args);
    expect(result).toMatchObject({ exitCode: 0 });
    return result.json();
  }

  /** Everything that can be read of the data and records: names, numbers, contents, statuses, logs. */
  async function everything(): Promise<unknown> {
    const data: unknown[] = [];
    for (const name of ["log", "result"]) {
      for (const { version } of (await done("data", "versions", "web", name, "--json")).versions) {
        const { contentPath: _, ...found } = await done(
          "data",
          "get",
          "web",
          name,
          "--version",
          String(version),
          "--json",
        );
        data.push(found);
      }
    }
    const { results } = await done("model", "output", "search", "--json");
    const logs = [];
    for (const { id } of results) logs.push((await done("model", "method", "history", "logs", id, "--json")).lines);
    return { data, results: results.map(({ id, status }: Record<string, unknown>) => ({ id, status })), logs };
  }

  async function keys(): Promise<string[]> {
    const found: string[] = [];
    const objects = new S3Objects(await clientOf(inject("s3"), { prefix }));
    for await (const { path } of objects.list("")) found.push(path);
    return found;
  }

  async function twoRuns(): Promise<void> {
    for (const model of ["web", "web"]) await done(...run(model));
  }

  /** Kills `args` at its k-th request; false where it ended before. */
  async function killAt(k: number, args: string[]): Promise<boolean> {
    let passed = 0;
    const dying = one.start(...args);
    proxy.options.fault = () => {
      if (passed++ !== k) return undefined;
      dying.kill("SIGKILL");
      return (k >> 1) % 2 === 0 ? "lost answer" : "lost request"; // each chain meets both
    };
    const { exitCode } = await dying.done;
    proxy.options.fault = () => undefined;
    expect([0, 137]).toContain(exitCode);
    return exitCode === 137;
  }

  const close = async () => {
    rmSync(folder, { recursive: true, force: true });
    world.remove();
    await proxy.close();
  };
  return { world, proxy, folder, one, toS3, toFolder, done, everything, keys, twoRuns, killAt, close };
}

let scene: Scene;
beforeEach(async () => {
  scene = await openScene();
});
afterEach(() => scene.close());

describe("both ways", () => {
  test("everything arrives with its numbers, ids and records; the source is as it was, and the next run goes on counting", async () => {
    const { one, toS3, toFolder, done, everything, keys, twoRuns } = scene;
    await twoRuns();
    const [before, source] = [await everything(), tree(join(one.path, ".swamp"))];
    expect(await done(...toS3("--dry-run"))).toMatchObject({ dryRun: true, filesCopied: 8, filesThere: 0 });
    expect((await keys()).filter((key) => !key.startsWith(".fen/"))).toEqual([]);
    expect((await done("datastore", "status", "--json")).type).toBe("filesystem");
    expect(await done(...toS3())).toMatchObject({ type: "s3", filesCopied: 8, filesThere: 0 });
    expect((await done("datastore", "status", "--json")).type).toBe("s3");
    expect(await everything()).toEqual(before);
    expect(tree(join(one.path, ".swamp"))).toEqual(source);
    expect((await done(...run("web"))).data).toMatchObject({ version: 3 });

    const [later, there] = [await everything(), await keys()];
    expect(await done(...toFolder("--dry-run"))).toMatchObject({ filesCopied: 12 });
    expect(await done(...toFolder())).toMatchObject({ type: "filesystem", filesCopied: 12 });
    expect(await everything()).toEqual(later);
    expect((await keys()).filter((key) => !key.startsWith(".fen/"))).toEqual(
      there.filter((key) => !key.startsWith(".fen/")),
    );
    expect((await done(...run("web"))).data).toMatchObject({ version: 4 });
  });

  test("again there is nothing to do, and --skip-migration does nothing", async () => {
    const { folder, one, toS3, toFolder, done, twoRuns } = scene;
    await twoRuns();
    await done(...toS3());
    rmSync(join(one.path, ".swamp.yaml"), { force: true });
    await done("init", "--json");
    expect(await done(...toS3())).toMatchObject({ filesCopied: 0, filesThere: 8 });
    expect(await done(...toFolder("--skip-migration"))).toEqual({ type: "filesystem", path: folder });
    expect(readdirSync(folder).filter((name) => !name.startsWith("."))).toEqual([]);
  });
});

test("the same place by another name is the same place: nothing is waited for, nothing is brought, and the marker has the new name", async () => {
  const { toS3, done, twoRuns } = scene;
  await twoRuns();
  await done(...toS3());
  const direct = inject("s3").endpoint.replace("127.0.0.1", "localhost");
  const again = toS3("--lock-timeout", "10s").map((word) => (word.startsWith("http://") ? direct : word));
  expect(again).toContain(direct);
  expect(await done(...again)).toMatchObject({ filesCopied: 0, path: expect.stringContaining("localhost") });
  expect((await done(...run("web"))).data).toMatchObject({ version: 3 });
});

describe("lock-86: something else in the way", () => {
  test("refused before anything is touched: no object, no file, and the marker is as it was", async () => {
    const { world, one, toS3, done, keys } = scene;
    await done(...run("web"));
    // Another repository of the same models, with runs of its own.
    const two = world.machine(inject("s3"));
    expect((await two.fen(...run("web"))).exitCode).toBe(0);
    await done(...run("other"));
    const before = (await keys()).filter((key) => !key.startsWith(".fen/"));
    for (const flags of [["--dry-run"], []]) {
      const refused = await one.fen(...toS3(...flags));
      expect(refused.exitCode).toBe(1);
      expect(refused.error()).toMatchObject({
        code: "data_exists",
        paths: expect.arrayContaining([expect.stringContaining("/result/1")]),
      });
    }
    expect((await keys()).filter((key) => !key.startsWith(".fen/"))).toEqual(before);
    expect((await done("datastore", "status", "--json")).type).toBe("filesystem");
  });

  test("a damaged version ends it, by name, before the marker changes", async () => {
    const { one, toS3, done } = scene;
    await done(...run("web"));
    const source = join(one.path, ".swamp");
    const raw = Object.keys(tree(source)).find((path) => path.endsWith("log/1/raw")) ?? "";
    writeFileSync(join(source, raw), "something else");
    const failed = await one.fen(...toS3());
    expect(failed.error()).toMatchObject({ code: "data_corrupt", path: expect.stringContaining("log/1") });
    expect((await done("datastore", "status", "--json")).type).toBe("filesystem");
  });
});

/** Every request is somebody's: each chain of killed commands takes one in so many, begins there, and goes a little further each time. */
const chains = 2;

async function inChains(chain: (first: number) => Promise<number>): Promise<number> {
  const killed = await Promise.all(Array.from({ length: chains }, (_, first) => chain(first)));
  return killed.reduce((sum, one) => sum + one, 0);
}

describe("lock-86: kill -9 in the middle", () => {
  test(`to S3, at ${oneIn === 1 ? "each request" : `one request in ${oneIn}`} that does anything: begun again, all of it is there and nothing twice`, async () => {
    const killed = await inChains(async (first) => {
      const own = await openScene();
      try {
        return await killedOnTheWay(own, first);
      } finally {
        await own.close();
      }
    });
    expect(killed).toBeGreaterThan(15 / oneIn);
  }, 300_000);

  async function killedOnTheWay(own: Scene, first: number): Promise<number> {
    const { one, proxy, done, everything, toS3, killAt } = own;
    await done(...run("web"));
    const [before, source] = [await everything(), tree(join(one.path, ".swamp"))];
    const marker = readFileSync(join(one.path, ".swamp.yaml"), "utf8");
    await done(...toS3("--dry-run"));
    const begin = proxy.passed.length;
    await done(...toS3("--dry-run"));
    const looks = proxy.passed.length - begin;
    let killed = 0;
    // Locks begin a few requests before the last looks of a dry run.
    for (let k = Math.max(0, looks - 12) + first * oneIn; await killAt(k, toS3()); k += chains * oneIn) {
      killed++;
      expect(readFileSync(join(one.path, ".swamp.yaml"), "utf8")).toBe(marker);
      expect(tree(join(one.path, ".swamp"))).toEqual(source);
      if (killed > 60) throw new Error("it never ends");
    }
    expect((await done("datastore", "status", "--json")).type).toBe("s3");
    expect(await everything()).toEqual(before);
    expect((await done(...run("web"))).data).toMatchObject({ version: 2 });
    return killed;
  }

  test(`to a folder, at ${oneIn === 1 ? "each request" : `one request in ${oneIn}`}: begun again, all of it is there and nothing twice`, async () => {
    const killed = await inChains(async (first) => {
      const own = await openScene();
      try {
        return await killedOnTheWayBack(own, first);
      } finally {
        await own.close();
      }
    });
    expect(killed).toBeGreaterThan(5 / oneIn);
  }, 300_000);

  async function killedOnTheWayBack(own: Scene, first: number): Promise<number> {
    const { one, done, everything, toS3, toFolder, killAt } = own;
    await done(...toS3());
    await done(...run("web"));
    const before = await everything();
    const marker = readFileSync(join(one.path, ".swamp.yaml"), "utf8");
    let killed = 0;
    for (let k = first * oneIn; await killAt(k, toFolder()); k += chains * oneIn) {
      killed++;
      expect(readFileSync(join(one.path, ".swamp.yaml"), "utf8")).toBe(marker);
      if (killed > 60) throw new Error("it never ends");
    }
    expect((await done("datastore", "status", "--json")).type).toBe("filesystem");
    expect(await everything()).toEqual(before);
    return killed;
  }
});
