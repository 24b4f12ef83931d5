/**
 * Runs of one workflow of 200 steps (several models, fan-outs, nested runs, failures) that are killed and resumed, until they have ended. Then every step
 * has ended as in a run that nobody killed, has left its output once, and nothing of what had ended was done again.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseYaml } from "../../src/repo/yaml.ts";
import type { JournalEntry } from "../../src/workflow/entries.ts";
import { parseEntry } from "../../src/workflow/journal-reader.ts";
import { RunState, type StepState } from "../../src/workflow/run-state.ts";
import { bundleProgram } from "../support/bundle.ts";
import { Chance } from "../support/chance.ts";
import type { Death, WorkerSpec } from "./workflow-worker.ts";

/** In memory where that can be: a killed process loses nothing that it has handed to the system, and nobody waits for a disk. */
const scratch = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const models = Array.from({ length: 8 }, (_, n) => `m${n}`);

type Kill =
  | Death
  /** By somebody else, so long after it has begun. */
  | { readonly at: "time"; readonly ms: number };

interface Crash {
  readonly kills: readonly Kill[];
}

interface Reference {
  /** How each step ended, by its path through runs, jobs and fan-outs. */
  readonly ends: ReadonlyMap<string, string>;
  /** Lines of all journals. */
  readonly lines: number;
  readonly ms: number;
}

interface CrashResult {
  readonly violations: readonly string[];
  /** How often it was killed before it had ended. */
  readonly killed: number;
  /** Steps that had ended at the kills. */
  readonly ended: number;
  /** Steps that were at work at a kill and began again. */
  readonly again: number;
}

class CrashLab {
  readonly #script: string;
  readonly #template: string;

  private constructor(script: string, template: string) {
    this.#script = script;
    this.#template = template;
  }

  static async open(): Promise<CrashLab> {
    const template = mkdtempSync(join(scratch, "fen-crash-"));
    writeRepository(template);
    return new CrashLab(await bundleProgram("test/torture/workflow-worker"), template);
  }

