import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { layoutOf } from "../repo/repository.ts";
import { refuseUnrunnable, Workflows } from "./workflows.ts";

let root: string;
let workflows: Workflows;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-workflows-"));
  workflows = at(root);
});
afterEach(() => rmSync(root, { recursive: true }));

function at(path: string): Workflows {
  return new Workflows({
    layout: layoutOf(path),
    marker: { raw: {} },
    datastore: { kind: "filesystem", root: join(path, ".swamp"), exclude: [] },
    workflowExtensionsDir: join(path, "extensions/workflows"),
  });
}

const idOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const text = (id: number, name: string, more = ""): string =>
  `id: ${idOf(id)}\nname: ${name}\n${more}jobs:\n  - name: only\n    steps:\n      - name: one\n        task: { type: model_method, modelIdOrName: web-01, methodName: execute }\n`;

function write(path: string, content: string): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

const noClaim = async () => ({ release: () => undefined });

describe("finding a workflow", () => {
  test("by name, then by id, whatever its file is called", async () => {
    const file = write("workflows/workflow-anything.yaml", text(1, "patch"));
    write(`workflows/workflow-${idOf(2)}.yaml`, text(2, idOf(1)));
    expect((await workflows.find("patch")).file).toBe(file);
    expect((await workflows.find(idOf(1))).workflow.id).toBe(idOf(2));
    expect((await workflows.find(idOf(2))).workflow.id).toBe(idOf(2));
  });

  test("only files called workflow-*.yaml directly in workflows/ are workflows of the repository", async () => {
    write("workflows/other.yaml", text(1, "a"));
    write("workflows/deep/workflow-b.yaml", text(2, "b"));
    write("workflows/workflow-c.yml", text(3, "c"));
    mkdirSync(join(root, "workflows/workflow-folder.yaml"));
    expect(await workflows.list()).toEqual({ workflows: [], problems: [] });
    for (const name of ["a", "b", "c"])
      await expect(workflows.find(name)).rejects.toMatchObject({ code: "workflow_missing" });
  });

  test("a pipe is no workflow, keeps nobody waiting, and is told", async () => {
    mkdirSync(join(root, "workflows"));
    const pipe = join(root, "workflows/workflow-a.yaml");
    execFileSync("mkfifo", [pipe]);
    const { problems } = await workflows.list();
    expect(problems).toMatchObject([{ file: pipe, message: expect.stringContaining(`${pipe} (it is a pipe, `) }]);
    await expect(workflows.find("a")).rejects.toMatchObject({ code: "store_unavailable", facts: { path: pipe } });
  });

  test("an extension is found at any depth; one of the repository hides it, by name and by id", async () => {
    const extension = write("extensions/workflows/deep/any.yaml", text(1, "patch"));
    expect(await workflows.find("patch")).toMatchObject({ file: extension, isExtension: true });
    const own = write("workflows/workflow-x.yaml", text(1, "patch"));
    expect(await workflows.find("patch")).toMatchObject({ file: own, isExtension: false });
    expect(await workflows.find(idOf(1))).toMatchObject({ file: own });
    expect((await workflows.list()).workflows.map(({ file }) => file)).toEqual([own]);
  });

  test("two of one name, or of one id, are an error that names both files", async () => {
    const files = [
      write("workflows/workflow-1.yaml", text(1, "patch")),
      write("workflows/workflow-2.yaml", text(2, "patch")),
    ];
    await expect(workflows.find("patch")).rejects.toMatchObject({ code: "workflow_ambiguous", facts: { files } });
    expect((await workflows.find(idOf(2))).file).toBe(files[1]);
    write("workflows/workflow-3.yaml", text(2, "third"));
    await expect(workflows.find(idOf(2))).rejects.toMatchObject({ code: "workflow_ambiguous" });
  });

  test("a file that is meant but can't be used is the error; it hides no other", async () => {
    const file = write("workflows/workflow-bad.yaml", text(1, "patch").replace("type: model_method", "type: shell"));
    write("workflows/workflow-good.yaml", text(2, "other"));
    await expect(workflows.find("patch")).rejects.toMatchObject({
      code: "workflow_invalid",
      facts: { file, line: 7, problems: [{ line: 7, column: 17, key: "jobs.0.steps.0.task.type" }] },
    });
    const { workflows: listed, problems } = await workflows.list();
    expect(listed.map(({ workflow }) => workflow.name)).toEqual(["other"]);
    expect(problems).toMatchObject([{ file, severity: "error" }]);
  });

  test("a name that is nearly right gets the right one", async () => {
    write("workflows/workflow-1.yaml", text(1, "patch-fleet"));
    await expect(workflows.find("patch-flet")).rejects.toMatchObject({
      code: "workflow_missing",
      hint: expect.stringContaining("Did you mean patch-fleet?"),
    });
  });
});

