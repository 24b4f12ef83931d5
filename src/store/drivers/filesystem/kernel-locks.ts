/**
 * The door to the kernel's byte-range locks on open file descriptions (`F_OFD_SETLK`; `LockFileEx` on Windows), prebuilt in the package
 * `fs-native-extensions`. A lock belongs to the open file description: it lives until it is unlocked or the last process that
 * has the descriptor ends, however it ends.
 */
import { FenError, systemErrorCode } from "../../../kernel/errors.ts";
import { loadNative, nativePath } from "../../../kernel/native.ts";
import type { LockMode } from "../../contract.ts";

interface Binding {
  tryLock(fd: number, offset: number, length: number, exclusive: boolean): void;
  unlock(fd: number, offset: number, length: number): void;
}

export interface ByteRange {
  readonly start: number;
  readonly length: number;
}

export class KernelLocks {
  readonly #binding: Binding;

  /** Throws `locks_unsupported` where there is no prebuilt library for this system. */
  constructor(platform: NodeJS.Platform, architecture: string) {
    this.#binding = loadBinding(platform, architecture);
  }

  /** One attempt, never waits: false where somebody else holds a conflicting lock. */
  tryLock(fd: number, range: ByteRange, mode: LockMode): boolean {
    try {
      withoutTrace(() => this.#binding.tryLock(fd, range.start, range.length, mode === "exclusive"));
      return true;
    } catch (error) {
      if (systemErrorCode(error) === "EAGAIN" || systemErrorCode(error) === "EACCES") return false;
      throw unsupported(error);
    }
  }

  unlock(fd: number, range: ByteRange): void {
    this.#binding.unlock(fd, range.start, range.length);
  }
}

/** A refusal is thrown, but is an answer like any other: to note where it was asked costs more than to ask. */
function withoutTrace(call: () => void): void {
  const { stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 0;
    call();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function unsupported(cause: unknown): FenError {
  return new FenError("locks_unsupported", `File locks don't work here (${systemErrorCode(cause) ?? String(cause)}).`, {
    hint: "Put the datastore on a local filesystem: set datastore.path in .swamp.yaml, or SWAMP_DATASTORE=filesystem:<path>",
    cause,
  });
}

function loadBinding(platform: NodeJS.Platform, architecture: string): Binding {
  try {
    const library = loadNative(bindingPath(platform, architecture)) as Partial<Binding>; // as the package describes it
    const { tryLock, unlock } = library;
    if (tryLock === undefined || unlock === undefined) throw new Error("the library has no locks");
    return { tryLock, unlock };
  } catch (error) {
    throw unsupported(error);
  }
}

/** Where the library is. */
export function bindingPath(platform: NodeJS.Platform, architecture: string): string {
  return nativePath("fs-native-extensions", `prebuilds/${platform}-${architecture}/fs-native-extensions.node`);
}
