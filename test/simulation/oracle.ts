/** Sees everything, and says what must never be: from what the processes believe, and from each change of a record. */
import { conflict, type Entry, type LockState, type Mode } from "../../src/lock/cas/record.ts";
import type { Grant } from "../../src/store/contract.ts";
import { resourceKey } from "../../src/store/contract.ts";
import type { Computer, World } from "./world.ts";

interface Belief {
  readonly on: Computer;
  readonly grant: Grant;
  /** By its own clock, when it can't believe any more unless it renewed. */
  readonly deadline: () => number;
}

/** What became of the commits of those who were paused for longer than their lock lasts. */
export interface Pauses {
  readonly all: number;
  /** So many found their lock with others, or free, when they woke, and had not committed before. */
  readonly takenOver: number;
  /** Of all of them: commits that were refused, and that were done (before the pause, or since nobody had wanted the lock). The others never learned. */
  readonly refused: number;
  readonly committed: number;
}

const freshState: LockState = { token: 0, holders: [], queue: [] };

export class Oracle {
  readonly #world: World;
  readonly #beliefs = new Set<Belief>();
  readonly #committed = new Set<string>();
  readonly #refused = new Set<string>();
  /** When claims were made and structural commands announced, by nonce. */
  readonly #claimedAt = new Map<string, number>();
  /** Entries whose owner left, as `record/nonce`. */
  readonly #left = new Set<string>();
  readonly #announcedAt = new Map<string, number>();
  /** Heads of those who were paused in front of their commit. */
  readonly #told = new Set<string>();
  readonly #paused = new Set<string>();
  readonly #takenOver = new Set<string>();
  grants = 0;
  commits = 0;
  #refusedAfterPause = 0;
  #committedAfterPause = 0;

  constructor(world: World) {
    this.#world = world;
    world.onWrite = (by, key, before, after) => {
      if (after === undefined && key.startsWith(`claims/`) && key.includes(`/${by}-`))
        this.#left.add(key.replace("claims/", "locks/"));
      if (before === undefined && key.startsWith("claims/") && !after?.includes('"ended":true'))
        this.#claimedAt.set(key.slice(key.lastIndexOf("/") + 1), world.time);
      if (key.startsWith("locks/")) this.#recordChanged({ by, key }, parsed(before), parsed(after));
    };
  }

