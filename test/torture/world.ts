/** Where and how a worker is started: in one of the surroundings, and by one of several paths to the same folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { hasEnded } from "../support/processes.ts";
import { type Surroundings, wrap } from "../support/surroundings.ts";
import type { Chance } from "../support/chance.ts";

export interface Started {
  readonly child: ChildProcess;
  /** The process itself: behind `unshare` it is another than `child`. Undefined while it isn't there yet or no more. */
  pid(): number | undefined;
}

export function startIn(surroundings: Surroundings, command: readonly string[], root: string): Started {
  const isBehind = surroundings === "namespaces";
  const line = wrap(surroundings, isBehind ? [...mounted(root), ...command] : command);
  const env: NodeJS.ProcessEnv = { ...process.env, ...line.env };
  delete env["NODE_EXTRA_CA_CERTS"];
  const child = spawn(line.file, line.args, { env, stdio: ["pipe", "ignore", "pipe"] });
  child.stdin?.on("error", () => undefined);
  // The number of one that has ended may be another's by now.
  const own = () => (hasEnded(child) ? undefined : child.pid);
  return { child, pid: () => (isBehind ? childOf(own()) : own()) };
}

/** The path by which a worker there reaches the folder `root`. */
export function pathIn(surroundings: Surroundings, root: string, chance: Chance): string {
  if (surroundings === "namespaces") return mountOf(root);
  return chance.pick([root, `${linkOf(root)}/`, `${root}/../${basename(root)}/`]);
}

export function makeOtherPaths(root: string): void {
  mkdirSync(mountOf(root));
  symlinkSync(root, linkOf(root));
}

const mountOf = (root: string) => join(dirname(root), "mounted");
const linkOf = (root: string) => join(dirname(root), "linked");

function mounted(root: string): string[] {
  return ["sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', root, mountOf(root)];
}

function childOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const first = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ")[0] ?? "";
    return first === "" ? undefined : Number(first);
  } catch {
    return undefined; // it has ended
  }
}
