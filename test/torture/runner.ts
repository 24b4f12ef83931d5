/**
 * One round of torture: many processes on one folder, killed, paused and resumed at random, until the time is up; then everybody may come to an end, and the
 * log is checked. `scripts/torture-processes.mjs` runs rounds for minutes or hours.
 */
import { spawn, spawnSync } from "node:child_process";
import { createReadStream, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, closeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { bundleProgram, root } from "../support/bundle.ts";
import { SmallDisk } from "../support/small-disk.ts";
import type { Surroundings } from "../support/surroundings.ts";
import { Chance } from "../support/chance.ts";
import { Checker, type Verdict } from "./checker.ts";
import { EventLog, parseEvent } from "./events.ts";
import { makeOtherPaths, pathIn, type Started, startIn } from "./world.ts";
import type { WorkerSpec } from "./worker.ts";

const program = join(root, "dist/fen.cjs");

export interface RoundOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly processes: number;
  /** How many command lines run beside the workers at any time. */
  readonly commands: number;
  /** The folder lies on a small disk that is full half of the time. */
  readonly smallDisk: boolean;
  /** Workers that hardly rest. */
  readonly brisk?: boolean;
  /** The workers lock something else than they say: it must be found. */
  readonly plant?: boolean;
  /** Keeps the folder and its log where something broke. */
  readonly keep?: boolean;
}

export interface RoundResult extends Verdict {
  readonly seed: number;
  readonly ms: number;
  readonly kept?: string;
}

const ids = Array.from({ length: 8 }, (_, n) => `${n}0000000-0000-4000-a000-00000000000${n}`);
const resources = ids.map((id) => `command/shell/${id}`);
const others: readonly Surroundings[] = ["namespaces", "hour-ahead", "hour-behind", "few-descriptors"];
/** After the end of a round, the longest that may be waited for. */
const drainMs = 90_000;

interface Worker {
  readonly name: string;
  readonly started: Started;
  readonly startedAt: number;
  readonly ended: Promise<number | null>;
  stderr: string;
  isPaused: boolean;
  isKilled: boolean;
}

/** Bundles the worker; gives its path. */
export function buildWorker(): Promise<string> {
  return bundleProgram("test/torture/worker");
}

