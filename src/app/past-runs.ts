/**
 * Runs as they were left, or as they are now. A run that has a journal is what that says; older ones are what their record says.
 * "Running" is said only of what is alive: a run without an end whose owner is gone is `interrupted`.
 */
import { FenError } from "../kernel/errors.ts";
import { compareCodePoints } from "../kernel/order.ts";
import type { FileInfo, Files, Journals, LockTable } from "../store/contract.ts";
import type { Author, JournalEntry, RunEnd } from "../workflow/entries.ts";
import { JournalReader, type JournalProblem, parseEntry, readOn } from "../workflow/journal-reader.ts";
import { entriesOfRecord, readRecordHead, type RecordHead } from "../workflow/old-record.ts";
import { runFiles, type RunRef } from "../workflow/run-files.ts";
import { RunState } from "../workflow/run-state.ts";
import { Timeline } from "../workflow/timeline.ts";
import { findRun, listRuns } from "./find-run.ts";
import type { Workspace } from "./workspace.ts";

export type PastStatus = RunEnd | "running" | "interrupted";

export interface RunSummary {
  readonly ref: RunRef;
  readonly workflowName: string;
  readonly status: PastStatus;
  readonly startedAt: number;
  readonly endedAt?: number;
  /** Milliseconds between in which nobody carried it out. */
  readonly pausedMs: number;
  readonly tags: Readonly<Record<string, string>>;
}

export interface PastRun {
  readonly ref: RunRef;
  readonly state: RunState;
  readonly status: PastStatus;
  readonly timeline: Timeline;
  readonly problems: readonly JournalProblem[];
  /** Time of the last thing that is known of it. */
  readonly lastAt: number;
}

const maxRecordBytes = 256 * 1024 * 1024;
/** The line that ends a run is shorter. */
const tailBytes = 4096;

