/**
 * One acquisition, run against a store: asks what the protocol asks, one request at a time, and renews its claims beside that until it has ended.
 *
 * It is *lost* when somebody ended a claim of its, or when it holds and `giveUpMs` passed since a renewal that worked began: its own clock decides, whatever
 * the store says or doesn't.
 */
import { FenError } from "../../kernel/errors.ts";
import type { Machine } from "../../kernel/machine.ts";
import {
  type Acquisition,
  acquire,
  active,
  answered,
  asked,
  commitHead,
  giveBack,
  standing,
  wakeUp,
} from "./acquisition.ts";
import type { Answer, Ask, ClaimName } from "./ask.ts";
import type { LockObjects } from "./objects.ts";
import { type Entry, has } from "./record.ts";
import type { Rules, Timing } from "./rules.ts";
import type { Turn } from "./turn.ts";

export interface Means {
  readonly objects: LockObjects;
  readonly machine: Machine;
  readonly rules: Rules;
  readonly times: Timing;
}

/** A claim of ours, as it was last renewed. */
interface Beat {
  readonly claim: ClaimName;
  readonly count: number;
  readonly etag: string;
  /** When the last renewal that worked *began*, on our own clock. */
  readonly renewedAt: number;
}

/** How often a request without an answer is made again before that is an error, and the first pause between. */
const tries = 6;
const firstPauseMs = 50;

export class Hold {
  readonly #means: Means;
  readonly #beats = new Map<string, Beat>();
  /** When the first attempt at each claim began: it may have been made then. */
  readonly #announcedAt = new Map<string, number>();
  readonly #timer: Disposable;
  #all: Acquisition;
  #lost = false;
  #renewing: Promise<void> | undefined;
  #busy: Promise<unknown> = Promise.resolve();
  /** The first look at the record, made while the claim is announced. */
  #early: { readonly key: string; readonly answer: Promise<Answer> } | undefined;
  #closed = false;

  constructor(key: string, me: Entry, means: Means) {
    this.#means = means;
    this.#all = acquire(key, me, means);
    this.#early = { key, answer: means.objects.tell({ do: "read-record", key }) };
    this.#early.answer.catch(() => undefined); // whoever takes the answer hears of it
    this.#timer = means.machine.clock.every(means.times.holderBeatMs, () => this.#renewIfDue());
  }

  get turn(): Turn {
    return this.#all.main;
  }

  /** The turn that waits: ours, or the one that stands in for us at the datastore. */
  get waiting(): Turn {
    return active(this.#all);
  }

  get #isCommitting(): boolean {
    return this.turn.goal.want === "commit";
  }

