/**
 * The lock manager: order, waiting, explaining and giving back, written once above any driver.
 *
 * Resources are taken one at a time in code point order of their keys, the same everywhere, so commands that take several can't wait
 * for each other in a circle. An acquire that fails part-way gives back what it took before it throws.
 */
import { notFree } from "../kernel/duration.ts";
import { asError, FenError } from "../kernel/errors.ts";
import { isoNow } from "../kernel/iso-time.ts";
import type { Machine } from "../kernel/machine.ts";
import { compareCodePoints } from "../kernel/order.ts";
import {
  type Attempt,
  type BlockedBy,
  type Claim,
  type Grant,
  type Holding,
  type Inherited,
  type LockDriver,
  type Place,
  type Resource,
  resourceKey,
} from "../store/contract.ts";
import { heldElsewhere, recordOf, remedyOf, whoHas } from "../store/blocked-by.ts";
import { findCycle, type WaitCycle } from "./cycles.ts";
import { readHandedDown } from "./hand-down.ts";
import { HeldLease, type Lease, type LockRequest } from "./lease.ts";
import { coverOf, wouldDeadlock } from "./nesting.ts";

/** Told within a second of waiting, and again whenever what we wait for changes. */
export interface WaitNotice {
  readonly resource: Resource;
  /** What people call it. */
  readonly label: string;
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
  /**
   * Called at most once, in a wait that lasts: what can be done before the grant, so that those behind us needn't wait for it. The wait goes
   * on when it is done, so it must be short.
   */
  readonly meanwhile?: (() => Promise<void>) | undefined;
  /** A lease of the same manager that the asker works within: what it covers is shared, what would wait for it is refused. */
  readonly within?: Lease | undefined;
  /** What the asker holds by other leases: it counts as one with them where waits go in a circle. */
  readonly beside?: { readonly owner: string; readonly holdings: readonly Holding[] } | undefined;
}

type Blocked = Extract<Attempt, { outcome: "blocked" }>;

/** The first notice comes after this long; shorter waits aren't worth a word. */
const firstNoticeMs = 250;
/** How often a change of what we wait for is told. */
const noticeEveryMs = 1000;
/** How often one who holds something already looks whether it waits in a circle (twice the same circle is one); more rarely the longer it waited. */
const cycleEveryMs = (waitedMs: number): number => Math.min(Math.max(300, waitedMs / 8), 30_000);
/** The wait is made use of after so long for each who is before us: where many come at once, they don't do it all at once. */
const useAfterMsPerPlace = 70;

export class LockManager {
  readonly #driver: LockDriver;
  readonly #machine: Machine;
  #inherited: Promise<Inherited> | undefined;

  constructor(driver: LockDriver, machine: Machine) {
    this.#driver = driver;
    this.#machine = machine;
  }

