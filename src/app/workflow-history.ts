/** Looking back at runs of workflows, and at those that go on. Takes no lock. */
import { FenError } from "../kernel/errors.ts";
import { isoTime } from "../kernel/iso-time.ts";
import { runFiles } from "../workflow/run-files.ts";
import { shownSteps } from "../workflow/run-record.ts";
import type { Segment } from "../workflow/timeline.ts";
import type { AppContext } from "./context.ts";
import { earliestOf } from "./data-search.ts";
import { parseTags } from "./inputs.ts";
import { type HistoryLogsResult, readLog } from "./outputs-use.ts";
import { type PastRun, PastRuns, type PastStatus, type RunSummary } from "./past-runs.ts";
import { type RunDocument, runDocument } from "./workflow-run-document.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

export interface RunSearchOptions {
  readonly query: string;
  readonly limit: number;
  readonly since?: string | undefined;
  readonly status?: string | undefined;
  /** Name or id. */
  readonly workflow?: string | undefined;
  readonly tag?: readonly string[] | undefined;
}

export interface RunSearchResult {
  readonly query: string;
  readonly results: readonly {
    readonly runId: string;
    readonly workflowId: string;
    readonly workflowName: string;
    readonly status: PastStatus;
    readonly startedAt: string;
    readonly completedAt?: string;
    /** Milliseconds. */
    readonly duration?: number;
    readonly tags?: Readonly<Record<string, string>>;
  }[];
}

export const runStatuses = ["running", "succeeded", "failed", "cancelled", "interrupted"] as const;

/** Newest first; the limit counts what fits. Runs that can't be read are warned of. */
export async function searchRuns(context: AppContext, options: RunSearchOptions): Promise<RunSearchResult> {
  const { query, status, workflow, limit } = options;
  const earliest = earliestOf(context, options.since);
  const tags = Object.entries(parseTags(options.tag));
  if (status !== undefined && !runStatuses.some((one) => one === status))
    throw new FenError("usage", `--status can't be ${status}.`, { hint: `One of: ${runStatuses.join(", ")}` });
  const runs = new PastRuns(await openWorkspace(context));
  const wanted = query.toLowerCase();
  const fits = ({ ref, workflowName, ...run }: RunSummary) =>
    [ref.id, ref.workflowId, workflowName, run.status].some((text) => text.toLowerCase().includes(wanted)) &&
    (status === undefined || run.status === status) &&
    (workflow === undefined || [workflowName, ref.workflowId].includes(workflow)) &&
    run.startedAt >= earliest &&
    tags.every(([key, value]) => run.tags[key] === value);
  const found = await runs.summaries(({ message }) => context.emit({ event: "warning", message }));
  return { query, results: found.filter(fits).slice(0, limit).map(toResult) };
}

function toResult({
  ref,
  workflowName,
  status,
  startedAt,
  endedAt,
  pausedMs,
  tags,
}: RunSummary): RunSearchResult["results"][number] {
  return {
    runId: ref.id,
    workflowId: ref.workflowId,
    workflowName,
    status,
    startedAt: isoTime(startedAt),
    ...(endedAt === undefined
      ? {}
      : { completedAt: isoTime(endedAt), duration: Math.max(0, endedAt - startedAt - pausedMs) }),
    ...(Object.keys(tags).length === 0 ? {} : { tags }),
  };
}

export interface RunDetails extends RunDocument {
  readonly startedAt: string;
  readonly completedAt?: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Who runs it, or did last. */
  readonly by?: { readonly holder: string; readonly pid: number; readonly command: string };
  /** The run and the step that called it. */
  readonly parent?: { readonly runId: string; readonly step: number };
  /** Milliseconds that it waited for its locks before the first step. */
  readonly waited?: number;
  /** Lines of the journal that can't be read. */
  readonly problems?: readonly string[];
}

export async function getRun(context: AppContext, options: { readonly id: string }): Promise<RunDetails> {
  const { workspace, run } = await open(context, options.id);
  return detailsOf(context, workspace, run);
}

