/**
 * The record of one resource: who holds it, who waits, the token, and what was committed last. Values only; a change of a record is a new record,
 * which the store takes in exchange for exactly the old one (decision 0004).
 */
import type { LockMode } from "../../store/contract.ts";

/** `intention` exists on the datastore only: a model command that stood back for a structural one. */
export type Mode = LockMode | "intention";

/** Who it is, for people. Decides nothing. */
export interface Who {
  readonly holder: string;
  readonly hostname: string;
  readonly pid: number;
  readonly command: string;
  readonly since: string;
  readonly owner?: string;
  readonly within?: readonly string[];
}

export interface Entry {
  readonly nonce: string;
  readonly mode: Mode;
  readonly who: Who;
  /** Given with the grant. */
  readonly token?: number;
  /** Its owner holds another lock already, under which this one is taken. */
  readonly inherits?: true;
  /** It stands back for a structural command. */
  readonly yields?: true;
}

export interface LockState {
  /** Raised by every exclusive grant, never lowered. */
  readonly token: number;
  readonly holders: readonly Entry[];
  /** In order of arrival. */
  readonly queue: readonly Entry[];
  /** What was committed last; means nothing to locks. */
  readonly head?: string;
}

export const freshState: LockState = { token: 0, holders: [], queue: [] };

export const has = (entries: readonly Entry[], nonce: string): boolean => entries.some((one) => one.nonce === nonce);

const without = (entries: readonly Entry[], nonce: string): readonly Entry[] =>
  has(entries, nonce) ? entries.filter((one) => one.nonce !== nonce) : entries;

export function conflict(a: Mode, b: Mode): boolean {
  return a !== b || a === "exclusive";
}

/** Those who must go before `me`: conflicting holders, and conflicting waiters that came earlier. */
export function blockers(
  state: LockState,
  me: Entry,
  conflicts: (a: Mode, b: Mode) => boolean = conflict,
): readonly Entry[] {
  const mine = state.queue.findIndex((one) => one.nonce === me.nonce);
  const ahead = mine < 0 ? state.queue : state.queue.slice(0, mine);
  return [
    ...state.holders.filter((one) => one.nonce !== me.nonce && conflicts(one.mode, me.mode)),
    // One that stands back for a structural command waits for us, where we hold something already.
    ...ahead.filter((one) => conflicts(one.mode, me.mode) && !(one.yields && me.inherits)),
  ];
}

/** `me` among the holders. */
export function enter(state: LockState, me: Entry): LockState {
  const token = me.mode === "exclusive" ? state.token + 1 : state.token;
  return { ...state, token, queue: without(state.queue, me.nonce), holders: [...state.holders, { ...me, token }] };
}

/** `me` at the end of the queue. */
export function enqueue(state: LockState, me: Entry): LockState {
  return { ...state, queue: [...state.queue, me] };
}

/** Without the entry of this nonce, and with its successors among the holders; the same state where it has none. */
export function withdraw(state: LockState, nonce: string): LockState {
  const left = remove(state, nonce);
  return left === state ? state : nameSuccessors(left);
}

export function remove(state: LockState, nonce: string): LockState {
  if (!has(state.holders, nonce) && !has(state.queue, nonce)) return state;
  return { ...state, holders: without(state.holders, nonce), queue: without(state.queue, nonce) };
}

/** Whoever has nobody in the way any more holds: it needs only to see that. Not one that stands back: it isn't ready. */
export function nameSuccessors(state: LockState): LockState {
  const next = state.queue.find((one) => one.yields !== true && blockers(state, one).length === 0);
  return next === undefined ? state : nameSuccessors(enter(state, next));
}

/** `me` from the holders back to the head of the queue. */
export function standBack(state: LockState, me: Entry): LockState {
  return { ...state, holders: without(state.holders, me.nonce), queue: [{ ...me, yields: true }, ...state.queue] };
}

/** A structural command holds the datastore or waits for it: newcomers queue behind it. */
export function structuralIn(gate: LockState): boolean {
  return [...gate.holders, ...gate.queue].some((one) => one.mode !== "intention");
}

/** Which of a model's entries a structural command must wait for: whoever held when it was announced, and whoever needn't stand back. */
export function drainFor(state: LockState, firstSeen: ReadonlySet<string> | undefined): readonly Entry[] {
  const held = state.holders.filter((one) => firstSeen === undefined || firstSeen.has(one.nonce) || one.inherits);
  return [...held, ...state.queue.filter((one) => one.inherits)];
}
