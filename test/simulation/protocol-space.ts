/**
 * All that can happen to a few processes that run the protocol's own steps (src/lock/cas) on a store of conditional writes: every order of requests, one crash,
 * one pause past the TTL, lost answers, writes that come late. Time is a step of its own: when one quiet period passes, the claims of all who run have been renewed.
 */
import {
  type Acquisition,
  acquire,
  answered,
  asked,
  commitHead,
  giveBack,
  standing,
  wakeUp,
} from "../../src/lock/cas/acquisition.ts";
import type { Answer, Ask, ClaimState } from "../../src/lock/cas/ask.ts";
import { conflict, type Entry, type LockState, type Mode } from "../../src/lock/cas/record.ts";
import { type Rules, soundRules, timing } from "../../src/lock/cas/rules.ts";
import type { Turn } from "../../src/lock/cas/turn.ts";
import type { PutCondition } from "../../src/store/conditional.ts";
import type { Space, Step } from "./explore.ts";
import { brokenOrder } from "./oracle.ts";

/** What one process does: takes these one after the other, commits to each that it may, gives back last taken first. */
export type Script = readonly {
  readonly key: "a" | "b" | "datastore";
  readonly mode: "shared" | "exclusive";
  /** Its commit is the release. */
  readonly last?: true;
}[];

export interface Faults {
  readonly crashes: number;
  readonly pauses: number;
  readonly lostAnswers: number;
}

const commits = (line: Script[number]): boolean => line.mode === "exclusive" && line.key !== "datastore";

interface Versioned<T> {
  readonly state: T;
  readonly version: number;
}

interface Proc {
  readonly script: Script;
  /** One per script line begun; the last may still be on its way. */
  readonly taken: readonly Acquisition[];
  readonly phase: "taking" | "working" | "leaving" | "out";
  /** Commits are made from the first on. */
  readonly committed: number;
  /** The commit that is being made was taken by the store. */
  readonly applied: boolean;
  readonly life: "running" | "paused" | "expired" | "crashed";
  /** It goes on waiting though its last renewal is too long ago: not good for holding until it is renewed. */
  readonly overdue: boolean;
}

interface LateWrite {
  readonly ask: Ask;
  readonly by: number;
}

interface World {
  readonly now: number;
  readonly version: number;
  readonly records: Readonly<Record<string, Versioned<LockState>>>;
  readonly claims: Readonly<Record<string, Versioned<ClaimState>>>;
  readonly procs: readonly Proc[];
  readonly late?: LateWrite | undefined;
  readonly left: Faults;
  /** Something went wrong: from here on it matters that time passes and that claims are looked at. */
  readonly hurt: boolean;
}

const times = timing();
/** After so long without a change every claim is dead, whoever looks. */
const quietStepMs = times.waiterQuietMs + times.ttlMs;
const who = { holder: "", hostname: "", pid: 0, command: "", since: "" };
const nonceOf = (proc: number, line: number): string => `${"ABC"[proc]}${line}`;
const ownerOf = (nonce: string): number => "ABC".indexOf(nonce[0] ?? "");
const claimId = (key: string, nonce: string): string => `${key}/${nonce}`;

export function protocolSpace(scripts: readonly Script[], faults: Faults, rules: Rules = soundRules): Space<World> {
  const procs = scripts.map((script): Proc => ({
    script,
    taken: [],
    phase: "taking",
    committed: 0,
    applied: false,
    life: "running",
    overdue: false,
  }));
  const initial: World = { now: 0, version: 1, records: {}, claims: {}, procs, left: faults, hurt: false };
  return {
    initial,
    steps: (world) => stepsOf(world, rules),
    encode,
    broken: brokenState,
    finished: (world) =>
      world.late === undefined && world.procs.every((proc) => proc.phase === "out" || proc.life === "crashed"),
  };
}

// ---------------------------------------------------------------- the store

interface Applied {
  readonly world: World;
  readonly answer: Answer;
  readonly broken?: string | undefined;
}

