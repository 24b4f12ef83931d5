/**
 * Whether locks work in this folder, tried once for each datastore and machine: two descriptors must exclude each other, in one process and in two.
 * The verdict is remembered in `.fen/trial/`. A filesystem whose locks hold only on one machine is known by how it is mounted.
 */
import { closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { FenError } from "../../../kernel/errors.ts";
import { makeFolder, readBytesNow, removeFile, writeFileAtomicSync } from "../../../kernel/files.ts";
import { runSync } from "../../../kernel/run-sync.ts";
import { bindingPath, type KernelLocks } from "./kernel-locks.ts";
import type { LockFolder } from "./lock-folder.ts";
import { mountOf } from "./mounts.ts";

const whole = { start: 0, length: 0 };
const patienceMs = 20_000;
const maxVerdictBytes = 10_000;

/** Throws `locks_unsupported`, with what was seen. Returns at once where the verdict is known. */
export function assertLocksWork(folder: LockFolder, kernel: KernelLocks): void {
  const path = join(folder.fenFolder, "trial", verdictName(folder));
  const known = read(path);
  const verdict = known ?? tryLocks(folder, kernel);
  if (known === undefined) writeFileAtomicSync(path, `${verdict}\n`, { durable: false });
  if (verdict === "works") return;
  throw new FenError("locks_unsupported", `File locks don't work in ${folder.root}: ${verdict}`, {
    hint: `Put the datastore on a filesystem whose locks work (docs/filesystems.md lists them): set datastore.path in .swamp.yaml, or SWAMP_DATASTORE=filesystem:<path>. After a change of the mount, remove ${path}`,
    facts: { path: folder.root, verdict },
  });
}

/** Another machine, or another mount of the folder, is tried anew. */
function verdictName(folder: LockFolder): string {
  makeFolder(folder.fenFolder, { durable: false });
  const device = statSync(folder.fenFolder).dev;
  return `${encodeURIComponent(folder.machine.host.hostname).slice(0, 100)}-${device}`;
}

function read(path: string): string | undefined {
  const bytes = readBytesNow(path, maxVerdictBytes);
  const text = new TextDecoder().decode(bytes).trim();
  return text === "" ? undefined : text;
}

function tryLocks(folder: LockFolder, kernel: KernelLocks): string {
  const mount = mountOf(folder.fenFolder);
  if (mount?.locksAreLocal === true)
    return `it is mounted (${mount.type}, ${mount.options}) so that locks hold on one machine only`;
  const path = join(folder.fenFolder, "trial", `.${folder.machine.random.uuid()}`);
  makeFolder(join(folder.fenFolder, "trial"), { durable: false });
  const first = openSync(path, "wx+");
  try {
    if (!kernel.tryLock(first, whole, "exclusive")) return "a new file is locked already";
    const second = openSync(path, "r+");
    try {
      if (kernel.tryLock(second, whole, "exclusive")) return "two descriptors hold one lock";
    } finally {
      closeSync(second);
    }
    return tryElsewhere(folder, path);
  } finally {
    closeSync(first);
    removeFile(path);
  }
}

/** Another process tries to take what we hold: it must be refused. */
function tryElsewhere(folder: LockFolder, path: string): string {
  const { platform, architecture, env } = folder.machine.host;
  const script = `
    const locks = require(process.argv[1]);
    const fd = require("node:fs").openSync(process.argv[2], "r+");
    let told = "got it";
    try { locks.tryLock(fd, 0, 0, true); } catch (error) { told = error.code; }
    process.stdout.write(told);`;
  const { execPath } = folder.machine.host;
  const done = runSync([execPath, "-e", script, bindingPath(platform, architecture), path], {
    timeoutMs: patienceMs,
    env: { ...env, NODE_OPTIONS: "", NODE_EXTRA_CA_CERTS: "" },
  });
  if (done.stdout === "EAGAIN" || done.stdout === "EACCES") return "works";
  if (done.stdout === "got it") return "two processes hold one lock";
  throw new FenError("locks_unsupported", "The trial of file locks could not be made.", {
    hint: "Run the command again; if it goes on, report it with --debug.",
    facts: { said: done.stdout, error: done.error?.message ?? done.stderr },
  });
}