function detailsOf({ machine }: AppContext, workspace: Workspace, run: PastRun): RunDetails {
  const { state, status, lastAt, problems } = run;
  const { by, parent } = state;
  const until = state.endedAt ?? (status === "running" ? machine.clock.now() : lastAt);
  const path = runFiles(run.ref).journal;
  const document = runDocument(state, workspace);
  return {
    ...document,
    ...(status === "interrupted" ? { jobs: document.jobs.map(interrupted) } : {}),
    status,
    startedAt: isoTime(state.startedAt),
    ...(state.endedAt === undefined ? {} : { completedAt: isoTime(state.endedAt) }),
    duration: state.duration(until),
    tags: state.tags,
    ...(by.pid === 0 ? {} : { by }),
    ...(parent === undefined ? {} : { parent: { runId: parent.run, step: parent.step } }),
    ...(state.locksAt === undefined ? {} : { waited: state.waitedMs }),
    ...(problems.length === 0
      ? {}
      : {
          problems: problems.map(
            ({ line, message }) => `${workspace.datastore.journals.locate(path)}:${line}: ${message}`,
          ),
        }),
  };
}

/** What was at work when the run died isn't any more. */
function interrupted(job: RunDocument["jobs"][number]): RunDocument["jobs"][number] {
  const told: Readonly<Record<string, string>> = { running: "interrupted", waiting: "pending" };
  return {
    ...job,
    status: told[job.status] ?? job.status,
    steps: job.steps.map((step) => ({ ...step, status: told[step.status] ?? step.status })),
  };
}

/** Throws `run_missing` where the run has no log. */
export async function runLogs(
  context: AppContext,
  options: { readonly id: string; readonly tail?: number | undefined },
): Promise<HistoryLogsResult> {
  const workspace = await openWorkspace(context);
  const { files } = workspace.datastore;
  const ref = await new PastRuns(workspace).find(options.id);
  const { log } = runFiles(ref);
  if ((await files.stat(log)) === undefined)
    throw new FenError("run_missing", `The run ${ref.id} has no log.`, {
      hint: `See what it did: fen workflow history get ${ref.id}`,
      facts: { id: ref.id },
    });
  return readLog(files, log, options.tail);
}

export interface TimelineStep {
  readonly job: string;
  readonly name: string;
  readonly status: string;
  readonly model?: string;
  readonly error?: string;
  readonly reason?: string;
  readonly attempts?: number;
  readonly runId?: string;
  readonly allowedFailure?: true;
  /** Milliseconds since the start of the run; `to` is missing while it goes on. */
  readonly segments: readonly {
    readonly kind: Segment["kind"];
    readonly from: number;
    readonly to?: number;
    readonly lock?: string;
    readonly by?: string;
  }[];
}

export interface RunTimeline {
  readonly id: string;
  readonly workflowId: string;
  readonly workflowName: string;
  readonly status: PastStatus;
  readonly startedAt: string;
  readonly completedAt?: string;
  readonly duration: number;
  /** Milliseconds that it waited for its locks before the first step. */
  readonly waited: number;
  readonly jobs: readonly string[];
  readonly steps: readonly TimelineStep[];
  /** The page that was written. */
  readonly html?: string;
}

export async function runTimeline(context: AppContext, options: { readonly id: string }): Promise<RunTimeline> {
  const { workspace, run } = await open(context, options.id);
  const details = detailsOf(context, workspace, run);
  const { state, timeline } = run;
  const { id, workflowId, workflowName, status, startedAt, completedAt, duration } = details;
  return {
    id,
    workflowId,
    workflowName,
    status,
    startedAt,
    ...(completedAt === undefined ? {} : { completedAt }),
    duration,
    waited: state.waitedMs,
    jobs: state.jobs.map(({ name }) => name),
    steps: state.jobs.flatMap((job, at) =>
      shownSteps(state, job).map((step, index) => {
        const {
          name,
          status: told,
          error,
          reason,
          attempts,
          runId,
          allowedFailure,
        } = details.jobs[at]?.steps[index] ?? {
          name: step.name,
          status: step.status,
        };
        return {
          job: job.name,
          name,
          status: told,
          ...(step.model === undefined ? {} : { model: step.model }),
          ...(error === undefined ? {} : { error }),
          ...(reason === undefined ? {} : { reason }),
          ...(attempts === undefined ? {} : { attempts }),
          ...(runId === undefined ? {} : { runId }),
          ...(allowedFailure === undefined ? {} : { allowedFailure }),
          segments: timeline.of(step.number).map(({ kind, from, to, model, by }) => ({
            kind,
            from: state.elapsed(from),
            ...(to === undefined ? {} : { to: state.elapsed(to) }),
            ...(model === undefined ? {} : { lock: model }),
            ...(by === undefined ? {} : { by }),
          })),
        };
      }),
    ),
  };
}

async function open(
  context: AppContext,
  id: string,
): Promise<{ readonly workspace: Workspace; readonly run: PastRun }> {
  const workspace = await openWorkspace(context);
  const runs = new PastRuns(workspace);
  return { workspace, run: await runs.read(await runs.find(id)) };
}
