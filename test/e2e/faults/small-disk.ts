/** A disk of a few megabytes: a tmpfs in a mount namespace of its own, so that nothing of it outlives the test. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program, type Result, runFen } from "../../support/cli.ts";

const block = 4096;

export class SmallDisk {
  readonly path = mkdtempSync(join(tmpdir(), "fen-disk-"));
  readonly #holder;
  readonly #bytes: number;
  readonly #ready: Promise<void>;

  constructor(megabytes: number) {
    this.#bytes = megabytes * 1024 * 1024;
    const mount = `mount -t tmpfs -o size=${megabytes}m fen-test "$0" && echo ready && exec sleep 600`;
    this.#holder = spawn(
      "/usr/bin/env",
      ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, this.path],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    this.#ready = new Promise((resolve, reject) => {
      this.#holder.stdout.once("data", () => resolve());
      this.#holder.once("exit", (code) => reject(new Error(`the small disk was not mounted (exit ${code})`)));
    });
  }

  /** Enters the namespace, and only then the folder: before, it is one of the big disk. */
  get #enter(): readonly string[] {
    return ["nsenter", `--mount=/proc/${this.#holder.pid}/ns/mnt`, "sh", "-c", 'cd "$0" && exec "$@"', this.path];
  }

  /** The folder as seen from outside of the namespace. */
  get outside(): string {
    return `/proc/${this.#holder.pid}/root${this.path}`;
  }

  ready(): Promise<void> {
    return this.#ready;
  }

  sh(script: string): string {
    const [file = "", ...args] = this.#enter;
    return execFileSync(file, [...args, "sh", "-c", script], { encoding: "utf8" });
  }

  fen(...args: string[]): Promise<Result> {
    return this.feed("", ...args);
  }

  feed(input: string, ...args: string[]): Promise<Result> {
    return runFen(args, { cwd: "/", input, as: [...this.#enter, process.execPath, program] });
  }

  /** Takes all but `bytes` of the free space. */
  fill(bytes: number): void {
    const free = Number(this.sh("df --output=avail -B1 . | tail -1"));
    if (!(free <= this.#bytes)) throw new Error(`this is not the small disk: it has ${free} bytes left`);
    const blocks = Math.floor((free - bytes) / block);
    if (blocks > 0) this.sh(`dd if=/dev/zero of=ballast bs=${block} count=${blocks} status=none`);
  }

  empty(): void {
    this.sh("rm -f ballast");
  }

  close(): void {
    this.#holder.kill("SIGKILL");
    rmSync(this.path, { recursive: true, force: true });
  }
}