function meets(condition: PutCondition, found: { readonly version: number } | undefined): boolean {
  if ("ifAbsent" in condition) return found === undefined;
  return condition.ifMatch === "*" || (found !== undefined && condition.ifMatch === String(found.version));
}

function apply(world: World, ask: Ask, by: number): Applied {
  switch (ask.do) {
    case "read-record": {
      const found = world.records[ask.key];
      return {
        world,
        answer:
          found === undefined ? { is: "absent" } : { is: "record", state: found.state, etag: String(found.version) },
      };
    }
    case "read-claim": {
      const found = world.claims[claimId(ask.claim.key, ask.claim.nonce)];
      return {
        world,
        answer:
          found === undefined ? { is: "absent" } : { is: "claim", state: found.state, etag: String(found.version) },
      };
    }
    case "list-claims": {
      const claims = Object.entries(world.claims).map(([id, { version }]) => {
        const [key = "", nonce = ""] = id.split("/");
        return { key, nonce, etag: String(version) };
      });
      return {
        world,
        answer: { is: "claims", claims: claims.filter((one) => ask.key === undefined || one.key === ask.key) },
      };
    }
    case "remove-claim": {
      const { [claimId(ask.claim.key, ask.claim.nonce)]: _removed, ...claims } = world.claims;
      return { world: { ...world, claims }, answer: { is: "done" } };
    }
    case "write-claim": {
      const id = claimId(ask.claim.key, ask.claim.nonce);
      if (!meets(ask.if, world.claims[id])) return { world, answer: { is: "refused" } };
      const version = world.version + 1;
      return {
        world: { ...world, version, claims: { ...world.claims, [id]: { state: ask.state, version } } },
        answer: { is: "done", etag: String(version) },
      };
    }
    case "write-record": {
      const old = world.records[ask.key];
      if (!meets(ask.if, old)) return { world, answer: { is: "refused" } };
      const version = world.version + 1;
      const after = { ...world, version, records: { ...world.records, [ask.key]: { state: ask.state, version } } };
      return {
        world: ask.state.head === old?.state.head ? after : change(after, by, { applied: true }),
        answer: { is: "done", etag: String(version) },
        broken: brokenWrite(world, old?.state, ask, by),
      };
    }
  }
}

// ---------------------------------------------------------------- what can happen

function change(world: World, index: number, proc: Partial<Proc>): World {
  return { ...world, procs: world.procs.map((one, at) => (at === index ? { ...one, ...proc } : one)) };
}

function stepsOf(world: World, rules: Rules): Step<World>[] {
  const steps: Step<World>[] = [];
  for (const [index, proc] of world.procs.entries()) {
    if (proc.phase === "out" || proc.life === "crashed") continue;
    if (proc.life === "running") running(world, index, rules, steps);
    else resuming(world, index, rules, steps);
    if (world.left.crashes > 0)
      steps.push({
        label: `${"ABC"[index]} crashes`,
        fault: true,
        next: { ...change(world, index, { life: "crashed" }), left: { ...world.left, crashes: 0 }, hurt: true },
      });
  }
  if (world.late !== undefined) {
    const { ask, by } = world.late;
    const { world: next, broken } = apply({ ...world, late: undefined }, ask, by);
    steps.push({ label: `a late write of ${"ABC"[by]} comes: ${told(ask)}`, next, broken });
  }
  if (world.hurt) steps.push(timePasses(world, rules));
  return steps;
}

