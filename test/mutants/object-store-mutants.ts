/** Bugs in the steps for object stores that aren't a rule of their own; wrong rules are in test/simulation/mutations.ts. */
import type { Mutant } from "./mutant.ts";

const turn = { file: "lock/cas/turn.ts", check: "lock/cas/turn", scenarios: [] };
const record = { ...turn, file: "lock/cas/record.ts" };
const lease = { file: "lock/lease.ts", check: "lock/lease", scenarios: [] };

export const objectStoreMutants: readonly Mutant[] = [
  {
    ...turn,
    name: "one that was named holds without a look at the datastore's record",
    from: `if (has(state.holders, me.nonce)) return entered(turn);`,
    to: `if (has(state.holders, me.nonce)) return { ...turn, at: { is: "held" } };`,
    test: "who finds itself named asks for nothing but the datastore's record",
  },
  {
    ...record,
    name: "one that stands back is named",
    from: `one.yields !== true && blockers`,
    to: `blockers`,
    test: "one that stands back for a structural command isn't named",
  },
  {
    ...record,
    name: "of several who may share only the first is named",
    from: `: nameSuccessors(enter(state, next));`,
    to: `: enter(state, next);`,
    test: "all who share become holders at once",
  },
  {
    ...record,
    name: "one that gives up its place names nobody",
    from: `return left === state ? state : nameSuccessors(left);`,
    to: `return left === state || state.holders.length === left.holders.length ? left : nameSuccessors(left);`,
    test: "one that gives up its place in the queue names whom only it kept out",
  },
  {
    ...turn,
    name: "the silence of one that was named is counted from before it could know",
    from: `known?.etag === etag && known?.waits === waits ? known`,
    to: `known !== undefined && known.etag === etag ? known`,
    test: "the silence of one that was named is counted from when it was seen named",
  },
  {
    ...turn,
    name: "where others were faster to end the dead, nobody looks whom they named",
    from: `return victim.key === turn.key ? readRecord(seen) : { ...seen, at: { is: "draining" } };`,
    to: `return { ...seen, at: { is: victim.key === turn.key ? "waiting" : "draining" } };`,
    test: "where somebody else was faster to end it, the record tells whom that one named",
  },
  {
    ...turn,
    name: "what is left of another claim of the same one is taken for its model's",
    from: `answer.claims.filter((one) => one.key !== datastoreKey)`,
    to: `answer.claims`,
    test: "of one that stood back a structural command looks at the model's claim",
  },
  {
    ...turn,
    name: "a last commit keeps the lock",
    from: `goal.last ? rules.withdraw(after, me.nonce) : after`,
    to: `after`,
    test: "is one write that swaps the head, takes us out and names the next",
  },
  {
    ...turn,
    name: "a last commit whose answer was lost is taken for refused",
    from: `return goal.unsure ? ask(turn, { do: "read-claim", claim: nameOf(turn) }, "commit-settled") : lose(turn);`,
    to: `return lose(turn);`,
    test: "whose answer was lost is known by our claim",
  },
  {
    ...turn,
    name: "a last commit whose answer was lost is taken for done, whoever ended our claim",
    from: `if (answer.is !== "claim" || answer.state.ended) return lose(turn);`,
    to: `if (answer.is !== "claim" || answer.state.ended) return committed(turn);`,
    test: "whose answer was lost is known by our claim",
  },
  {
    ...turn,
    name: "a claim that arrives after others had removed it tells that a last commit was done",
    from: `answer.state.beat > 0 || answer.etag === (turn.claimEtag ?? answer.etag)`,
    to: `answer.state.beat >= 0`,
    test: "whose answer was lost isn't known by a claim of ours that came too late",
  },
  {
    ...lease,
    name: "a lock that was given back with its last commit is found lost",
    from: `if (last) this.#left.add(grant);`,
    to: ``,
    test: "what was given back with its last commit is no loss",
  },
  {
    ...lease,
    name: "a commit that the store refused is passed over in silence",
    from: `if (!(await grant.commit(head, { last }))) throw this.#lose(grant);`,
    to: `await grant.commit(head, { last });`,
    test: "a commit that the store refused is the loss of the lock",
  },
  {
    ...lease,
    name: "what was proved a while ago is good enough for a commit",
    from: `return this.#assertHeld(0);`,
    to: `return this.#assertHeld(recentMs);`,
    test: "is looked for beside the work, where nothing was proved within a second",
  },
  {
    ...lease,
    name: "a look for a loss asks for what was proved just now",
    from: `const recentMs = 1000;`,
    to: `const recentMs = 0;`,
    test: "is looked for beside the work, where nothing was proved within a second",
  },
];
