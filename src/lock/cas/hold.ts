/**
 * One acquisition, run against a store: asks what the protocol asks, one request at a time, and renews its claims beside that until it has ended.
 *
 * It is *lost* when somebody ended a claim of its, or when it holds and `giveUpMs` passed since a renewal that worked began: its own clock decides, whatever
 * the store says or doesn't.
 */
import { asError, FenError } from "../../kernel/errors.ts";
import type { Machine } from "../../kernel/machine.ts";
import * as acquisition from "./acquisition.ts";
import { type Answer, type Ask, isRead } from "./ask.ts";
import type { LockObjects } from "./objects.ts";
import { type Entry, has } from "./record.ts";
import type { Rules, Timing } from "./rules.ts";
import type { Turn } from "./turn.ts";

export interface Means {
  readonly objects: LockObjects;
  readonly machine: Machine;
  readonly rules: Rules;
  readonly times: Timing;
  /** What this client holds, by nonce: what later requests of the same lease are taken under. */
  readonly holds: Map<string, Hold>;
  /** Told why a claim is still there whose lock was given back. */
  readonly onLeftover?: ((why: Error) => void) | undefined;
}

/** A claim of ours, as it was last renewed. */
interface Beat {
  readonly count: number;
  /** Undefined until we know that it was made. */
  readonly etag: string | undefined;
  /** When the last renewal that worked, or the first attempt to make it, *began*, on our own clock. */
  readonly renewedAt: number;
}

/** How often a request without an answer is made again before that is an error, and the first pause between. */
const tries = 6;
const firstPauseMs = 50;

export class Hold {
  readonly #means: Means;
  readonly #beats = new Map<string, Beat>();
  readonly #timer: Disposable;
  #all: acquisition.Acquisition;
  #lost = false;
  #renewing: Promise<void> | undefined;
  #busy: Promise<unknown> = Promise.resolve();
  /** A look at the record, made beside a write: beside that of the claim, or of a swap that others may have spoilt. */
  #early: { readonly key: string; readonly answer: Promise<Answer> } | undefined;
  #closed = false;
  /** How long the last write took. */
  #tripMs = 0;
  /** As last seen, and since when. */
  #token = 0;
  #raisedAt = -Infinity;

  constructor(key: string, me: Entry, means: Means) {
    this.#means = means;
    this.#all = acquisition.acquire(key, me, means);
    this.#lookAhead(key);
    this.#timer = means.machine.clock.every(means.times.holderBeatMs, () => this.#renewIfDue());
  }

  get turn(): Turn {
    return this.#all.main;
  }

  /** The turn that waits: ours, or the one that stands in for us at the datastore. */
  get waiting(): Turn {
    return acquisition.active(this.#all);
  }

  /** What is true now, by our own word. */
  get standing(): "waiting" | "held" | "lost" | "gone" {
    const is = acquisition.standing(this.#all);
    if (is === "gone") return "gone";
    if (this.#isLost()) return "lost";
    return is === "held" || this.turn.goal.want === "commit" ? "held" : "waiting";
  }

  /** Asks on until there is nothing to ask for now. Throws when the store doesn't answer; then `close` it. */
  advance(look?: "record" | "claims"): Promise<void> {
    return this.#oneAtATime(async () => {
      // After a pause the renewal goes out first: it is in time where the look finds the lock free.
      this.#renewIfDue();
      if (look !== undefined) this.#all = acquisition.wakeUp(this.#all, look, this.#now());
      await this.#run(() => this.#isLost());
      // One that waited and was named may hold only when it has renewed.
      if (acquisition.standing(this.#all) === "held" && this.#now() >= this.deadline)
        await this.#renewWithin(this.#means.times.holderBeatMs);
    });
  }

  /**
   * Swaps `head`; false where the lock was lost before. `last`: and gives back in the same write; what is left to do then is for `close`. Throws where
   * nobody knows.
   */
  commit(head: string, last: boolean): Promise<boolean> {
    return this.#oneAtATime(async () => {
      if (this.standing !== "held") return false;
      this.#all = acquisition.commitHead(this.#all, head, last);
      await this.#run(() => acquisition.asked(this.#all)?.do === "remove-claim");
      const { goal } = this.turn;
      if (goal.want === "commit" && goal.unsure) throw noAnswer();
      return goal.want !== "commit";
    });
  }

  /** Gives back, or up, whatever was reached. */
  close(): Promise<void> {
    return this.#oneAtATime(async () => {
      if (acquisition.standing(this.#all) === "gone") return;
      this.#closed = true;
      this.#timer[Symbol.dispose]();
      await this.#renewing?.catch(() => undefined); // the claims are removed next, renewed or not
      this.#all = acquisition.giveBack(this.#all);
      await this.#leave();
    });
  }

  /** A claim that can't be removed is in nobody's way: no record names it any more. What was done under the lock is done. */
  #leave(): Promise<void> {
    return this.#run(() => false).catch((error: unknown) => {
      if (acquisition.asked(this.#all)?.do !== "remove-claim") throw error;
      this.#means.onLeftover?.(asError(error));
      this.#all = acquisition.answered(this.#all, { is: "done" }, this.#now());
      return this.#leave();
    });
  }

