/** Runs the built program as a user would: `dist/fen.cjs` in a scratch repository. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const program = fileURLToPath(new URL("../../dist/fen.cjs", import.meta.url));

export interface Result {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Stdout as one JSON document. */
  json(): any; // oxlint-disable-line typescript/no-explicit-any -- a test says what it expects of it
  /** The error of a JSON error on stderr. */
  error(): any; // oxlint-disable-line typescript/no-explicit-any -- as above
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Instead of the program itself: a link to it, or a wrapper. */
  readonly as?: readonly string[];
}

export class Running {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly done: Promise<Result>;

  constructor(args: readonly string[], options: RunOptions) {
    const [file = process.execPath, ...before] = options.as ?? [process.execPath, program];
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      SWAMP_REPO_DIR: "",
      SWAMP_DATASTORE: "",
      NO_COLOR: "1",
      ...options.env,
    };
    delete env["NODE_EXTRA_CA_CERTS"];
    this.child = spawn(file, [...before, ...args], { cwd: options.cwd, env, stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdin?.on("error", () => undefined);
    this.child.stdin?.end(options.input ?? "");
    this.child.stdout?.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.done = new Promise((resolve) => {
      this.child.on("close", (code, signal) => {
        const { stdout, stderr } = this;
        resolve({
          exitCode: code ?? (signal === "SIGKILL" ? 137 : -1),
          stdout,
          stderr,
          json: () => JSON.parse(stdout),
          error: () => JSON.parse(stderr.slice(stderr.lastIndexOf('{\n  "error"'))).error,
        });
      });
    });
  }

  /** Resolves when stderr or stdout holds `text`. */
  async says(text: string): Promise<void> {
    await until(
      () => this.stdout.includes(text) || this.stderr.includes(text),
      () => `"${text}" in:\n${this.stdout}\n${this.stderr}`,
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

export function startFen(args: readonly string[], options: RunOptions): Running {
  return new Running(args, options);
}

export function runFen(args: readonly string[], options: RunOptions): Promise<Result> {
  return new Running(args, options).done;
}

export interface Scratch {
  readonly path: string;
  fen(...args: string[]): Promise<Result>;
  start(...args: string[]): Running;
  /** Writes a `command/shell` model and gives its id. */
  model(name: string, run: string, more?: Readonly<Record<string, unknown>>): string;
  write(path: string, text: string): void;
  remove(): void;
}

let models = 0;

/** An initialised repository in a folder of its own. */
export async function scratchRepo(): Promise<Scratch> {
  const path = mkdtempSync(join(tmpdir(), "fen-e2e-"));
  const scratch: Scratch = {
    path,
    fen: (...args) => runFen(args, { cwd: path }),
    start: (...args) => startFen(args, { cwd: path }),
    model: (name, run, more = {}) => {
      const id = `${String(++models).padStart(8, "0")}-0000-4000-a000-${process.pid.toString(16).padStart(12, "0")}`;
      const fields = {
        type: "command/shell",
        id,
        name,
        version: 1,
        tags: {},
        globalArguments: {},
        methods: { execute: { arguments: { run } } },
        ...more,
      };
      scratch.write(`models/command/shell/${id}.yaml`, JSON.stringify(fields));
      return id;
    },
    write: (file, text) => {
      mkdirSync(dirname(join(path, file)), { recursive: true });
      writeFileSync(join(path, file), text);
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
  initialised ??= madeByInit();
  for (const { path: name, mode, text } of await initialised) {
    const to = join(path, name);
    if (text === undefined) mkdirSync(to);
    else writeFileSync(to, text.replace(/^repoId: .*$/m, `repoId: ${randomUUID()}`));
    chmodSync(to, mode);
  }
  return scratch;
}

interface Made {
  readonly path: string;
  readonly mode: number;
  /** None where it is a folder. */
  readonly text: string | undefined;
}

/** What `fen init` makes, folders before what is in them. Each file of tests asks the program once: five hundred repositories begin like that. */
let initialised: Promise<readonly Made[]> | undefined;

async function madeByInit(): Promise<readonly Made[]> {
  const root = mkdtempSync(join(tmpdir(), "fen-e2e-"));
  try {
    const { exitCode, stderr } = await runFen(["init"], { cwd: root });
    if (exitCode !== 0) throw new Error(stderr);
    const paths = readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
    return paths.map((path) => {
      const stat = statSync(join(root, path));
      return {
        path,
        mode: stat.mode & 0o7777,
        text: stat.isDirectory() ? undefined : readFileSync(join(root, path), "utf8"),
      };
    });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Waits for a condition, at most 20 s if not said otherwise. One that takes long (it runs a program) is asked more rarely: it shall not slow down what it waits for. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: () => string,
  { limitMs = 20_000 }: { readonly limitMs?: number } = {},
): Promise<void> {
  const end = Date.now() + limitMs;
  for (;;) {
    const asked = Date.now();
    if (await condition()) return;
    const now = Date.now();
    if (now > end) throw new Error(`waited in vain for ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, Math.max(5, now - asked)));
  }
}
