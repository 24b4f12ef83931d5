/**
 * Starts programs by `posix_spawn(3)` and looks after them by `waitpid(2)` (decision 0009). Node starts a child by `fork(2)`, which copies the page tables of
 * the whole process and makes each page that is written to afterwards cost a fault: the more memory, the slower. `posix_spawn` copies nothing.
 * Where the C library can't be called, Node starts children.
 */
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { callInThread, CLibrary } from "./c-library.ts";
import type { ChildOptions, Exit } from "./children.ts";

export interface Spawned {
  readonly pid: number;
  /** Our ends of its pipes; the caller closes them. */
  readonly stdout: number;
  readonly stderr: number;
}

const flags = { setSignalDefaults: 0x04, setSignalMask: 0x08, setSession: 0x80 };
const closeOnExec = 0x80000;
const noHang = 1;
/** What `waitpid` says of a process that was stopped. */
const stopped = 0x7f;
/** More than any C library's `posix_spawnattr_t`, `posix_spawn_file_actions_t` (80 to 336 bytes) or `sigset_t` (128). */
const opaqueBytes = 1024;

const declarations = {
  spawn:
    "int posix_spawn(int *pid, const char *path, void *actions, void *attributes, const char **argv, const char **envp)",
  initActions: "int posix_spawn_file_actions_init(void *actions)",
  destroyActions: "int posix_spawn_file_actions_destroy(void *actions)",
  addDup2: "int posix_spawn_file_actions_adddup2(void *actions, int from, int to)",
  addClose: "int posix_spawn_file_actions_addclose(void *actions, int fd)",
  addOpen: "int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, int mode)",
  addChdir: "int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)",
  initAttributes: "int posix_spawnattr_init(void *attributes)",
  setFlags: "int posix_spawnattr_setflags(void *attributes, short flags)",
  setDefaults: "int posix_spawnattr_setsigdefault(void *attributes, void *signals)",
  setMask: "int posix_spawnattr_setsigmask(void *attributes, void *signals)",
  fillSignals: "int sigfillset(void *signals)",
  emptySignals: "int sigemptyset(void *signals)",
  pipe: "int pipe2(int *descriptors, int flags)",
  close: "int close(int fd)",
  wait: "int waitpid(int pid, int *status, int options)",
} as const;

export class PosixSpawn {
  readonly #library = new CLibrary(declarations);
  readonly #c = this.#library.functions;
  /** A session and a group of its own, no signal blocked or ignored. */
  readonly #attributes = Buffer.alloc(opaqueBytes);

  /** Throws where the system or the package has no such library. */
  constructor() {
    this.#prepareAttributes();
  }

