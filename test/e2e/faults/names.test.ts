/** Names and paths that try to lead out, or that are words of the program or of JavaScript. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Scratch, scratchRepo } from "../../support/cli.ts";
import { execute, expectClean, expectRefusal, expectWholeData, tree } from "./attack.ts";

let repo: Scratch;
let id: string;
beforeAll(async () => {
  repo = await scratchRepo();
  id = repo.model("web", "echo one");
  expect((await repo.fen(...execute("web"))).exitCode).toBe(0);
});
afterAll(() => repo.remove());

const store = (): string => join(repo.path, ".swamp");
const leading = ["../x", "..", ".", "a/b", "a\\b", "/etc/passwd", "a..b"];
const long = "x".repeat(300);

describe("a name that could lead out", () => {
  test.each([...leading, ".hidden", "A", "ü", long, "--", "a b", "a\nb", "a%2f..", "__proto__"])(
    "no new model is called %j",
    async (name) => {
      expectRefusal(await repo.fen("model", "create", "command/shell", "--json", "--", name), "name_invalid", 65);
      expect(readdirSync(join(repo.path, "models/command/shell"))).toHaveLength(1);
    },
  );

  test.each([...leading, ".hidden", ".lock", "latest", long, "é".repeat(130)])("no data is called %j", async (name) => {
    const calls = [
      ["get", "web", name],
      ["versions", "web", name],
      ["rename", "web", "result", name],
      ["rename", "web", name, "ok"],
    ];
    for (const [verb = "", ...args] of calls)
      expectRefusal(await repo.fen("data", verb, "--json", "--", ...args), "name_invalid", 65);
    expectRefusal(await repo.fen("data", "delete", "--force", "--json", "--", "web", name), "name_invalid", 65);
    expect(expectWholeData(store(), id)).toEqual({ log: [1], result: [1] });
  });

  test.each([
    "../../../etc",
    "a/../../b",
    "/etc/passwd/x",
    "command/shell/..",
    "command\\shell/x",
    "command/shell/.",
    "./x",
    "a//b",
  ])("no lock is released by %j", async (model) => {
    writeFileSync(join(repo.path, ".lock"), "not ours");
    const result = await repo.fen("datastore", "lock", "release", "--force", "--model", model, "--json");
    expectRefusal(result, ["name_invalid", "lock_not_held"], result.exitCode === 65 ? 65 : 1);
    expect(readFileSync(join(repo.path, ".lock"), "utf8")).toBe("not ours");
  });

  test.each([...leading, long, "constructor", "__proto__"])(
    "no model, type, method or output is found by %j",
    async (name) => {
      expectRefusal(await repo.fen("model", "get", "--json", "--", name), "model_missing", 1);
      expectRefusal(await repo.fen("model", "type", "describe", "--json", "--", name), "type_missing", 1);
      expectRefusal(await repo.fen("model", "create", "--json", "--", name, "fresh"), "type_missing", 1);
      expectRefusal(await repo.fen("model", "method", "run", "--json", "--", "web", name), "method_missing", 1);
      expectRefusal(await repo.fen("model", "output", "get", "--json", "--", name), "output_missing", 1);
    },
  );

  test.each([
    "__proto__=x",
    "constructor=x",
    "a.__proto__.b=x",
    "prototype.x=1",
    "=x",
    "novalue",
    ".=x",
    "a..b=x",
    '{"__proto__": {"x": 1}}',
    '{"a": [{"__proto__": 1}]}',
    "{broken",
    "[1]",
  ])("no input is given by %j", async (input) => {
    expectRefusal(await repo.fen(...execute("web"), "--input", input, "--json"), "input_invalid", 65);
  });

  test.each(["__proto__=x", "constructor=x", "=x", "novalue"])("no tag is given by %j", async (tag) => {
    expectRefusal(await repo.fen(...execute("web"), "--tag", tag, "--json"), "input_invalid", 65);
  });
});

describe("a name that is odd but right", () => {
  test.each([
    "commit.json",
    "constructor",
    "toString",
    "名前".repeat(30),
    "with space",
    "1",
    "metadata.yaml",
    "x".repeat(255),
  ])("data may be called %j, and is found by it", async (name) => {
    const own = repo.model(`m-${Buffer.from(name).toString("hex").slice(0, 20)}`, "echo one");
    expect((await repo.fen(...execute(own))).exitCode).toBe(0);
    const renamed = await repo.fen("data", "rename", own, "result", name, "--json");
    expect(renamed.exitCode, renamed.stderr).toBe(0);
    expect((await repo.fen("data", "get", own, name, "--json")).json().content.stdout).toBe("one");
    expect((await repo.fen("data", "get", own, "result", "--json")).json().name).toBe(name);
    expect(expectWholeData(store(), own)).toMatchObject({ [name]: [1], result: [1, 2] });
    expectClean(store());
  });

  test.each(["latest", "constructor", "default", "data", "type", "null-ish"])(
    "a model may be called %j",
    async (name) => {
      expect((await repo.fen("model", "create", "command/shell", name, "--json")).exitCode).toBe(0);
      const run = await repo.fen(...execute(name), "--json");
      expect(run.json().data.attributes.stdout).toBe(`hello from ${name}`);
    },
  );

  test("models written by hand may have names of any script and length", async () => {
    for (const name of ["Räksmörgås ☃", "y".repeat(300), "a.b", "-dash", "$(touch ran)", "\u202Eabc"]) {
      repo.model(name, "echo named");
      const run = await repo.fen("model", "method", "run", "--json", "--", name, "execute");
      expect(run.exitCode, run.stderr).toBe(0);
      expect(run.json().data.attributes.stdout).toBe("named");
    }
    expect(existsSync(join(repo.path, "ran"))).toBe(false);
  });
});

describe("what a stored file says", () => {
  const outside = mkdtempSync(join(tmpdir(), "fen-outside-"));
  afterAll(() => rmSync(outside, { recursive: true }));
  const outputs = (): string => join(store(), "outputs/command/shell/execute");
  const record = (fields: Record<string, unknown>): string => {
    const own = "abcdef12-0000-4000-a000-000000000000";
    const path = `.swamp/outputs/command/shell/execute/${id}-2020-01-01T00-00-00-000Z-abcdef12.yaml`;
    const base = {
      id: own,
      definitionId: id,
      methodName: "execute",
      status: "succeeded",
      startedAt: "2020-01-01T00:00:00.000Z",
    };
    repo.write(path, JSON.stringify({ ...base, artifacts: { dataArtifacts: [] }, ...fields }));
    return own;
  };

  test("a log outside of the datastore is never shown", async () => {
    writeFileSync(join(outside, "x.log"), "secret line");
    repo.write("outputs/x.log", "secret line");
    for (const logFile of [
      join(outside, "x.log"),
      "../../outputs/x.log",
      "/outputs/../../outputs/x.log",
      `${outside}/outputs/../x.log`,
    ]) {
      const result = await repo.fen("model", "method", "history", "logs", record({ logFile }), "--json");
      expect(result.stdout + result.stderr).not.toContain("secret line");
      expectRefusal(result, ["output_missing", "path_escapes"], result.exitCode === 1 ? 1 : 65);
    }
    symlinkSync(outside, join(store(), "outputs/link"));
    const linked = await repo.fen(
      "model",
      "method",
      "history",
      "logs",
      record({ logFile: "outputs/link/x.log" }),
      "--json",
    );
    expectRefusal(linked, "path_escapes", 65);
    rmSync(join(store(), "outputs/link"));
  });

  test("an artifact or a model id that leads elsewhere is refused", async () => {
    repo.write(".swamp/secrets/1/metadata.yaml", "id: a\nname: s\nversion: 1\ncreatedAt: x\n");
    repo.write(".swamp/secrets/1/raw", "secret line");
    for (const name of ["../../../../secrets", "..", "/", "a/b"]) {
      const result = await repo.fen(
        "model",
        "output",
        "data",
        record({ artifacts: { dataArtifacts: [{ dataId: "x", name, version: 1, tags: {} }] } }),
        "--json",
      );
      expectRefusal(result, "name_invalid", 65);
    }
    const artifacts = { dataArtifacts: [{ dataId: "x", name: "secrets", version: 1, tags: {} }] };
    expectRefusal(
      await repo.fen("model", "output", "data", record({ definitionId: "../../..", artifacts }), "--json"),
      "output_missing",
      1,
    );
    rmSync(join(outputs(), readdirSync(outputs()).find((name) => name.includes("2020-01-01")) ?? ""));
  });

  test("a rename that leads out, or around in a circle, ends in an error", async () => {
    const tombstone = (name: string, renamedTo: string) => {
      repo.write(
        `.swamp/data/command/shell/${id}/${name}/1/metadata.yaml`,
        JSON.stringify({
          id: "x",
          name,
          version: 1,
          createdAt: "2020-01-01T00:00:00Z",
          lifecycle: "deleted",
          renamedTo,
        }),
      );
      repo.write(`.swamp/data/command/shell/${id}/${name}/1/raw`, "{}");
    };
    tombstone("away", "../../../../../etc");
    tombstone("ping", "pong");
    tombstone("pong", "ping");
    expectRefusal(await repo.fen("data", "get", "web", "away", "--json"), "name_invalid", 65);
    expectRefusal(await repo.fen("data", "get", "web", "ping", "--json"), "data_missing", 1);
    for (const name of ["away", "ping", "pong"])
      rmSync(join(store(), "data/command/shell", id, name), { recursive: true });
  });

  const planned = (fields: Record<string, unknown>): string =>
    JSON.stringify({ id: "x", name: "fresh", version: 1, createdAt: "2020-01-01T00:00:00Z", ...fields });
  test.each([
    ["leads out", planned({ name: "../../../../x" })],
    ["is cut off", '{"id": "x", "na'],
    ["is binary", "\0\xFF"],
    ["is another thing", '"hello"'],
    ["has a version that is a text", planned({ version: "../1" })],
    ["is called latest", planned({ name: "latest" })],
    ["is called so long that no folder is", planned({ name: "x".repeat(400) })],
  ])("a commit whose metadata %s moves nothing out, is kept aside, and the model works again", async (_, metadata) => {
    const staged = `.swamp/.fen/staging/${encodeURIComponent(`command/shell/${id}`)}/11111111-0000-4000-a000-000000000000.commit`;
    repo.write(`${staged}/.owner`, "");
    repo.write(`${staged}/x/raw`, "staged");
    repo.write(`${staged}/x/metadata.yaml`, metadata);
    const run = await repo.fen(...execute("web"), "--json");
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.stderr).toContain("is kept in");
    expect(tree(join(store(), ".fen/aside"))).toEqual(expect.arrayContaining([expect.stringMatching(/x\/raw$/)]));
    rmSync(join(store(), ".fen/aside"), { recursive: true });
    expectClean(store());
    expectWholeData(store(), id);
    expect(readdirSync(repo.path).sort()).toEqual([
      ".gitignore",
      ".lock",
      ".swamp",
      ".swamp.yaml",
      "models",
      "outputs",
      "vaults",
      "workflows",
    ]);
  });

  test("a link out of the datastore is not followed, neither to write nor to remove", async () => {
    const linked = repo.model("linked", "echo x");
    mkdirSync(join(store(), "data/command/shell"), { recursive: true });
    writeFileSync(join(outside, "keep"), "keep");
    symlinkSync(outside, join(store(), "data/command/shell", linked));
    const result = await repo.fen(...execute("linked"), "--json");
    expect(readdirSync(outside).sort()).toEqual(["keep", "x.log"]);
    expectRefusal(result, "path_escapes", 65);
    rmSync(join(store(), "data/command/shell", linked));
    expect((await repo.fen(...execute("linked"))).exitCode).toBe(0);
    expectClean(store());
  });
});
