/**
 * One claim on one resource, from its announcement to its end, as a value: `at` says what it asks of the store and what it does with the answer.
 * Nothing here waits, reads a clock or does I/O; the driver and the exhaustive search run the same steps.
 *
 *   announce the claim -> read the record -> enter it, or join its queue and wait
 *     a model's:     entered -> read the datastore's record -> held, or stand back (`yielded`) until covered by an intention
 *     a structural:  entered -> drain: wait for the models' holders -> held
 *   held -> commit ... -> leave -> gone.     `lost` = somebody ended the claim or took the entry out.
 *
 * Whoever leaves names its successors in the same write; a waiter that finds itself among the holders has entered.
 * Every change of the record is decided from the record as last seen (`decide`), which is safe to repeat: refused and unknown lead back to reading it.
 */
import type { Answer, Ask, ClaimName, ListedClaim } from "./ask.ts";
import { isRead } from "./ask.ts";
import { type Entry, freshState, has, type LockState } from "./record.ts";
import type { Rules, Sighting, Timing } from "./rules.ts";

export const datastoreKey = "datastore";

type Goal =
  | { readonly want: "hold" | "yield" | "leave" }
  /**
   * `head` is used once, so that a lost answer can be settled by it. `last`: and leave, in the same write. `unsure`: of one such write nobody knows
   * what became of it.
   */
  | { readonly want: "commit"; readonly head: string; readonly last: boolean; readonly unsure?: true };

type Reply =
  | "claimed"
  | "record"
  | "written"
  | "commit-settled"
  | "gate"
  | "looked"
  | "ended"
  | "swept"
  | "left"
  | "drain-list"
  | "drain-read"
  | "taken-out";

export type At =
  | { readonly is: "asking"; readonly ask: Ask; readonly reply: Reply; readonly victim?: ClaimName }
  | { readonly is: "waiting" | "draining" | "yielded" | "held" | "gone" | "lost" };

interface Drain {
  /** Who held a model when all records had been read once; undefined until then. */
  readonly firstSeen?: ReadonlySet<string>;
  /** Claims that need no second look: they will stand back. */
  readonly harmless: ReadonlySet<string>;
  readonly toRead: readonly string[];
  /** The pass before found nobody. One isn't enough: who was listed may have gone, and what it took meanwhile wasn't listed. */
  readonly clear?: boolean;
  readonly waitFor: readonly (ClaimName & { readonly entry: Entry })[];
}

export interface Turn {
  readonly key: string;
  readonly me: Entry;
  readonly rules: Rules;
  readonly times: Timing;
  /** Needs no look at the datastore's record: an intention or an earlier lock keeps structural commands out. */
  readonly covered: boolean;
  readonly goal: Goal;
  readonly at: At;
  readonly claimEtag?: string;
  /** The record as last seen; no etag = there was none. */
  readonly seen: { readonly state: LockState; readonly etag: string | undefined };
  /** There is a record, but it can't be read. */
  readonly unreadable?: boolean;
  /** The etag that a write of ours with a lost answer waits for; it may still come. */
  readonly doubt?: { readonly etag: string | undefined };
  readonly sightings: ReadonlyMap<string, Sighting>;
  readonly drain: Drain;
}

const noDrain: Drain = { harmless: new Set(), toRead: [], waitFor: [] };

export function startTurn(
  key: string,
  me: Entry,
  { rules, times }: { readonly rules: Rules; readonly times: Timing },
): Turn {
  const turn: Turn = {
    key,
    me,
    rules,
    times,
    covered: me.inherits === true,
    goal: { want: "hold" },
    at: { is: "lost" },
    seen: { state: freshState, etag: undefined },
    sightings: new Map(),
    drain: noDrain,
  };
  return announce(turn);
}

