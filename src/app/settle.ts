/** What runs that died have left of a model: finished or removed, and their records say so. First thing under the model's lock. */
import type { Settled } from "../data/contract.ts";
import type { OutputRecord } from "../data/outputs.ts";
import type { ModelRef } from "../data/layout.ts";
import type { Lease } from "../lock/lease.ts";
import type { AppContext } from "./context.ts";
import type { Workspace } from "./workspace.ts";

export async function settlePast(
  context: AppContext,
  workspace: Workspace,
  held: { readonly definition: ModelRef; readonly lease: Lease },
): Promise<readonly Settled[]> {
  const { definition, lease } = held;
  // Beside a caller, or others who share the lock, what is staged may be theirs.
  const isAlone = lease.grants.every(({ mode, holding }) => mode === "exclusive" && holding.under === undefined);
  if (!isAlone) return [];
  const settled = await workspace.data.store.settle(definition, lease);
  for (const { runId, committed, keptAside } of settled) {
    if (keptAside !== undefined)
      context.emit({
        event: "warning",
        message: `A run that died could not be committed any more; what it produced is kept in ${keptAside}`,
      });
    const stored = await workspace.outputs.find(runId).catch(() => undefined); // it died before it had a record
    if (stored === undefined || isTrue(stored.record, committed)) continue;
    const error = {
      message: committed
        ? "The command ended during its commit; its data is complete."
        : "The command was ended before its outputs were complete.",
    };
    const stem = stored.path.replace(/\.yaml$/, "");
    // In an object store nobody else has seen either of them yet.
    await workspace.datastore.files.sync([`${stem}.log`]);
    const artifacts = committed ? stored.record.artifacts : { dataArtifacts: [] };
    const record: OutputRecord = { ...stored.record, status: "interrupted", error, artifacts };
    await workspace.outputs.write(stem, record, { durable: true });
  }
  return settled;
}

/** In an object store the record of a run is there before its data is committed. */
function isTrue({ status, artifacts }: OutputRecord, committed: boolean): boolean {
  return status !== "running" && (committed || artifacts.dataArtifacts.length === 0);
}
