/**
 * The lock manager: order, waiting, explaining and giving back, written once above any driver.
 *
 * Resources are taken one at a time in code point order of their keys, the same everywhere, so commands that take several can't wait
 * for each other in a circle. An acquire that fails part-way gives back what it took before it throws.
 */
import { asError, FenError } from "../kernel/errors.ts";
import type { Machine } from "../kernel/machine.ts";
import { compareCodePoints } from "../kernel/order.ts";
import {
  type Attempt,
  type BlockedBy,
  type Claim,
  type Grant,
  type LockDriver,
  type LockRecord,
  type Place,
  type Resource,
  resourceKey,
} from "../store/contract.ts";
import { HeldLease, type Lease, type LockRequest } from "./lease.ts";

/** Told within a second of waiting, and again whenever what we wait for changes. */
export interface WaitNotice {
  readonly resource: Resource;
  readonly by: BlockedBy;
  /** 1 = next in line. */
  readonly place: number;
  readonly waitedMs: number;
  /** Milliseconds until the wait ends with `lock_timeout`; undefined = never. */
  readonly remainingMs?: number | undefined;
}

export interface AcquireOptions {
  /** Milliseconds to wait for all of it; 0 = one attempt; undefined = for ever. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait at once, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  readonly onWait?: ((notice: WaitNotice) => void) | undefined;
}

type Blocked = Extract<Attempt, { outcome: "blocked" }>;

/** The first notice comes after this long; shorter waits aren't worth a word. */
const firstNoticeMs = 250;
/** How often a change of what we wait for is told. */
const noticeEveryMs = 1000;

export class LockManager {
  readonly #driver: LockDriver;
  readonly #machine: Machine;

  constructor(driver: LockDriver, machine: Machine) {
    this.#driver = driver;
    this.#machine = machine;
  }

  /**
   * Takes all of `requests` in code point order of their keys, or none. Requests for one resource are taken as one, in the stronger mode.
   * Throws `lock_timeout` (with who holds it), the signal's reason, or what the store says; then nothing is held and no place is kept.
   */
  async acquire(requests: readonly LockRequest[], options: AcquireOptions = {}): Promise<Lease> {
    const wait = new Wait(this.#machine, options);
    const grants: Grant[] = [];
    try {
      for (const request of inOrder(requests)) grants.push(await this.#take(request, wait));
    } catch (error) {
      throw await giveBack(grants, error);
    }
    return new HeldLease(this.#machine, grants);
  }

  async #take(request: LockRequest, wait: Wait): Promise<Grant> {
    if (wait.signal.aborted) throw wait.signal.reason;
    const place = await this.#driver.join(request.resource, request.mode, this.#claim());
    let grant: Grant | undefined;
    try {
      for (;;) {
        const attempt = await place.attempt();
        if (attempt.outcome === "granted") {
          grant = attempt.grant;
          return grant;
        }
        await wait.sit(place, attempt);
      }
    } catch (error) {
      if (grant === undefined) await leaveQuietly(place, error);
      throw error;
    }
  }

  #claim(): Claim {
    const { host, random, clock } = this.#machine;
    return {
      holder: `${host.user}@${host.hostname}`,
      hostname: host.hostname,
      pid: host.pid,
      command: host.command,
      nonce: random.uuid(),
      since: new Date(clock.now()).toISOString(),
    };
  }
}

/** One acquire's waiting: a deadline over all resources, notices that aren't a flood. */
class Wait {
  readonly signal: AbortSignal;
  readonly #machine: Machine;
  readonly #options: AcquireOptions;
  readonly #start: number;
  #told = "";
  #toldAt = -Infinity;

  constructor(machine: Machine, options: AcquireOptions) {
    this.#machine = machine;
    this.#options = options;
    this.signal = options.signal ?? new AbortController().signal;
    this.#start = machine.clock.monotonic();
  }

  /** Waits until another attempt makes sense. */
  async sit(place: Place, blocked: Blocked): Promise<void> {
    const remainingMs = this.#remaining();
    if (remainingMs !== undefined && remainingMs <= 0) throw lockTimeout(blocked, this.#waited());
    const nextNoticeMs = this.#tell(blocked, remainingMs);
    await place.changed(Math.min(nextNoticeMs, remainingMs ?? Infinity), this.signal);
  }

  /** Tells when it is time to; gives the milliseconds until the next time. */
  #tell(blocked: Blocked, remainingMs: number | undefined): number {
    const waitedMs = this.#waited();
    if (waitedMs < firstNoticeMs) return firstNoticeMs - waitedMs;
    const sinceTold = waitedMs - this.#toldAt;
    if (sinceTold < noticeEveryMs) return noticeEveryMs - sinceTold;
    const what = JSON.stringify([
      resourceKey(blocked.resource),
      blocked.by.kind,
      recordOf(blocked.by)?.nonce,
      blocked.place,
    ]);
    if (what !== this.#told) {
      this.#told = what;
      this.#toldAt = waitedMs;
      this.#options.onWait?.({
        resource: blocked.resource,
        by: blocked.by,
        place: blocked.place,
        waitedMs,
        remainingMs,
      });
    }
    return noticeEveryMs;
  }

  #waited(): number {
    return this.#machine.clock.monotonic() - this.#start;
  }

  #remaining(): number | undefined {
    const { timeoutMs } = this.#options;
    return timeoutMs === undefined ? undefined : timeoutMs - this.#waited();
  }
}

/** What is known of whoever is in the way. */
export function recordOf(by: BlockedBy): LockRecord | undefined {
  return by.kind === "unknown" ? undefined : by.record;
}

function lockTimeout(blocked: Blocked, waitedMs: number): FenError {
  const key = resourceKey(blocked.resource);
  const record = recordOf(blocked.by);
  const who =
    record === undefined
      ? "somebody else"
      : `${record.holder} (pid ${record.pid}${record.command === undefined ? "" : `, ${record.command}`})`;
  return new FenError(
    "lock_timeout",
    `The lock on ${key} was not free within ${(waitedMs / 1000).toFixed(1)} s: ${who} has it.`,
    {
      hint: "Wait longer with --lock-timeout 10m (or forever), or look who holds what: fen datastore lock status",
      facts: {
        resource: key,
        blockedBy: blocked.by.kind,
        place: blocked.place,
        waitedMs: Math.round(waitedMs),
        ...(record === undefined ? {} : { holder: record }),
      },
    },
  );
}

function inOrder(requests: readonly LockRequest[]): LockRequest[] {
  const strongest = new Map<string, LockRequest>();
  for (const request of requests) {
    const key = resourceKey(request.resource);
    if (strongest.get(key)?.mode !== "exclusive") strongest.set(key, request);
  }
  const keys = [...strongest.keys()].sort(compareCodePoints);
  return keys.flatMap((key) => strongest.get(key) ?? []);
}

/** Gives back what was taken; a failure of that doesn't hide the first error. */
async function giveBack(grants: readonly Grant[], error: unknown): Promise<unknown> {
  const failures: unknown[] = [];
  for (const grant of grants.toReversed()) await grant.release().catch((failure: unknown) => failures.push(failure));
  return failures.length === 0
    ? error
    : new AggregateError([error, ...failures], asError(error).message, { cause: error });
}

async function leaveQuietly(place: Place, first: unknown): Promise<void> {
  try {
    await place.leave();
  } catch (error) {
    if (first instanceof Error && first.cause === undefined) first.cause = error;
  }
}