/** Looks again: at the record (who is in the way?), or at the claims (is everybody in the way alive?). */
export function wake(turn: Turn, look: "record" | "claims", now: number): Turn {
  if (turn.at.is === "draining") return listAll(turn);
  if (turn.at.is !== "waiting") return turn;
  if (look === "record") return readRecord(turn);
  // Whoever was quiet for long enough is ended without another look: that is done only if its claim still didn't change.
  return firstDead(turn, blocking(turn), now) ?? ask(turn, { do: "list-claims", key: turn.key }, "looked");
}

/** An intention on the datastore is held: the model may be entered. */
export function cover(turn: Turn): Turn {
  return turn.at.is === "yielded" ? readRecord({ ...turn, covered: true, goal: { want: "hold" } }) : turn;
}

/** Swaps `head`. Only from `held`; ends there or, if it is the `last`, with the claim to be removed; or `lost`. */
export function commit(turn: Turn, head: string, last = false): Turn {
  return turn.at.is === "held" ? decide({ ...turn, goal: { want: "commit", head, last } }) : turn;
}

/** Takes our entry out and removes the claim, from wherever we are. */
export function leave(turn: Turn): Turn {
  if (turn.at.is === "gone" || (turn.at.is === "asking" && turn.goal.want === "leave")) return turn;
  const leaving: Turn = { ...turn, goal: { want: "leave" } };
  if (turn.at.is !== "asking" && turn.doubt === undefined && turn.at.is !== "lost") return decide(leaving);
  const writing = turn.at.is === "asking" && turn.at.ask.do === "write-record" && turn.at.ask.key === turn.key;
  return readRecord(writing ? { ...leaving, doubt: { etag: turn.seen.etag } } : leaving);
}

export function lose(turn: Turn): Turn {
  return { ...turn, at: { is: "lost" } };
}

/** Who is in the way, as far as was seen. */
export function inTheWay(turn: Turn): readonly Entry[] {
  if (turn.at.is === "draining") return turn.drain.waitFor.map((one) => one.entry);
  return turn.rules.blockers(turn.seen.state, turn.me);
}

/** 1 = next in line. */
export function placeOf({ seen, me }: Turn): number {
  return Math.max(1, seen.state.queue.findIndex((one) => one.nonce === me.nonce) + 1);
}

/** When the first of those in the way will have been quiet for too long, if it stays so; on our own clock. */
export function nextDeath(turn: Turn): number {
  return Math.min(...inTheWay(turn).map((one) => deathOf(turn, turn.sightings.get(one.nonce))));
}

function deathOf(turn: Turn, seen: Sighting | undefined): number {
  return seen === undefined ? Infinity : seen.since + turn.rules.quiet(seen, placeOf(turn), turn.times);
}

/** The next step after an answer to `turn.at.ask`. */
export function heard(turn: Turn, answer: Answer, now: number): Turn {
  if (turn.at.is !== "asking") return turn;
  const { at, rules } = turn;
  if (answer.is !== "unknown") return next(turn, at, answer, now);
  const taken = isRead(at.ask) ? rules.failedRead() : rules.lostAnswer();
  if (taken !== "read again") return next(turn, at, { is: taken }, now);
  return isRead(at.ask) ? turn : next(turn, at, answer, now); // a read that failed is asked again
}

type Asking = Extract<At, { is: "asking" }>;

function next(turn: Turn, at: Asking, answer: Answer, now: number): Turn {
  switch (at.reply) {
    case "claimed":
      if (answer.is === "absent") return announce(turn);
      if (answer.is === "claim" && answer.state.ended) return lose(turn);
      if (answer.is === "done" || answer.is === "claim")
        return readRecord({ ...turn, ...(answer.etag && { claimEtag: answer.etag }) });
      return ask(turn, { do: "read-claim", claim: nameOf(turn) }, "claimed");
    case "record":
      return answer.is === "unreadable" ? cannotRead(turn) : decide(recordSeen(turn, answer));
    case "written":
      return written(turn, at.ask, answer);
    case "commit-settled":
      // Only who ended the claim before takes an entry out. So it was our own write, whatever others have committed since.
      if (answer.is !== "claim" || answer.state.ended) return lose(turn);
      // But a claim that was never renewed, and isn't the one we had, arrived late, where others had removed ours.
      return answer.state.beat > 0 || answer.etag === (turn.claimEtag ?? answer.etag) ? committed(turn) : lose(turn);
    case "gate":
      return answer.is === "unreadable" || (answer.is === "record" && turn.rules.structuralIn(answer.state))
        ? decide({ ...turn, goal: { want: "yield" } })
        : { ...turn, at: { is: "held" } };
    case "looked":
      return looked(turn, answer, now);
    case "ended":
      return ended(turn, at, answer);
    case "swept":
      return at.victim?.key === turn.key ? decide(turn) : listAll(turn);
    case "left":
      return answer.is === "unknown" ? turn : { ...turn, at: { is: "gone" } };
    case "drain-list":
      return drainListed(turn, answer, now);
    case "drain-read":
      return drainRead(turn, at.ask, answer, now);
    case "taken-out":
      return takeOut(turn, at, answer);
  }
}

