/** What a record of a run says, as far as it is so: its command may be at work still, or have died. */
import { isNoRecord, type OutputRecord, Outputs, type StoredOutput } from "../data/outputs.ts";
import { FenError } from "../kernel/errors.ts";
import type { HeldLock, LockTable } from "../store/contract.ts";
import type { Workspace } from "./workspace.ts";

const notCommitted = {
  message: "Its outputs were not committed: the command was ended before that, or could not reach the store.",
};

export class RecordTruth {
  readonly #workspace: Pick<Workspace, "data" | "datastore">;
  #table: Promise<LockTable> | undefined;

  constructor(workspace: Pick<Workspace, "data" | "datastore">) {
    this.#workspace = workspace;
  }

  /**
   * A record says "running" only while the run's lock is held, by it or by what it started. One that was written ahead of its commit says how the run ended
   * when that is done: while the lock is held it may still be, after that it was, or never will be under this lock.
   */
  async of(stored: StoredOutput): Promise<OutputRecord> {
    const { record } = stored;
    if (record.status === "running" || record.status === "pending") {
      this.#table ??= this.#workspace.datastore.locks.inspect("all");
      const isHeld = (await this.#table).held.some((lock) => isOwn(lock, record));
      if (isHeld) return record;
      // It may have ended between the two looks.
      const now = await this.#readAgain(stored);
      return now.record.status === record.status ? { ...record, status: "interrupted" } : this.of(now);
    }
    if (await this.#isDone(stored)) return record;
    const resource = { kind: "model", type: stored.type, id: record.definitionId } as const;
    const { held } = await this.#workspace.datastore.locks.inspect(resource);
    if (held.some((lock) => isOwn(lock, record))) {
      const { completedAt: _at, durationMs: _ms, error: _error, ...begun } = record;
      return { ...begun, status: "running", artifacts: { dataArtifacts: [] } };
    }
    // Committed and gone between the two looks.
    if (await this.#isDone(stored)) return record;
    return { ...record, status: "interrupted", artifacts: { dataArtifacts: [] }, error: notCommitted };
  }

  /** As it is now; as it was, where it is gone or damaged since. */
  async #readAgain(stored: StoredOutput): Promise<StoredOutput> {
    return new Outputs(this.#workspace.datastore.files).read(stored).catch((error: unknown) => {
      if (isNoRecord(error)) return stored;
      throw error;
    });
  }

  async #isDone({ record, type }: StoredOutput): Promise<boolean> {
    const { artifacts, definitionId: id, lockNonce } = record;
    if (lockNonce === undefined || artifacts.dataArtifacts.length === 0) return true;
    try {
      return await this.#workspace.data.store.wasCommitted({ type, id }, artifacts.dataArtifacts);
    } catch (error) {
      if (error instanceof FenError && error.kind === "bad_data") return true; // a damaged list of versions says nothing against it
      throw error;
    }
  }
}

function isOwn(lock: HeldLock, { definitionId, lockNonce }: OutputRecord): boolean {
  if (lock.resource.kind !== "model" || lock.resource.id !== definitionId) return false;
  return lockNonce === undefined ? lock.state === "foreign" : lock.state === "held" && lock.record?.nonce === lockNonce;
}
