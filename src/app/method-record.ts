/** What is written of one call of a method beside its data: its record and its log. The step of a workflow writes into the log of the run. */
import type { OutputRecord, RunStatus } from "../data/outputs.ts";
import { RunLog } from "../data/run-log.ts";
import type { Committed } from "../data/staging.ts";
import { isoNow } from "../kernel/iso-time.ts";
import type { Machine } from "../kernel/machine.ts";
import type { CallingStep, MethodRunParts, Workplace } from "./method-run.ts";
import { logName } from "./workspace.ts";

interface Ending {
  readonly status: RunStatus;
  readonly message: string | undefined;
  readonly durationMs: number;
  readonly committed: readonly Committed[];
  /** It is said ahead of the commit: as long as the lock is held, that may follow. */
  readonly isAhead?: boolean;
  /** It is on the disk when it has been written; if not, `settle` sees to that, where that is this machine's. Default true. */
  readonly isDurable?: boolean;
}

type Parts = Pick<MethodRunParts, "id" | "lease" | "loaded" | "method" | "type"> & {
  readonly step: CallingStep | undefined;
  readonly startedAt: string;
};

export class MethodRecord {
  readonly #machine: Machine;
  readonly #workspace: Workplace;
  readonly #parts: Parts;
  readonly #stem: string;
  /** Its own; a step has none. */
  #log: RunLog | undefined;
  #isClosed = false;
  /** What was written last isn't on the disk: `settle` sees to that. */
  #isForLater = false;

  constructor(machine: Machine, workspace: Workplace, parts: Parts) {
    this.#machine = machine;
    this.#workspace = workspace;
    this.#parts = parts;
    this.#stem = workspace.outputs.newStem(parts.loaded.definition, parts.method, parts);
  }

  /** Relative to the datastore. */
  get logPath(): string {
    return `${this.#stem}.log`;
  }

  /** The log, and the record beside it that says "running", or nothing: a log alone would be of no run. */
  async begin(): Promise<RunLog> {
    const { step, loaded, method } = this.#parts;
    if (step !== undefined) return step.log;
    const { files } = this.#workspace.datastore;
    const file = await files.create(this.logPath);
    this.#log = new RunLog(this.#machine, file, `model·method·run·${loaded.definition.name}·${method}`);
    try {
      await this.#workspace.outputs.write(this.#stem, this.#record({ status: "running" }), { durable: false });
    } catch (error) {
      await this.#log.close().catch(() => undefined); // the store fails: the first error is the one to tell
      await files.remove(this.logPath).catch(() => undefined); // as above
      throw error;
    }
    return this.#log;
  }

  /** Puts down how it ended; once more, where it turned out otherwise. Log and record at the same time. */
  async end(ending: Ending): Promise<void> {
    const { step } = this.#parts;
    if (this.#isClosed) this.#log?.goOn(await this.#workspace.datastore.files.reopen(this.logPath));
    this.#isClosed = false;
    logEnd(step?.log ?? this.#log, ending);
    const record = this.#record(ending);
    // Where files are elsewhere, only what is durable can be seen, or deleted with the model, by whoever has the lock next.
    const { files, local } = this.#workspace.datastore;
    this.#isForLater = step === undefined && ending.isDurable === false && files === local;
    const durable = step === undefined && !this.#isForLater; // the run of a step sees to its records itself
    const writing = this.#workspace.outputs.write(this.#stem, record, { durable, by: step?.records });
    const closing = this.close();
    await Promise.allSettled([writing, closing]);
    await writing;
    await closing;
  }

  /** Makes durable what was written last. */
  async settle(): Promise<void> {
    if (!this.#isForLater) return;
    await this.#workspace.datastore.files.sync([`${this.#stem}.yaml`]);
    this.#isForLater = false;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.#log?.close();
    this.#isClosed = true;
  }

  #record(now: { readonly status: RunStatus } & Partial<Ending>): OutputRecord {
    const { host } = this.#machine;
    const { id, lease, loaded, method, startedAt, step, type } = this.#parts;
    const { status, durationMs, message, committed = [], isAhead = false } = now;
    const nonce = lease.grants[0]?.nonce; // none only in a rehearsal
    const held = nonce === undefined ? {} : { lockNonce: nonce };
    return {
      id,
      definitionId: loaded.definition.id,
      methodName: method,
      status,
      startedAt,
      retryCount: 0,
      provenance: {
        definitionHash: loaded.hash(),
        modelVersion: loaded.definition.typeVersion ?? type.version,
        ...(step === undefined ? { triggeredBy: "manual" } : step.provenance),
      },
      artifacts: {
        dataArtifacts: committed.map(({ dataId, name, version, tags }) => ({ dataId, name, version, tags })),
      },
      ...(durationMs === undefined ? {} : { completedAt: isoNow(this.#machine), durationMs }),
      ...(message === undefined ? {} : { error: { message } }),
      logFile: step?.logFile ?? logName(this.#workspace, this.logPath),
      ...(status === "running" ? { pid: host.pid, hostname: host.hostname, ...held } : {}),
      ...(isAhead ? held : {}),
    };
  }
}

function logEnd(log: RunLog | undefined, { message, committed }: Ending): void {
  try {
    if (message !== undefined) log?.error(message);
    for (const { path } of committed) log?.info(`Data saved to "${path}"`);
  } catch {
    // A line that finds no room changes nothing of what happened: the record and the error tell it too.
  }
}
