/** A run that this command carries out: its journal, log and record on the store, and the file that says that it is alive. */
import { FenError } from "../kernel/errors.ts";
import type { Appender, Owned } from "../store/contract.ts";
import type { Author, JournalEntry } from "../workflow/entries.ts";
import { Journal } from "../workflow/journal.ts";
import { JournalReader, readOn } from "../workflow/journal-reader.ts";
import { type RunFiles, runFiles, type RunRef } from "../workflow/run-files.ts";
import { stringifyRunRecord } from "../workflow/run-record.ts";
import { RunState } from "../workflow/run-state.ts";
import type { AppEvent } from "./context.ts";
import { logName, type Workspace } from "./workspace.ts";

type Place = Pick<Workspace, "datastore" | "repository">;
type FirstEntry = Extract<JournalEntry, { e: "run" }>;

interface Resumed {
  readonly at: number;
  readonly by: Author;
  /** So many bytes of its journal were read. */
  readonly size: number;
  readonly owned?: Owned;
  emit(event: AppEvent): void;
}

export class OpenRun implements AsyncDisposable {
  readonly state: RunState;
  readonly journal: Journal;
  readonly log: Appender;
  /** The log as records name it: relative to the repository where it is inside. */
  readonly logName: string;
  readonly files: RunFiles;
  readonly #workspace: Place;
  readonly #owned: Owned;

  private constructor(
    workspace: Place,
    parts: {
      readonly state: RunState;
      readonly journal: Journal;
      readonly log: Appender;
      readonly files: RunFiles;
      readonly owned: Owned;
    },
  ) {
    this.#workspace = workspace;
    this.state = parts.state;
    this.journal = parts.journal;
    this.log = parts.log;
    this.files = parts.files;
    this.#owned = parts.owned;
    this.logName = logName(workspace, parts.files.log);
  }

  /** A new run, there for everybody to see once this resolves. */
  static async begin(workspace: Place, first: FirstEntry, emit: (event: AppEvent) => void): Promise<OpenRun> {
    const { files: store, journals } = workspace.datastore;
    const files = runFiles({ workflowId: first.definition.id, id: first.run });
    const owned = await journals.own(files.owner);
    let file: Appender | undefined;
    let log: Appender | undefined;
    try {
      log = await store.create(files.log);
      file = await journals.create(files.journal);
      const journal = new Journal(file);
      const run = new OpenRun(workspace, { state: new RunState(first), journal, log, files, owned });
      journal.write(first);
      emit({ event: "workflow.entry", run: first.run, entry: first });
      await journal.durable();
      await run.#writeRecord();
      return run;
    } catch (error) {
      // Nothing of it has happened. What can't be removed either is nobody's: the first error is the one to tell.
      await closeAll([log, file]);
      // Of a write that failed nobody knows whether it was done.
      const removals = [files.record, files.log].map((path) => store.remove(path));
      await Promise.allSettled([...removals, journals.remove(files.journal), journals.remove(files.owner)]);
      owned.letGo();
      throw error;
    }
  }

  /** Shows a run whose process died or ended as alive again; the caller has made sure that nobody else carries it out. */
  static async own({ datastore: { files: store, journals } }: Place, ref: RunRef): Promise<Owned> {
    const { owner, cancel } = runFiles(ref);
    await journals.remove(owner);
    await store.remove(cancel);
    return journals.own(owner);
  }

  /**
   * Goes on with a run of whose journal `size` bytes were read; the caller has made sure that nobody else does, or has made it its own. Throws `lock_lost` where
   * somebody has gone on with it since it was read.
   */
  static async reopen(workspace: Place, state: RunState, resumed: Resumed): Promise<OpenRun> {
    const { files: store, journals } = workspace.datastore;
    const ref = { workflowId: state.definition.id, id: state.id };
    const files = runFiles(ref);
    const file = await journals.reopen(files.journal, { size: resumed.size }); // whoever else goes on with it stays its owner
    let { owned } = resumed;
    let log: Appender | undefined;
    try {
      owned ??= await OpenRun.own(workspace, ref);
      file.append("\n"); // the last line may be half of one
      const journal = new Journal(file);
      const { at, by, emit } = resumed;
      const entry = { e: "resume", at, by } as const;
      journal.write(entry);
      state.apply(entry);
      await journal.durable(); // from here on nobody else goes on with it, nor writes its log
      // Where it died on another machine its log is there.
      log = await ((await store.stat(files.log)) === undefined ? store.create(files.log) : store.reopen(files.log));
      const run = new OpenRun(workspace, { state, journal, log, files, owned });
      // Who looks on needs to know what was.
      const lines = await readOn(journals, files.journal, new JournalReader(journals.locate(files.journal)));
      for (const line of lines) emit({ event: "workflow.entry", run: state.id, entry: line });
      await run.#writeRecord();
      return run;
    } catch (error) {
      await closeAll([log, file]);
      if (resumed.owned === undefined) owned?.letGo(); // nothing is removed: somebody else may go on with it
      throw error;
    }
  }

