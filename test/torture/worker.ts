/**
 * One process that takes locks again and again, in several lanes at once, and writes down what it did. It ends when its standard input does.
 * `watched` workers use the lock manager over a driver whose steps are written down; `library` workers use the public door.
 */
import { compareCodePoints } from "../../src/kernel/order.ts";
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { FenError, systemErrorCode } from "../../src/kernel/errors.ts";
import { systemMachine } from "../../src/kernel/machine.ts";
import { openLocks } from "../../src/lock/index.ts";
import { LockManager } from "../../src/lock/manager.ts";
import { nameOf, resourceOf } from "../../src/lock/names.ts";
import type { Grant, LockDriver, LockMode, Place } from "../../src/store/contract.ts";
import { openFilesystemDatastore } from "../../src/store/drivers/filesystem/datastore.ts";
import { Chance } from "../support/chance.ts";
import { everything } from "./checker.ts";
import { EventLog, type EventName } from "./events.ts";

export interface WorkerSpec {
  readonly name: string;
  readonly kind: "watched" | "library";
  readonly root: string;
  readonly log: string;
  readonly seed: number;
  readonly lanes: number;
  readonly resources: readonly string[];
  /** How often, of all acquisitions. */
  readonly structural: number;
  readonly revoke: number;
  readonly lend: number;
  /** Opens files until no descriptor is left, now and then. */
  readonly hogs: boolean;
  /** Errors of the disk are part of the world. */
  readonly badDisk: boolean;
  /** A planted defect: what is written down isn't what is locked. */
  readonly plant: boolean;
  /** Hardly rests, and hardly works under its locks: more grants in the time. */
  readonly brisk: boolean;
}

/** A wait that lasts for so long has been forgotten. */
const forgottenMs = 60_000;
const excusable = ["EMFILE", "ENFILE", "ENOSPC", "EDQUOT"];

const spec = JSON.parse(process.argv[2] ?? "{}") as WorkerSpec; // oxlint-disable-line -- written by the runner
const logFd = openSync(spec.log, "a");
const log = new EventLog(logFd);
const chance = new Chance(spec.seed);
const machine = systemMachine(`torture ${spec.kind} ${spec.name}`);
const { locks: driver } = openFilesystemDatastore(spec.root, machine);
const stop = new AbortController();
let acquisitions = 0;

interface Hold {
  readonly id: string;
  readonly resource: string;
  readonly mode: LockMode;
  readonly token: number;
}

interface Taken {
  readonly holds: readonly Hold[];
  assertHeld(): Promise<void>;
  lend(): { readonly descriptors: readonly number[]; readonly env: Readonly<Record<string, string>> };
  release(): Promise<void>;
}