  /**
   * Takes all of `requests` in code point order of their keys, or none. Requests for one resource are taken as one, in the stronger mode.
   * Throws `lock_timeout` (with who holds it), the signal's reason, or what the store says; then nothing is held and no place is kept.
   */
  async acquire(requests: readonly LockRequest[], options: AcquireOptions = {}): Promise<Lease> {
    const wait = new Wait(this.#machine, this.#driver, options);
    const inherited = await (this.#inherited ??= this.#inherit());
    const above = options.within?.holdings ?? inherited.holdings;
    const { owner = this.#machine.random.uuid(), holdings: beside = [] } = options.beside ?? {};
    const grants: Grant[] = [];
    try {
      const covers = inOrder(requests).map((request) => ({
        request,
        under: coverOf(request, { holdings: above, unshared: inherited.unshared }),
      }));
      for (const { request, under } of covers) {
        const within = [...inherited.unshared, ...above, ...beside, ...grants.slice(-1).map((grant) => grant.holding)];
        grants.push(await this.#take(request, claimOf(this.#machine, { owner, within, under }), wait, above));
      }
      await Promise.all(grants.map(({ ready }) => ready));
    } catch (error) {
      throw await giveBack(grants, error);
    }
    return new HeldLease(this.#machine, grants, { owner, above, requests });
  }

  /** Locks of the command that called this one, as far as they are real. */
  async #inherit(): Promise<Inherited> {
    const said = readHandedDown(this.#machine.host.env);
    return said.length === 0 ? { holdings: [], unshared: [] } : this.#driver.inherit(said);
  }

  async #take(request: LockRequest, claim: Claim, wait: Wait, above: readonly Holding[]): Promise<Grant> {
    if (wait.signal.aborted) throw wait.signal.reason;
    const place = await this.#driver.join(request.resource, request.mode, claim);
    let grant: Grant | undefined;
    try {
      for (;;) {
        const attempt = await place.attempt();
        if (attempt.outcome === "granted") return (grant = attempt.grant);
        refuseAncestor(request, attempt, above);
        await wait.sit(place, attempt, { claim, label: request.label ?? resourceKey(request.resource) });
      }
    } catch (error) {
      if (grant === undefined) await leaveQuietly(place, error);
      throw error;
    }
  }
}

/** Who asks, as this machine's records show it. */
export function claimOf(
  machine: Machine,
  asker: { readonly owner: string; readonly within: readonly Holding[]; readonly under?: Holding | undefined },
): Claim {
  const { host, random } = machine;
  const { owner, within, under } = asker;
  return {
    holder: `${host.user}@${host.hostname}`,
    hostname: host.hostname,
    pid: host.pid,
    command: host.command,
    nonce: random.uuid(),
    owner,
    since: isoNow(machine),
    within,
    ...(under === undefined ? {} : { under }),
  };
}

/** What the command that called us holds beside what it handed down: it waits for us, so waiting for it would be for ever. */
function refuseAncestor(request: LockRequest, { by }: Blocked, above: readonly Holding[]): void {
  const owner = by.kind === "holder" ? by.record.owner : undefined;
  const ancestor = owner === undefined ? undefined : above.find((holding) => holding.owner === owner);
  if (by.kind !== "holder" || ancestor === undefined) return;
  const { resource = request.resource, record } = by;
  throw wouldDeadlock(request, { ...ancestor, resource, mode: record.mode ?? "exclusive" });
}

/** One acquire's waiting: a deadline over all resources, notices that aren't a flood. */
class Wait {
  readonly signal: AbortSignal;
  readonly #machine: Machine;
  readonly #driver: LockDriver;
  readonly #options: AcquireOptions;
  readonly #start: number;
  #told = "";
  #toldAt = -Infinity;
  #lookedAt = 0;
  #suspected = "";
  #isUsed = false;

  constructor(machine: Machine, driver: LockDriver, options: AcquireOptions) {
    this.#machine = machine;
    this.#driver = driver;
    this.#options = options;
    this.signal = options.signal ?? new AbortController().signal;
    this.#start = machine.clock.monotonic();
  }

  /** Waits until another attempt makes sense. */
  async sit(place: Place, blocked: Blocked, asked: { readonly claim: Claim; readonly label: string }): Promise<void> {
    const { claim, label } = asked;
    const remainingMs = this.#remaining();
    if (remainingMs !== undefined && remainingMs <= 0)
      throw lockTimeout(blocked, label, this.#options.timeoutMs === 0 ? 0 : this.#waited());
    const nextNoticeMs = this.#tell(blocked, label, remainingMs);
    const mayBeInCycle = claim.within.length > 0;
    if (mayBeInCycle) await this.#refuseCycle(claim, label);
    const useMs = await this.#useTheWait(blocked.place);
    await place.changed(
      Math.min(nextNoticeMs, useMs, remainingMs ?? Infinity, mayBeInCycle ? cycleEveryMs(this.#waited()) : Infinity),
      this.signal,
    );
  }

  /** Does what can be done meanwhile, once it is time to; gives the milliseconds until then. */
  async #useTheWait(place: number): Promise<number> {
    const { meanwhile } = this.#options;
    if (this.#isUsed || meanwhile === undefined) return Infinity;
    const dueMs = place * useAfterMsPerPlace - this.#waited();
    if (dueMs > 0) return dueMs;
    this.#isUsed = true;
    await meanwhile();
    return Infinity;
  }

  /** Throws `lock_wait_cycle` where we wait for ourselves through others and it is for us to give way. */
  async #refuseCycle(claim: Claim, label: string): Promise<void> {
    const now = this.#waited();
    if (now - this.#lookedAt < cycleEveryMs(now)) return;
    this.#lookedAt = now;
    const cycle = findCycle(await this.#driver.inspect("live"), claim.nonce);
    const found = cycle === undefined ? "" : cycle.waits.map((one) => one.record.nonce).join(" ");
    if (cycle !== undefined && found === this.#suspected && cycle.victim === claim.nonce) throw waitCycle(cycle, label);
    this.#suspected = found;
  }

  /** Tells when it is time to; gives the milliseconds until the next time. */
  #tell(blocked: Blocked, label: string, remainingMs: number | undefined): number {
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
        label,
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

function lockTimeout(blocked: Blocked, label: string, waitedMs: number): FenError {
  const record = recordOf(blocked.by);
  const holds = heldElsewhere(blocked);
  return new FenError("lock_timeout", `The lock on ${label} ${notFree(waitedMs)}: ${whoHas(blocked)}.`, {
    hint: remedyOf(blocked),
    facts: {
      resource: resourceKey(blocked.resource),
      blockedBy: blocked.by.kind,
      ...(holds === undefined ? {} : { holds }),
      place: blocked.place,
      waitedMs: Math.round(waitedMs),
      ...(record === undefined ? {} : { holder: record }),
    },
  });
}

function waitCycle({ waits }: WaitCycle, label: string): FenError {
  const steps = waits.map(
    ({ record, resource }, at) =>
      `pid ${record.pid} (${record.command ?? "?"}) waits for ${at === 0 ? label : resourceKey(resource)}`,
  );
  return new FenError("lock_wait_cycle", `Commands wait for each other in a circle:\n  ${steps.join("\n  ")}`, {
    hint: "This one gave way; the others go on. Run it again later.",
    facts: {
      waits: waits.map(({ record, resource }) => ({
        resource: resourceKey(resource),
        pid: record.pid,
        nonce: record.nonce,
      })),
    },
  });
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
  await Promise.allSettled(grants.map(({ ready }) => ready)); // who comes next counts on what was reserved, and doesn't wait for it
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
