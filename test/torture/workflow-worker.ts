/**
 * A process that runs or resumes a workflow whose steps work in this process, and that dies where it is told: it sends itself a KILL, as a power cut or the
 * kernel would, at a line of a journal or at a call of the filesystem. What its steps do is written down in the file `effects`.
 * Started by `workflow-crashes.ts` with a `WorkerSpec` as its argument.
 */
import fs, { appendFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import type { AppContext } from "../../src/app/context.ts";
import { resumeWorkflow } from "../../src/app/workflow-resume.ts";
import { runWorkflow } from "../../src/app/workflow-run.ts";
import { FenError } from "../../src/kernel/errors.ts";
import { systemMachine } from "../../src/kernel/machine.ts";
import type { MethodContext, MethodResult, ModelType } from "../../src/model/type.ts";

export interface WorkerSpec {
  readonly root: string;
  /** Undefined: run it from the beginning. */
  readonly resume?: string;
  readonly die?: Death;
}

export type Death =
  /** With `lines` whole lines of journals on the disk; `torn`: and half of the next. */
  | { readonly at: "line"; readonly lines: number; readonly torn: boolean }
  /** Instead of this call of the filesystem. */
  | { readonly at: "call"; readonly calls: number };

function dieNow(): never {
  process.kill(process.pid, "SIGKILL");
  for (;;); // the signal comes before this thread does anything else
}

/** Lines of a journal begin like this; nothing else that is written does. */
const journalStart = Buffer.from('{"e":"');

function watchLines({ lines, torn }: Extract<Death, { at: "line" }>): void {
  const { writeSync } = fs;
  let seen = 0;
  const watched = (fd: number, data: Buffer, offset: number, length: number): number => {
    if (!Buffer.isBuffer(data) || data.indexOf(journalStart) !== 0) return writeSync(fd, data, offset, length);
    const text = data.toString("utf8", offset, offset + length);
    const all = text.split("\n").slice(0, -1);
    if (seen + all.length < lines) {
      seen += all.length;
      return writeSync(fd, data, offset, length);
    }
    const whole = all.slice(0, lines - seen).map((line) => `${line}\n`);
    const next = torn ? (all[lines - seen] ?? "") : "";
    writeSync(fd, whole.join("") + next.slice(0, next.length / 2));
    return dieNow();
  };
  Object.assign(fs, { writeSync: watched });
}

const changes = ["writeSync", "openSync", "mkdirSync", "renameSync", "linkSync", "unlinkSync", "rmSync", "fdatasync"];

function watchCalls({ calls }: Extract<Death, { at: "call" }>): void {
  let seen = 0;
  for (const name of changes) {
    const real: unknown = Reflect.get(fs, name);
    if (typeof real !== "function") throw new Error(`no fs.${name}`);
    const watched = (...args: readonly unknown[]): unknown => {
      if (++seen >= calls) dieNow();
      return Reflect.apply(real, fs, args);
    };
    Object.assign(fs, { [name]: watched });
  }
}

const spec: WorkerSpec = JSON.parse(process.argv[2] ?? "{}");
if (spec.die?.at === "line") watchLines(spec.die);
else if (spec.die !== undefined) watchCalls(spec.die);
syncBuiltinESMExports();

const say = (what: string, name: unknown) => appendFileSync(join(spec.root, "effects"), `${what} ${String(name)}\n`);

async function work(args: Readonly<Record<string, unknown>>, context: MethodContext): Promise<MethodResult> {
  const { name, kind } = args;
  say("begin", name);
  await new Promise((resolve) => setImmediate(resolve));
  if (kind !== "nothing") await context.writeResource("result", { name }, { instance: `r-${String(name)}` });
  context.output("stdout", `line of ${String(name)}`);
  return kind === "fails" ? { status: "failed", message: "as it should" } : { status: "succeeded" };
}

const stepType: ModelType = {
  name: "torture/step",
  version: "2026.01.01.1",
  description: "Leaves one result and writes down that it began",
  methods: {
    execute: {
      description: "One step",
      kind: "action",
      arguments: { type: "object", properties: { name: { type: "string" }, kind: { type: "string" } } },
      execute: work,
    },
  },
  resources: {
    result: {
      description: "Its name",
      contentType: "application/json",
      lifetime: "infinite",
      garbageCollection: 10,
      streaming: false,
    },
  },
  files: {},
};

const context: AppContext = {
  machine: systemMachine("torture"),
  repoDir: spec.root,
  types: [stepType],
  signal: new AbortController().signal,
  lockTimeoutMs: 30_000,
  emit: () => undefined,
};
try {
  process.stdout.write("begun\n");
  const document =
    spec.resume === undefined
      ? await runWorkflow(context, { workflow: "main", concurrency: 8 })
      : await resumeWorkflow(context, { run: spec.resume, failed: false, unknown: "retry", concurrency: 8 });
  process.stdout.write(`ended ${document.status}\n`);
} catch (error) {
  if (!(error instanceof FenError)) throw error;
  process.stdout.write(`refused ${error.code} ${error.message}\n`);
}
