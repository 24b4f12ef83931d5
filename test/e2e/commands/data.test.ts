/** `data get|list|search|versions|delete|rename|gc`. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Scratch, scratchRepo } from "../../support/cli.ts";
import { documentOf, errorOf, eventsIn, textOf } from "../../support/documents.ts";

let repo: Scratch;
let web: string;
beforeAll(async () => {
  repo = await scratchRepo();
  web = repo.model("web-01", "echo hello", { tags: { site: "ams" } });
  repo.model("db-01", "echo hello");
  await documentOf(repo, "model method run web-01 execute");
  await documentOf(repo, "model method run web-01 execute --tag run=second");
  await documentOf(repo, "model method run db-01 execute");
});
afterAll(() => repo.remove());

/** A version as it is on disk, made by hand. */
function put(name: string, version: number, fields: Readonly<Record<string, unknown>>, raw = "old"): void {
  const folder = `.swamp/data/command/shell/${web}/${name}/${version}`;
  const metadata = {
    id: `d0000000-0000-4000-a000-${String(version).padStart(12, "0")}`,
    name,
    version,
    contentType: "text/plain",
    lifetime: "infinite",
    garbageCollection: 10,
    streaming: false,
    tags: { type: "file", specName: name, modelName: "web-01" },
    ownerDefinition: { ownerType: "model-method", ownerRef: web },
    createdAt: "2026-01-01T00:00:00.000Z",
    size: raw.length,
    ...fields,
  };
  repo.write(`${folder}/metadata.yaml`, JSON.stringify(metadata));
  repo.write(`${folder}/raw`, raw);
}

