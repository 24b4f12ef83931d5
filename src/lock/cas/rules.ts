/**
 * What the protocol decides, apart from the order of its steps (turn.ts): times, conditions, and how records change. `soundRules` are the rules;
 * there is a type for them so that tests can plant a wrong one and see that it is found.
 */
import type { PutCondition } from "../../store/conditional.ts";
import type { Ask, ClaimName } from "./ask.ts";
import {
  blockers,
  conflict,
  drainFor,
  enqueue,
  enter,
  type Entry,
  type LockState,
  standBack,
  structuralIn,
  withdraw,
} from "./record.ts";

/** All in milliseconds, all counted on one process's own monotonic clock. */
export interface Timing {
  readonly ttlMs: number;
  readonly holderBeatMs: number;
  readonly waiterBeatMs: number;
  /** After its last renewal began, a holder that couldn't renew again is lost by its own word. */
  readonly giveUpMs: number;
  /** A claim that didn't change for so long is dead. The distance from `giveUpMs` must cover the drift of two clocks. */
  readonly quietMs: number;
  /** How often the next in line, and one further back, looks at least. */
  readonly nextLookMs: number;
  readonly farLookMs: number;
  /** The first look after a change, times the place. */
  readonly quickLookMs: number;
}

export function timing(ttlMs = 10_000): Timing {
  return {
    ttlMs,
    holderBeatMs: ttlMs * 0.25,
    waiterBeatMs: ttlMs * 0.5,
    giveUpMs: ttlMs * 0.6,
    quietMs: ttlMs * 0.75,
    nextLookMs: ttlMs * 0.3,
    farLookMs: ttlMs * 0.75,
    quickLookMs: Math.min(50, ttlMs * 0.005),
  };
}

/** What one process saw of a claim: this etag (undefined = no such object), first at this time of its own. */
export interface Sighting {
  readonly etag: string | undefined;
  readonly since: number;
}

export interface Rules {
  readonly blockers: (state: LockState, me: Entry) => readonly Entry[];
  readonly enter: (state: LockState, me: Entry) => LockState;
  readonly enqueue: (state: LockState, me: Entry) => LockState;
  readonly withdraw: (state: LockState, nonce: string) => LockState;
  readonly standBack: (state: LockState, me: Entry) => LockState;
  readonly structuralIn: (gate: LockState) => boolean;
  readonly drainFor: (state: LockState, firstSeen: ReadonlySet<string> | undefined) => readonly Entry[];
  readonly commit: (state: LockState, nonce: string, head: string) => LockState | undefined;
  /** On which condition a record may be replaced that was read with this etag (undefined = there was none). */
  readonly changeIf: (etag: string | undefined) => PutCondition;
  /** How the claim of one who is dead is ended; undefined: it isn't. */
  readonly end: (claim: ClaimName, seen: Sighting) => Ask | undefined;
  readonly isDead: (seen: Sighting, now: number, times: Timing) => boolean;
  readonly hasGivenUp: (renewedAt: number, now: number, times: Timing) => boolean;
  /** What a write whose answer was lost is taken for. */
  readonly lostAnswer: "read again" | "refused" | "done";
  /** What a read that failed is taken for. */
  readonly failedRead: "read again" | "absent";
  /** When a waiter looks next, as a time after `changedAt`. */
  readonly nextLook: (sinceChangeMs: number, place: number, times: Timing) => number;
  /** The clock that counts. */
  readonly now: (clock: { now(): number; monotonic(): number }) => number;
}

const onlyIf = (etag: string | undefined): PutCondition =>
  etag === undefined ? { ifAbsent: true } : { ifMatch: etag };

export const soundRules: Rules = {
  blockers: (state, me) => blockers(state, me, conflict),
  enter,
  enqueue,
  withdraw,
  standBack,
  structuralIn,
  drainFor,
  commit: (state, nonce, head) =>
    state.holders.some((one) => one.nonce === nonce && one.mode === "exclusive") ? { ...state, head } : undefined,
  changeIf: onlyIf,
  end: (claim, seen) => ({ do: "write-claim", claim, state: { beat: 0, ended: true }, if: onlyIf(seen.etag) }),
  isDead: (seen, now, times) => now - seen.since >= times.quietMs,
  hasGivenUp: (renewedAt, now, times) => now - renewedAt >= times.giveUpMs,
  lostAnswer: "read again",
  failedRead: "read again",
  nextLook: (sinceChangeMs, place, times) =>
    Math.min(Math.max(times.quickLookMs * place, sinceChangeMs / 4), place <= 1 ? times.nextLookMs : times.farLookMs),
  now: (clock) => clock.monotonic(),
};