  /** A renewal that works is the proof. Without an answer it is given until the time is up at which we are lost by our own word. */
  async check(recentMs: number): Promise<"held" | "lost"> {
    if (this.standing === "held" && this.#now() - this.#renewedAt >= recentMs) await this.#renewWithin();
    return this.standing === "held" ? "held" : "lost";
  }

  /** Renews the claims now; resolves when they are, or are lost, or no answer came in time. */
  async #renewWithin(ms = Math.max(0, this.deadline - this.#now())): Promise<void> {
    const told = new AbortController();
    await Promise.race([this.#renew(), this.#means.machine.clock.sleep(ms, told.signal).catch(() => undefined)]);
    told.abort(); // only ends the sleep
  }

  /** When we give up, unless renewed before; on our own clock. */
  get deadline(): number {
    return this.#renewedAt + this.#means.times.giveUpMs;
  }

  // -------------------------------------------------------------- requests

  async #oneAtATime<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#busy.then(task, task);
    this.#busy = run.catch(() => undefined); // the next one starts either way; whoever asked hears of it
    return run;
  }

  async #run(stop: () => boolean): Promise<void> {
    let unanswered = 0;
    for (let ask = acquisition.asked(this.#all); ask !== undefined && !stop(); ask = acquisition.asked(this.#all)) {
      await this.#giveWay(ask);
      const askedAt = this.#now();
      const answer = await this.#tell(ask);
      if (!isRead(ask)) this.#tripMs = this.#now() - askedAt;
      unanswered = answer.is === "unknown" ? unanswered + 1 : 0;
      this.#all = acquisition.answered(this.#all, answer, this.#now());
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
      if (!this.#beats.has(ask.claim.key))
        this.#beats.set(ask.claim.key, { count: 0, etag: undefined, renewedAt: this.#now() });
    } else this.#early = undefined;
    const answer = ask.do === "read-record" && early?.key === ask.key ? early.answer : objects.tell(ask);
    const { goal, seen } = this.waiting;
    const leaves = goal.want === "leave" || (goal.want === "commit" && goal.last);
    if (leaves && ask.do === "write-record" && seen.state.queue.length > 0) this.#lookAhead(ask.key);
    return answer;
  }

  #lookAhead(key: string): void {
    this.#early = { key, answer: this.#means.objects.tell({ do: "read-record", key }) };
    this.#early.answer.catch(() => undefined); // whoever takes the answer hears of it
  }

  /** Who joins a queue behind three waits between look and swap; who leaves doesn't, and so gets through. Just after a hand-over nobody leaves. */
  async #giveWay(ask: Ask): Promise<void> {
    const { me, seen, rules } = this.waiting;
    const { token } = seen.state;
    if (token !== this.#token) [this.#token, this.#raisedAt] = [token, this.#token === 0 ? -Infinity : this.#now()];
    if (ask.do !== "write-record" || ask.state.queue.slice(3).at(-1)?.nonce !== me.nonce) return;
    await this.#means.machine.clock.sleep(rules.giveWay(this.#tripMs, this.#now() - this.#raisedAt));
  }

  async #pause(unanswered: number): Promise<void> {
    const { clock, random } = this.#means.machine;
    const chance = (random.bytes(1)[0] ?? 0) / 255;
    await clock.sleep(firstPauseMs * 2 ** (unanswered - 1) * (0.5 + chance));
  }

  // -------------------------------------------------------------- renewals

  #noteClaims(): void {
    for (const { key, claimEtag } of this.#turns()) {
      const beat = this.#beats.get(key);
      if (beat !== undefined && beat.etag === undefined) this.#beats.set(key, { ...beat, etag: claimEtag });
    }
  }

  /** Of the claim that was renewed the longest ago. */
  get #renewedAt(): number {
    return Math.min(...[...this.#beats.values()].map((beat) => beat.renewedAt));
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
    if (this.#now() - this.#renewedAt < (isHolder ? holderBeatMs : waiterBeatMs) * 0.9) return;
    void this.#renew().catch(() => undefined); // told by `check` and by the next request
  }

  async #renewAll(): Promise<void> {
    await Promise.all(this.#turns().map((turn) => this.#renewOne(turn)));
  }

  /** Lost where the claim isn't ours any more: ended, or gone. */
  async #renewOne({ key, me: { nonce } }: Turn): Promise<void> {
    const { etag, count: before = 0 } = this.#beats.get(key) ?? {};
    if (etag === undefined) return;
    const [claim, count] = [{ key, nonce }, before + 1];
    const read: Ask = { do: "read-claim", claim };
    const write: Ask = { do: "write-claim", claim, state: { beat: count }, if: { ifMatch: etag } };
    let ask: Ask = write;
    let [renewedAt, unanswered] = [this.#now(), 0];
    while (!this.#closed && !this.#lost) {
      const answer = await this.#means.objects.tell(ask);
      const isOurs = answer.is === "claim" && !answer.state.ended && answer.state.beat === count;
      if ((answer.is === "done" || isOurs) && answer.etag !== undefined)
        return void this.#beats.set(key, { count, etag: answer.etag, renewedAt });
      const isOld = answer.is === "claim" && answer.etag === etag;
      if (ask === read && answer.is !== "unknown" && !isOld) this.#lost = true;
      ask = isOld ? write : read;
      if (isOld) renewedAt = this.#now();
      if (answer.is === "unknown") await this.#pause(Math.min(++unanswered, 4));
    }
  }

  /** Once lost, for ever lost. */
  #isLost(): boolean {
    const { rules, times } = this.#means;
    const is = acquisition.standing(this.#all);
    this.#lost ||= is === "lost";
    // Who only waits may be late: it has its place until somebody takes it away. It holds nothing unless renewed in time.
    if (is === "held" || this.turn.goal.want === "commit")
      this.#lost ||= rules.hasGivenUp(this.#renewedAt, this.#now(), times);
    return this.#lost;
  }

  #now(): number {
    return this.#means.rules.now(this.#means.machine.clock);
  }
}

function noAnswer(): FenError {
  return new FenError("store_unavailable", "The store gave no answer.", { next: "run the command again later." });
}
