/** What runs that died have left of a model: finished or removed, and their records say so. First thing under the model's lock. */
import type { Settled } from "../data/contract.ts";
import type { OutputRecord } from "../data/outputs.ts";
import type { ModelRef } from "../data/layout.ts";
import type { Metadata } from "../data/metadata.ts";
import type { Lease } from "../lock/lease.ts";
import type { AppContext } from "./context.ts";
import type { Workspace } from "./workspace.ts";

export async function settlePast(
  context: Pick<AppContext, "emit">,
  workspace: Pick<Workspace, "data" | "datastore" | "outputs">,
  held: { readonly definition: ModelRef; readonly lease: Lease },
): Promise<readonly Settled[]> {
  const { definition, lease } = held;
  // Beside a caller, or others who share the lock, what is staged may be theirs.
  const isAlone = lease.grants.every(({ mode, holding }) => mode === "exclusive" && holding.under === undefined);
  if (!isAlone) return [];
  const settled = await workspace.data.store.settle(definition, lease, (one) => tellRecord(workspace, one));
  for (const { keptAside } of settled)
    if (keptAside !== undefined)
      context.emit({
        event: "warning",
        message: `A run that died could not be committed any more; what it produced is kept in ${keptAside}`,
      });
  return settled;
}

async function tellRecord(
  { outputs, datastore }: Pick<Workspace, "datastore" | "outputs">,
  { runId, committed, versions }: Settled,
): Promise<void> {
  const stored = await outputs.ofRun(runId); // none where it died before it had one
  if (stored === undefined || isTrue(stored.record, committed, versions)) return;
  const error = {
    message: committed
      ? "The command ended during its commit; its data is complete."
      : "The command was ended before its outputs were complete.",
  };
  const stem = stored.path.replace(/\.yaml$/, "");
  // In an object store nobody else has seen either of them yet.
  await datastore.files.sync([`${stem}.log`]);
  const artifacts = committed ? artifactsOf(versions, stored.record) : { dataArtifacts: [] };
  const { lockNonce: _nonce, ...ended } = stored.record;
  const record: OutputRecord = { ...ended, status: "interrupted", error, artifacts };
  await outputs.write(stem, record, { durable: true });
}

function artifactsOf(
  versions: readonly Metadata[] | undefined,
  { artifacts }: OutputRecord,
): OutputRecord["artifacts"] {
  if (versions === undefined) return artifacts;
  return { dataArtifacts: versions.map(({ id, name, version, tags }) => ({ dataId: id, name, version, tags })) };
}

/** In an object store the record of a run is there before its data is committed; and what was committed later has numbers of that time. */
function isTrue(
  { status, artifacts: { dataArtifacts }, lockNonce }: OutputRecord,
  committed: boolean,
  versions: readonly Metadata[] | undefined,
): boolean {
  if (status === "running") return false;
  // One that wasn't written ahead was written after the commit: then a power cut has brought back the folder's old name.
  if (!committed) return dataArtifacts.length === 0 || lockNonce === undefined;
  const isNamed = ({ id, version }: Metadata) =>
    dataArtifacts.some((one) => one.dataId === id && one.version === version);
  return versions?.every(isNamed) ?? true;
}