export class PastRuns {
  readonly #workspace: Workspace;
  readonly #files: Files;
  readonly #journals: Journals;
  #table: Promise<LockTable> | undefined;

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
    this.#files = workspace.datastore.files;
    this.#journals = workspace.datastore.journals;
  }

  /** What can be said without reading whole runs, newest first. `onProblem` is told of what can't be read. */
  async summaries(
    onProblem: (error: FenError) => void,
    options: { readonly workflowId?: string | undefined } = {},
  ): Promise<RunSummary[]> {
    const found: RunSummary[] = [];
    for (const ref of await listRuns(this.#files, options.workflowId))
      try {
        const summary = await this.#summary(ref);
        if (summary !== undefined) found.push(summary);
      } catch (error) {
        if (!(error instanceof FenError)) throw error;
        onProblem(error);
      }
    return found.sort((a, b) => b.startedAt - a.startedAt || compareCodePoints(a.ref.id, b.ref.id));
  }

  /** A run by its id or the first digits of it, or the newest run of a workflow. Throws `run_missing`, `id_ambiguous`. */
  async find(runOrWorkflow: string): Promise<RunRef> {
    const known = await this.#workspace.workflows.find(runOrWorkflow).catch((error: unknown) => {
      if (error instanceof FenError) return undefined; // gone, or broken: its runs are there all the same
      throw error;
    });
    const newest = async (workflowId?: string) =>
      (await this.summaries(() => undefined, { workflowId })).find(
        ({ ref, workflowName }) => workflowId !== undefined || [ref.workflowId, workflowName].includes(runOrWorkflow),
      )?.ref;
    if (known !== undefined) {
      const found = await newest(known.workflow.id);
      if (found !== undefined) return found;
      throw new FenError("run_missing", `${known.workflow.name} has never been run.`, {
        hint: `Run it: fen workflow run ${known.workflow.name}`,
      });
    }
    try {
      return await findRun(this.#files, runOrWorkflow);
    } catch (error) {
      if (!(error instanceof FenError) || error.code !== "run_missing") throw error;
      const found = await newest();
      if (found !== undefined) return found;
      throw new FenError("run_missing", `No workflow run has the id ${runOrWorkflow}, and no workflow the name.`, {
        hint: "List the runs: fen workflow history search",
        facts: { id: runOrWorkflow },
      });
    }
  }

  /** A run of a workflow: the newest, or by its id or the first digits of it. Throws `workflow_missing`, `run_missing`, `id_ambiguous`. */
  async findOf(workflow: string, idOrPrefix?: string): Promise<RunRef> {
    const { id, name, problem } = await this.workflowOf(workflow);
    const isOf = ({ ref, workflowName }: RunSummary) =>
      id === undefined ? workflowName === name : ref.workflowId === id;
    if (idOrPrefix === undefined) {
      const newest = (await this.summaries(() => undefined, { workflowId: id })).find(isOf);
      if (newest !== undefined) return newest.ref;
      throw (
        problem ??
        new FenError("run_missing", `${name} has never been run.`, { hint: `Run it: fen workflow run ${name}` })
      );
    }
    const ref = await findRun(this.#files, idOrPrefix);
    const summary = await this.#summary(ref);
    if (summary === undefined || isOf(summary)) return ref;
    if (problem !== undefined) throw problem;
    throw new FenError("run_missing", `The run ${ref.id} is one of ${summary.workflowName}, not of ${name}.`, {
      hint: `Say --workflow ${summary.workflowName}, or list the runs: fen workflow history search --workflow ${name}`,
      facts: { id: ref.id },
    });
  }

  /** A workflow by name or id; one that is gone, or broken, by what its runs say. `problem`: why it can't be had. */
  async workflowOf(
    nameOrId: string,
  ): Promise<{ readonly id?: string; readonly name: string; readonly problem?: FenError }> {
    try {
      const { id, name } = (await this.#workspace.workflows.find(nameOrId)).workflow;
      return { id, name };
    } catch (problem) {
      if (!(problem instanceof FenError)) throw problem;
      const isId = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(nameOrId);
      return { ...(isId ? { id: nameOrId } : {}), name: nameOrId, problem };
    }
  }

  /** Throws `run_missing`, `run_corrupt`. */
  async read(ref: RunRef): Promise<PastRun> {
    const { journal } = runFiles(ref);
    const reader = new JournalReader(this.#journals.locate(journal));
    const timeline = new Timeline();
    const readMore = async (seen?: FileInfo) => {
      for (const entry of await readOn(this.#journals, journal, reader, seen)) timeline.note(entry);
    };
    const info = await this.#journals.stat(journal);
    if (info !== undefined) await readMore(info);
    if (reader.state === undefined) return this.#readRecord(ref);
    let isAlive = false;
    if (reader.state.status === "running") {
      isAlive = await this.isAlive(ref);
      await readMore(); // it may have ended, and let go, since
    }
    const { state, problems } = reader;
    const status = state.status === "running" && !isAlive ? "interrupted" : state.status;
    if (status === "interrupted") timeline.loseOpen();
    return { ref, state, status, timeline, problems, lastAt: timeline.lastAt };
  }

  /** Somebody carries the run out. */
  async isAlive(ref: RunRef): Promise<boolean> {
    return (await this.#journals.owner(runFiles(ref).owner)) === "alive";
  }

  async #readRecord(ref: RunRef): Promise<PastRun> {
    const path = runFiles(ref).record;
    const text = await this.#text(path);
    if (text === undefined)
      throw new FenError("run_missing", `The run ${ref.id} has neither a journal nor a record.`, {
        hint: "List the runs: fen workflow history search",
        facts: { id: ref.id },
      });
    const [first, ...others] = entriesOfRecord(text, this.#files.locate(path), ref);
    if (first?.e !== "run") throw new Error("a record gives a run first");
    const state = new RunState(first);
    const timeline = new Timeline();
    for (const entry of others) state.apply(entry);
    for (const entry of [first, ...others]) timeline.note(entry);
    const status = await this.#statusOfRecord(state.status, state.by.pid === 0 ? undefined : state.by);
    if (status === "interrupted") timeline.loseOpen();
    return { ref, state, status, timeline, problems: [], lastAt: timeline.lastAt };
  }

  /** A run without a journal here says only by the locks that it holds that it is at work. The older program doesn't say in its records which those are. */
  async #statusOfRecord(status: RunEnd | "running", by: Author | undefined): Promise<PastStatus> {
    if (status !== "running") return status;
    this.#table ??= this.#workspace.datastore.locks.inspect("all");
    const { held } = await this.#table;
    const isAlive = held.some(({ state, record }) =>
      by === undefined
        ? state === "foreign"
        : state === "held" && record?.holder === by.holder && record.pid === by.pid,
    );
    return isAlive ? "running" : "interrupted";
  }

  async #text(path: string): Promise<string | undefined> {
    const bytes = await this.#files.read(path, { maxBytes: maxRecordBytes });
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  }

  /** Undefined where it is just being begun. */
  async #summary(ref: RunRef): Promise<RunSummary | undefined> {
    const { journal } = runFiles(ref);
    // Where a journal is many objects the record is asked first, which is one.
    const known = this.#workspace.datastore.kind === "s3" ? await this.#recordHead(ref) : undefined;
    if (known?.endedAt !== undefined) return this.#summaryOf(ref, known);
    const info = await this.#journals.stat(journal);
    const first = info === undefined ? undefined : parseEntry(await this.#firstLine(journal, info));
    if (info !== undefined && first?.e === "run") {
      const { definition, at, tags } = first;
      let end = await this.#end(journal, info.size);
      const isAlive = end === undefined && (await this.isAlive(ref));
      if (end === undefined && !isAlive)
        end = await this.#end(journal, (await this.#journals.stat(journal))?.size ?? 0);
      return {
        ref,
        workflowName: definition.name,
        status: end?.s ?? (isAlive ? "running" : "interrupted"),
        startedAt: at,
        ...(end === undefined ? {} : { endedAt: end.at }),
        pausedMs: end?.paused ?? 0,
        tags,
      };
    }
    const head = known ?? (await this.#recordHead(ref));
    if (head !== undefined) return this.#summaryOf(ref, head);
    if (info === undefined || info.size === 0) return undefined;
    throw new FenError("run_corrupt", `The journal can't be read: ${this.#journals.locate(journal)}`, {
      hint: "Bring the file back from a copy, or remove it to do without the run.",
    });
  }

  /** What the record says, where there is one. */
  async #recordHead(ref: RunRef): Promise<RecordHead | undefined> {
    const { record } = runFiles(ref);
    const text = await this.#text(record);
    return text === undefined ? undefined : readRecordHead(text, this.#files.locate(record));
  }

  async #summaryOf(ref: RunRef, head: RecordHead): Promise<RunSummary> {
    const { workflowName, status, startedAt, endedAt, pausedMs = 0, tags, by } = head;
    return {
      ref,
      workflowName,
      status: await this.#statusOfRecord(status, by),
      startedAt,
      ...(endedAt === undefined ? {} : { endedAt }),
      pausedMs,
      tags,
    };
  }

  async #firstLine(path: string, { size }: FileInfo): Promise<string> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#journals.stream(path, { size })) {
      const end = chunk.indexOf(0x0a);
      chunks.push(end === -1 ? chunk : chunk.subarray(0, end));
      if (end !== -1) break;
    }
    return Buffer.concat(chunks).toString();
  }

  /** The line that ended the run, where it is the last one that can be read. */
  async #end(path: string, size: number): Promise<Extract<JournalEntry, { e: "done" }> | undefined> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#journals.stream(path, { start: Math.max(0, size - tailBytes), size }))
      chunks.push(chunk);
    for (const line of Buffer.concat(chunks).toString().split("\n").reverse()) {
      const entry = parseEntry(line);
      if (entry !== undefined) return entry.e === "done" ? entry : undefined;
    }
    return undefined;
  }
}
