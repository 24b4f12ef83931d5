/**
 * A command that waits for its lock goes through its work once, with nothing in it. What a process does for the first time takes several
 * times as long as the second time, and when its turn has come all those behind it wait for that.
 */
import { FolderVersions } from "../data/folders.ts";
import { Outputs } from "../data/outputs.ts";
import { DataVersions } from "../data/versions.ts";
import { HeldLease } from "../lock/lease.ts";
import { findMethod } from "../model/type.ts";
import type { Appender, LocalFiles } from "../store/contract.ts";
import { doInOrder } from "../store/in-order.ts";
import type { AppContext } from "./context.ts";
import { MethodRun, type MethodRunParts, type Workplace } from "./method-run.ts";

/** Changes nothing and tells nothing; what the method does is for its type to say (`MethodSpec.rehearsal`). Never throws: it only saves time. */
export async function rehearse(
  context: AppContext,
  workspace: Workplace,
  call: Omit<MethodRunParts, "id" | "lease" | "signal" | "emit">,
): Promise<void> {
  const args = findMethod(call.type, call.method).rehearsal;
  if (args === undefined) return;
  const { machine, signal } = context;
  const files = withoutWrites(workspace.datastore.local);
  const stage = {
    repository: workspace.repository,
    datastore: { ...workspace.datastore, files, local: files },
    data: new DataVersions(new FolderVersions(files)),
    outputs: new Outputs(files),
  };
  const resolved = { ...call.resolved, arguments: args, storable: args };
  const id = machine.random.uuid();
  const lease = new HeldLease(machine, [], { owner: id, above: [] }); // of nothing, and so nothing is handed down
  const run = new MethodRun(machine, stage, { ...call, id, resolved, lease, signal, emit: () => undefined });
  await run.execute().catch(() => undefined); // it will be told when it happens in earnest
  await lease.release();
}

/** Reads are real; whatever is written is gone. */
function withoutWrites(files: LocalFiles): LocalFiles {
  const without: LocalFiles = {
    read: (path, options) => files.read(path, options),
    stream: (path, options) => files.stream(path, options),
    list: (path) => files.list(path),
    stat: (path) => files.stat(path),
    owner: (path) => files.owner(path),
    locate: (path) => files.locate(path),
    write: async () => undefined,
    replace: async () => true,
    create: async () => appender(),
    reopen: async () => appender(),
    sync: async () => undefined,
    settle: async () => undefined,
    adopt: async () => "adopted",
    keep: async () => undefined,
    own: async () => ({ letGo: () => undefined }),
    remove: async () => true,
    inOrder: (steps) => doInOrder(without, steps),
  };
  return without;
}

function appender(): Appender {
  let size = 0;
  return {
    get size() {
      return size;
    },
    append: (bytes) => {
      size += Buffer.from(bytes).length;
    },
    sync: async () => undefined,
    close: async () => undefined,
  };
}
