/** A short exclusive claim on a name, held by a kernel lock on a file: it ends with its process, however that ends. */
import { closeSync, fstatSync, ftruncateSync, readFileSync, statSync } from "node:fs";
import { notFree } from "../../../kernel/duration.ts";
import { FenError, storeError } from "../../../kernel/errors.ts";
import { openInMadeFolder, removeFile, writeAll } from "../../../kernel/files.ts";
import type { Machine } from "../../../kernel/machine.ts";
import { KernelLocks } from "./kernel-locks.ts";

const whole = { start: 0, length: 0 };
const retryMs = 5;

export interface ClaimOptions {
  /** What is claimed, for people: "the name web-01". */
  readonly what: string;
  /** Milliseconds to wait while somebody else has it; undefined = for ever. */
  readonly timeoutMs: number | undefined;
  /** Ends the wait at once, with the signal's reason. */
  readonly signal: AbortSignal;
}

/** Resolves when the file at `path` is ours; `release` removes it. Throws `lock_timeout` with who has it, or the signal's reason. */
export async function claimFile(machine: Machine, path: string, options: ClaimOptions): Promise<{ release(): void }> {
  const kernel = new KernelLocks(machine.host.platform, machine.host.architecture);
  const start = machine.clock.monotonic();
  for (;;) {
    options.signal.throwIfAborted();
    const fd = tryClaim(kernel, path);
    if (fd !== undefined) {
      writeOwner(fd, machine);
      return { release: () => release(fd, path) };
    }
    const waitedMs = machine.clock.monotonic() - start;
    if (options.timeoutMs !== undefined && waitedMs >= options.timeoutMs) throw claimed(path, options.what, waitedMs);
    await machine.clock.sleep(retryMs, options.signal);
  }
}

/** An open file with our lock on it; undefined where somebody else has it. */
function tryClaim(kernel: KernelLocks, path: string): number | undefined {
  try {
    const fd = openInMadeFolder(path, "a+");
    const isOurs =
      kernel.tryLock(fd, whole, "exclusive") && statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino;
    if (isOurs) return fd;
    closeSync(fd);
    return undefined;
  } catch (error) {
    throw storeError(error, "the claim on a name", path);
  }
}

function release(fd: number, path: string): void {
  try {
    removeFile(path); // while it is locked: who opened it meanwhile sees that it is gone
  } finally {
    closeSync(fd);
  }
}

/** For whoever waits in vain. That it can't be written (a full disk) doesn't make the claim less ours. */
function writeOwner(fd: number, { host }: Machine): void {
  try {
    ftruncateSync(fd, 0);
    writeAll(fd, `${host.user}@${host.hostname} (pid ${host.pid}, ${host.command})`);
  } catch {
    // Then the one who waits learns that somebody has it, but not who.
  }
}

function claimed(path: string, what: string, waitedMs: number): FenError {
  const owner = ownerIn(path);
  return new FenError(
    "lock_timeout",
    `${what} ${notFree(waitedMs)}: ${owner === "" ? "somebody else" : owner} has it.`,
    {
      hint: "A claim lasts milliseconds: that process is stopped, or its disk hangs. Continue or end it, or wait longer with --lock-timeout.",
      facts: { path, owner, waitedMs: Math.round(waitedMs) },
    },
  );
}

function ownerIn(path: string): string {
  try {
    return readFileSync(path, "utf8").slice(0, 1000);
  } catch {
    return ""; // just given back
  }
}
