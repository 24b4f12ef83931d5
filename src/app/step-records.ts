/**
 * Records of steps that had ended when their run died. They are on the machine where that was, until its next sync; it may never come back. So whoever goes on
 * with the run writes them from its journal, each under the name that it has there: if that machine does come back, its own, which says a little more, takes
 * the place. Not those of methods whose name is an expression, nor of models that are gone: the journal doesn't know enough of them.
 */
import type { ModelRef } from "../data/layout.ts";
import type { Metadata } from "../data/metadata.ts";
import { type OutputRecord, resourcesFirst } from "../data/outputs.ts";
import type { DataVersions } from "../data/versions.ts";
import { hasExpression } from "../expression/template.ts";
import { isoTime } from "../kernel/iso-time.ts";
import { several } from "../kernel/several.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import type { JournalEntry } from "../workflow/entries.ts";
import { runFiles } from "../workflow/run-files.ts";
import type { RunState, StepState } from "../workflow/run-state.ts";
import type { RunSurroundings } from "./workflow-run-surroundings.ts";
import { logName } from "./workspace.ts";

const atOnce = 8;

type End = Pick<Extract<JournalEntry, { e: "end" }>, "at" | "data" | "error" | "s">;

/** `entries`: what is about to be said in the journal; steps may have ended by that. */
export async function bringRecords(
  surroundings: RunSurroundings,
  state: RunState,
  entries: readonly JournalEntry[],
): Promise<void> {
  const said = new Map(entries.flatMap((entry) => (entry.e === "end" ? [[entry.n, entry] as const] : [])));
  await several(state.steps, atOnce, async (step) => {
    const end = said.get(step.number) ?? endOf(step);
    if (end !== undefined) await bringRecord(surroundings, state, { step, end });
  });
}

function endOf({ status, endedAt, error, data }: StepState): End | undefined {
  if (status === "pending" || status === "waiting" || status === "running" || endedAt === undefined) return undefined;
  return { at: endedAt, s: status, ...(error === undefined ? {} : { error }), ...(data === undefined ? {} : { data }) };
}

async function bringRecord(
  { workspace, models, records }: RunSurroundings,
  state: RunState,
  { step, end }: { readonly step: StepState; readonly end: End },
): Promise<void> {
  const { attemptAt, model, output: id } = step;
  const { task } = step.definition;
  if (task.type !== "model_method" || hasExpression(task.methodName)) return;
  if (id === undefined || model === undefined || attemptAt === undefined) return; // it never began
  const found = await models.find(model).catch(() => undefined); // it is gone
  if (found === undefined) return;
  const { outputs, data } = workspace;
  const startedAt = isoTime(attemptAt);
  const stem = outputs.newStem(found.definition, task.methodName, { id, startedAt });
  const path = `${stem}.yaml`;
  // A power cut leaves the name of one that wasn't durable yet, and nothing in it.
  if (!(await outputs.has({ path, type: found.definition.type }))) {
    const versions = await metadataOf(data, found.definition, end);
    const log = logName(workspace, runFiles({ workflowId: state.definition.id, id: state.id }).log);
    const about = { id, methodName: task.methodName, startedAt, logFile: log };
    const record = { ...about, ...recordOf(state, { step, end, found, versions }) };
    await outputs.write(stem, record, { durable: false });
  }
  records.add(path); // one that is here only gets there, too
}

interface Known {
  readonly step: StepState;
  readonly end: End;
  readonly found: LoadedDefinition;
  /** Of what it left, as far as it is there still. */
  readonly versions: readonly Metadata[];
}

async function metadataOf({ store }: DataVersions, model: ModelRef, { data = [] }: End): Promise<Metadata[]> {
  const found = await Promise.all(data.map(([, name, number]) => store.metadata({ model, name, number })));
  return found.filter((metadata) => metadata !== undefined);
}

/** What its journal and its data say. */
function recordOf(
  { definition, id: workflowRunId }: RunState,
  { step, end: { at, data = [], error, s }, found, versions }: Known,
): Omit<OutputRecord, "id" | "logFile" | "methodName" | "startedAt"> {
  const tags = new Map(versions.map((metadata) => [metadata.id, metadata.tags]));
  const made = data.map(([dataId, name, version]) => ({ dataId, name, version, tags: tags.get(dataId) ?? {} }));
  const provenance = { triggeredBy: "workflow", workflowId: definition.id, workflowRunId, stepName: step.name };
  return {
    definitionId: found.definition.id,
    // Left out when the run was taken up: nobody knows how far it got.
    status: s === "skipped" ? "interrupted" : s,
    retryCount: 0,
    provenance,
    artifacts: { dataArtifacts: resourcesFirst(made) },
    completedAt: isoTime(at),
    durationMs: Math.max(0, at - (step.attemptAt ?? at)),
    ...(error === undefined ? {} : { error: { message: error } }),
  };
}