// ---------------------------------------------------------------- the record

function decide(turn: Turn): Turn {
  const { goal, me, rules, seen } = turn;
  const { state } = seen;
  const holding = has(state.holders, me.nonce);
  switch (goal.want) {
    case "hold":
      return decideHold(turn);
    case "yield":
      return holding ? write(turn, rules.standBack(state, me)) : { ...turn, at: { is: "yielded" } };
    case "commit": {
      if (state.head === goal.head) return committed(turn);
      const after = rules.commit(state, me.nonce, goal.head);
      if (after !== undefined) return write(turn, goal.last ? rules.withdraw(after, me.nonce) : after);
      return goal.unsure ? ask(turn, { do: "read-claim", claim: nameOf(turn) }, "commit-settled") : lose(turn);
    }
    case "leave": {
      const after = rules.withdraw(state, me.nonce);
      // A write that may still come must find another etag, or it would put us in after we left.
      if (after !== state || turn.doubt !== undefined) return write(turn, after);
      return removeClaim(turn);
    }
  }
}

function committed(turn: Turn): Turn {
  if (turn.goal.want === "commit" && turn.goal.last) return removeClaim({ ...turn, goal: { want: "leave" } });
  return { ...turn, goal: { want: "hold" }, at: { is: "held" } };
}

function decideHold(turn: Turn): Turn {
  const { me, rules } = turn;
  const { state } = turn.seen;
  if (has(state.holders, me.nonce)) return entered(turn);
  if (rules.blockers(state, me).length === 0) return write(turn, rules.enter(state, me));
  return has(state.queue, me.nonce) ? { ...turn, at: { is: "waiting" } } : write(turn, rules.enqueue(state, me));
}

function entered(turn: Turn): Turn {
  if (turn.key !== datastoreKey)
    return turn.covered ? { ...turn, at: { is: "held" } } : ask(turn, { do: "read-record", key: datastoreKey }, "gate");
  return turn.me.mode === "intention" ? { ...turn, at: { is: "held" } } : listAll(turn);
}

function write(turn: Turn, state: LockState): Turn {
  return ask(turn, { do: "write-record", key: turn.key, state, if: turn.rules.changeIf(turn.seen.etag) }, "written");
}

function written(turn: Turn, asked: Ask, answer: Answer): Turn {
  if (answer.is === "unknown") {
    const goal: Goal = turn.goal.want === "commit" ? { ...turn.goal, unsure: true } : turn.goal;
    return readRecord({ ...turn, goal, doubt: { etag: turn.seen.etag } });
  }
  if (answer.is !== "done" || asked.do !== "write-record") return readRecord(turn);
  return decide({ ...settled(turn), seen: { state: asked.state, etag: answer.etag } });
}

function recordSeen(turn: Turn, answer: Answer): Turn {
  const seen =
    answer.is === "record" ? { state: answer.state, etag: answer.etag } : { state: freshState, etag: undefined };
  const { unreadable: _unreadable, ...rest } = turn;
  return { ...(rest.doubt !== undefined && rest.doubt.etag !== seen.etag ? settled(rest) : rest), seen };
}