function running(world: World, index: number, rules: Rules, steps: Step<World>[]): void {
  const proc = world.procs[index];
  if (proc === undefined) return;
  const name = "ABC"[index] ?? "";
  const current = proc.taken.at(-1);
  const put = (label: string, acquisition: Acquisition, more: Partial<Proc> = {}): void =>
    perform(world, index, { label: `${name} ${label}`, taken: [...proc.taken.slice(0, -1), acquisition], more }, steps);
  if (proc.taken.some((one) => asked(one) !== undefined))
    perform(world, index, { label: name, taken: proc.taken, more: {} }, steps);
  else if (current !== undefined && standing(current) === "waiting") {
    put("looks at the record:", wakeUp(current, "record", world.now));
    if (world.hurt) put("looks at the claims:", wakeUp(current, "claims", world.now));
  } else if (proc.phase === "taking") {
    const line = proc.script[proc.taken.length];
    if (line !== undefined) {
      const inherits = proc.taken.length > 0 ? { inherits: true as const } : {};
      const me: Entry = { nonce: nonceOf(index, proc.taken.length), mode: line.mode, who, ...inherits };
      const taken = [...proc.taken, acquire(line.key, me, { rules, times })];
      perform(world, index, { label: `${name} asks for ${line.key} ${line.mode}:`, taken, more: {} }, steps);
    }
  } else if (proc.phase === "working") {
    const at = proc.script.findIndex((one, place) => place >= proc.committed && commits(one));
    if (at < 0) {
      const taken = proc.taken.map((one) => (one === current ? giveBack(one) : one));
      perform(world, index, { label: `${name} gives back:`, taken, more: { phase: "leaving" } }, steps);
    } else {
      const taken = proc.taken.map((one, place) =>
        place === at ? commitHead(one, nonceOf(index, at), proc.script[at]?.last === true) : one,
      );
      const more = { applied: false, committed: at };
      // Its request may be on its way for as long as it is paused.
      if (world.left.pauses > 0)
        steps.push({ label: `${name} begins to commit`, next: change(world, index, { ...more, taken }) });
      else perform(world, index, { label: `${name} commits:`, taken, more }, steps);
    }
  } else if (current !== undefined) put("gives back:", giveBack(current));
  // A pause is no more than not being scheduled until its time is over.
  if (world.left.pauses > 0) {
    const paused = { ...change(world, index, { life: "paused" }), left: { ...world.left, pauses: 0 }, hurt: true };
    steps.push({ label: `${name} is paused: `, fault: true, next: timePasses(paused, rules).next });
  }
}

interface Doing {
  readonly label: string;
  readonly taken: readonly Acquisition[];
  readonly more: Partial<Proc>;
}

function perform(world: World, index: number, doing: Doing, steps: Step<World>[]): void {
  performAt(
    world,
    index,
    doing.taken.findIndex((one) => asked(one) !== undefined),
    doing,
    steps,
  );
}

/** One request and its answer; or, where there are faults left, its loss. */
function performAt(world: World, index: number, at: number, { label, taken, more }: Doing, steps: Step<World>[]): void {
  const acquisition = taken[at];
  const ask = acquisition === undefined ? undefined : asked(acquisition);
  const before = change(world, index, { ...more, taken });
  if (acquisition === undefined || ask === undefined) {
    steps.push(settle(before, index, label));
    return;
  }
  const hear = (after: World, answer: Answer, how: string, broken?: string): void => {
    const [then, its] = withIts(after, answered(acquisition, answer, world.now), { ask, answer, index });
    const all = (then.procs[index]?.taken ?? []).map((one, place) => (place === at ? its : one));
    const step = settle(change(then, index, { taken: all }), index, `${label} ${told(ask)} -> ${how}`);
    steps.push({ ...step, fault: answer.is === "unknown", broken: broken ?? step.broken });
  };
  const done = apply(before, ask, index);
  hear(done.world, done.answer, done.answer.is, done.broken);
  if (world.left.lostAnswers === 0) return;
  const faulty = { ...before, left: { ...world.left, lostAnswers: world.left.lostAnswers - 1 }, hurt: true };
  if (!ask.do.startsWith("write")) hear(faulty, { is: "unknown" }, "no answer");
  else {
    const lost = apply(faulty, ask, index);
    hear(lost.world, { is: "unknown" }, "done, but the answer is lost", lost.broken);
    if (world.late === undefined)
      hear({ ...faulty, late: { ask, by: index } }, { is: "unknown" }, "no answer, it may come late");
  }
}

