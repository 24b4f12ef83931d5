/**
 * What the protocol decides, apart from the order of its steps (turn.ts): times, conditions, and how records change. `soundRules` are the rules;
 * there is a type for them so that tests can plant a wrong one and see that it is found.
 */
import type { PutCondition } from "../../store/conditional.ts";
import type { Ask, ClaimName } from "./ask.ts";
import * as record from "./record.ts";
import type { Entry, LockState } from "./record.ts";

/** All in milliseconds, all counted on one process's own monotonic clock. */
export interface Timing {
  readonly ttlMs: number;
  readonly holderBeatMs: number;
  readonly waiterBeatMs: number;
  /** After its last renewal began, a holder that couldn't renew again is lost by its own word. */
  readonly giveUpMs: number;
  /** A holder's claim that didn't change for so long is dead. The distance from `giveUpMs` must cover the drift of two clocks. */
  readonly quietMs: number;
  /** The same of one that only waits: it renews more rarely. */
  readonly waiterQuietMs: number;
  /** How often a waiter looks at least. Whom others made holder must have renewed within `quietMs`, so this is less. */
  readonly lookMs: number;
  /** The first look after a change, times the place. */
  readonly quickLookMs: number;
}

export function timing(ttlMs = 10_000): Timing {
  return {
    ttlMs,
    holderBeatMs: ttlMs * 0.2,
    waiterBeatMs: ttlMs * 1.6,
    giveUpMs: ttlMs * 0.59,
    quietMs: ttlMs * 0.67,
    waiterQuietMs: ttlMs * 2.1,
    lookMs: ttlMs * 0.38,
    quickLookMs: Math.min(50, ttlMs * 0.005),
  };
}

/** What one process saw of a claim: this etag (undefined = no such object) of a holder or a waiter, first at this time of its own. */
export interface Sighting {
  readonly etag: string | undefined;
  readonly since: number;
  readonly waits: boolean;
}

const onlyIf = (etag: string | undefined): PutCondition =>
  etag === undefined ? { ifAbsent: true } : { ifMatch: etag };

export type Rules = Readonly<typeof soundRules>;

export const soundRules = {
  blockers: (state: LockState, me: Entry): readonly Entry[] => record.blockers(state, me),
  enter: record.enter,
  enqueue: record.enqueue,
  withdraw: record.withdraw,
  standBack: record.standBack,
  structuralIn: record.structuralIn,
  drainFor: record.drainFor,
  commit: (state: LockState, nonce: string, head: string): LockState | undefined =>
    state.holders.some((one) => one.nonce === nonce && one.mode === "exclusive") ? { ...state, head } : undefined,
  /** On which condition a record may be replaced that was read with this etag (undefined = there was none). */
  changeIf: onlyIf,
  /** How the claim of one who is dead is ended; undefined: it isn't. */
  end: (claim: ClaimName, seen: Sighting): Ask | undefined => ({
    do: "write-claim",
    claim,
    state: { beat: 0, ended: true },
    if: onlyIf(seen.etag),
  }),
  /**
   * How long a claim must have been as it was seen, for its owner to be dead: asked by one at this place in the queue. The next in line goes first:
   * where others were faster, it would learn of that only at its next look.
   */
  quiet: ({ waits }: Sighting, place: number, times: Timing): number =>
    (waits ? times.waiterQuietMs : times.quietMs) + (place > 1 ? times.ttlMs / 2 : 0),
  hasGivenUp: (renewedAt: number, now: number, times: Timing): boolean => now - renewedAt >= times.giveUpMs,
  /** What a write whose answer was lost, and a read that failed, are taken for. */
  lostAnswer: (): "read again" | "refused" | "done" => "read again",
  failedRead: (): "read again" | "absent" => "read again",
  /** When a waiter looks next: a tenth of the time since the last change later (further back a quarter); after long holds, more rarely. */
  nextLook: (sinceChangeMs: number, place: number, times: Timing): number => {
    const share = (sinceChangeMs / (place > 1 ? 4 : 10)) * Math.max(1, sinceChangeMs / times.holderBeatMs);
    return Math.min(Math.max(times.quickLookMs * place, share), times.lookMs);
  },
  /** How long one that joins a long queue leaves between its look and its swap to those on their way out; `sinceMs`: since a hand-over. */
  giveWay: (tripMs: number, sinceMs: number): number => (sinceMs < 3 * tripMs ? 0 : Math.min(tripMs, 250)),
  /** The clock that counts. */
  now: (clock: { now(): number; monotonic(): number }): number => clock.monotonic(),
};