/** A record that says nothing is waited for, never replaced; what we had in it is gone. */
function cannotRead(turn: Turn): Turn {
  if (turn.goal.want === "leave") return removeClaim(turn);
  return turn.goal.want === "hold" ? { ...turn, unreadable: true, at: { is: "waiting" } } : lose(turn);
}

/** Nothing of ours is under way any more. */
function settled({ doubt: _doubt, ...turn }: Turn): Turn {
  return turn;
}

// ---------------------------------------------------------------- the dead

const blocking = (turn: Turn): ClaimName[] => inTheWay(turn).map(({ nonce }) => ({ key: turn.key, nonce }));

function looked(turn: Turn, answer: Answer, now: number): Turn {
  const [names, { queue }] = [blocking(turn), turn.seen.state];
  const claims = answer.is === "claims" ? answer.claims : [];
  const seen = names.map(({ nonce }) => ({ nonce, etag: etagIn(claims, nonce), waits: has(queue, nonce) }));
  const after = { ...turn, sightings: sight(turn, seen, now) };
  const left = seen.some(({ etag }) => etag === undefined);
  return firstDead(after, names, now) ?? (left ? readRecord(after) : { ...after, at: { is: "waiting" } });
}

function etagIn(claims: readonly ListedClaim[], nonce: string): string | undefined {
  return claims.find((claim) => claim.nonce === nonce)?.etag;
}

/** Counts from when it was first seen like this. Who became holder meanwhile, perhaps without knowing it, gets time to renew. */
function sight(
  { sightings }: Turn,
  seen: readonly (Omit<Sighting, "since"> & { readonly nonce: string })[],
  since: number,
): Map<string, Sighting> {
  const entries = seen.map(({ nonce, etag, waits }) => {
    const known = sightings.get(nonce);
    return [nonce, known?.etag === etag && known?.waits === waits ? known : { etag, waits, since }] as const;
  });
  return new Map(entries);
}

/** Ends the first of `names` that is dead. */
function firstDead(turn: Turn, names: readonly ClaimName[], now: number): Turn | undefined {
  for (const victim of names) {
    const sighting = turn.sightings.get(victim.nonce);
    if (sighting === undefined || now < deathOf(turn, sighting)) continue;
    const ending = turn.rules.end(victim, sighting);
    return ending === undefined ? readOf(turn, victim) : ask(turn, ending, "ended", victim);
  }
  return undefined;
}

function ended(turn: Turn, at: Asking, answer: Answer): Turn {
  const { victim } = at;
  if (victim === undefined) return turn;
  if (answer.is === "unknown") return ask(turn, { do: "read-claim", claim: victim }, "ended", victim);
  if (answer.is === "done" || (answer.is === "claim" && answer.state.ended)) return readOf(turn, victim);
  const sightings = new Map(turn.sightings);
  sightings.delete(victim.nonce);
  // It lives, or somebody else ended it and perhaps named us.
  const seen = { ...turn, sightings };
  return victim.key === turn.key ? readRecord(seen) : { ...seen, at: { is: "draining" } };
}

function readOf(turn: Turn, victim: ClaimName): Turn {
  return ask(turn, { do: "read-record", key: victim.key }, "taken-out", victim);
}

/** Takes the entry of a dead one out of the record that it is in, ours or a model's that a structural command waits for; then its claim goes. */
function takeOut(turn: Turn, { ask: asked, victim }: Asking, answer: Answer): Turn {
  if (victim === undefined) return turn;
  const isWrite = asked.do === "write-record";
  if (isWrite && answer.is !== "done") return readOf(turn, victim);
  const found: Answer =
    isWrite && answer.is === "done" ? { is: "record", state: asked.state, etag: answer.etag ?? "" } : answer;
  const state = found.is === "record" ? turn.rules.withdraw(found.state, victim.nonce) : undefined;
  if (found.is === "record" && state !== undefined && state !== found.state) {
    const swap: Ask = { do: "write-record", key: victim.key, state, if: turn.rules.changeIf(found.etag) };
    return ask(turn, swap, "taken-out", victim);
  }
  const seen = victim.key === turn.key && found.is !== "unreadable" ? recordSeen(turn, found) : turn;
  return ask(seen, { do: "remove-claim", claim: victim }, "swept", victim);
}