/**
 * Two requests that need no step of their own, since nothing that others do in between makes a difference: the first look at the record after the claim was
 * made (a change in between is found by the write), and the removal of a claim that no record names any more.
 */
function withIts(
  world: World,
  after: Acquisition,
  { ask, answer, index }: { ask: Ask; answer: Answer; index: number },
): [World, Acquisition] {
  const following = asked(after);
  const announced = ask.do === "write-claim" && answer.is === "done" && following?.do === "read-record";
  const removal = ask.do === "write-record" && following?.do === "remove-claim";
  if (following === undefined || !(announced || removal)) return [world, after];
  const done = apply(world, following, index);
  return [done.world, answered(after, done.answer, world.now)];
}

/** What a process does by itself when something it asked for has ended. */
function settle(world: World, index: number, label: string): Step<World> {
  const proc = world.procs[index];
  const current = proc?.taken.at(-1);
  if (proc === undefined || current === undefined) return { label, next: world };
  const is = standing(current);
  if (proc.overdue && is === "held" && !proc.taken.some((one) => standing(one) === "lost")) {
    const [renewed, isRenewed] = renewClaims(world, proc);
    if (isRenewed) return settle(change(renewed, index, { overdue: false }), index, `${label}, renews`);
    return { label: `${label}, can't renew and is lost`, next: loseAll(world, index) };
  }
  if (proc.taken.some((one) => standing(one) === "lost") && !proc.taken.some((one) => asked(one) !== undefined)) {
    const wrong = proc.taken.some(({ main: { goal } }) => goal.want === "commit" && !goal.unsure) && proc.applied;
    const broken = wrong ? "a commit was taken for lost that the store took" : undefined;
    return { label: `${label}, lost`, next: loseAll(world, index), broken };
  }
  if (proc.phase === "taking" && is === "held" && proc.taken.length === proc.script.length)
    return { label: `${label}, holds all`, next: change(world, index, { phase: "working" }) };
  const line = proc.script[proc.committed];
  const main = proc.taken[proc.committed]?.main;
  if (
    proc.phase === "working" &&
    (main?.at.is === "held" || main?.goal.want === "leave") &&
    line !== undefined &&
    commits(line)
  ) {
    const then: Partial<Proc> = { committed: proc.committed + 1, ...(line.last && { phase: "leaving" }) };
    const step = settle(change(world, index, then), index, `${label}, is told that it committed`);
    return { ...step, broken: proc.applied ? undefined : "a commit was reported that the store never took" };
  }
  if (is === "gone") {
    const taken = proc.taken.slice(0, proc.taken.findLastIndex((one) => standing(one) !== "gone") + 1);
    return { label, next: change(world, index, { taken, phase: taken.length === 0 ? "out" : "leaving" }) };
  }
  return { label, next: world };
}

function resuming(world: World, index: number, rules: Rules, steps: Step<World>[]): void {
  const proc = world.procs[index];
  if (proc === undefined) return;
  const label = `${"ABC"[index]} goes on`;
  const awake = change(world, index, { life: "running" });
  if (proc.taken.length === 0 || !rules.hasGivenUp(0, times.quietMs, times)) {
    steps.push({ label, next: awake });
    return;
  }
  if (proc.phase === "taking" && proc.taken.length === 1 && proc.taken.every((one) => standing(one) !== "held"))
    steps.push({ label: `${label} waiting`, next: change(world, index, { life: "running", overdue: true }) });
  steps.push({ label: `${label} and knows that it lost`, next: loseAll(awake, index) });
  // A commit that was begun is brought to its end, so that it can be told how it ended.
  const [goneOn, broke] = bringToEnd(awake, index);
  if (goneOn !== awake) steps.push({ label: `${label} with its commit`, next: loseAll(goneOn, index), broken: broke });
  // What it had asked for when it was paused may come only now.
  const at = proc.taken.findIndex((one) => asked(one)?.do === "write-record");
  const ask = at < 0 ? undefined : asked(proc.taken[at] ?? never());
  if (ask === undefined) return;
  const { world: next, broken } = apply(awake, ask, index);
  steps.push({ label: `${label} after its request came: ${told(ask)}`, next: loseAll(next, index), broken });
}

