/** The lock driver for whatever has conditional writes: decision 0004. Requests, times and renewals; what is decided is decided in turn.ts and rules.ts. */
import { FenError } from "../../kernel/errors.ts";
import type { Machine } from "../../kernel/machine.ts";
import type { ConditionalStore } from "../../store/conditional.ts";
import {
  type Attempt,
  type BlockedBy,
  type Claim,
  type Grant,
  type Holding,
  type Inherited,
  type LockDriver,
  type LockMode,
  type LockTable,
  type Place,
  type Resource,
  resourceKey,
  withinOf,
} from "../../store/contract.ts";
import { breakGlass } from "./break-glass.ts";
import { Hold, type Means } from "./hold.ts";
import { inspectRecords, keyUnder, recordOf, tellOrThrow } from "./inspect.ts";
import { LockObjects, recordPath } from "./objects.ts";
import { removeOrphans } from "./orphans.ts";
import type { Entry } from "./record.ts";
import { type Rules, soundRules, timing } from "./rules.ts";
import { datastoreKey, inTheWay, nextDeath, placeOf } from "./turn.ts";

export interface CasOptions {
  readonly ttlMs?: number;
  readonly onLeftover?: Means["onLeftover"];
  /** For tests that plant a wrong one. */
  readonly rules?: Rules;
}

export class CasLocks implements LockDriver {
  readonly #means: Means;

  constructor(store: ConditionalStore, machine: Machine, { ttlMs, onLeftover, rules = soundRules }: CasOptions = {}) {
    const objects = new LockObjects(store, () => machine.random.uuid());
    this.#means = { objects, machine, rules, times: timing(ttlMs), holds: new Map(), onLeftover };
  }

