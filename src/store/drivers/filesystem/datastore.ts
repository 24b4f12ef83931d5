/** A datastore in a folder of this machine (or of a network filesystem whose locks work). */
import type { Machine } from "../../../kernel/machine.ts";
import type { Datastore } from "../../contract.ts";
import { FilesystemFiles } from "./files.ts";
import { KernelLocks } from "./kernel-locks.ts";
import { FilesystemLocks } from "./locks.ts";

/** Opens the datastore at the absolute path `root`; nothing is made before it is needed. `records`: whether older clients are told of locks. */
export function openFilesystemDatastore(
  root: string,
  machine: Machine,
  options: { readonly records?: "published" | "none" | undefined } = {},
): Datastore {
  let locks: FilesystemLocks | undefined;
  let library: KernelLocks | undefined;
  // Loaded when first asked for: commands that only read need no native library.
  const kernel = () => (library ??= new KernelLocks(machine.host.platform, machine.host.architecture));
  const mostSyncs = () => syncsAtOnce(machine.host.mostOpenFiles);
  const files = new FilesystemFiles(root, { kernel, mostSyncs });
  return {
    kind: "filesystem",
    location: root,
    files,
    local: files,
    journals: files,
    lookEveryMs: 100,
    get locks() {
      locks ??= new FilesystemLocks(root, machine, { kernel: kernel(), records: options.records });
      return locks;
    },
  };
}

/**
 * The system's threads that sync are fewer than 32: more files would only be open and wait. And what is made durable beside the steps of a run leaves them
 * enough, however few may be open.
 */
function syncsAtOnce(mostOpenFiles = Infinity): number {
  return Math.max(4, Math.min(32, Math.floor(mostOpenFiles / 8)));
}