describe("data get", () => {
  test("metadata and content: JSON as JSON, everything else as text", async () => {
    expect(await textOf(repo, "data get web-01 log")).toMatchInlineSnapshot(`
      "log of web-01, version 2
      made      <time>
      type      text/plain
      size      14 B
      lifetime  infinite
      keeps     10 versions
      tags      {"type":"file","site":"ams","specName":"log","modelName":"web-01","run":"second"}
      file      <repo>/.swamp/data/command/shell/<id>/log/2/raw

      [stdout]
      hello"
    `);
    const result = await documentOf(repo, "data get web-01 result");
    expect(result).toMatchObject({
      name: "result",
      modelId: web,
      modelName: "web-01",
      modelType: "command/shell",
      version: 2,
      contentType: "application/json",
      lifetime: "infinite",
      garbageCollection: 10,
      streaming: false,
      tags: { type: "resource", site: "ams", run: "second" },
      ownerDefinition: { ownerType: "model-method", ownerRef: web },
      content: { exitCode: 0, stdout: "hello" },
    });
    expect(readFileSync(result.contentPath)).toHaveLength(result.size);
    expect(await documentOf(repo, "data get web-01 log --version 1")).toMatchObject({
      version: 1,
      content: "[stdout]\nhello",
    });
    expect(await documentOf(repo, "data get web-01 log --no-content")).not.toHaveProperty("content");
    expect((await repo.fen("data", "get", "web-01", "log", "--raw")).stdout).toBe("[stdout]\nhello");
  });

  test("--raw goes as slowly as its reader, without a word", async () => {
    const own = await scratchRepo();
    own.model("large", "head -c 4000000 /dev/zero | tr '\\0' x | fold -w 1000");
    await documentOf(own, "model method run large execute");
    const reading = own.start("data", "get", "large", "log", "--raw");
    const { stdout } = reading.child;
    stdout?.on("data", () => {
      stdout.pause();
      setTimeout(() => stdout.resume(), 10); // by then the pipe is full again
    });
    const done = await reading.done;
    expect({ exitCode: done.exitCode, stderr: done.stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(done.stdout).toHaveLength("[stdout]\n".length + 4_003_999);
    own.remove();
  });

  test.each([
    ["data get web-01 nothing", "data_missing", 1, "The model has: log, result."],
    ["data get web-01 log --version 9", "data_missing", 1, "It has versions 1, 2."],
    ["data get web-01 log --version 0", "usage", 2, "For example: --version 10"],
    [
      "data get web-01 ../../x",
      "name_invalid",
      65,
      'A name must not hold "..", "/", "\\" or NUL, nor begin with a dot, nor be "latest" or longer than 255 bytes.',
    ],
    ["data get web-1 log", "model_missing", 1, "Did you mean web-01? List the models: fen model search."],
    ["data get web-01", "usage", 2, "Usage: fen data get <model> <name>"],
  ])("refuses: %s", async (line, code, exitCode, hint) => {
    const error = await errorOf(repo, line);
    expect(error).toMatchObject({ code, exitCode });
    expect(error.hint).toBe(hint);
  });

  test("says what is wrong with data that is damaged", async () => {
    repo.write(`.swamp/data/command/shell/${web}/damaged/1/metadata.yaml`, "id: [");
    repo.write(`.swamp/data/command/shell/${web}/damaged/latest`, "1");
    expect(["data_corrupt", "yaml_invalid"]).toContain((await errorOf(repo, "data get web-01 damaged")).code);
    const list = await repo.fen("data", "list", "web-01", "--json");
    expect(list.exitCode).toBe(0);
    expect(eventsIn(list.stderr)).toMatchObject([{ event: "warning" }]);
    expect(await documentOf(repo, "data delete web-01 damaged")).toMatchObject({ versionsDeleted: [1] });
  });
});

describe("data list", () => {
  test("the newest of each name, by type", async () => {
    expect(await textOf(repo, "data list web-01 --type file")).toMatchInlineSnapshot(`
      "NAME  TYPE  VERSION  SIZE  MADE (UTC)
      log   file  2        14 B  <time>"
    `);
    expect(await documentOf(repo, "data list web-01")).toMatchObject({
      modelId: web,
      modelName: "web-01",
      modelType: "command/shell",
      groups: [
        { type: "file", items: [{ name: "log", version: 2, streaming: true, size: 14 }] },
        { type: "resource", items: [{ name: "result", version: 2, tags: { run: "second" } }] },
      ],
      total: 2,
    });
    expect(await documentOf(repo, "data list web-01 --type file")).toMatchObject({
      groups: [{ type: "file" }],
      total: 1,
    });
  });

  test("a model without data says how to get some; an unknown one is an error", async () => {
    repo.model("fresh", "true");
    expect(await documentOf(repo, "data list fresh")).toMatchObject({ groups: [], total: 0 });
    expect(await textOf(repo, "data list fresh")).toBe(
      "fresh has no data. Run it: fen model method run fresh <method>",
    );
    expect(await textOf(repo, "data list web-01 --type other")).toBe("web-01 has no data of type other.");
    expect(await errorOf(repo, "data list nothing")).toMatchObject({ code: "model_missing", exitCode: 1 });
  });
});

describe("data search", () => {
  const found = async (line: string) =>
    (await documentOf(repo, `data search ${line}`)).results.map(
      (one: { modelName: string; name: string; version: number }) => `${one.modelName} ${one.name} ${one.version}`,
    );

  test("all models, newest first; filters narrow together", async () => {
    expect(await textOf(repo, "data search --model db-01 --type file")).toMatchInlineSnapshot(`
      "MODEL  NAME  VERSION  SIZE  MADE (UTC)
      db-01  log   1        14 B  <time>"
    `);
    expect((await found("")).slice(0, 2).sort()).toEqual(["db-01 log 1", "db-01 result 1"]);
    expect((await found("WEB-01")).sort()).toEqual(["web-01 log 2", "web-01 result 2"]);
    expect((await found("log")).sort()).toEqual(["db-01 log 1", "web-01 log 2"]);
    expect(await found("--model web-01 --type resource")).toEqual(["web-01 result 2"]);
    expect(await found("--tag run=second --tag site=ams --content-type text/plain")).toEqual(["web-01 log 2"]);
    expect(await found("--lifetime 30d")).toEqual([]);
    expect(await found("--since 1h --type resource")).toEqual(["db-01 result 1", "web-01 result 2"]);
    expect(await documentOf(repo, "data search log --type file --since 1h --tag run=second")).toMatchObject({
      query: "log",
      filters: { type: "file", since: "1h", tags: { run: "second" } },
      total: 1,
      limited: false,
    });
    expect(await documentOf(repo, "data search --limit 3")).toMatchObject({
      results: { length: 3 },
      total: 4,
      limited: true,
    });
    expect(await textOf(repo, "data search --limit 3")).toMatch(/\n1 more: --limit 4$/);
    expect(await textOf(repo, "data search nothing")).toBe("No data matches. All there is: fen data search");
  });

  test.each([
    ["data search --since yesterday", "usage", 2],
    ["data search --limit 0", "usage", 2],
    ["data search --tag x", "input_invalid", 65],
    ["data search --model nothing", "model_missing", 1],
  ])("refuses: %s", async (line, code, exitCode) => {
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode });
  });
});