describe("changing workflows", () => {
  test("a name can be taken once; an extension's can be taken over", async () => {
    write("extensions/workflows/x.yaml", text(9, "patch"));
    const made = await workflows.create(text(1, "patch"), noClaim, { id: idOf(1), name: "patch" });
    expect(made.file).toBe(join(root, `workflows/workflow-${idOf(1)}.yaml`));
    await expect(workflows.create(text(2, "patch"), noClaim, { id: idOf(2), name: "patch" })).rejects.toMatchObject({
      code: "workflow_exists",
      facts: { file: made.file },
    });
    expect(workflows.remove(made.file)).toBe(true);
    expect(workflows.remove(made.file)).toBe(false);
    expect((await workflows.find("patch")).isExtension).toBe(true);
  });

  test("who names a model or a workflow is known, also of files that can't be read", async () => {
    const file = write("workflows/workflow-1.yaml", text(1, "a"));
    const nested = write(
      "extensions/workflows/n.yaml",
      text(2, "b").replace(
        "model_method, modelIdOrName: web-01, methodName: execute",
        "workflow, workflowIdOrName: web-01",
      ),
    );
    const broken = write("workflows/workflow-2.yaml", "jobs: [{ steps: [{ task: { modelIdOrName: 'web-01' } }] }]\n");
    write("workflows/workflow-3.yaml", text(3, "web-01").replace("modelIdOrName: web-01", "modelIdOrName: web-011"));
    const other = { name: "web-01", id: idOf(7) };
    expect(await workflows.naming("model", other)).toEqual([file, broken]);
    expect(await workflows.naming("workflow", other)).toEqual([nested]);
    expect(await workflows.naming("model", { name: "x", id: idOf(8) })).toEqual([]);
  });
});

test("what can't be run as it stands is refused with its place: a graph with a hole, a driver", async () => {
  const hole = write(
    "workflows/workflow-1.yaml",
    text(1, "a", "").replace("    steps:", "    dependsOn: [{ job: onyl, condition: { type: always } }]\n    steps:"),
  );
  await expect(refuseUnrunnable(await workflows.load(hole))).rejects.toMatchObject({
    code: "workflow_invalid",
    facts: {
      problems: [{ line: 5, message: "job only depends on onyl, but no job is called so", hint: "Did you mean only?" }],
    },
  });
  const never = write(
    "workflows/workflow-4.yaml",
    text(4, "d").replace(
      "jobs:\n",
      "jobs:\n  - { name: other, dependsOn: [{ job: only, condition: { type: not, condition: { type: always } } }], steps: [{ name: s, task: { type: workflow, workflowIdOrName: x } }] }\n",
    ),
  );
  await refuseUnrunnable(await workflows.load(never));
  const driver = write("workflows/workflow-2.yaml", text(2, "b", "driver: docker\n"));
  await expect(refuseUnrunnable(await workflows.load(driver))).rejects.toMatchObject({ code: "not_yet" });
  const raw = write("workflows/workflow-3.yaml", text(3, "c", "driver: raw\n"));
  await refuseUnrunnable(await workflows.load(raw));
});

test("the workflows of an older repository load without a finding", async () => {
  const { workflows: listed, problems } = await at(
    fileURLToPath(new URL("../../test/fixtures/existing-repo", import.meta.url)),
  ).list();
  expect(problems).toEqual([]);
  expect(listed.map(({ workflow, warnings }) => [workflow.name, workflow.jobs.length, warnings])).toEqual([
    ["acme-greet-all", 3, []],
    ["acme-report-only", 1, []],
  ]);
  for (const one of listed) await refuseUnrunnable(one);
});
