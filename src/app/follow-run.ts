/** `workflow history watch`: follows a run that somebody else carries out, by its journal and log, and tells what happens as the run's own command does. */
import { FenError } from "../kernel/errors.ts";
import type { Datastore, Journals } from "../store/contract.ts";
import type { JournalEntry } from "../workflow/entries.ts";
import { JournalReader, readOn } from "../workflow/journal-reader.ts";
import { runFiles, type RunRef } from "../workflow/run-files.ts";
import type { RunState } from "../workflow/run-state.ts";
import type { AppContext } from "./context.ts";
import { listRuns } from "./find-run.ts";
import { LogTail } from "./log-tail.ts";
import { PastRuns } from "./past-runs.ts";
import { getRun, type RunDetails } from "./workflow-history.ts";
import { openWorkspace } from "./workspace.ts";

/** Who takes a run up again is no owner for a moment. */
const deadLooks = 10;

/** Emits every line of its journal and of those of the runs that it calls, old ones first, until it has ended or nobody carries it out. Throws the signal's reason. */
export async function followRun(context: AppContext, options: { readonly id: string }): Promise<RunDetails> {
  const workspace = await openWorkspace(context);
  const { datastore } = workspace;
  const { files, journals, lookEveryMs } = datastore;
  const runs = new PastRuns(workspace);
  const ref = await runs.find(options.id);
  const details = () => getRun(context, { id: ref.id });
  if ((await journals.stat(runFiles(ref).journal)) === undefined) return details(); // an older program's: nothing to follow
  const followed = [new Followed(datastore, ref)];
  const begun = new Set([ref.id]);
  /** Runs that are called, and not there yet. */
  const awaited = new Set<string>();
  for (let dead = 0; ;) {
    context.signal.throwIfAborted();
    for (const one of followed) {
      for (const entry of await one.look(context))
        if (entry.e === "start" && entry.child !== undefined && !begun.has(entry.child)) awaited.add(entry.child);
      if (awaited.size === 0) continue;
      for (const child of await listRuns(files)) {
        if (!awaited.delete(child.id)) continue;
        begun.add(child.id);
        followed.push(new Followed(datastore, child));
      }
    }
    const { status = "running" } = followed[0]?.state ?? {};
    if (status !== "running") return details();
    dead = (await runs.isAlive(ref)) ? 0 : dead + 1;
    if (dead >= deadLooks) return details();
    await context.machine.clock.sleep(lookEveryMs, context.signal);
  }
}

/** One run that is followed. */
class Followed {
  readonly #journals: Journals;
  readonly #ref: RunRef;
  readonly #reader: JournalReader;
  readonly #log: LogTail;

  constructor({ files, journals }: Datastore, ref: RunRef) {
    this.#journals = journals;
    this.#ref = ref;
    const { journal, log } = runFiles(ref);
    this.#reader = new JournalReader(journals.locate(journal));
    this.#log = new LogTail(files, log);
  }

  get state(): RunState | undefined {
    return this.#reader.state;
  }

  /** Emits what is new. */
  async look(context: AppContext): Promise<readonly JournalEntry[]> {
    const { journal } = runFiles(this.#ref);
    const run = this.#ref.id;
    const size = (await this.#journals.stat(journal))?.size;
    if (size === undefined) {
      if (this.#reader.offset === 0) return []; // just being begun
      throw new FenError("run_missing", `The run ${run} was removed.`, {
        hint: "List the runs: fen workflow history search",
        facts: { id: run },
      });
    }
    if (this.state !== undefined) await this.#tell(context);
    if (size <= this.#reader.offset) return [];
    const entries = await readOn(this.#journals, journal, this.#reader, { size });
    for (const entry of entries) context.emit({ event: "workflow.entry", run, entry });
    return entries;
  }

  /** Lines that steps have said. */
  async #tell(context: AppContext): Promise<void> {
    const { state } = this;
    if (state === undefined) return;
    for (const { step, stream, line } of await this.#log.look(state))
      context.emit({ event: "workflow.output", run: state.id, step, stream, line });
  }
}