describe("data versions", () => {
  test("newest first", async () => {
    expect(await textOf(repo, "data versions web-01 log")).toMatchInlineSnapshot(`
      "VERSION  MADE (UTC)           SIZE  SHA-256
      2        <time>  14 B  <checksum>  latest
      1        <time>  14 B  <checksum>"
    `);
    const { checksum } = await documentOf(repo, "data get web-01 log --no-content");
    expect(await documentOf(repo, "data versions web-01 log")).toMatchObject({
      dataName: "log",
      modelId: web,
      modelName: "web-01",
      modelType: "command/shell",
      versions: [
        { version: 2, size: 14, checksum, isLatest: true },
        { version: 1, size: 14, checksum, isLatest: false },
      ],
      total: 2,
    });
    expect(await errorOf(repo, "data versions web-01 nothing")).toMatchObject({ code: "data_missing", exitCode: 1 });
  });
});

describe("data rename", () => {
  test("copies the newest; the old name leads to the new one; new runs take the old name again", async () => {
    repo.model("renamed", "echo one");
    await documentOf(repo, "model method run renamed execute");
    await documentOf(repo, "model method run renamed execute");
    expect(await documentOf(repo, "data rename renamed log first-log")).toMatchObject({
      oldName: "log",
      newName: "first-log",
      modelName: "renamed",
      modelType: "command/shell",
      copiedVersion: 2,
      newVersion: 1,
      warning: expect.stringContaining("first-log"),
    });
    expect(await documentOf(repo, "data get renamed log")).toMatchObject({
      name: "first-log",
      version: 1,
      content: "[stdout]\none",
    });
    expect((await documentOf(repo, "data versions renamed log")).versions[0]).toMatchObject({
      version: 3,
      isLatest: true,
      lifecycle: "deleted",
      renamedTo: "first-log",
    });
    expect(await textOf(repo, "data versions renamed log")).toMatch(/^3 .* renamed to first-log$/m);
    expect((await documentOf(repo, "data list renamed --type file")).groups[0].items).toMatchObject([
      { name: "first-log" },
    ]);
    await documentOf(repo, "model method run renamed execute");
    expect(await documentOf(repo, "data get renamed log")).toMatchObject({ name: "log", version: 4 });
    expect(await textOf(repo, "data rename renamed first-log second-log")).toBe(
      "Renamed first-log to second-log (version 1 is now 1). Expressions and scripts that read first-log are led to second-log; change them when you can.",
    );
  });

  test.each([
    ["data rename web-01 log result", "data_exists", 1, "Choose another name, or delete that data first."],
    ["data rename web-01 nothing x", "data_missing", 1, "The model has: log, result."],
    ["data rename web-01 log a/b", "name_invalid", 65, expect.stringContaining("A name must not hold")],
    ["data rename web-01 log", "usage", 2, "Usage: fen data rename <model> <old> <new>"],
  ])("refuses: %s", async (line, code, exitCode, hint) => {
    expect(await errorOf(repo, line)).toMatchObject({ code, exitCode, hint });
  });
});

