/** `data rename`: the newest content under another name, and a version of the old name that leads there. */
import { safeDataName } from "../data/layout.ts";
import { type Committed, Staging } from "../data/staging.ts";
import type { DataVersion } from "../data/versions.ts";
import { FenError } from "../kernel/errors.ts";
import { isoTime } from "../kernel/iso-time.ts";
import type { Lease } from "../lock/lease.ts";
import type { AppContext } from "./context.ts";
import { settlePast } from "./settle.ts";
import { modelLock, openWorkspace, type Workspace } from "./workspace.ts";

export interface DataRenameResult {
  readonly oldName: string;
  readonly newName: string;
  readonly modelId: string;
  readonly modelName: string;
  readonly modelType: string;
  readonly copiedVersion: number;
  readonly newVersion: number;
  readonly warning: string;
}

/** The newest content is copied to the new name; the old name gets a version that leads to it. Throws `data_exists`. */
export async function renameData(
  context: AppContext,
  options: { readonly model: string; readonly from: string; readonly to: string },
): Promise<DataRenameResult> {
  const workspace = await openWorkspace(context);
  const loaded = await workspace.definitions.find(options.model);
  const { definition } = loaded;
  const [from, to] = [safeDataName(options.from), safeDataName(options.to)];
  await using lease = await workspace.lock([modelLock(loaded)]);
  await settlePast(context, workspace, { definition, lease });
  const found = await workspace.data.latest(definition, from);
  const taken = await workspace.data.latestNumber(definition, to);
  if (taken !== undefined)
    throw new FenError("data_exists", `${definition.name} has data called ${to} already.`, {
      hint: "Choose another name, or delete that data first.",
    });
  const staging = new Staging(workspace.data.store, context.machine, {
    model: definition,
    runId: context.machine.random.uuid(),
  });
  const committed = await copyTo(to, { from, found, staging, workspace, now: context.machine.clock.now(), lease });
  const newVersion = committed.find((one) => one.name === to)?.version ?? 1;
  return {
    oldName: from,
    newName: to,
    modelId: definition.id,
    modelName: definition.name,
    modelType: definition.type,
    copiedVersion: found.metadata.version,
    newVersion,
    warning: `Expressions and scripts that read ${from} are led to ${to}; change them when you can.`,
  };
}

interface Copy {
  readonly from: string;
  readonly found: DataVersion;
  readonly staging: Staging;
  readonly workspace: Workspace;
  /** Wall clock, milliseconds. */
  readonly now: number;
  readonly lease: Lease;
}

/** The copy and the tombstone become visible together, or nothing does and nothing is left. */
async function copyTo(to: string, { from, found, staging, workspace, now, lease }: Copy): Promise<Committed[]> {
  try {
    const copy = await staging.openFile(to, found.metadata);
    for await (const chunk of workspace.data.stream(found)) copy.append(chunk);
    await staging.writeJson(
      from,
      { renamedTo: to, renamedAt: isoTime(now) },
      { ...found.metadata, contentType: "application/json", streaming: false },
      { lifecycle: "deleted", renamedTo: to },
    );
    return await staging.commit({
      owner: found.metadata.ownerDefinition,
      tags: {},
      held: lease,
    });
  } catch (error) {
    await staging.discard().catch(() => undefined); // the store fails: the next command on the model removes it
    throw error;
  }
}