interface Wanted {
  readonly resources: readonly string[];
  readonly mode: LockMode;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

type Take = (wanted: Wanted) => Promise<Taken>;

const say = (name: EventName, hold: Omit<Hold, "token"> & { token?: number }, note?: string) =>
  log.write({ worker: spec.name, name, ...hold, note });

const sayGone = (hold: Omit<Hold, "token">) => {
  if (hold.resource === everything) say("gone", hold);
};

function watchedDriver(inner: LockDriver): LockDriver {
  const watchPlace = (place: Place, hold: Omit<Hold, "token">): Place => ({
    async attempt() {
      const attempt = await place.attempt();
      if (attempt.outcome === "granted") watchGrant(attempt.grant, hold);
      return attempt;
    },
    changed: (maxMs, signal) => place.changed(maxMs, signal),
    async leave() {
      say("quit", hold);
      await place.leave();
      sayGone(hold);
    },
  });
  const watchGrant = (grant: Grant, hold: Omit<Hold, "token">): void => {
    say("enter", { ...hold, token: grant.token });
    const release = grant.release.bind(grant);
    grant.release = async () => {
      say("leave", hold);
      await release();
      sayGone(hold);
    };
  };
  return {
    async join(resource, mode, claim) {
      const hold = { id: claim.nonce, resource: nameOf(resource), mode };
      say(claim.within.length > 0 ? "asknested" : "ask", hold);
      try {
        const place = await inner.join(spec.plant ? resourceOf(`planted/${++acquisitions}`) : resource, mode, claim);
        say("queued", hold);
        return watchPlace(place, hold);
      } catch (error) {
        say("quit", hold);
        sayGone(hold);
        throw error;
      }
    },
    inspect: (scope) => inner.inspect(scope),
    inherit: (said) => inner.inherit(said),
    revoke: (resource, nonce) => inner.revoke(resource, nonce),
  };
}

function watched(): Take {
  const manager = new LockManager(watchedDriver(driver), machine);
  return async ({ resources, mode, timeout, signal }) => {
    const requests = resources.map((name) => ({ resource: resourceOf(name), mode }));
    const lease = await manager.acquire(requests, { timeoutMs: timeout, signal });
    const holds = lease.grants.map(({ nonce, resource, token }) => ({
      id: nonce,
      resource: nameOf(resource),
      mode,
      token,
    }));
    return {
      holds,
      assertHeld: () => lease.assertHeld(),
      lend: () => lease.handDown(),
      release: () => lease.release(),
    };
  };
}

function library(): Take {
  const locks = openLocks(spec.root, { command: `torture library ${spec.name}`, records: "published" });
  return async ({ resources, mode, timeout, signal }) => {
    const asked = resources.map((resource) => ({ id: `${spec.name}-${++acquisitions}`, resource, mode }));
    // All but the first in order are asked for within what is held already.
    const [first] = resources.toSorted(compareCodePoints);
    for (const one of asked) say(one.resource === first ? "ask" : "asknested", one);
    try {
      const requests = resources.map((resource) => ({ resource, mode }));
      const lease = await locks.acquire(requests, { timeout, signal });
      const holds = asked.map((one) => ({ ...one, token: lease.token(one.resource) }));
      for (const hold of holds) say("enter", hold);
      return {
        holds,
        assertHeld: () => lease.assertHeld(),
        lend: () => lease.inherit(),
        release: async () => {
          for (const hold of holds) say("leave", hold);
          await lease.release();
          holds.forEach(sayGone);
        },
      };
    } catch (error) {
      for (const one of asked) say("quit", one);
      asked.forEach(sayGone);
      throw error;
    }
  };
}

function choose(): Wanted {
  const structural = chance.is(spec.structural);
  const count = chance.is(0.15) ? 2 + chance.below(2) : 1;
  const some = [...new Set(Array.from({ length: count }, () => chance.pick(spec.resources)))];
  return {
    resources: structural ? [everything] : some,
    mode: structural || chance.is(0.7) ? "exclusive" : "shared",
    timeout: chance.is(0.05) ? chance.below(60) : forgottenMs,
    signal: chance.is(0.05) ? AbortSignal.timeout(chance.below(60)) : undefined,
  };
}

async function lane(take: Take): Promise<void> {
  while (!stop.signal.aborted) {
    const wanted = choose();
    const about = { id: "-", resource: wanted.resources.join(","), mode: wanted.mode };
    try {
      await hold(await take(wanted));
    } catch (error) {
      judge(error, about, wanted);
      await machine.clock.sleep(1); // where every call fails at once, nothing else would ever have a turn
    }
    if (!spec.brisk && chance.is(0.2)) await machine.clock.sleep(chance.between(0, 3));
  }
}

async function hold(taken: Taken): Promise<void> {
  const { holds } = taken;
  try {
    if (chance.is(spec.brisk ? 0.01 : 0.5))
      await machine.clock.sleep(chance.is(0.03) ? chance.between(5, 40) : chance.between(0, 2));
    if (chance.is(spec.lend)) await lend(taken);
    if (chance.is(spec.revoke)) await revokeSomebody();
    if (chance.is(0.1)) {
      for (const one of holds) say("check", one);
      await taken.assertHeld();
      for (const one of holds) say("commit", one);
    }
  } finally {
    await taken.release().catch((error: unknown) => giveUp(error, holds));
  }
}

/** A child works under the lock; it goes on where we are killed. */
async function lend({ holds, lend: handDown }: Taken): Promise<void> {
  const [first] = holds;
  if (first === undefined || holds.length > 1) return;
  const { descriptors, env } = handDown();
  const line = (name: EventName) => `0 ${spec.name} ${name} ${first.id} ${first.resource} ${first.mode} -`;
  const script = `printf '%s\\n' "$1" >> "$3"; sleep 0.0${chance.below(9)}; printf '%s\\n' "$2" >> "$3"`;
  const child = spawn("sh", ["-c", script, "sh", line("lent"), line("returned"), spec.log], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", ...descriptors],
    env: { ...process.env, ...env },
  });
  await ended(child);
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", () => resolve());
  });
}