describe("data delete", () => {
  test("one version, or all; latest then names what is left", async () => {
    for (const version of [1, 2, 3]) put("notes", version, {});
    expect(await documentOf(repo, "data delete web-01 notes --version 3")).toEqual({
      modelId: web,
      modelName: "web-01",
      dataName: "notes",
      versionsDeleted: [3],
      bytesReclaimed: 3,
    });
    expect(await documentOf(repo, "data get web-01 notes")).toMatchObject({ version: 2 });
    expect(await textOf(repo, "data delete web-01 notes --force")).toBe("Deleted notes of web-01: version 1, 2 (6 B).");
    expect(existsSync(join(repo.path, `.swamp/data/command/shell/${web}/notes`))).toBe(false);
    expect(await errorOf(repo, "data delete web-01 notes")).toMatchObject({ code: "data_missing", exitCode: 1 });
  });

  test("asks, and deletes nothing where nobody can answer", async () => {
    const asked = await repo.fen("data", "delete", "web-01", "log");
    expect(asked).toMatchObject({ exitCode: 2, stdout: "" });
    expect(asked.stderr).toBe(
      "error: Delete the data log (all versions) of web-01? Nobody is here to confirm.\nSay --force to go on without asking.\n",
    );
    expect((await documentOf(repo, "data versions web-01 log")).total).toBe(2);
  });
});

describe("data gc", () => {
  test("says what it would delete, then deletes that: what has expired, and versions beyond what is kept", async () => {
    for (let version = 1; version <= 3; version++) put("counted", version, { garbageCollection: 2 });
    put("aged", 1, { lifetime: "30d" });
    put("dated", 1, { garbageCollection: "30d" });
    put("dated", 2, { garbageCollection: "30d" });
    const entry = (dataName: string, reason: string, versionCount: number) => ({
      type: "command/shell",
      modelId: web,
      dataName,
      reason,
      versionCount,
    });
    const expected = {
      dataEntriesExpired: 1,
      versionsDeleted: 3,
      bytesReclaimed: 9,
      expiredEntries: [
        entry("aged", "older than 30d", 1),
        entry("counted", "more than 2 kept", 1),
        entry("dated", "older than 30d", 1),
      ],
    };
    expect(await documentOf(repo, "data gc --dry-run")).toEqual({ ...expected, dryRun: true });
    expect(await textOf(repo, "data gc --dry-run")).toMatchInlineSnapshot(`
      "MODEL                                               DATA     VERSIONS  WHY
      command/shell/<id>  aged     1         older than 30d
      command/shell/<id>  counted  1         more than 2 kept
      command/shell/<id>  dated    1         older than 30d
      Would delete 3 versions (9 B). Do it: fen data gc"
    `);
    const asked = await repo.fen("data", "gc");
    expect(asked).toMatchObject({ exitCode: 2, stdout: "" });
    const { stdout, exitCode } = await repo.fen("data", "gc", "--force", "--stream");
    expect(exitCode).toBe(0);
    expect(eventsIn(stdout)).toMatchObject([
      { event: "lock.granted", resources: ["datastore"] },
      { event: "result", result: { ...expected, dryRun: false } },
    ]);
    expect((await documentOf(repo, "data versions web-01 counted")).versions).toMatchObject([
      { version: 3 },
      { version: 2 },
    ]);
    expect(await errorOf(repo, "data get web-01 aged")).toMatchObject({ code: "data_missing" });
    expect(await documentOf(repo, "data gc")).toMatchObject({ versionsDeleted: 0, dryRun: false, expiredEntries: [] });
    expect(await textOf(repo, "data gc --force")).toBe("Nothing has expired.");
    expect(await errorOf(repo, "data gc now")).toMatchObject({ code: "usage", exitCode: 2 });
  });
});