  #prepareAttributes(): void {
    const [all, none] = [Buffer.alloc(opaqueBytes), Buffer.alloc(opaqueBytes)];
    this.#c.fillSignals(all);
    this.#c.emptySignals(none);
    this.#check("posix_spawnattr_init", this.#c.initAttributes(this.#attributes));
    this.#check("posix_spawnattr_setsigdefault", this.#c.setDefaults(this.#attributes, all));
    this.#check("posix_spawnattr_setsigmask", this.#c.setMask(this.#attributes, none));
    const wanted = flags.setSession | flags.setSignalDefaults | flags.setSignalMask;
    this.#check("posix_spawnattr_setflags", this.#c.setFlags(this.#attributes, wanted));
  }

  /**
   * Resolves when the program runs: the system has it start before it answers, so that is waited for in another thread. Its path must be absolute. Rejects as
   * Node's own `spawn` throws: system errors, and `ERR_INVALID_ARG_VALUE` for a NUL.
   */
  async spawn(options: ChildOptions): Promise<Spawned> {
    const argv = [...options.command];
    const env = Object.entries(options.env).flatMap(([name, value]) => (value === undefined ? [] : `${name}=${value}`));
    if ([...argv, ...env, options.cwd].some((text) => text.includes("\0"))) throw holdsNul();
    const [out, err] = this.#pipes();
    try {
      const pid = await this.#run(options, { argv, env, descriptors: [out.write, err.write, ...options.inherit] });
      return { pid, stdout: out.read, stderr: err.read };
    } catch (error) {
      for (const { read } of [out, err]) this.#c.close(read);
      throw error;
    } finally {
      for (const { write } of [out, err]) this.#c.close(write);
    }
  }

  /**
   * Undefined while it lives, also where it stands still; after its end has been told, it is forgotten. Code and signal are both null where how it ended
   * can't be known: by a signal without a name, or somebody else in this process has asked before us.
   */
  ended(pid: number): Exit | undefined {
    const status = new Int32Array(1);
    const found = this.#c.wait(pid, status, noHang);
    if (found === 0) return undefined;
    if (found < 0) return { code: null, signal: null };
    const [value = 0] = status;
    if ((value & 0xff) === stopped) return undefined; // one that wants to be traced by its parent, which we don't do
    const number = value & 0x7f;
    return number === 0 ? { code: (value >> 8) & 0xff, signal: null } : { code: null, signal: signalName(number) };
  }

  #pipes(): [Pipe, Pipe] {
    const first = this.#pipe();
    try {
      return [first, this.#pipe()];
    } catch (error) {
      this.#c.close(first.read);
      this.#c.close(first.write);
      throw error;
    }
  }

  #pipe(): Pipe {
    const ends = new Int32Array(2);
    if (this.#c.pipe(ends, closeOnExec) !== 0) throw systemError("pipe2", this.#library.errno());
    const [read = 0, write = 0] = ends;
    return { read, write };
  }

  /** `descriptors` become 1, 2, 3, ... in the child. */
  async #run(
    { command: [path], cwd }: ChildOptions,
    {
      argv,
      env,
      descriptors,
    }: { readonly argv: string[]; readonly env: string[]; readonly descriptors: readonly number[] },
  ): Promise<number> {
    const actions = Buffer.alloc(opaqueBytes);
    this.#check("posix_spawn_file_actions_init", this.#c.initActions(actions));
    try {
      this.#check("posix_spawn_file_actions_addchdir_np", this.#c.addChdir(actions, cwd));
      this.#check("posix_spawn_file_actions_addopen", this.#c.addOpen(actions, 0, "/dev/null", 0, 0));
      this.#addDescriptors(actions, descriptors);
      const pid = new Int32Array(1);
      const values = [pid, path, actions, this.#attributes, [...argv, null], [...env, null]];
      this.#check(`spawn ${path}`, await callInThread(this.#c.spawn, ...values));
      return pid[0] ?? 0;
    } finally {
      this.#c.destroyActions(actions);
    }
  }

  /** Where one has a number that another shall become, all are moved out of the way first. */
  #addDescriptors(actions: Buffer, descriptors: readonly number[]): void {
    const above = Math.max(...descriptors) + 1;
    const isInTheWay = descriptors.some((fd) => fd <= descriptors.length);
    if (isInTheWay) descriptors.forEach((fd, index) => this.#dup2(actions, fd, above + index));
    descriptors.forEach((fd, index) => this.#dup2(actions, isInTheWay ? above + index : fd, index + 1));
    if (isInTheWay)
      descriptors.forEach((_, index) =>
        this.#check("posix_spawn_file_actions_addclose", this.#c.addClose(actions, above + index)),
      );
  }

  #dup2(actions: Buffer, from: number, to: number): void {
    this.#check("posix_spawn_file_actions_adddup2", this.#c.addDup2(actions, from, to));
  }

  #check(call: string, result: number): void {
    if (result !== 0) throw systemError(call, result);
  }
}

interface Pipe {
  readonly read: number;
  readonly write: number;
}

function systemError(call: string, number: number): Error {
  const code = getSystemErrorName(-number);
  return Object.assign(new Error(`${call}: ${code}`), { code });
}

function holdsNul(): Error {
  return Object.assign(new TypeError("a text for the system holds a NUL"), { code: "ERR_INVALID_ARG_VALUE" });
}

function signalName(number: number): NodeJS.Signals | null {
  for (const [name, value] of Object.entries(constants.signals)) if (value === number) return name as NodeJS.Signals; // so they are called
  return null;
}