  /** A process has it, and works until the returned is called. */
  entered(belief: Belief): () => void {
    const { on, grant } = belief;
    const what = `${resourceKey(grant.resource)} ${grant.mode}`;
    this.#world.say(`${on.name} has ${what} (${grant.nonce}, token ${grant.token})`);
    this.grants++;
    for (const other of this.#beliefs)
      if (other.on !== on && this.#believes(other) && excludes(other.grant, grant))
        this.#world.fail(`${on.name} has ${what} beside ${other.on.name} with ${other.grant.nonce}`);
    this.#checkPatience(grant);
    this.#beliefs.add(belief);
    return () => {
      if (this.#beliefs.delete(belief)) this.#world.say(`${on.name} is done with ${what}`);
    };
  }

  /** Who came after a structural command was announced waits for it, unless it held something before. */
  #checkPatience({ resource, nonce }: Grant): void {
    if (resource.kind === "datastore") return;
    const record = parsed(this.#world.bucket.objects.get(`locks/${encodeURIComponent(resourceKey(resource))}`)?.body);
    if (record?.holders.some((one) => one.nonce === nonce && one.inherits)) return;
    const gate = parsed(this.#world.bucket.objects.get("locks/datastore")?.body) ?? freshState;
    const claimedAt = this.#claimedAt.get(nonce) ?? 0;
    const passed = [...gate.holders, ...gate.queue].find(
      (one) =>
        one.mode !== "intention" &&
        (this.#announcedAt.get(one.nonce) ?? Infinity) < claimedAt &&
        this.#isLive("locks/datastore", one),
    );
    if (passed !== undefined) this.#world.fail(`${nonce} overtook the structural ${passed.nonce}`);
  }

  get pauses(): Pauses {
    return {
      all: this.#paused.size,
      takenOver: this.#takenOver.size,
      refused: this.#refusedAfterPause,
      committed: this.#committedAfterPause,
    };
  }

  wasTold(head: string): boolean {
    return this.#told.has(head);
  }

  /** Whoever has `grant` is paused, and wants to commit `head`: if others have its lock when it wakes, that must never be there. */
  paused({ grant, head, untilMs }: { readonly grant: Grant; readonly head: string; readonly untilMs: number }): void {
    const key = `locks/${encodeURIComponent(resourceKey(grant.resource))}`;
    this.#paused.add(head);
    this.#world.at(untilMs, () => {
      const record = parsed(this.#world.bucket.objects.get(key)?.body) ?? freshState;
      if (this.#committed.has(head) || record.holders.some((one) => one.nonce === grant.nonce)) return;
      this.#takenOver.add(head);
    });
  }

  told(head: string, isCommitted: boolean): void {
    this.#told.add(head);
    if (isCommitted) this.commits++;
    else this.#refused.add(head);
    if (this.#paused.has(head)) {
      if (isCommitted) this.#committedAfterPause++;
      else this.#refusedAfterPause++;
    }
    if (this.#committed.has(head) === isCommitted) return;
    this.#world.fail(
      `${head} was reported as ${isCommitted ? "committed, but the store never" : "lost, but the store"} took it`,
    );
  }

  /** One that is paused or dead believes until its own clock says that it is over; what it does after that is up to the fence. */
  #believes({ on, deadline }: Belief): boolean {
    return on.crashed || on.paused ? on.machine.clock.monotonic() < deadline() : true;
  }

  #recordChanged(
    { by, key }: { readonly by: string; readonly key: string },
    before: LockState | undefined,
    after: LockState | undefined,
  ): void {
    if (after === undefined) return this.#world.fail(`${key} was removed`);
    const old = before ?? freshState;
    if (after.token < old.token) this.#world.fail(`the token of ${key} went back`);
    if (after.head !== old.head && after.head !== undefined) {
      this.#committed.add(after.head);
      if (this.#takenOver.has(after.head)) this.#world.fail(`${after.head} was committed after others had the lock`);
      if (this.#refused.has(after.head)) this.#world.fail(`${after.head} was reported as lost, and came late`);
      const [nonce] = after.head.split("#");
      if (!old.holders.some((one) => one.nonce === nonce && one.mode === "exclusive"))
        this.#world.fail(`${after.head} was committed by one who doesn't hold ${key}`);
      for (const other of this.#beliefs)
        if (other.grant.resource.kind === "datastore" && this.#believes(other))
          this.#world.fail(`${after.head} was committed beside the structural ${other.grant.nonce}`);
    }
    if (key === "locks/datastore")
      for (const one of [...after.holders, ...after.queue])
        if (one.mode !== "intention" && !this.#announcedAt.has(one.nonce))
          this.#announcedAt.set(one.nonce, this.#world.time);
    const disorder = brokenOrder(old, after);
    if (disorder !== undefined) this.#world.fail(`${disorder} at ${key}`);
    for (const entry of after.holders)
      if (!old.holders.some((one) => one.nonce === entry.nonce)) {
        this.#granted(key, { old, after, entry });
        if (entry.mode === "exclusive" && after.token <= old.token)
          this.#world.fail(`an exclusive grant of ${key} did not raise the token`);
      }
    for (const one of [...old.holders, ...old.queue])
      if (![...after.holders, ...after.queue].some(({ nonce }) => nonce === one.nonce))
        if (!one.nonce.startsWith(`${by}-`) && this.#isLive(key, one))
          this.#world.fail(`${by} took ${one.nonce} out of ${key}, whose claim stands`);
    for (const { nonce } of [...after.holders, ...after.queue])
      if (this.#left.has(`${key}/${nonce}`) && ![...old.holders, ...old.queue].some((one) => one.nonce === nonce))
        this.#world.fail(`${nonce} came back to ${key} after it had left`);
  }

  #granted(key: string, { old, after, entry }: { old: LockState; after: LockState; entry: Entry }): void {
    const mine = old.queue.findIndex((one) => one.nonce === entry.nonce);
    const passed = old.queue
      .slice(0, mine < 0 ? undefined : mine)
      .filter((one) => after.queue.some((still) => still.nonce === one.nonce))
      .find((one) => clash(one, entry) && !(one.yields && entry.inherits) && this.#isLive(key, one));
    if (passed !== undefined) this.#world.fail(`${entry.nonce} overtook ${passed.nonce} at ${key}`);
  }

  /** Its claim stands. */
  #isLive(key: string, { nonce }: Entry): boolean {
    const claim = this.#world.bucket.objects.get(`${key.replace("locks/", "claims/")}/${nonce}`);
    return claim !== undefined && !claim.body.includes('"ended":true');
  }
}

/** Who waits keeps its place: newcomers come last, who stands back comes first. */
export function brokenOrder(old: LockState, after: LockState): string | undefined {
  const place = (entries: readonly Entry[], nonce: string): number => entries.findIndex((one) => one.nonce === nonce);
  for (const [at, one] of after.queue.entries())
    for (const later of after.queue.slice(at + 1)) {
      const [a, b] = [place(old.queue, one.nonce), place(old.queue, later.nonce)];
      if (b >= 0 && (a > b || (a < 0 && place(old.holders, one.nonce) < 0)))
        return `${one.nonce} got before ${later.nonce}`;
      if (a >= 0 && b < 0 && place(old.holders, later.nonce) >= 0)
        return `${later.nonce} stood back behind ${one.nonce}`;
    }
  return undefined;
}

const clash = (a: { readonly mode: Mode }, b: { readonly mode: Mode }): boolean => conflict(a.mode, b.mode);

function excludes(a: Grant, b: Grant): boolean {
  if ((a.resource.kind === "datastore") !== (b.resource.kind === "datastore")) return true;
  return resourceKey(a.resource) === resourceKey(b.resource) && conflict(a.mode, b.mode);
}

function parsed(body: string | undefined): LockState | undefined {
  return body === undefined ? undefined : (JSON.parse(body) as LockState); // only the protocol writes here
}
