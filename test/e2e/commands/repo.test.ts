/** `fen init`, also `fen repo init`. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { documentOf, errorOf, textOf } from "../../support/documents.ts";

let here: { path: string };
beforeEach(() => {
  here = { path: mkdtempSync(join(tmpdir(), "fen-init-")) };
});
afterEach(() => rmSync(here.path, { recursive: true, force: true }));

const read = (path: string) => readFileSync(join(here.path, path), "utf8");

describe("init", () => {
  test("makes a repository: marker, folders and a block in .gitignore", async () => {
    expect(await textOf(here, "init")).toMatchInlineSnapshot(`
      "Made a repository in <repo>
      Next: fen model create command/shell web-01"
    `);
    for (const folder of ["models", "workflows", "vaults", ".swamp/data", ".swamp/outputs", ".swamp/secrets"])
      expect(existsSync(join(here.path, folder)), folder).toBe(true);
    expect(read(".gitignore")).toMatch(/^\.swamp\/$/m);
    expect(read(".swamp.yaml")).toMatch(/^swampVersion: .+\ninitializedAt: .+\nrepoId: .+\ngitignoreManaged: true\n$/);
  });

  test("says as JSON what it made, and does nothing the second time", async () => {
    const first = await documentOf(here, "init");
    expect(first).toMatchObject({
      path: here.path,
      gitignoreAction: "created",
      skillsCopied: [],
      settingsCreated: false,
    });
    const [marker, ignored] = [read(".swamp.yaml"), read(".gitignore")];
    expect(await documentOf(here, "repo init")).toEqual({ ...first, gitignoreAction: "unchanged" });
    expect([read(".swamp.yaml"), read(".gitignore")]).toEqual([marker, ignored]);
    expect(await textOf(here, "init")).toBe("The repository in <repo> is complete (made <time>).");
  });

  test("makes it in a folder that is named, and keeps the lines of a .gitignore that is there", async () => {
    mkdirSync(join(here.path, "infra"));
    writeFileSync(join(here.path, "infra/.gitignore"), "node_modules");
    expect(await documentOf(here, "repo init infra --tool other")).toMatchObject({
      path: join(here.path, "infra"),
      gitignoreAction: "updated",
      tool: "other",
    });
    expect(read("infra/.gitignore")).toMatch(/^node_modules\n\n# BEGIN/);
    expect(existsSync(join(here.path, ".swamp.yaml"))).toBe(false);
  });

  test("leaves a marker that can't be read alone, and replaces it only with --force", async () => {
    writeFileSync(join(here.path, ".swamp.yaml"), "tool: [");
    expect(await errorOf(here, "init")).toMatchObject({
      code: "repository_invalid",
      exitCode: 78,
      hint: 'Mend .swamp.yaml; "fen init --force" writes a new one and keeps the old one beside it.',
    });
    expect(read(".swamp.yaml")).toBe("tool: [");
    await documentOf(here, "init --force");
    expect(read(".swamp.yaml.broken")).toBe("tool: [");
    expect(await documentOf(here, "model search")).toEqual({ query: "", results: [] });
  });

  test("adds what a marker lacks and keeps what it has", async () => {
    writeFileSync(join(here.path, ".swamp.yaml"), "# ours\nlogLevel: info\nfuture: { kept: true }\n");
    await documentOf(here, "init");
    expect(read(".swamp.yaml")).toMatch(/^# ours\nlogLevel: info\nfuture: \{ kept: true \}\n[^]*repoId: /);
  });

  test("refuses a path that is a file, and a word too many", async () => {
    writeFileSync(join(here.path, "file"), "");
    expect(await errorOf(here, "init file")).toMatchObject({ code: "store_unavailable", exitCode: 69 });
    expect(await errorOf(here, "repo init a b")).toMatchObject({
      code: "usage",
      exitCode: 2,
      message: "One word too many: b",
      hint: "Usage: fen repo init [path]",
    });
  });
});