// ---------------------------------------------------------------- the drain

function drainListed(turn: Turn, answer: Answer, now: number): Turn {
  const claims = answer.is === "claims" ? answer.claims.filter((one) => one.key !== datastoreKey) : [];
  const { drain, sightings: old } = turn;
  const unsettled = claims.filter((one) => !drain.harmless.has(one.nonce));
  const keys = new Set([...unsettled.map((one) => one.key), ...drain.waitFor.map((one) => one.key)]);
  const nonces = [...new Set([...claims.map((one) => one.nonce), ...old.keys()])];
  const known = nonces.map((nonce) => ({ nonce, etag: etagIn(claims, nonce), waits: old.get(nonce)?.waits ?? false }));
  const sightings = sight(turn, known, now);
  return drainNext({ ...turn, sightings, drain: { ...drain, toRead: [...keys], waitFor: [] } }, now);
}

function drainRead(turn: Turn, asked: Ask, answer: Answer, now: number): Turn {
  const { drain, sightings: old } = turn;
  const [key = "", ...toRead] = drain.toRead;
  if (asked.do !== "read-record" || answer.is === "absent")
    return drainNext({ ...turn, drain: { ...drain, toRead } }, now);
  if (answer.is !== "record") return { ...turn, at: { is: "draining" } };
  const { state } = answer;
  const found = turn.rules.drainFor(state, drain.firstSeen);
  const rest = [...state.holders, ...state.queue].filter((one) => !found.includes(one));
  const harmless = new Set([...drain.harmless, ...rest.map((one) => one.nonce)]);
  const waitFor = [...drain.waitFor, ...found.map((entry) => ({ key, nonce: entry.nonce, entry }))];
  const roles = found.map(({ nonce }) => ({ nonce, etag: old.get(nonce)?.etag, waits: has(state.queue, nonce) }));
  const sightings = new Map([...old, ...sight(turn, roles, now)]);
  return drainNext({ ...turn, sightings, drain: { ...drain, toRead, harmless, waitFor } }, now);
}

function drainNext(turn: Turn, now: number): Turn {
  const { drain } = turn;
  const [key] = drain.toRead;
  if (key !== undefined) return ask(turn, { do: "read-record", key }, "drain-read");
  const firstSeen = drain.firstSeen ?? new Set(drain.waitFor.map((one) => one.nonce));
  const read = { ...turn, drain: { ...drain, firstSeen } };
  if (drain.waitFor.length === 0) {
    if (drain.clear || turn.sightings.size === 0) return { ...read, at: { is: "held" } };
    return listAll({ ...read, drain: { ...read.drain, clear: true } });
  }
  const found = { ...read, drain: { ...read.drain, clear: false } };
  return firstDead(found, drain.waitFor, now) ?? { ...found, at: { is: "draining" } };
}

// ---------------------------------------------------------------- asks

function ask(turn: Turn, what: Ask, reply: Reply, victim?: ClaimName): Turn {
  return { ...turn, at: { is: "asking", ask: what, reply, ...(victim && { victim }) } };
}

function announce(turn: Turn): Turn {
  return ask(turn, { do: "write-claim", claim: nameOf(turn), state: { beat: 0 }, if: { ifAbsent: true } }, "claimed");
}

function readRecord(turn: Turn): Turn {
  return ask(turn, { do: "read-record", key: turn.key }, "record");
}

function listAll(turn: Turn): Turn {
  return ask(turn, { do: "list-claims", key: undefined }, "drain-list");
}

function removeClaim(turn: Turn): Turn {
  return ask(turn, { do: "remove-claim", claim: nameOf(turn) }, "left");
}

function nameOf(turn: Turn): ClaimName {
  return { key: turn.key, nonce: turn.me.nonce };
}
