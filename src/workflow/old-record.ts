/**
 * Runs that have a record but no journal here: those of the older program, and with a datastore in an object store those of other machines. Read leniently,
 * and told as a journal would tell them.
 */
import { FenError } from "../kernel/errors.ts";
import { isRecord, parseYaml } from "../repo/yaml.ts";
import type { JobDefinition, StepDefinition } from "./definition.ts";
import type { Author, DataReference, EndStatus, JournalEntry, RunEnd } from "./entries.ts";
import type { RunRef } from "./run-files.ts";

export interface RecordHead {
  readonly workflowName: string;
  readonly status: RunEnd | "running";
  readonly startedAt: number;
  readonly endedAt?: number;
  /** Milliseconds in which nobody carried it out. */
  readonly pausedMs?: number;
  readonly tags: Readonly<Record<string, string>>;
  /** Undefined where the older program does. */
  readonly by?: Author;
}

/** What is said of the run as a whole. The jobs, nearly all of the text, are cut out before it is parsed. Throws `run_corrupt`, `yaml_invalid`. */
export function readRecordHead(text: string, path: string): RecordHead {
  const head = text.replace(/^jobs:[^\n]*\n(?:[ \t-][^\n]*\n|\n)*/m, "");
  return headOf(parseYaml(head, path), path);
}

/** Throws `run_corrupt`, `yaml_invalid`. What is missing is left out. */
export function entriesOfRecord(text: string, path: string, ref: RunRef): JournalEntry[] {
  const value = parseYaml(text, path);
  const head = headOf(value, path);
  const jobs = listOf(isRecord(value) ? value["jobs"] : undefined);
  const steps = jobs.flatMap((job, j) => listOf(job["steps"]).map((step) => ({ step, j })));
  return [
    {
      e: "run",
      at: head.startedAt,
      run: ref.id,
      definition: {
        id: ref.workflowId,
        name: head.workflowName,
        version: 1,
        tags: head.tags,
        jobs: jobs.map(jobOf),
        lock: "run",
      },
      hash: "",
      inputs: {},
      tags: head.tags,
      by: head.by ?? { holder: "", pid: 0, command: "" },
    },
    ...jobs.flatMap((job, j) => jobEntries(job, j, head)),
    ...steps.flatMap(({ step }, n) => stepEntries(step, n, head)),
    ...(head.status === "running" ? [] : [{ e: "done" as const, at: head.endedAt ?? head.startedAt, s: head.status }]),
  ];
}

function headOf(value: unknown, path: string): RecordHead {
  if (!isRecord(value) || typeof value["startedAt"] !== "string" || !Number.isFinite(Date.parse(value["startedAt"])))
    throw new FenError("run_corrupt", `The record of the run can't be read: ${path}`, {
      hint: "Remove the file, or bring it back from a copy.",
      facts: { path },
    });
  const { status, workflowName, tags, completedAt, pausedMs, by } = value;
  const endedAt = timeOf(completedAt);
  return {
    workflowName: textOf(workflowName),
    status: status === "succeeded" || status === "failed" || status === "cancelled" ? status : "running",
    startedAt: Date.parse(value["startedAt"]),
    ...(endedAt === undefined ? {} : { endedAt }),
    ...(typeof pausedMs === "number" ? { pausedMs } : {}),
    tags: isRecord(tags) ? Object.fromEntries(Object.entries(tags).map(([key, tag]) => [key, textOf(tag)])) : {},
    ...(isRecord(by) && typeof by["pid"] === "number"
      ? { by: { holder: textOf(by["holder"]), pid: by["pid"], command: textOf(by["command"]) } }
      : {}),
  };
}

function jobOf(job: Readonly<Record<string, unknown>>): JobDefinition {
  return { name: textOf(job["jobName"]), steps: listOf(job["steps"]).map(stepOf), dependsOn: [], weight: 0 };
}

function stepOf(step: Readonly<Record<string, unknown>>): StepDefinition {
  const output = isRecord(step["output"]) ? step["output"] : {};
  const isMethod = output["type"] !== "workflow";
  return {
    name: textOf(step["stepName"]),
    task: isMethod
      ? {
          type: "model_method",
          modelIdOrName: textOf(output["model"]),
          methodName: textOf(output["method"]),
          inputs: {},
        }
      : { type: "workflow", workflowIdOrName: textOf(output["workflow"]), inputs: {} },
    ...(isTemplate(step) ? { forEach: { item: "item", in: "" } } : {}),
    dependsOn: [],
    weight: 0,
    allowFailure: step["allowedFailure"] === true,
    dataOutputOverrides: [],
  };
}

/** A fan-out beside its expansions: nothing was ever done with it. */
function isTemplate({ stepName, status }: Readonly<Record<string, unknown>>): boolean {
  return status === "pending" && textOf(stepName).includes("${{");
}

function jobEntries(job: Readonly<Record<string, unknown>>, j: number, head: RecordHead): JournalEntry[] {
  const started = timeOf(job["startedAt"]);
  const end = endOf(job["status"]);
  return [
    ...(started === undefined ? [] : [{ e: "job" as const, at: started, j, s: "running" as const }]),
    ...(end === undefined ? [] : [{ e: "job" as const, at: timeOf(job["completedAt"]) ?? head.startedAt, j, s: end }]),
  ];
}

function stepEntries(step: Readonly<Record<string, unknown>>, n: number, head: RecordHead): JournalEntry[] {
  if (isTemplate(step)) return [{ e: "expand", at: head.startedAt, n, first: 0, names: [] }];
  const { output, error, allowedFailure, reason } = step;
  const started = timeOf(step["startedAt"]);
  const end = endOf(step["status"]);
  const { model, runId, outputId } = isRecord(output) ? output : {};
  const called = {
    ...(typeof model === "string" ? { model } : {}),
    ...(typeof outputId === "string" ? { out: outputId } : {}),
    ...(typeof runId === "string" ? { child: runId } : {}),
  };
  const data = listOf(step["dataArtifacts"]).flatMap(referenceOf);
  return [
    ...(started === undefined ? [] : [{ e: "start" as const, at: started, n, a: 1, ...called }]),
    ...(end === undefined
      ? []
      : [
          {
            e: "end" as const,
            at: timeOf(step["completedAt"]) ?? started ?? head.startedAt,
            n,
            s: end,
            ...(typeof error === "string" ? { error } : {}),
            ...(typeof reason === "string" ? { why: reason } : {}),
            ...(allowedFailure === true ? { allowed: true as const } : {}),
            ...(data.length === 0 ? {} : { data }),
          },
        ]),
  ];
}

function referenceOf({ dataId, name, version }: Readonly<Record<string, unknown>>): DataReference[] {
  return typeof name === "string" && typeof version === "number" ? [[textOf(dataId), name, version]] : [];
}

function endOf(status: unknown): EndStatus | undefined {
  return status === "succeeded" || status === "failed" || status === "skipped" || status === "cancelled"
    ? status
    : undefined;
}

function timeOf(value: unknown): number | undefined {
  const at = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isFinite(at) ? at : undefined;
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