function bringToEnd(world: World, index: number): [World, string | undefined] {
  let next = world;
  for (;;) {
    const taken = next.procs[index]?.taken ?? [];
    const at = taken.findIndex((one) => one.main.goal.want === "commit" && asked(one) !== undefined);
    const current = taken[at];
    const ask = current === undefined ? undefined : asked(current);
    if (current === undefined || ask === undefined) return [next, undefined];
    const done = apply(next, ask, index);
    if (done.broken !== undefined) return [done.world, done.broken];
    next = change(done.world, index, {
      taken: taken.map((one, place) => (place === at ? answered(one, done.answer, next.now) : one)),
    });
  }
}

function never(): never {
  throw new Error("unreachable");
}

function loseAll(world: World, index: number): World {
  const taken = (world.procs[index]?.taken ?? []).map((one) => giveBack(one));
  return change(world, index, { phase: "leaving", taken });
}

/** One quiet period passes: all who run have renewed; who finds a claim of his ended has lost. */
function timePasses(world: World, rules: Rules): Step<World> {
  let next: World = { ...world, now: world.now + quietStepMs };
  for (const [index, proc] of world.procs.entries()) {
    if (proc.life === "paused") next = change(next, index, { life: "expired" });
    if (proc.life !== "running") continue;
    const [renewed, isRenewed] = renewClaims(next, proc);
    next = isRenewed && proc.overdue ? change(renewed, index, { overdue: false }) : renewed;
    if (!isRenewed && proc.phase !== "leaving" && rules.hasGivenUp(0, times.quietMs, times))
      next = loseAll(next, index);
  }
  return { label: "time passes", next };
}

/** All claims of one process; false where one of them is ended or gone. */
function renewClaims(world: World, proc: Proc): [World, boolean] {
  let next = world;
  let lost = false;
  for (const turn of proc.taken.flatMap((one) => [one.main, ...(one.gate ? [one.gate] : [])])) {
    if (turn.at.is === "gone" || removing(turn)) continue;
    const id = claimId(turn.key, turn.me.nonce);
    const claim = next.claims[id];
    // Whoever doesn't know yet whether its claim exists can't have renewed it.
    if (turn.claimEtag === undefined) lost ||= claim !== undefined;
    else if (claim === undefined || claim.state.ended) lost = true;
    else {
      const version = next.version + 1;
      next = { ...next, version, claims: { ...next.claims, [id]: { ...claim, version } } };
    }
  }
  return [next, !lost];
}

function removing(turn: Turn): boolean {
  return turn.at.is === "asking" && turn.at.ask.do === "remove-claim" && turn.at.reply === "left";
}

// ---------------------------------------------------------------- what must never be

interface Hold {
  readonly by: number;
  readonly key: string;
  readonly mode: Mode;
}

function holds(world: World): Hold[] {
  return world.procs.flatMap((proc, by) =>
    isLive(proc)
      ? proc.taken
          .filter(
            ({ main, gate }) =>
              (main.at.is === "held" || isCommitting(main, proc)) && (gate === undefined || gate.at.is === "held"),
          )
          .map(({ main }) => ({ by, key: main.key, mode: main.me.mode }))
      : [],
  );
}

/** After the last commit there is nothing that it would do as a holder. */
function isCommitting({ goal }: Turn, { applied }: Proc): boolean {
  return goal.want === "commit" && !(goal.last && applied);
}

