/** Another process that takes locks: to be killed, paused, or started in a world of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { bundleProgram } from "./bundle.ts";
import { hasEnded } from "./processes.ts";
import { type Surroundings, wrap } from "./surroundings.ts";
import type { Calls } from "./lock-holder.ts";

let program: Promise<string> | undefined;

interface Options {
  readonly command?: string;
  readonly surroundings?: Surroundings;
  readonly env?: Readonly<Record<string, string>>;
}

interface Answer {
  readonly number?: number;
  readonly value?: unknown;
  readonly error?: { readonly code: string; readonly message: string; readonly facts: Record<string, unknown> };
}

export class LockProcess implements Disposable {
  readonly child: ChildProcess;
  readonly #pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #number = 0;

  private constructor(child: ChildProcess) {
    this.child = child;
    child.on("message", (answer: Answer) => this.#hear(answer));
    child.on("exit", () => {
      for (const { reject } of this.#pending.values()) reject(new Error("the process ended"));
    });
  }

  /** Resolves when it is ready to take locks of the datastore at `folder`. */
  static async start(folder: string, { command = "holder", surroundings = "plain", env = {} }: Options = {}) {
    program ??= bundleProgram("test/support/lock-holder");
    const line = wrap(surroundings, [process.execPath, await program, folder, command]);
    const child = spawn(line.file, line.args, {
      env: { ...process.env, ...line.env, ...env },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    await new Promise((resolve, reject) => {
      child.once("message", resolve);
      child.once("exit", (code) => reject(new Error(`the process ended at once (${code})`)));
    });
    return new LockProcess(child);
  }

  call<K extends keyof Calls>(call: K, argument: Parameters<Calls[K]>[0]): ReturnType<Calls[K]> {
    const number = ++this.#number;
    const answer = new Promise((resolve, reject) => this.#pending.set(number, { resolve, reject }));
    this.child.send({ number, call, argument });
    return answer as ReturnType<Calls[K]>; // oxlint-disable-line -- both sides are typed by `Calls`
  }

  acquire(resource: string, timeoutMs?: number) {
    return this.call("acquire", { resources: [resource], ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  }

  /** The process itself, also behind a wrapper that waits for it. */
  get pid(): number {
    const { pid = 0 } = this.child;
    const below = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return below === "" ? pid : Number(below.split(" ")[0]);
  }

  signal(name: NodeJS.Signals): void {
    if (hasEnded(this.child)) throw new Error("the process has ended already");
    process.kill(this.pid, name);
  }

  /** Resolves when it is dead. */
  async kill(): Promise<void> {
    if (hasEnded(this.child)) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.signal("SIGKILL");
    await gone;
  }

  [Symbol.dispose](): void {
    if (this.child.connected) this.child.disconnect();
    this.child.kill("SIGKILL");
  }

  #hear({ number = -1, value, error }: Answer): void {
    const waiting = this.#pending.get(number);
    this.#pending.delete(number);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(Object.assign(new Error(error.message), error));
  }
}