  /** What is true now, by our own word. */
  get standing(): "waiting" | "held" | "lost" | "gone" {
    const is = standing(this.#all);
    if (is === "gone") return "gone";
    if (this.#isLost()) return "lost";
    return is === "held" || this.#isCommitting ? "held" : "waiting";
  }

  /** Asks on until there is nothing to ask for now. Throws when the store doesn't answer; then `close` it. */
  advance(look?: "record" | "claims"): Promise<void> {
    return this.#oneAtATime(async () => {
      // After a pause the renewal goes out first: it is in time where the look finds the lock free.
      this.#renewIfDue();
      if (look !== undefined) this.#all = wakeUp(this.#all, look, this.#now());
      await this.#run(() => this.#isLost());
      // One that waited and was named may hold only when it has renewed.
      if (standing(this.#all) === "held" && this.#now() >= this.deadline)
        await this.renewWithin(this.#means.times.holderBeatMs);
    });
  }

  /**
   * Swaps `head`; false where the lock was lost before. `last`: and gives back in the same write; what is left to do then is for `close`. Throws where
   * nobody knows.
   */
  commit(head: string, last: boolean): Promise<boolean> {
    return this.#oneAtATime(async () => {
      if (this.standing !== "held") return false;
      this.#all = commitHead(this.#all, head, last);
      await this.#run(() => asked(this.#all)?.do === "remove-claim");
      const { goal } = this.turn;
      if (goal.want === "commit" && goal.unsure) throw noAnswer();
      return goal.want !== "commit";
    });
  }

  /** Gives back, or up, whatever was reached. */
  close(): Promise<void> {
    return this.#oneAtATime(async () => {
      if (standing(this.#all) === "gone") return;
      this.#closed = true;
      this.#timer[Symbol.dispose]();
      await this.#renewing?.catch(() => undefined); // the claims are removed next, renewed or not
      this.#all = giveBack(this.#all);
      await this.#run(() => false);
    });
  }

  /** Renews the claims now; resolves when they are, or are lost, or no answer came in time. */
  async renewWithin(ms: number): Promise<void> {
    const told = new AbortController();
    await Promise.race([this.#renew(), this.#means.machine.clock.sleep(ms, told.signal).catch(() => undefined)]);
    told.abort(); // only ends the sleep
  }

  /** When we give up, unless renewed before; on our own clock. */
  get deadline(): number {
    return Math.min(...[...this.#announcedAt.keys()].map((key) => this.#renewedAt(key))) + this.#means.times.giveUpMs;
  }

  // -------------------------------------------------------------- requests

  async #oneAtATime<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#busy.then(task, task);
    this.#busy = run.catch(() => undefined); // the next one starts either way; whoever asked hears of it
    return run;
  }

  async #run(stop: () => boolean): Promise<void> {
    let unanswered = 0;
    for (let ask = asked(this.#all); ask !== undefined && !stop(); ask = asked(this.#all)) {
      const answer = await this.#tell(ask);
      unanswered = answer.is === "unknown" ? unanswered + 1 : 0;
      this.#all = answered(this.#all, answer, this.#now());
      this.#noteClaims();
      this.#renewIfDue();
      if (answer.is !== "unknown") continue;
      if (unanswered >= tries) throw answer.error ?? noAnswer();
      await this.#pause(unanswered);
    }
  }

  async #tell(ask: Ask): Promise<Answer> {
    const { objects } = this.#means;
    const early = this.#early;
    if (ask.do === "write-claim" && ask.claim.nonce === this.turn.me.nonce && !ask.state.ended) {
      if (!this.#announcedAt.has(ask.claim.key)) this.#announcedAt.set(ask.claim.key, this.#now());
    } else this.#early = undefined;
    return ask.do === "read-record" && early?.key === ask.key ? early.answer : objects.tell(ask);
  }

  async #pause(unanswered: number): Promise<void> {
    const { clock, random } = this.#means.machine;
    const chance = (random.bytes(1)[0] ?? 0) / 255;
    await clock.sleep(firstPauseMs * 2 ** (unanswered - 1) * (0.5 + chance));
  }

  // -------------------------------------------------------------- renewals

  #noteClaims(): void {
    for (const turn of this.#turns()) {
      const startedAt = this.#announcedAt.get(turn.key);
      if (turn.claimEtag === undefined || startedAt === undefined || this.#beats.has(turn.key)) continue;
      this.#beats.set(turn.key, {
        claim: { key: turn.key, nonce: turn.me.nonce },
        count: 0,
        etag: turn.claimEtag,
        renewedAt: startedAt,
      });
    }
  }

  #turns(): Turn[] {
    return [this.#all.main, this.#all.gate].filter((turn) => turn !== undefined);
  }

  #renew(): Promise<void> {
    this.#renewing ??= this.#renewAll().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  /** A waiter more rarely than a holder; one that was named is a holder as soon as it sees that. */
  #renewIfDue(): void {
    if (this.#closed) return;
    const { holderBeatMs, waiterBeatMs } = this.#means.times;
    const isHolder = this.#turns().some(({ seen, me }) => has(seen.state.holders, me.nonce));
    const sinceMs = Math.max(0, ...[...this.#beats.keys()].map((key) => this.#now() - this.#renewedAt(key)));
    if (sinceMs < (isHolder ? holderBeatMs : waiterBeatMs) * 0.9) return;
    void this.#renew().catch(() => undefined); // told by `check` and by the next request
  }

  async #renewAll(): Promise<void> {
    await Promise.all([...this.#beats.keys()].map((key) => this.#renewOne(key)));
  }

  /** Lost where the claim isn't ours any more: ended, or gone. */
  async #renewOne(key: string): Promise<void> {
    const known = this.#beats.get(key);
    if (known === undefined) return;
    const { claim, etag } = known;
    const count = known.count + 1;
    const read: Ask = { do: "read-claim", claim };
    const write: Ask = { do: "write-claim", claim, state: { beat: count }, if: { ifMatch: etag } };
    let ask: Ask = write;
    let [renewedAt, unanswered] = [this.#now(), 0];
    while (!this.#closed && !this.#lost) {
      const answer = await this.#means.objects.tell(ask);
      const isOurs = answer.is === "claim" && !answer.state.ended && answer.state.beat === count;
      if ((answer.is === "done" || isOurs) && answer.etag !== undefined)
        return void this.#beats.set(key, { claim, count, etag: answer.etag, renewedAt });
      const isOld = answer.is === "claim" && answer.etag === etag;
      if (ask === read && answer.is !== "unknown" && !isOld) this.#lost = true;
      ask = isOld ? write : read;
      if (isOld) renewedAt = this.#now();
      if (answer.is === "unknown") await this.#pause(Math.min(++unanswered, 4));
    }
  }

  #renewedAt(key: string): number {
    return this.#beats.get(key)?.renewedAt ?? this.#announcedAt.get(key) ?? 0;
  }

  /** Once lost, for ever lost. */
  #isLost(): boolean {
    const { rules, times } = this.#means;
    const is = standing(this.#all);
    this.#lost ||= is === "lost";
    // Who only waits may be late: it has its place until somebody takes it away. It holds nothing unless renewed in time.
    if (is === "held" || this.#isCommitting)
      this.#lost ||= [...this.#announcedAt.keys()].some((key) =>
        rules.hasGivenUp(this.#renewedAt(key), this.#now(), times),
      );
    return this.#lost;
  }

  #now(): number {
    return this.#means.rules.now(this.#means.machine.clock);
  }
}

function noAnswer(): FenError {
  return new FenError("store_unavailable", "The store gave no answer.", { hint: "Run the command again later." });
}
