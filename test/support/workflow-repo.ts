/** A scratch repository with workflows in it, and what their runs leave. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { JournalEntry } from "../../src/workflow/entries.ts";
import { parseYaml } from "../../src/repo/yaml.ts";
import { type Scratch, scratchRepo, until } from "./cli.ts";

export interface StepSpec {
  readonly name: string;
  readonly [key: string]: unknown;
}

export interface JobSpec {
  readonly name: string;
  readonly steps: readonly StepSpec[];
  readonly [key: string]: unknown;
}

export const workflowId = (n: number): string => `c0000000-0000-4000-a000-${String(n).padStart(12, "0")}`;

/** A step that calls `execute` of a model. */
export function step(name: string, model: string, more: object = {}): StepSpec {
  const { inputs, ...others } = { inputs: undefined, ...more };
  const task = { type: "model_method", modelIdOrName: model, methodName: "execute" };
  return { name, task: { ...task, ...(inputs === undefined ? {} : { inputs }) }, ...others };
}

/** A step that runs another workflow. */
export function nested(name: string, workflow: string, more: object = {}): StepSpec {
  const { inputs, ...others } = { inputs: undefined, ...more };
  const task = { type: "workflow", workflowIdOrName: workflow };
  return { name, task: { ...task, ...(inputs === undefined ? {} : { inputs }) }, ...others };
}

/** What a step waits for. */
export const after = (name: string, type: string) => ({ dependsOn: [{ step: name, condition: { type } }] });

export interface WorkflowRepo extends Scratch {
  /** Writes a workflow of these jobs, or of one job of these steps. */
  workflow(name: string, jobsOrSteps: readonly (JobSpec | StepSpec)[], more?: object): void;
  read(path: string): string;
  has(path: string): boolean;
  appears(path: string): Promise<void>;
  /** Models whose locks are held, and who waits; nothing of either where all is over. */
  locks(): Promise<{ models: { modelName?: string; state: string }[]; waiting: unknown[] }>;
  /** Nothing of any run is left but its records. */
  expectNothingLeft(): Promise<void>;
  runIds(): string[];
  /** The record, as YAML. */
  // oxlint-disable-next-line typescript/no-explicit-any -- a test says what it expects of it
  record(run: string): any;
  journal(run: string): JournalEntry[];
  log(run: string): string;
  /** Contents of all versions of a model's data, oldest first. */
  contents(model: string, data?: string): string[];
  /** What a model's runs printed, oldest first. */
  printed(model: string): string[];
}

export async function workflowRepo(): Promise<WorkflowRepo> {
  const scratch = await scratchRepo();
  const ids = new Map<string, string>();
  const read = (path: string) => readFileSync(join(scratch.path, path), "utf8");
  const has = (path: string) => existsSync(join(scratch.path, path));
  const runFile = (run: string, ending: string): string => {
    const root = join(scratch.path, ".swamp/workflow-runs");
    const found = readdirSync(root, { recursive: true }).map(String);
    const name = found.find((one) => one.endsWith(`workflow-run-${run}.${ending}`));
    if (name === undefined) throw new Error(`no ${ending} of ${run} in ${found.join(" ")}`);
    return readFileSync(join(root, name), "utf8");
  };
  const contents: WorkflowRepo["contents"] = (model, data = "log") => {
    const folder = `.swamp/data/command/shell/${ids.get(model)}/${data}`;
    const versions = has(folder) ? readdirSync(join(scratch.path, folder)).filter((one) => /^\d+$/.test(one)) : [];
    return versions
      .map(Number)
      .sort((a, b) => a - b)
      .map((version) => read(`${folder}/${version}/raw`));
  };
  let workflows = 0;
  return {
    ...scratch,
    model: (name, run, more) => {
      const id = scratch.model(name, run, more);
      ids.set(name, id);
      return id;
    },
    workflow: (name, jobsOrSteps, more = {}) => {
      const isJobs = jobsOrSteps.some((one) => "steps" in one);
      const jobs = isJobs ? jobsOrSteps : [{ name: "only", steps: jobsOrSteps }];
      const id = workflowId(++workflows);
      scratch.write(`workflows/workflow-${id}.yaml`, JSON.stringify({ id, name, ...more, jobs }, undefined, 2));
    },
    read,
    has,
    appears: (path) =>
      until(
        () => has(path),
        () => path,
      ),
    locks: async () => (await scratch.fen("datastore", "lock", "status", "--json")).json(),
    expectNothingLeft: async () => {
      expect((await scratch.fen("datastore", "lock", "status", "--json")).json()).toMatchObject({
        datastore: null,
        models: [],
        waiting: [],
      });
      const left = readdirSync(join(scratch.path, ".swamp"), { recursive: true }).map(String);
      expect(left.filter((one) => /\.lock$|\.owner$|\.cancel$|\.claim$/.test(one))).toEqual([]);
    },
    runIds: () =>
      readdirSync(join(scratch.path, ".swamp/workflow-runs"), { recursive: true })
        .map(String)
        .flatMap((one) => /workflow-run-(.*)\.journal$/.exec(one)?.[1] ?? []),
    record: (run) => parseYaml(runFile(run, "yaml"), "record"),
    journal: (run) =>
      runFile(run, "journal")
        .split("\n")
        .filter((line) => line !== "")
        .map((line): JournalEntry => JSON.parse(line)),
    log: (run) => runFile(run, "log"),
    contents,
    printed: (model) => contents(model, "result").map((text) => JSON.parse(text).stdout),
  };
}
