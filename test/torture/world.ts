/** The worlds that a worker may live in: other namespaces, another time, few descriptors, other paths to one folder; and a small full disk. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeSync,
  ftruncateSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Chance } from "./chance.ts";

export type Surroundings = "plain" | "namespaces" | "hour-ahead" | "hour-behind" | "few-descriptors" | "symlink";

export interface Started {
  readonly child: ChildProcess;
  /** The process itself: behind `unshare` it is another than `child`. Undefined while it isn't there yet or no more. */
  pid(): number | undefined;
}

/** Enough for Node itself and a few locks; the rest is for the hog. */
const fewDescriptors = 60;

export function startIn(surroundings: Surroundings, command: readonly string[], root: string): Started {
  const env: NodeJS.ProcessEnv = { ...process.env, SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "", ...fakeTime(surroundings) };
  delete env["NODE_EXTRA_CA_CERTS"];
  const wrapped = [...wrapperOf(surroundings, root), ...command];
  const [file = "", ...args] = wrapped;
  const child = spawn(file, args, { env, stdio: ["pipe", "ignore", "pipe"] });
  child.stdin?.on("error", () => undefined);
  const isBehind = surroundings === "namespaces";
  return { child, pid: () => (isBehind ? childOf(child.pid) : child.pid) };
}

/** The path by which a worker there reaches the folder `root`. */
export function pathIn(surroundings: Surroundings, root: string, chance: Chance): string {
  if (surroundings === "namespaces") return mountOf(root);
  if (surroundings === "symlink") return `${linkOf(root)}/`;
  return chance.is(0.5) ? root : `${root}/../${basename(root)}/`;
}

export function makeOtherPaths(root: string): void {
  mkdirSync(mountOf(root));
  symlinkSync(root, linkOf(root));
}

const mountOf = (root: string) => join(dirname(root), "mounted");
const linkOf = (root: string) => join(dirname(root), "linked");

function wrapperOf(surroundings: Surroundings, root: string): string[] {
  switch (surroundings) {
    case "namespaces":
      return [
        ..."unshare --pid --fork --kill-child --mount-proc --mount --net --uts --ipc sh -c".split(" "),
        'mount --bind "$0" "$1" && shift && exec "$@"',
        root,
        mountOf(root),
      ];
    case "few-descriptors":
      return ["prlimit", `--nofile=${fewDescriptors}`];
    case "plain":
    case "symlink":
    case "hour-ahead":
    case "hour-behind":
      return [];
  }
}

function fakeTime(surroundings: Surroundings): Record<string, string> {
  if (surroundings !== "hour-ahead" && surroundings !== "hour-behind") return {};
  const library = [`/usr/lib/${triplet()}/faketime/libfaketime.so.1`, "/usr/lib/faketime/libfaketime.so.1"].find(
    (path) => existsSync(path),
  );
  if (library === undefined) throw new Error("libfaketime is missing: run scripts/setup-tests.sh");
  const by = surroundings === "hour-ahead" ? "+1h" : "-1h";
  // A wall clock that is set doesn't change the monotonic one.
  return { LD_PRELOAD: library, FAKETIME: by, FAKETIME_DONT_FAKE_MONOTONIC: "1", DONT_FAKE_MONOTONIC: "1" };
}

function triplet(): string {
  return process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
}

function childOf(pid: number | undefined): number | undefined {
  try {
    const first = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ")[0] ?? "";
    return first === "" ? undefined : Number(first);
  } catch {
    return undefined; // it has ended
  }
}

/** A disk of 400 KiB, which `fill` fills to the last byte. */
export class SmallDisk implements Disposable {
  readonly path: string;
  readonly #ballast: number;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path);
    const made = spawnSync("mount", ["-t", "tmpfs", "-o", "size=400k,nr_inodes=300", "tmpfs", path], {
      encoding: "utf8",
    });
    if (made.status !== 0) throw new Error(`a small disk can't be mounted (it takes root): ${made.stderr}`);
    this.#ballast = openSync(join(path, "ballast"), "w");
  }

  fill(): void {
    const chunk = Buffer.alloc(4096);
    try {
      for (;;) writeSync(this.#ballast, chunk);
    } catch {
      // Full.
    }
  }

  empty(): void {
    ftruncateSync(this.#ballast, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.#ballast);
    spawnSync("umount", ["-l", this.path]);
  }
}