  /** Shows a run that was made ours, and that we don't go on with, as what it was. Where others have written to its journal since `size` bytes were read, it is theirs. */
  static async disown(
    { datastore: { files: store, journals } }: Place,
    ref: RunRef,
    { owned, size }: { readonly owned: Owned; readonly size: number },
  ): Promise<void> {
    const { owner, cancel, journal } = runFiles(ref);
    try {
      if ((await journals.stat(journal))?.size !== size) return;
      await journals.remove(owner);
      await store.remove(cancel);
    } finally {
      owned.letGo();
    }
  }

  /** A run that has ended by its journal, but whose process died before it could say so elsewhere; the caller has made sure that nobody carries it out. */
  static async settle(workspace: Place, state: RunState): Promise<void> {
    const { files: store, journals } = workspace.datastore;
    const files = runFiles({ workflowId: state.definition.id, id: state.id });
    if ((await journals.owner(files.owner)) !== "dead") return;
    await store.write(files.record, stringifyRunRecord(state, { logFile: logName(workspace, files.log) }));
    await journals.remove(files.owner);
    await store.remove(files.cancel);
  }

  /** What is left of a run that died before its first line was there: nothing of it has happened. */
  static async discard({ datastore: { files: store, journals } }: Place, ref: RunRef): Promise<void> {
    const { owner, log, journal, cancel } = runFiles(ref);
    await journals.remove(journal);
    await store.remove(log);
    await store.remove(cancel);
    await journals.remove(owner);
  }

  /** A line that says what became of the run before it goes on. */
  add(entry: JournalEntry, emit: (event: AppEvent) => void): void {
    this.journal.write(entry);
    this.state.apply(entry);
    emit({ event: "workflow.entry", run: this.state.id, entry });
  }

  /** It never began after all: nothing of it is left. */
  async abandon(): Promise<void> {
    const { id, definition } = this.state;
    try {
      await this.journal.close();
      await this.log.close({ durable: false });
      await this.#workspace.datastore.files.remove(this.files.record);
      await OpenRun.discard(this.#workspace, { workflowId: definition.id, id });
    } finally {
      this.#owned.letGo();
    }
  }

  /** The last word: record written, files closed, nobody owns it any more. */
  async close(): Promise<void> {
    const { files, journals } = this.#workspace.datastore;
    const isEnded = this.state.status !== "running";
    let isRecorded = false;
    try {
      await this.journal.close();
      await this.log.close({ durable: false });
      // An end that the journal doesn't have is none: the run can be gone on with.
      const isSaid = this.journal.failure === undefined || this.state.status === "running";
      if (!this.#isTakenUp && isSaid) await this.#writeRecord();
      isRecorded = true;
    } finally {
      // While it is still ours: whoever goes on with the run makes one of the same name. An end that its record doesn't say yet is for `settle`.
      if (!this.#isTakenUp && (isRecorded || !isEnded)) {
        await files.remove(this.files.cancel);
        await journals.remove(this.files.owner);
      }
      this.#owned.letGo();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Somebody else, who took us for dead, goes on with the run. */
  get #isTakenUp(): boolean {
    const { failure } = this.journal;
    return failure instanceof FenError && failure.code === "lock_lost";
  }

  async #writeRecord(): Promise<void> {
    const text = stringifyRunRecord(this.state, { logFile: this.logName });
    await this.#workspace.datastore.files.write(this.files.record, text);
  }
}

/** After a failure, which is the one to tell. */
async function closeAll(files: readonly (Appender | undefined)[]): Promise<void> {
  await Promise.allSettled(files.map((one) => one?.close({ durable: false })));
}