export async function runRound(options: RoundOptions, script: string): Promise<RoundResult> {
  const start = performance.now();
  const scratch = mkdtempSync(join(tmpdir(), "fen-torture-"));
  const round = new Round(options, script, scratch);
  let isClean = false;
  try {
    await round.run();
    const verdict = await round.check();
    isClean = verdict.violations.length === 0;
    const kept = !isClean && options.keep === true ? { kept: scratch } : {};
    return { ...verdict, seed: options.seed, ms: Math.round(performance.now() - start), ...kept };
  } finally {
    round[Symbol.dispose]();
    if (isClean || options.keep !== true)
      rmSync(scratch, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

class Round implements Disposable {
  readonly #options: RoundOptions;
  readonly #script: string;
  readonly #scratch: string;
  readonly #chance: Chance;
  readonly #logPath: string;
  readonly #logFd: number;
  readonly #log: EventLog;
  readonly #workers = new Set<Worker>();
  readonly #root: string;
  readonly #disk: SmallDisk | undefined;
  readonly #troubles: string[] = [];
  #isOver = false;
  #count = 0;

  constructor(options: RoundOptions, script: string, scratch: string) {
    this.#options = options;
    this.#script = script;
    this.#scratch = scratch;
    this.#chance = new Chance(options.seed);
    this.#logPath = join(scratch, "log");
    this.#logFd = openSync(this.#logPath, "a");
    this.#log = new EventLog(this.#logFd);
    this.#disk = options.smallDisk ? new SmallDisk(join(scratch, "disk")) : undefined;
    this.#root = options.commands > 0 ? join(scratch, ".swamp") : join(this.#disk?.path ?? scratch, "store");
    if (options.commands > 0) this.#makeRepository();
    mkdirSync(this.#root, { recursive: true });
    makeOtherPaths(this.#root);
  }

  async run(): Promise<void> {
    const until = performance.now() + this.#options.seconds * 1000;
    for (let n = 0; n < this.#options.processes; n++) this.#startWorker(n);
    const commands = Array.from({ length: this.#options.commands }, (_, n) => this.#runCommands(n));
    const filling = this.#disk === undefined ? undefined : this.#fillAndEmpty(this.#disk);
    while (performance.now() < until) {
      await sleep(this.#chance.between(2, 60));
      this.#disturb();
    }
    this.#isOver = true;
    for (const worker of this.#workers) this.#resume(worker);
    for (const worker of this.#workers) worker.started.child.stdin?.end();
    await Promise.race([
      Promise.all([...commands, filling, ...[...this.#workers].map((worker) => worker.ended)]),
      sleep(drainMs, undefined, { ref: false }).then(() => this.#troubles.push("some never came to an end")),
    ]);
  }

  async check(): Promise<Verdict> {
    const checker = new Checker();
    for await (const line of createInterface({ input: createReadStream(this.#logPath) })) {
      checker.take(parseEvent(line));
    }
    const verdict = checker.finish();
    return { ...verdict, violations: [...verdict.violations, ...this.#troubles] };
  }

  [Symbol.dispose](): void {
    for (const { started } of this.#workers) started.child.kill("SIGKILL");
    closeSync(this.#logFd);
    this.#disk?.[Symbol.dispose]();
  }

  #makeRepository(): void {
    spawnSync(process.execPath, [program, "init"], { cwd: this.#scratch, stdio: "ignore" });
    const folder = join(this.#scratch, "models/command/shell");
    mkdirSync(folder, { recursive: true });
    // $$ is the shell's own id: one enter and one leave each. What a killed command leaves behind still holds the lock and still leaves.
    for (const [n, id] of ids.entries()) {
      const line = (event: string) =>
        `printf '0 c%s ${event} c%s-%s ${resources[n]} exclusive -\\n' $$ $$ $FEN_TORTURE >> ${this.#logPath}`;
      const run = `${line("enter")}; sleep 0.00${n}; ${line("leave")}`;
      const methods = { execute: { arguments: { run } } };
      const fields = { type: "command/shell", id, name: `m${n}`, version: 1, tags: {}, globalArguments: {}, methods };
      writeFileSync(join(folder, `${id}.yaml`), JSON.stringify(fields));
    }
  }

  #startWorker(n: number): void {
    const chance = this.#chance;
    const surroundings = chance.is(0.5) && !this.#options.smallDisk ? chance.pick(others) : "plain";
    const name = `w${++this.#count}`;
    const spec: WorkerSpec = {
      name,
      kind: n % 4 === 3 ? "library" : "watched",
      root: pathIn(surroundings, this.#root, chance),
      log: this.#logPath,
      seed: this.#options.seed * 1000 + this.#count,
      lanes: 1 + chance.below(3),
      resources: someOf(resources, chance),
      brisk: this.#options.brisk === true,
      structural: chance.is(0.3) ? 0.01 : 0,
      revoke: this.#options.smallDisk ? 0 : 0.0005,
      lend: surroundings === "plain" && !this.#options.smallDisk ? 0.005 : 0,
      hogs: surroundings === "few-descriptors",
      badDisk: this.#options.smallDisk,
      plant: this.#options.plant === true,
    };
    const started = startIn(surroundings, [process.execPath, this.#script, JSON.stringify(spec)], this.#root);
    const { child } = started;
    const worker: Worker = {
      name,
      started,
      startedAt: performance.now(),
      stderr: "",
      isPaused: false,
      isKilled: false,
      ended: new Promise((resolve) => {
        child.on("close", (code) => {
          this.#workers.delete(worker);
          if (!this.#isOver) this.#startWorker(n);
          if (code !== 0 && !worker.isKilled) this.#troubles.push(`${name} ended with ${code}: ${worker.stderr}`);
          resolve(code);
        });
      }),
    };
    child.stderr?.on("data", (chunk: Buffer) => (worker.stderr = (worker.stderr + chunk.toString()).slice(-2000)));
    this.#workers.add(worker);
  }

  /** One fault: a kill, or a pause with its end later on. */
  #disturb(): void {
    const chance = this.#chance;
    const grown = [...this.#workers].filter((one) => !one.isPaused && performance.now() - one.startedAt > 500);
    if (grown.length === 0) return;
    const worker = chance.pick(grown);
    const pid = worker.started.pid();
    if (pid === undefined) return;
    const tell = (name: "kill" | "stop") =>
      this.#log.write({ worker: worker.name, name, id: "-", resource: "-", mode: "exclusive" });
    if (chance.is(0.05)) {
      worker.isKilled = true;
      tell("kill");
      kill(pid, "SIGKILL");
    } else if (chance.is(0.12)) {
      worker.isPaused = true;
      tell("stop");
      kill(pid, "SIGSTOP");
      setTimeout(() => this.#resume(worker), chance.is(0.04) ? chance.between(500, 2000) : chance.between(2, 60));
    }
  }

  #resume(worker: Worker): void {
    if (!worker.isPaused) return;
    worker.isPaused = false;
    this.#log.write({ worker: worker.name, name: "cont", id: "-", resource: "-", mode: "exclusive" });
    kill(worker.started.pid(), "SIGCONT");
  }

  /** The program itself, again and again; one in ten is killed, its method goes on. */
  async #runCommands(lane: number): Promise<void> {
    for (let n = 0; !this.#isOver; n++) {
      const args = [
        "model",
        "method",
        "run",
        `m${this.#chance.below(ids.length)}`,
        "execute",
        "--lock-timeout",
        "forever",
      ];
      const env: NodeJS.ProcessEnv = { ...process.env, SWAMP_REPO_DIR: "", FEN_TORTURE: `${lane}-${n}` };
      delete env["NODE_EXTRA_CA_CERTS"];
      const child = spawn(process.execPath, [program, ...args], {
        cwd: this.#scratch,
        env,
        stdio: ["ignore", "ignore", "pipe"],
      });
      const killAfter = this.#chance.is(0.1) ? this.#chance.between(50, 400) : undefined;
      const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfter);
      let stderr = "";
      child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
      const code = await new Promise((resolve) => child.on("close", resolve));
      clearTimeout(timer);
      if (code !== 0 && killAfter === undefined) this.#troubles.push(`fen ended with ${String(code)}: ${stderr}`);
    }
  }

  async #fillAndEmpty(disk: SmallDisk): Promise<void> {
    while (!this.#isOver) {
      disk.fill();
      await sleep(this.#chance.between(20, 200));
      disk.empty();
      await sleep(this.#chance.between(20, 200));
    }
    disk.empty();
  }
}

/** Neighbours in a ring: each resource has some who want it and some who don't. */
function someOf(all: readonly string[], chance: Chance): string[] {
  const first = chance.below(all.length);
  return Array.from({ length: 1 + chance.below(4) }, (_, n) => all[(first + n) % all.length] ?? "");
}

function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}