  async join(resource: Resource, mode: LockMode, claim: Claim): Promise<CasPlace> {
    const place = new CasPlace(this.#means, { resource, mode, claim });
    await place.begin();
    return place;
  }

  inspect(scope: "all" | "live" | Resource): Promise<LockTable> {
    return inspectRecords(this.#means, scope);
  }

  async inherit(said: readonly Holding[]): Promise<Inherited> {
    const live = await Promise.all(said.map((holding) => isHeld(this.#means, holding)));
    return { holdings: said.filter((_, index) => live[index]), unshared: [] };
  }

  async head(resource: Resource): Promise<string | undefined> {
    const found = await tellOrThrow(this.#means, { do: "read-record", key: resourceKey(resource) });
    if (found.is === "unreadable")
      throw new FenError("data_corrupt", `The record of ${resourceKey(resource)} can't be read.`, {
        hint: "See: fen datastore lock status",
      });
    return found.is === "record" ? found.state.head : undefined;
  }

  tidy(): Promise<number> {
    return removeOrphans(this.#means);
  }

  revoke(resource: Resource, nonce: string | undefined): Promise<boolean> {
    return breakGlass(this.#means, resource, nonce);
  }
}

interface Wanted {
  readonly resource: Resource;
  readonly mode: LockMode;
  readonly claim: Claim;
}

/** Looks as often as the rules say, however often it is asked. */
class CasPlace implements Place {
  readonly #means: Means;
  readonly #wanted: Wanted;
  readonly #key: string;
  #hold: Hold;
  #lookedAt = 0;
  #changedAt = 0;
  #claimsSeenAt = 0;
  #lastSeen = "";
  #spent = false;

  constructor(means: Means, wanted: Wanted) {
    this.#means = means;
    this.#wanted = wanted;
    this.#key = keyUnder(wanted.resource, wanted.claim.under?.nonce);
    this.#hold = new Hold(this.#key, entryOf(wanted), means);
  }

  async begin(): Promise<void> {
    this.#lastSeen = "";
    await this.#advance();
  }

  async attempt(): Promise<Attempt> {
    if (this.#spent) throw new Error("the place was granted or given up before");
    if (this.#hold.standing === "waiting" && this.#now() >= this.#nextLookAt()) await this.#look();
    if (this.#hold.standing === "lost") await this.#again();
    if (this.#hold.standing !== "held") return this.#blocked();
    await this.#stillWithin("known");
    this.#spent = true;
    return { outcome: "granted", grant: new CasGrant(this.#means, this.#wanted, this.#hold) };
  }

  async changed(maxMs: number, signal: AbortSignal): Promise<void> {
    // A fraction of a millisecond may be too little for the clock to get there.
    const untilLook = Math.max(1, this.#nextLookAt() - this.#now());
    await this.#means.machine.clock.sleep(Math.min(maxMs, untilLook), signal);
  }

  async leave(): Promise<void> {
    if (this.#spent) return;
    this.#spent = true;
    await this.#hold.close();
  }

  /** Our place went to others: takes a new one, at the end. */
  async #again(): Promise<void> {
    const old = this.#hold;
    const nonce = this.#means.machine.random.uuid();
    await old.close();
    await this.#stillWithin("all");
    this.#hold = new Hold(this.#key, { ...entryOf(this.#wanted), nonce }, this.#means);
    await this.begin();
  }

  /** A place that was taken under another lock is worth nothing without that: a structural command may be in by now. */
  async #stillWithin(which: "known" | "all"): Promise<void> {
    for (const holding of this.#wanted.claim.within) {
      const hold = this.#means.holds.get(holding.nonce);
      if (hold === undefined && which === "known") continue;
      const live = hold === undefined ? await isHeld(this.#means, holding) : hold.standing === "held";
      if (!live) throw lostMeanwhile(holding, this.#wanted.resource);
    }
  }

  async #look(): Promise<void> {
    const now = this.#now();
    const due = Math.min(this.#claimsSeenAt + this.#means.times.lookMs, nextDeath(this.#hold.waiting));
    // At the claims, if the look after this one would come too late for them.
    const look = now + this.#lookIn(now) > due ? "claims" : "record";
    if (look === "claims") this.#claimsSeenAt = now;
    await this.#advance(look);
  }

  async #advance(look?: "record" | "claims"): Promise<void> {
    const startedAt = this.#now();
    try {
      await this.#hold.advance(look);
    } catch (error) {
      this.#spent = true;
      // What can't be given back now is dead once it isn't renewed any more; the first error is the one to tell.
      await this.#hold.close().catch(() => undefined);
      throw error;
    }
    const turn = this.#hold.waiting;
    const seen = [turn.key, placeOf(turn), ...inTheWay(turn).map((one) => one.nonce)].join();
    this.#lookedAt = look === undefined ? this.#now() : startedAt;
    if (seen !== this.#lastSeen) this.#changedAt = this.#now();
    // The next look is at the claims, where none was at those of who is in the way now: from then on it counts whether they change.
    if (seen !== this.#lastSeen && look !== "record") this.#claimsSeenAt = -Infinity;
    this.#lastSeen = seen;
  }

  #now(): number {
    return this.#means.rules.now(this.#means.machine.clock);
  }

  /** As the rules say, but not after the moment at which one in the way may turn out to be dead. */
  #nextLookAt(): number {
    const usual = this.#lookedAt + this.#lookIn(this.#lookedAt);
    const death = nextDeath(this.#hold.waiting);
    return death > this.#lookedAt ? Math.min(usual, death) : usual;
  }

  #lookIn(now: number): number {
    return this.#means.rules.nextLook(now - this.#changedAt, placeOf(this.#hold.waiting), this.#means.times);
  }

  #blocked(): Attempt {
    const place = placeOf(this.#hold.waiting);
    return { outcome: "blocked", resource: this.#wanted.resource, by: this.#blockedBy(), place };
  }

  #blockedBy(): BlockedBy {
    const turn = this.#hold.waiting;
    if (turn.unreadable) return { kind: "foreign", path: recordPath(turn.key) };
    const [first] = inTheWay(turn);
    if (first === undefined) return { kind: "unknown" };
    const record = recordOf(first, this.#means.times.ttlMs);
    if (turn.key === datastoreKey && turn !== this.#hold.turn) return { kind: "structural", record };
    return turn.seen.state.queue.includes(first) ? { kind: "waiter", record } : { kind: "holder", record };
  }
}

async function isHeld(means: Means, { resource, nonce, token, under }: Holding): Promise<boolean> {
  const found = await tellOrThrow(means, { do: "read-record", key: keyUnder(resource, under) });
  return found.is === "record" && found.state.holders.some((one) => one.nonce === nonce && one.token === token);
}

function lostMeanwhile(holding: Holding, waitedFor: Resource): FenError {
  const [lost, key] = [resourceKey(holding.resource), resourceKey(waitedFor)];
  return new FenError("lock_lost", `The lock on ${lost} was lost while the command waited for ${key}.`, {
    hint: "Nothing was done yet. Run the command again.",
    facts: { resource: lost, nonce: holding.nonce, token: holding.token },
  });
}

function entryOf({ mode, claim }: Wanted): Entry {
  const { holder, hostname, pid, command, since, owner } = claim;
  const within = withinOf(claim);
  const who = { holder, hostname, pid, command, since, owner, ...(within.length > 0 && { within }) };
  return { nonce: claim.nonce, mode, who, ...(within.length > 0 && { inherits: true }) };
}

export class CasGrant implements Grant {
  readonly resource: Resource;
  readonly mode: LockMode;
  readonly nonce: string;
  readonly token: number;
  readonly holding: Holding;
  readonly #means: Means;
  readonly #hold: Hold;
  readonly #under: Holding | undefined;
  #released: Promise<void> | undefined;

  constructor(means: Means, { resource, mode, claim }: Wanted, hold: Hold) {
    const { nonce } = hold.turn.me;
    means.holds.set(nonce, hold);
    this.#means = means;
    this.#hold = hold;
    this.resource = resource;
    this.mode = mode;
    this.nonce = nonce;
    this.token = hold.turn.seen.state.token;
    this.#under = claim.under;
    const under = claim.under && { under: claim.under.nonce };
    this.holding = { resource, mode, nonce, token: this.token, pid: claim.pid, owner: claim.owner, ...under };
  }

  /** A command within another's lock holds nothing once that is over. */
  async check(recentMs = 0): Promise<"held" | "lost"> {
    if (this.#released !== undefined || (this.#under && !(await isHeld(this.#means, this.#under)))) return "lost";
    return this.#hold.check(recentMs);
  }

  /** When it is lost unless it was renewed before: on our own monotonic clock. */
  get deadline(): number {
    return this.#hold.deadline;
  }

  get head(): string | undefined {
    return this.#hold.turn.seen.state.head;
  }

  async commit(head: string, { last = false }: { readonly last?: boolean } = {}): Promise<boolean> {
    const done = this.#released === undefined && (await this.#hold.commit(head, last));
    // All that is left is to remove the claim: that is sent at once. One whose removal is lost is in nobody's way, so nobody waits for the answer for long.
    if (done && last) this.#released = Promise.race([this.release(), this.#means.machine.clock.sleep(5)]);
    this.#released?.catch(() => undefined); // told by `release`, which comes when the rest of the work is done
    return done;
  }

  /** No client of an object store reads anything but the claims, which renew themselves. */
  async refresh(): Promise<void> {}

  release(): Promise<void> {
    return (this.#released ??= this.#hold.close().finally(() => this.#means.holds.delete(this.nonce)));
  }
}
