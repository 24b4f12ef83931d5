/** The classic holes, each as one wrong rule. What is planted here must be found by the search or by the simulation, or those are not believed. */
import {
  blockers,
  conflict,
  enter,
  type Entry,
  type LockState,
  nameSuccessors,
  remove,
  standBack,
} from "../../src/lock/cas/record.ts";
import { type Rules, soundRules } from "../../src/lock/cas/rules.ts";

export interface Mutation {
  readonly name: string;
  readonly rules: Rules;
}

const anyEtag = { ifMatch: "*" };
const plant = (name: string, wrong: Partial<Rules>): Mutation => ({ name, rules: { ...soundRules, ...wrong } });
const onlyHolders = (state: LockState, me: Entry): readonly Entry[] =>
  state.holders.filter((one) => one.nonce !== me.nonce && conflict(one.mode, me.mode));

/** A release that names `successors` of the record that is left, which was found as `after` a sound one. */
const naming = (successors: (left: LockState) => LockState): Partial<Rules> => ({
  withdraw: (state, nonce) => {
    const left = remove(state, nonce);
    return left === state ? state : successors(left);
  },
});
const enterAll = (state: LockState, some: readonly Entry[]): LockState => some.reduce(enter, state);
const isFree = (state: LockState, one: Entry): boolean => blockers(state, one).length === 0;

export const mutations: readonly Mutation[] = [
  plant("a takeover ends the claim whatever its etag", {
    end: (claim) => ({ do: "write-claim", claim, state: { beat: 0, ended: true }, if: anyEtag }),
  }),
  plant("a takeover deletes the claim", { end: (claim) => ({ do: "remove-claim", claim }) }),
  plant("a takeover doesn't end the claim", { end: () => undefined }),
  plant("a record is replaced whatever its etag", { changeIf: () => anyEtag }),
  plant("a release takes everybody out of the record", {
    withdraw: (state, nonce) =>
      state.holders.some((one) => one.nonce === nonce) ? { ...state, holders: [] } : soundRules.withdraw(state, nonce),
  }),
  plant("a release frees a successor's lock", {
    withdraw: (state, nonce) =>
      state.holders.length === 0 ? soundRules.withdraw(state, nonce) : { ...state, holders: [] },
  }),
  plant("a release resets the token", {
    withdraw: (state, nonce) => {
      const after = soundRules.withdraw(state, nonce);
      return after === state ? state : { ...after, token: 0 };
    },
  }),
  plant("a grant doesn't raise the token", {
    enter: (state, me) => ({ ...soundRules.enter(state, me), token: state.token }),
  }),
  plant(
    "a release names everybody who waits",
    naming((left) => enterAll(left, left.queue)),
  ),
  plant(
    "a release names the newest waiter",
    naming((left) => enterAll(left, left.holders.length > 0 ? [] : left.queue.slice(-1))),
  ),
  plant(
    "a release names one whom somebody before it blocks",
    naming((left) => enterAll(left, left.queue.filter((one) => isFree({ ...left, queue: [] }, one)).slice(-1))),
  ),
  plant(
    "a release names without raising the token",
    naming((left) => ({ ...nameSuccessors(left), token: left.token })),
  ),
  plant(
    "a release names one and leaves it in the queue",
    naming((left) => ({ ...nameSuccessors(left), queue: left.queue })),
  ),
  plant(
    "a release names one that stands back",
    naming((left) => {
      const next = left.queue.find((one) => isFree(left, one));
      return next === undefined ? left : enter(left, next);
    }),
  ),
  plant("a lost answer is taken for success", { lostAnswer: () => "done" }),
  plant("a failed read is taken for absence", { failedRead: () => "absent" }),
  plant("the wall clock decides who is dead", { now: (clock) => clock.now() }),
  plant("a holder never gives up", { hasGivenUp: () => false }),
  plant("others steal before the holder gives up", {
    quiet: (_seen, _place, times) => times.holderBeatMs * 1.1,
  }),
  plant("the dead are never found", { quiet: () => Infinity }),
  plant("a waiter looks once and then no more", { nextLook: () => Infinity }),
  plant("shared is admitted beside exclusive", {
    blockers: (state, me) => blockers(state, me, (a, b) => a === "exclusive" && b === "exclusive"),
  }),
  plant("an intention is admitted beside a structural command", {
    blockers: (state, me) => blockers(state, me).filter(() => me.mode !== "intention"),
  }),
  plant("a structural command ignores the holders of models", { drainFor: () => [] }),
  plant("a structural command ignores those who inherit", {
    drainFor: (state, firstSeen) =>
      state.holders.filter((one) => !one.inherits && (firstSeen === undefined || firstSeen.has(one.nonce))),
  }),
  plant("newcomers ignore a structural command", { structuralIn: () => false }),
  plant("newcomers see a structural holder, but not one that waits", {
    structuralIn: (gate) => gate.holders.some((one) => one.mode !== "intention"),
  }),
  plant("newcomers overtake the queue", { blockers: onlyHolders }),
  plant("who stands back goes to the end of the queue", {
    standBack: (state, me) => {
      const back = standBack(state, me);
      return { ...back, queue: [...back.queue.slice(1), ...back.queue.slice(0, 1)] };
    },
  }),
  plant("who stands back blocks those who hold something already", {
    standBack: (state, me) => {
      const back = standBack(state, me);
      return { ...back, queue: back.queue.map(({ yields: _yields, ...one }) => one) };
    },
  }),
  plant("the newest waiter goes first", { enqueue: (state, me) => ({ ...state, queue: [me, ...state.queue] }) }),
  plant("a commit doesn't look whether the lock is still ours", {
    commit: (state, _nonce, head) => ({ ...state, head }),
  }),
];