function brokenState(world: World): string | undefined {
  const all = holds(world);
  for (const one of all)
    for (const other of all) {
      if (one.by >= other.by) continue;
      const structural = (one.key === "datastore") !== (other.key === "datastore");
      if (structural || (one.key === other.key && conflict(one.mode, other.mode)))
        return `${"ABC"[one.by]} holds ${one.key} ${one.mode} beside ${"ABC"[other.by]}, who holds ${other.key} ${other.mode}`;
    }
  const finished = world.late === undefined && world.procs.every((proc) => proc.phase === "out");
  const left = Object.values(world.records).some(({ state }) => state.holders.length + state.queue.length > 0);
  return finished && left ? "all have left, but a record still names somebody" : undefined;
}

function brokenWrite(
  world: World,
  old: LockState | undefined,
  { key, state: next }: Extract<Ask, { do: "write-record" }>,
  by: number,
): string | undefined {
  const before = old ?? { token: 0, holders: [], queue: [] };
  if (next.token < before.token) return "a token went back";
  if (next.head !== before.head && !before.holders.some((one) => one.nonce === next.head && one.mode === "exclusive"))
    return `${"ABC"[by]} committed without holding`;
  if (next.head !== before.head && holds(world).some((one) => one.key === "datastore" && one.by !== by))
    return `${"ABC"[by]} committed beside a structural command`;
  const isEnded = (nonce: string): boolean =>
    Object.entries(world.claims).some(([id, { state }]) => id.endsWith(`/${nonce}`) && state.ended === true);
  const disorder = brokenOrder(before, next);
  if (disorder !== undefined) return disorder;
  for (const { nonce } of [...before.holders, ...before.queue]) {
    const claim = world.claims[claimId(key, nonce)];
    const isThere = [...next.holders, ...next.queue].some((one) => one.nonce === nonce);
    if (!isThere && ownerOf(nonce) !== by && claim !== undefined && !claim.state.ended)
      return `${"ABC"[by]} took ${nonce} out, whose claim stands`;
  }
  for (const entry of next.holders) {
    if (before.holders.some((one) => one.nonce === entry.nonce)) continue;
    if (entry.mode === "exclusive" && next.token <= before.token) return "an exclusive grant did not raise the token";
    const mine = before.queue.findIndex((one) => one.nonce === entry.nonce);
    const passed = before.queue
      .slice(0, mine < 0 ? undefined : mine)
      .find(
        (one) =>
          conflict(one.mode, entry.mode) &&
          !(one.yields && entry.inherits) &&
          isLive(world.procs[ownerOf(one.nonce)]) &&
          !isEnded(one.nonce),
      );
    if (passed !== undefined) return `${entry.nonce} overtook ${passed.nonce}`;
  }
  return undefined;
}

/** Still in the game: neither crashed, nor past its time, nor leaving. */
function isLive(proc: Proc | undefined): boolean {
  return (proc?.life === "running" || proc?.life === "paused") && (proc.phase === "taking" || proc.phase === "working");
}

// ---------------------------------------------------------------- one text per state

function encode(world: World): string {
  const parts: string[] = [`${world.left.crashes}${world.left.pauses}${world.left.lostAnswers}`];
  for (const key of ["datastore", "a", "b"]) parts.push(stateText(world.records[key]?.state));
  for (const id of Object.keys(world.claims).sort()) parts.push(`${id}${world.claims[id]?.state.ended ? "!" : ""}`);
  for (const proc of world.procs) {
    const flags = `${proc.applied ? "+" : "-"}${proc.overdue ? "o" : ""}`;
    parts.push(`|${proc.phase[0]}${proc.phase[1]}${proc.life[0]}${proc.life[1]}${proc.committed}${flags}`);
    if (proc.life === "crashed") continue;
    for (const { main, gate } of proc.taken) {
      parts.push(turnText(world, main));
      if (gate !== undefined) parts.push("^", turnText(world, gate));
    }
  }
  if (world.late !== undefined) {
    const { ask, by } = world.late;
    // One that finds another etag will be refused, whatever it says.
    const alive =
      ask.do === "write-record"
        ? meets(ask.if, world.records[ask.key])
        : ask.do === "write-claim" && meets(ask.if, world.claims[claimId(ask.claim.key, ask.claim.nonce)]);
    parts.push(alive ? `~${by}${told(ask)}` : "~");
  }
  return parts.join(" ");
}