async function revokeSomebody(): Promise<void> {
  const { held } = await driver.inspect("live");
  // Only of those whose every step is written down under the same nonce.
  const others = held.filter(
    (one) =>
      one.resource.kind === "model" &&
      one.state === "held" &&
      one.record?.command?.startsWith("torture watched ") === true,
  );
  if (others.length === 0) return;
  const { resource, record } = chance.pick(others);
  if (record === undefined) return;
  const about = { id: record.nonce, resource: nameOf(resource), mode: record.mode ?? "exclusive" };
  say("revoking", about);
  if (await driver.revoke(resource, record.nonce)) say("revoked", about);
}

function judge(error: unknown, about: Omit<Hold, "token">, wanted: Wanted): void {
  if (wanted.signal?.aborted === true && error === wanted.signal.reason) return;
  const code = error instanceof FenError ? error.code : (systemErrorCode(error) ?? "?");
  if (code === "lock_timeout" && wanted.timeout < forgottenMs) return;
  if (code === "lock_lost") return say("excused", about, code);
  const excuse = excuseFor(error);
  if (excuse !== undefined) return say("excused", about, excuse);
  say("trouble", about, `${code}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}

/** The system's code of an error that this worker's world explains. */
function excuseFor(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = systemErrorCode(cause) ?? "";
    if ((spec.hogs || spec.badDisk) && excusable.includes(code)) return code;
  }
  return error instanceof AggregateError ? excuseFor(error.errors[0]) : undefined;
}

/** A lock that can't be given back is given back by the end of its process, as a command would do. */
function giveUp(error: unknown, holds: readonly Hold[]): never {
  const [about] = holds;
  const excuse = excuseFor(error);
  if (about !== undefined) {
    if (excuse === undefined) say("trouble", about, `release: ${String(error)}`);
    else say("excused", about, `release:${excuse}`);
    log.write({ worker: spec.name, name: "kill", ...about });
  }
  process.exit(excuse === undefined ? 1 : 0);
}

/** Takes every descriptor that is left, keeps them for a moment, and gives them back. */
async function hog(): Promise<void> {
  while (!stop.signal.aborted) {
    await machine.clock.sleep(chance.between(50, 300));
    const taken: number[] = [];
    try {
      for (;;) taken.push(openSync("/dev/null", "r"));
    } catch {
      // That was the last one.
    }
    for (const fd of taken.splice(0, chance.below(4))) closeSync(fd);
    await machine.clock.sleep(chance.between(1, 30));
    for (const fd of taken) closeSync(fd);
  }
}

process.stdin.on("end", () => stop.abort()).resume();
const take = spec.kind === "watched" ? watched() : library();
const lanes = Array.from({ length: spec.lanes }, () => lane(take));
await Promise.all(spec.hogs ? [...lanes, hog()] : lanes);
process.exit(0);