  [Symbol.dispose](): void {
    rmSync(this.#template, { recursive: true, force: true });
  }

  /** A run that nobody kills. */
  async reference(): Promise<Reference> {
    const root = this.#copy();
    try {
      const start = performance.now();
      const said = await this.#work({ root });
      if (!said.includes("ended failed")) throw new Error(`the run didn't end as it should: ${said}`);
      const ms = performance.now() - start;
      const runs = readRuns(root);
      return { ends: endsOf(runs), lines: runs.reduce((sum, run) => sum + run.entries.length, 0), ms };
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  }

  /** Runs, is killed as often as there are kills, and is resumed until it has ended. */
  async crash({ kills }: Crash, reference: Reference): Promise<CrashResult> {
    const root = this.#copy();
    const violations: string[] = [];
    const done = new Map<string, number>();
    let [killed, again] = [0, 0];
    try {
      for (const kill of [...kills, undefined]) {
        const main = readRuns(root).find((run) => run.state.parent === undefined);
        const said = await this.#work({ root, ...(main === undefined ? {} : { resume: main.state.id }) }, kill);
        const isOver = said.includes("ended") || said.includes("run_ended");
        if (said.includes("refused") && !said.includes("run_ended")) violations.push(said);
        if (isOver) break;
        killed++;
        const before = effectsIn(root);
        for (const [path, step] of stepsOf(readRuns(root))) {
          if (step.status === "running" && step.output !== undefined) again++;
          if (isEnded(step.status) && !done.has(path)) done.set(path, before.get(nameOf(step)) ?? 0);
        }
      }
      violations.push(...check(root, reference, done));
      return { violations, killed, ended: done.size, again };
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  }

  #copy(): string {
    const root = mkdtempSync(join(scratch, "fen-crash-"));
    cpSync(this.#template, root, { recursive: true });
    return root;
  }

  /** What the worker said; "" where it was killed. */
  async #work(spec: WorkerSpec, kill?: Kill): Promise<string> {
    const die = kill === undefined || kill.at === "time" ? {} : { die: kill };
    const child = spawn(process.execPath, [this.#script, JSON.stringify({ ...spec, ...die })], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [said, wrong] = ["", ""];
    child.stderr.on("data", (bytes: Buffer) => (wrong += bytes.toString()));
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    child.stdout.on("data", (bytes: Buffer) => {
      const isFirst = said === "";
      said += bytes.toString();
      if (isFirst && kill?.at === "time") void sleep(kill.ms).then(() => child.kill("SIGKILL"));
    });
    await ended;
    if (child.signalCode === "SIGKILL") return "";
    if (child.exitCode !== 0) return `refused: exit ${child.exitCode}\n${wrong}`;
    return said;
  }
}

/** Kills at any moment: at a call of the filesystem, or at a time; now and then again while it is resumed. */
function randomKills(seed: number, reference: Reference): readonly Kill[] {
  const chance = new Chance(seed);
  const one = (): Kill =>
    chance.is(0.5)
      ? { at: "call", calls: 1 + chance.below(reference.lines * 12) }
      : { at: "time", ms: chance.below(reference.ms) };
  return chance.is(0.3) ? [one(), one()] : [one()];
}

interface Run {
  readonly state: RunState;
  readonly entries: readonly JournalEntry[];
  readonly record: string;
}

/** Runs by what is on the disk: whole lines count. */
function readRuns(root: string): Run[] {
  const folder = join(root, ".swamp/workflow-runs");
  const files = existsSync(folder) ? readdirSync(folder, { recursive: true }).map(String) : [];
  return files
    .filter((file) => file.endsWith(".journal"))
    .flatMap((file): Run[] => {
      const whole = readFileSync(join(folder, file), "utf8").split("\n").slice(0, -1);
      const entries = whole.flatMap((line) => parseEntry(line) ?? []);
      const [first, ...others] = entries;
      if (first?.e !== "run") return [];
      const state = new RunState(first);
      for (const entry of others) state.apply(entry);
      const record = join(folder, file.replace(/\.journal$/, ".yaml"));
      return [{ state, entries, record: existsSync(record) ? readFileSync(record, "utf8") : "" }];
    });
}

/** Steps that do something, of all runs, by their path. */
function stepsOf(runs: readonly Run[]): Map<string, StepState> {
  const found = new Map<string, StepState>();
  const visit = (run: Run, path: string): void => {
    for (const step of run.state.work) {
      const own = `${path}${run.state.job(step.job).name}/${step.name}`;
      found.set(own, step);
      const child = runs.find((one) => one.state.id === step.child);
      if (child !== undefined) visit(child, `${own} > `);
    }
  };
  for (const run of runs) if (run.state.parent === undefined) visit(run, "");
  return found;
}

function endsOf(runs: readonly Run[]): Map<string, string> {
  return new Map(
    [...stepsOf(runs)].map(([path, { status, allowed }]) => [path, `${status}${allowed ? " allowed" : ""}`]),
  );
}

const isEnded = (status: string): boolean => ["succeeded", "failed", "skipped"].includes(status);
/** What a step calls itself in the file `effects`. */
const nameOf = (step: StepState): string => step.name;

function effectsIn(root: string): Map<string, number> {
  const file = join(root, "effects");
  const begun = new Map<string, number>();
  for (const line of existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : []) {
    const name = line.replace("begin ", "");
    begun.set(name, (begun.get(name) ?? 0) + 1);
  }
  return begun;
}

/** `done`: how often the steps that had ended at a kill had begun by then. */
function check(root: string, reference: Reference, done: ReadonlyMap<string, number>): string[] {
  const violations: string[] = [];
  const runs = readRuns(root);
  const steps = stepsOf(runs);
  const effects = effectsIn(root);
  const ends = endsOf(runs);
  for (const [path, end] of reference.ends)
    if (ends.get(path) !== end) violations.push(`${path} ended ${ends.get(path)} instead of ${end}`);
  for (const path of ends.keys()) if (!reference.ends.has(path)) violations.push(`${path} isn't in the workflow`);
  for (const [path, begun] of done) {
    const step = steps.get(path);
    const now = step === undefined ? 0 : (effects.get(nameOf(step)) ?? 0);
    if (now !== begun) violations.push(`${path} had ended, and began again`);
  }
  for (const [path, step] of steps) violations.push(...checkOutput(root, path, step));
  for (const { state, record } of runs) {
    if (state.status === "running") violations.push(`the run of ${state.definition.name} hasn't ended`);
    const recorded: unknown = Object(parseYaml(record, "record"))["status"];
    if (recorded !== state.status) violations.push(`a record says ${String(recorded)} of a run that ${state.status}`);
  }
  const left = readdirSync(join(root, ".swamp"), { recursive: true }).map(String);
  // A run that died before its first line was there, and that nobody has called, is none: nobody will ask for it.
  const told = JSON.stringify(runs.map((run) => run.entries));
  const recordOf = (id: string) =>
    left.filter((file) => file.startsWith("outputs/") && file.endsWith(`-${id.slice(0, 8)}.yaml`));
  for (const [path, { output, status }] of steps) {
    if (output === undefined || status === "skipped") continue;
    if (recordOf(output).length !== 1) violations.push(`${path} ${status}, and has ${recordOf(output).length} records`);
  }
  const known = (file: string) => !file.endsWith(".owner") || told.includes(basename(file, ".owner"));
  for (const file of left.filter(known))
    if (/\.lock$|\.owner$|\.cancel$|\.claim$|staging\/[^/]+\/./.test(file)) violations.push(`left: ${file}`);
  return violations;
}

/** One version, and the step names it. */
function checkOutput(root: string, path: string, step: StepState): string[] {
  if (step.child !== undefined || step.status === "skipped" || step.name.includes("nothing")) return [];
  const data = join(root, ".swamp/data/torture/step");
  const found = readdirSync(data).flatMap((model) => {
    const folder = join(data, model, `r-${nameOf(step)}`);
    return existsSync(folder) ? readdirSync(folder).filter((one) => /^\d+$/.test(one)) : [];
  });
  const violations: string[] = [];
  if (found.length !== 1) violations.push(`${path} has left ${found.length} outputs`);
  if (step.data?.length !== 1 || step.data[0]?.[1] !== `r-${nameOf(step)}`)
    violations.push(`${path} doesn't name its output`);
  return violations;
}

/** About 200 steps. Names are different in the whole tree, nested runs included: what a step did is found by its name. */
function writeRepository(root: string): void {
  const write = (path: string, value: unknown): void => {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), typeof value === "string" ? value : JSON.stringify(value, undefined, 1));
  };
  write(".swamp.yaml", "swampVersion: 20260101.0.0\ninitializedAt: '2026-01-01T00:00:00.000Z'\n");
  for (const [n, name] of models.entries())
    write(`models/torture/step/${name}.yaml`, {
      type: "torture/step",
      typeVersion: "2026.01.01.1",
      id: `a0000000-0000-4000-a000-00000000000${n}`,
      name,
      version: 1,
      tags: {},
      globalArguments: {},
      inputs: { properties: { name: { type: "string" }, kind: { type: "string", default: "works" } } },
      methods: { execute: { arguments: { name: "${{ inputs.name }}", kind: "${{ inputs.kind }}" } } },
    });
  const step = (name: string, n: number, more: object = {}, kind = "works") => ({
    name,
    task: {
      type: "model_method",
      modelIdOrName: models[n % models.length],
      methodName: "execute",
      inputs: { name, kind },
    },
    ...more,
  });
  const after = (name: string, type = "succeeded") => ({ dependsOn: [{ step: name, condition: { type } }] });
  const chain = (prefix: string, length: number) =>
    Array.from({ length }, (_, n) =>
      step(
        `${prefix}-${n}`,
        n,
        n === 0 ? {} : after(`${prefix}-${n - 1}`, "completed"),
        n % 7 === 5 ? "fails" : "works",
      ),
    ).map((one, n) => (n % 7 === 5 ? { ...one, allowFailure: true } : one));
  const fan = (prefix: string, length: number, more: object = {}) => ({
    name: `${prefix}-\${{ self.x.n }}`,
    forEach: {
      item: "x",
      in: `\${{ [${Array.from({ length }, (_, n) => `{'n': ${n}, 'm': 'm${n % 3}'}`).join(", ")}] }}`,
    },
    task: {
      type: "model_method",
      modelIdOrName: "${{ self.x.m }}",
      methodName: "execute",
      inputs: { name: `${prefix}-\${{ self.x.n }}` },
    },
    ...more,
  });
  const inner = (prefix: string, size: number) => [
    {
      name: "fan",
      steps: [fan(`${prefix}-fan`, size), step(`${prefix}-after`, 4, after(`${prefix}-fan-\${{ self.x.n }}`))],
    },
    { name: "chain", steps: chain(`${prefix}-chain`, 6) },
  ];
  const call = (workflow: string, more: object = {}) => ({
    name: workflow,
    task: { type: "workflow", workflowIdOrName: workflow },
    ...more,
  });
  const workflow = (n: number, name: string, jobs: readonly object[]) =>
    write(`workflows/workflow-c0000000-0000-4000-a000-00000000000${n}.yaml`, {
      id: `c0000000-0000-4000-a000-00000000000${n}`,
      name,
      jobs,
    });
  workflow(2, "inner-a", inner("a", 18));
  workflow(3, "inner-b", [...inner("b", 18), { name: "deep", steps: [call("innermost")] }]);
  workflow(4, "innermost", inner("c", 12));
  workflow(1, "main", [
    { name: "fan", steps: [fan("fan", 40), step("after-fan", 5, after("fan-${{ self.x.n }}"))] },
    { name: "chain", steps: chain("chain", 24) },
    { name: "nested", steps: [call("inner-a"), call("inner-b"), step("after-b", 6, after("inner-b"))] },
    {
      name: "bad",
      steps: [
        step("breaks", 7, {}, "fails"),
        step("never", 7, after("breaks")),
        step("mends", 7, after("breaks", "failed")),
      ],
    },
    { name: "not", dependsOn: [{ job: "bad", condition: { type: "succeeded" } }], steps: chain("not", 3) },
    {
      name: "last",
      dependsOn: [{ job: "fan", condition: { type: "completed" } }],
      steps: [...chain("last", 55), step("nothing-1", 2, {}, "nothing"), step("nothing-2", 2, {}, "nothing")],
    },
  ]);
}

export interface TortureOptions {
  /** At so many lines of the journals, over all of them, one run is killed behind the line and one within it; Infinity: at every line. */
  readonly lines: number;
  /** So many runs are killed at random moments. */
  readonly runs: number;
  readonly seed: number;
  /** Crashes at once. */
  readonly parallel: number;
}

export interface TortureResult {
  readonly steps: number;
  readonly runs: number;
  readonly kills: number;
  /** Steps that had ended at a kill. */
  readonly ended: number;
  /** Steps that were at work at a kill and began again. */
  readonly again: number;
  /** What broke, each with how to see it again. */
  readonly broken: readonly string[];
}

export async function torture(
  { lines, runs, seed, parallel }: TortureOptions,
  tell: (what: string) => void = () => undefined,
): Promise<TortureResult> {
  using lab = await CrashLab.open();
  const reference = await lab.reference();
  const places = Math.min(lines, reference.lines + 1);
  const first = seed % Math.max(1, Math.floor(reference.lines / places));
  const crashes = [
    ...Array.from({ length: places }, (_, n) => first + Math.floor((n * (reference.lines + 1)) / places)).flatMap(
      (line) =>
        [false, true].map((torn) => ({
          what: `killed ${torn ? "within the line after" : "behind"} line ${line}`,
          kills: [{ at: "line" as const, lines: line, torn }],
        })),
    ),
    ...Array.from({ length: runs }, (_, n) => ({
      what: `npm run torture -- --workflows --runs 1 --seed ${seed + n}`,
      kills: randomKills(seed + n, reference),
    })),
  ];
  const results: CrashResult[] = [];
  const broken: string[] = [];
  const work = async (): Promise<void> => {
    for (let crash = crashes.shift(); crash !== undefined; crash = crashes.shift()) {
      const result = await lab.crash(crash, reference);
      results.push(result);
      if (result.violations.length > 0) {
        broken.push(`${crash.what}:\n${result.violations.map((one) => `  ${one}`).join("\n")}`);
        tell(broken.at(-1) ?? "");
      }
      if (results.length % 100 === 0) tell(`${results.length} runs, ${broken.length} broken`);
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  const sum = (pick: (result: CrashResult) => number) => results.reduce((total, one) => total + pick(one), 0);
  return {
    steps: reference.ends.size,
    runs: results.length,
    kills: sum((one) => one.killed),
    ended: sum((one) => one.ended),
    again: sum((one) => one.again),
    broken,
  };
}