const entriesText = (entries: readonly Entry[]): string =>
  entries.map((one) => `${one.nonce}${one.yields ? "y" : ""}`).join();

function stateText(state: LockState | undefined): string {
  return state === undefined ? "." : `${entriesText(state.holders)}/${entriesText(state.queue)}/${state.head ?? ""}`;
}

function turnText(world: World, turn: Turn): string {
  const { at, seen, drain } = turn;
  const current =
    seen.etag === (world.records[turn.key] === undefined ? undefined : String(world.records[turn.key]?.version));
  let text = `${turn.key[0]}${turn.me.nonce}${at.is}${turn.goal.want}${turn.goal.want === "commit" ? `${turn.goal.last}${turn.goal.unsure}` : ""}${turn.covered ? "c" : ""}${turn.claimEtag === undefined ? "" : "e"}`;
  text += current ? "=" : `<${stateText(seen.state)}>`;
  if (turn.doubt !== undefined) text += turn.doubt.etag === seen.etag && current ? "?" : "¿";
  if (at.is === "asking")
    text += `${at.reply}${at.ask.do}${at.victim?.nonce ?? ""}${at.ask.do === "write-claim" && at.victim ? freshness(world, turn, at.victim.key, at.victim.nonce) : ""}${at.ask.do === "write-record" ? stateText(at.ask.state) + (meets(at.ask.if, world.records[at.ask.key]) ? "1" : "0") : ""}`;
  const victims = at.is === "gone" || turn.goal.want === "leave" ? [] : [...turn.sightings.keys()].sort();
  for (const nonce of victims)
    text += `${nonce}${freshness(world, turn, drain.waitFor.find((one) => one.nonce === nonce)?.key ?? keyOf(world, turn, nonce), nonce)}`;
  if (drain.firstSeen !== undefined || drain.toRead.length > 0 || drain.harmless.size > 0)
    text += `d${drain.clear ? "c" : ""}${[...(drain.firstSeen ?? ["-"])].sort().join()};${[...drain.harmless].sort().join()};${drain.toRead.join()};${drain.waitFor.map((one) => one.nonce).join()}`;
  return text;
}

/** Which claim a structural command's sighting is of: the model's that this nonce was made for. */
function keyOf(world: World, turn: Turn, nonce: string): string {
  if (
    turn.key !== "datastore" ||
    turn.drain.toRead.length + turn.drain.harmless.size + (turn.drain.firstSeen?.size ?? 0) === 0
  )
    return turn.key;
  return world.procs[ownerOf(nonce)]?.script[Number(nonce[1])]?.key ?? turn.key;
}

function freshness(world: World, turn: Turn, key: string, nonce: string): string {
  const sighting = turn.sightings.get(nonce);
  if (sighting === undefined) return "-";
  const version = world.claims[claimId(key, nonce)]?.version;
  if (sighting.etag !== (version === undefined ? undefined : String(version))) return "s";
  return `${world.now > sighting.since ? "o" : "f"}${sighting.waits ? "w" : ""}`;
}

function told(ask: Ask): string {
  switch (ask.do) {
    case "read-record":
      return `${ask.do} ${ask.key}`;
    case "write-record":
      return `${ask.do} ${ask.key} [${stateText(ask.state)}]`;
    case "list-claims":
      return `${ask.do} ${ask.key ?? "*"}`;
    default:
      return `${ask.do} ${ask.claim.key}/${ask.claim.nonce}${ask.do === "write-claim" && ask.state.ended ? " ended" : ""}`;
  }
}
