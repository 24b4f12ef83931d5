/**
 * What a process does, step by step as the driver does it: one call that others can see is one step. The production `advance` decides where it goes
 * on; `coverOf` and `findCycle` are production's too. `violation` is set where a step breaks a promise.
 */
import { findCycle } from "../../src/lock/cycles.ts";
import { coverOf } from "../../src/lock/nesting.ts";
import type { Holding, LockRecord, LockTable, Resource } from "../../src/store/contract.ts";
import { advance, inTheWay, type Request, type Seen, type Stage } from "../../src/store/drivers/filesystem/protocol.ts";
import {
  common,
  cover,
  held,
  own,
  type Pc,
  pc,
  perProcess,
  place,
  record,
  type Slot,
  slots,
  type State,
} from "./kernel-state.ts";

const stages: readonly Stage[] = ["queue", "structural", "announce", "foreign", "table", "publish", "granted"];
const stageCode = (stage: Stage): number => stages.indexOf(stage);

/** False where the process can't go on now. */
type Step = (s: State, p: number) => boolean;

interface TicketOf {
  readonly nonce: string;
  readonly ticket: number;
}

export function step(s: State, p: number): boolean {
  return steps[s.get(p, own.pc)]?.(s, p) ?? false;
}

const go = (s: State, p: number, to: Pc): true => {
  s.set(p, own.pc, to);
  return true;
};

const steps: Readonly<Partial<Record<number, Step>>> = {
  [pc.gate]: (s, p) => enterGate(s, p, pc.open),
  [pc.open](s, p) {
    s.put(s.ticket(p), held.place, place.hidden);
    s.put(s.ticket(p), held.isLocked, 0);
    // Nobody else comes into the gate, so nobody sees these steps: one is enough.
    return isAloneInGate(s) ? (steps[pc.lock]?.(s, p) ?? false) : go(s, p, pc.lock);
  },
  [pc.lock](s, p) {
    s.put(s.ticket(p), held.isLocked, 1);
    return isAloneInGate(s) ? (steps[pc.list]?.(s, p) ?? false) : go(s, p, pc.list);
  },
  [pc.list](s, p) {
    const ticket = s.ticket(p);
    const slot = s.slot(ticket);
    s.set(p, own.note, 1 + s.listed(slot).reduce((last, one) => Math.max(last, s.of(one, held.number)), 0));
    const hidden = s.tickets(slot).filter((one) => one !== ticket && s.of(one, held.place) === place.hidden);
    s.set(p, own.list, maskOf(hidden));
    return go(s, p, hidden.length > 0 ? pc.sweep : pc.show);
  },
  [pc.sweep](s, p) {
    const [first = 0] = ticketsIn(s.get(p, own.list));
    if (s.isGone(first)) return go(s, p, pc.unhide);
    return swept(s, p, first);
  },
  [pc.unhide](s, p) {
    const [first = 0] = ticketsIn(s.get(p, own.list));
    if (s.of(first, held.place) === place.hidden) s.put(first, held.place, place.removed);
    return swept(s, p, first);
  },
  [pc.show]: show,
  [pc.ungate](s, p) {
    s.set(p, own.gate, 0);
    return go(s, p, pc.look);
  },
  [pc.look]: look,
  [pc.probe]: probe,
  [pc.bury](s, p) {
    const last = lastOf(s, s.get(p, own.list));
    s.removeTicket(last, { isSilent: false });
    s.set(p, own.list, s.get(p, own.list) & ~(1 << last));
    return afterProbe(s, p);
  },
  [pc.setWatch](s, p) {
    if (s.has("watch set after the look")) return lookAtWatched(s, p, pc.lookAgain);
    return watchTicket(s, p, pc.lookAgain);
  },
  [pc.lookAgain](s, p) {
    if (!s.has("watch set after the look")) return lookAtWatched(s, p, pc.sleep);
    s.set(p, own.event, 0);
    s.set(p, own.watch, s.get(p, own.note));
    s.set(p, own.note, 0);
    return go(s, p, pc.sleep);
  },
  [pc.sleep](s, p) {
    const watched = s.get(p, own.watch) - 1;
    const isTold = s.get(p, own.event) !== 0;
    // A look now and then finds the dead. Whoever lives must tell: a wake-up that only a look would make good counts as lost.
    const isDead = s.get(s.ownerOf(watched), own.isAlive) === 0 && s.isGone(watched);
    return isTold || isDead || isDue(s, p) ? unwatch(s, p) : false;
  },
  [pc.tryTable]: tryTable,
  [pc.verify]: verify,
  [pc.explain]: explain,
  [pc.poll]: (s, p) => go(s, p, pc.look),
  [pc.lookOwn](s, p) {
    const found = s.recordOf(s.slot(s.ticket(p)));
    return decide(s, p, { stage: "foreign", foreign: s.isFreshOlder(found) ? "own" : undefined });
  },
  [pc.publishGate]: (s, p) => enterGate(s, p, pc.link),
  [pc.link]: link,
  [pc.takeRename](s, p) {
    const slot = s.slot(s.ticket(p));
    if (s.recordOf(slot) === record.absent) return takeAwayFailed(s, p);
    if (s.has("takeover by delete")) {
      overwritten(s, p);
      s.setRecord(slot, record.absent);
      return go(s, p, pc.link);
    }
    take(s, p, slot);
    return go(s, p, pc.takeJudge);
  },
  [pc.takeJudge](s, p) {
    const isRight = s.get(p, own.aside) === s.get(p, own.note);
    if (isRight && s.get(p, own.aside) === record.older) s.setCommon(common.olderRevoked, 1);
    if (isRight) {
      s.set(p, own.aside, 0);
      return go(s, p, pc.link);
    }
    linkBack(s, p);
    return takeAwayFailed(s, p);
  },
  [pc.recheck]: recheck,
  [pc.mark]: mark,
  [pc.publishUngate](s, p) {
    s.set(p, own.gate, 0);
    return go(s, p, afterMark(s));
  },
  [pc.init](s, p) {
    const ticket = s.ticket(p);
    s.put(ticket, held.generation, s.generationOf(s.slot(ticket)));
    return go(s, p, pc.work);
  },
  [pc.work]: work,
  [pc.checkTable]: checkTable,
  [pc.checkRecord]: checkRecord,
  [pc.replaceGate]: (s, p) => enterGate(s, p, pc.replaceDead),
  [pc.replaceDead]: replaceDead,
  [pc.replaceRename](s, p) {
    renameOver(s, p, s.ticket(p) + 1);
    return go(s, p, pc.replaceUngate);
  },
  [pc.replaceUngate](s, p) {
    s.set(p, own.gate, 0);
    s.set(p, own.list, 0);
    return go(s, p, pc.checkRecord);
  },
  [pc.releaseGate]: (s, p) => enterGate(s, p, pc.otherHolder),
  [pc.otherHolder](s, p) {
    const ticket = s.ticket(p);
    const other = s.listed(s.slot(ticket)).find((one) => one !== ticket && s.isHeldBy(one));
    s.set(p, own.note, other === undefined ? 0 : other + 1);
    return go(s, p, pc.removeRead);
  },
  [pc.removeRead](s, p) {
    const ticket = s.ticket(p);
    const isOwn = s.recordOf(s.slot(ticket)) === ticket + 1;
    if (isOwn && s.get(p, own.note) !== 0 && !s.has("reader's record removed before another is put"))
      return go(s, p, pc.putOther);
    return go(s, p, isOwn ? pc.removeRename : pc.unlock);
  },
  [pc.removeRename](s, p) {
    const slot = s.slot(s.ticket(p));
    const found = s.recordOf(slot);
    if (found === record.absent) return go(s, p, pc.unlock);
    s.setRecord(slot, record.absent);
    if (s.has("release without owner check")) {
      if (found !== s.ticket(p) + 1) s.violation ??= "a record of another was removed";
      return go(s, p, pc.unlock);
    }
    s.setRecord(slot, found);
    take(s, p, slot);
    return go(s, p, pc.removeJudge);
  },
  [pc.removeJudge](s, p) {
    const isRight = s.get(p, own.aside) === s.ticket(p) + 1;
    if (!isRight) linkBack(s, p);
    s.set(p, own.aside, 0);
    return go(s, p, isRight && s.get(p, own.note) !== 0 ? pc.putOther : pc.unlock);
  },
  [pc.putOther](s, p) {
    const isGap = s.has("reader's record removed before another is put");
    if (!isGap) renameOver(s, p, s.get(p, own.note));
    else if (s.recordOf(s.slot(s.ticket(p))) === record.absent) s.setRecord(s.slot(s.ticket(p)), s.get(p, own.note));
    s.set(p, own.note, 0);
    return go(s, p, pc.unlock);
  },
  [pc.unlock](s, p) {
    const isKept = s.get(p, own.isLeaving) !== 0 && s.has("timeout keeps the kernel lock");
    if (!isKept) s.freeLock(s.ticket(p));
    return go(s, p, pc.closeTicket);
  },
  [pc.closeTicket](s, p) {
    s.put(s.ticket(p), held.isLocked, 0);
    return go(s, p, pc.removeTicket);
  },
  [pc.removeTicket](s, p) {
    if (!s.has("ticket left without being removed")) s.removeTicket(s.ticket(p), { isSilent: false });
    if (s.has("record removed after lock and ticket")) removeByPath(s, p);
    return s.get(p, own.gate) !== 0 ? go(s, p, pc.releaseUngate) : given(s, p);
  },
  [pc.releaseUngate](s, p) {
    s.set(p, own.gate, 0);
    return given(s, p);
  },
  [pc.uncalled](s, p) {
    const isWorking = s.get(0, own.isAlive) !== 0 && s.get(0, own.pc) === pc.work;
    return isWorking && s.get(0, own.request) === s.wants(0).length - 1 ? go(s, p, pc.inheritLock) : false;
  },
  [pc.inheritLock](s, p) {
    const ticket = s.get(0, own.request);
    const isCurrent = s.of(ticket, held.table) === s.common(common.table) + 1;
    s.set(p, own.note, isCurrent && s.of(ticket, held.range) === s.rangesOf(s.slot(ticket)) ? 1 : 0);
    return go(s, p, pc.inheritTicket);
  },
  [pc.inheritTicket]: inherit,
};

// ------------------------------------------------------------ the queue

/** Through the gate, or past somebody who was paused in it. */
function enterGate(s: State, p: number, then: Pc): boolean {
  const slot = s.slot(s.ticket(p));
  if (s.has("gate removed")) return go(s, p, then);
  const code = 1 + slot + 4 * s.common(common.table);
  const inside = gatekeeper(s, code);
  if (inside === "running") return false;
  if (inside === "paused") s.setCommon(common.disorder, s.common(common.disorder) | (1 << slot));
  else s.set(p, own.gate, code);
  return go(s, p, then);
}

export function gatekeeper(s: State, code: number): "nobody" | "running" | "paused" {
  if (s.common(common.revokerGate) === code) return s.common(common.revokerPaused) === 0 ? "running" : "paused";
  for (let p = 0; p < s.processes; p++) {
    if (s.get(p, own.gate) === code) return s.get(p, own.isPaused) === 0 ? "running" : "paused";
  }
  return "nobody";
}

function isAloneInGate(s: State): boolean {
  return s.common(common.pauses) === 0 && s.common(common.disorder) === 0 && !s.has("gate removed");
}

function swept(s: State, p: number, ticket: number): boolean {
  const left = s.get(p, own.list) & ~(1 << ticket);
  s.set(p, own.list, left);
  return go(s, p, left === 0 ? pc.show : pc.sweep);
}

function show(s: State, p: number): boolean {
  const ticket = s.ticket(p);
  if (s.of(ticket, held.place) !== place.hidden) return go(s, p, pc.open);
  const waits = (one: number) => s.isLiveTicket(one) && s.of(one, held.isGranted) === 0;
  s.put(ticket, held.ahead, maskOf(s.listed(s.slot(ticket)).filter((one) => waits(one) && s.conflict(ticket, one))));
  const isFree = s.slot(ticket) < slots.D && !s.isWithin(p);
  s.put(ticket, held.aheadStructural, isFree ? maskOf(s.listed(slots.D).filter(waits)) : 0);
  s.put(ticket, held.place, place.shown);
  s.put(ticket, held.number, s.get(p, own.note));
  s.set(p, own.note, 0);
  return go(s, p, s.get(p, own.gate) === 0 ? pc.look : pc.ungate);
}

function look(s: State, p: number): boolean {
  const ticket = s.ticket(p);
  switch (stages[s.get(p, own.stage)]) {
    case "queue": {
      const earlier = (one: number) => s.of(one, held.number) - s.of(ticket, held.number) || one - ticket;
      const before = s.listed(s.slot(ticket)).filter((one) => earlier(one) < 0 && s.conflict(ticket, one));
      s.set(p, own.list, maskOf(behind(s, p, before)));
      return afterProbe(s, p);
    }
    case "structural": {
      const there = maskOf(s.listed(slots.D));
      if (s.of(ticket, held.hasTurn) === 0) s.put(ticket, held.turn, there);
      s.put(ticket, held.hasTurn, 1);
      s.set(p, own.list, there);
      return there === 0 ? afterProbe(s, p) : go(s, p, pc.probe);
    }
    case "table":
      if (s.get(p, own.table) === 0) s.set(p, own.table, s.common(common.table) + 1);
      s.set(p, own.range, s.rangesOf(s.slot(ticket)));
      s.put(ticket, held.generation, s.generationOf(s.slot(ticket)));
      return go(s, p, pc.tryTable);
    case "foreign": {
      const isModel = s.slot(ticket) < slots.D;
      const others = isModel ? [slots.D] : [slots.A, slots.B];
      const isThere = others.some((slot) => s.isFreshOlder(s.recordOf(slot)));
      return isThere ? decide(s, p, { stage: "foreign", foreign: "other" }) : go(s, p, pc.lookOwn);
    }
    default:
      return go(s, p, s.isShared(ticket) ? pc.publishGate : pc.link);
  }
}

function behind(s: State, p: number, earlier: readonly number[]): number[] {
  if (s.has("within waits behind those who wait for a structural command")) return [...earlier];
  return inTheWay(requestOf(s, p), earlier.map(ticketOf), {
    isStructuralThere: () => s.listed(slots.D).some((one) => s.isLiveTicket(one)),
    waitsFreely: ({ ticket }) => waitsFreely(s, ticket),
  }).map(({ ticket }) => ticket);
}

function waitsFreely(s: State, ticket: number): boolean {
  return (
    s.of(ticket, held.isGranted) === 0 && ticket % perProcess === 0 && s.get(s.ownerOf(ticket), own.isCovered) === 0
  );
}

/** One who works within a lock looks anew now and then: a structural command may have come, so that those before it wait for us. */
function isDue(s: State, p: number): boolean {
  const watched = s.get(p, own.watch) - 1;
  if (!s.isWithin(p) || watched < 0 || stages[s.get(p, own.stage)] !== "queue") return false;
  return behind(s, p, [watched]).length === 0;
}

/** One look at one ticket: from the last back in our own queue, all of them in the datastore's. */
function probe(s: State, p: number): boolean {
  const list = s.get(p, own.list);
  if (stages[s.get(p, own.stage)] === "queue") {
    const last = lastOf(s, list);
    const isGone = s.isGone(last) && !s.has("dead predecessor waited for");
    return isGone ? go(s, p, pc.bury) : decide(s, p, { stage: "queue", before: ordered(s, list).map(ticketOf) });
  }
  const [first = 0] = ordered(s, list);
  if (s.isLiveTicket(first)) s.set(p, own.live, s.get(p, own.live) | (1 << first));
  s.set(p, own.list, list & ~(1 << first));
  return afterProbe(s, p);
}

function afterProbe(s: State, p: number): boolean {
  if (s.get(p, own.list) !== 0) return go(s, p, pc.probe);
  if (stages[s.get(p, own.stage)] === "queue") return decide(s, p, { stage: "queue", before: [] });
  const live = ordered(s, s.get(p, own.live)).map(ticketOf);
  s.set(p, own.live, 0);
  return decide(s, p, { stage: "structural", live });
}

function watchTicket(s: State, p: number, then: Pc): boolean {
  const ticket = s.get(p, own.note) - 1;
  s.set(p, own.note, 0);
  if (s.of(ticket, held.place) !== place.shown) return go(s, p, pc.look);
  s.set(p, own.watch, ticket + 1);
  return go(s, p, then);
}

function lookAtWatched(s: State, p: number, then: Pc): boolean {
  const watched = (s.get(p, own.watch) || s.get(p, own.note)) - 1;
  return s.isGone(watched) ? unwatch(s, p) : go(s, p, then);
}

function unwatch(s: State, p: number): boolean {
  s.set(p, own.watch, 0);
  s.set(p, own.event, 0);
  s.set(p, own.note, 0);
  return go(s, p, pc.look);
}

// ------------------------------------------------------------ the decision

export function requestOf(s: State, p: number): Request {
  const slot = s.slot(s.ticket(p));
  const isWithin = s.isWithin(p) && !s.has("nested waits for a structural command");
  return { kind: slot === slots.S ? "share" : slot === slots.D ? "datastore" : "model", isWithin };
}

function decide(s: State, p: number, seen: Seen<TicketOf>): boolean {
  const stage = stages[s.get(p, own.stage)] ?? "queue";
  const isForgotten = s.get(p, own.hasSeen) === 0 || s.has("structural commands not remembered");
  const remembered = isForgotten ? {} : { seen: new Set(ticketsIn(s.get(p, own.seen)).map(String)) };
  const told = planted(s, seen);
  const advanced = advance(requestOf(s, p), { stage, ...remembered }, told);
  s.set(p, own.list, 0);
  s.set(p, own.stage, stageCode(advanced.progress.stage));
  const after = advanced.progress.stage === "structural" ? advanced.progress.seen : undefined;
  s.set(p, own.hasSeen, after === undefined ? 0 : 1);
  s.set(p, own.seen, after === undefined ? 0 : maskOf([...after].map(Number)));
  if ("blocked" in advanced) return stopped(s, p, advanced.watch);
  // Without an older client there is nothing to be seen at this stage: no step of its own.
  if (advanced.progress.stage === "foreign" && s.config.older === undefined)
    return decide(s, p, { stage: "foreign", foreign: undefined });
  if (advanced.progress.stage === "granted") return go(s, p, isShare(s, p) ? pc.mark : afterMark(s));
  return go(s, p, pc.look);
}

/** Bugs in the order of steps. */
function planted(s: State, seen: Seen<TicketOf>): Seen<TicketOf> {
  if (seen.stage === "structural" && s.has("structural stage skipped")) return { ...seen, live: [] };
  if (seen.stage === "queue" && s.has("queue stage skipped")) return { ...seen, before: [] };
  if (seen.stage === "foreign" && s.has("older clients not looked for")) return { ...seen, foreign: undefined };
  return seen;
}

function stopped(s: State, p: number, watch: TicketOf | undefined): boolean {
  const stage = stages[s.get(p, own.stage)];
  if (stage === "table") return go(s, p, s.get(p, own.table) === 0 ? pc.poll : pc.explain);
  if (watch === undefined) return go(s, p, pc.poll);
  if (stage === "structural" && (s.of(s.ticket(p), held.turn) & (1 << watch.ticket)) === 0)
    s.violation ??= "a model command waits for a structural command that came after its turn";
  s.set(p, own.note, watch.ticket + 1);
  return go(s, p, pc.setWatch);
}

// ------------------------------------------------------------ the lock table

function tryTable(s: State, p: number): boolean {
  const ticket = s.ticket(p);
  const table = s.get(p, own.table);
  const range = s.get(p, own.range);
  if (!s.isTaken(ticket, table, range)) {
    s.put(ticket, held.table, table);
    s.put(ticket, held.range, range);
    return go(s, p, pc.verify);
  }
  if (table !== s.common(common.table) + 1) s.set(p, own.table, 0);
  return decide(s, p, { stage: "table", lock: s.get(p, own.table) === 0 ? "replaced" : "busy" });
}

function verify(s: State, p: number): boolean {
  const ticket = s.ticket(p);
  const isCurrent = s.get(p, own.table) === s.common(common.table) + 1 || s.has("table not checked for being current");
  const isSame = s.get(p, own.range) === s.rangesOf(s.slot(ticket)) || s.has("ranges not checked after the lock");
  if (isCurrent && isSame) return decide(s, p, { stage: "table", lock: "locked" });
  s.freeLock(ticket);
  s.set(p, own.table, 0);
  return decide(s, p, { stage: "table", lock: "replaced" });
}

function explain(s: State, p: number): boolean {
  const ticket = s.ticket(p);
  const slot = s.slot(ticket);
  const queues: readonly Slot[] = slot === slots.D ? [slots.D, slots.A, slots.S, slots.B] : [slots.D, slot];
  const holder = queues.flatMap((queue) => s.listed(queue)).find((one) => one !== ticket && s.isHeldBy(one));
  if (holder === undefined) return go(s, p, pc.poll);
  s.set(p, own.note, holder + 1);
  return go(s, p, pc.setWatch);
}

// ------------------------------------------------------------ records

function link(s: State, p: number): boolean {
  const ticket = s.ticket(p);
  const slot = s.slot(ticket);
  const found = s.recordOf(slot);
  if (found === record.absent) {
    s.setRecord(slot, ticket + 1);
    return published(s, p);
  }
  if (s.isFreshOlder(found)) return refused(s, p);
  if (found !== record.older && s.isShared(ticket) && s.isHeldBy(found - 1)) return published(s, p);
  if (found === ticket + 1 && !s.has("announcement taken away to be published")) return published(s, p);
  s.set(p, own.note, found);
  return go(s, p, pc.takeRename);
}

function published(s: State, p: number): boolean {
  s.set(p, own.note, 0);
  if (stages[s.get(p, own.stage)] === "announce") return decide(s, p, { stage: "announce", foreign: undefined });
  return go(s, p, s.config.older !== undefined && s.slot(s.ticket(p)) < slots.D ? pc.recheck : pc.mark);
}

function refused(s: State, p: number): boolean {
  s.set(p, own.gate, 0);
  const stage = stages[s.get(p, own.stage)] === "announce" ? ("announce" as const) : ("publish" as const);
  return decide(s, p, { stage, foreign: "path" });
}

/** What was judged is not what was there, or is gone. */
function takeAwayFailed(s: State, p: number): boolean {
  const wasOurs = s.get(p, own.note) !== record.older;
  s.set(p, own.note, 0);
  if (!s.has("failed takeover counts as published")) return go(s, p, pc.link);
  return wasOurs ? published(s, p) : refused(s, p);
}

/** Into our hand. By mistake it may be an older client's, which then has none for a moment: it isn't promised anything. */
function take(s: State, p: number, slot: Slot): void {
  if (s.recordOf(slot) === record.older) s.setCommon(common.olderRevoked, 1);
  s.set(p, own.aside, s.recordOf(slot));
  s.setRecord(slot, record.absent);
}

/** A record that was judged a moment ago is replaced in one step. */
function renameOver(s: State, p: number, by: number): void {
  const slot = s.slot(s.ticket(p));
  if (s.recordOf(slot) === record.older) s.setCommon(common.olderRevoked, 1);
  s.setRecord(slot, by);
}

function linkBack(s: State, p: number): void {
  const slot = s.slot(s.ticket(p));
  if (s.recordOf(slot) === record.absent) s.setRecord(slot, s.get(p, own.aside));
  s.set(p, own.aside, 0);
}

function overwritten(s: State, p: number): void {
  if (s.recordOf(s.slot(s.ticket(p))) !== s.get(p, own.note)) s.violation ??= "a record of another was removed";
}

/** An older client's structural command may have come between our look and our record. */
function recheck(s: State, p: number): boolean {
  if (!s.isFreshOlder(s.recordOf(slots.D)) || s.has("datastore record not looked at again")) return go(s, p, pc.mark);
  const slot = s.slot(s.ticket(p));
  if (s.recordOf(slot) === s.ticket(p) + 1) s.setRecord(slot, record.absent);
  return refused(s, p);
}

/** Production has nothing left to look at; a planted bug has. */
function afterMark(s: State): Pc {
  return s.has("generation read only when granted") ? pc.init : pc.work;
}

function mark(s: State, p: number): boolean {
  const ticket = s.ticket(p);
  const slot = s.slot(ticket);
  const mayPass = s.isWithin(p) && slot !== slots.D;
  const stillWaits = (one: number) =>
    s.isLiveTicket(one) && s.of(one, held.isGranted) === 0 && !isLeaving(s, one) && !(mayPass && waitsFreely(s, one));
  const isOrdered = (queue: Slot) => (s.common(common.disorder) & (1 << queue)) === 0;
  if (isOrdered(slot) && ticketsIn(s.of(ticket, held.ahead)).some(stillWaits))
    s.violation ??= "a place was granted before an earlier one that conflicts";
  if (isOrdered(slots.D) && ticketsIn(s.of(ticket, held.aheadStructural)).some(stillWaits))
    s.violation ??= "a newcomer was granted before a structural command that waited already";
  s.put(ticket, held.isGranted, 1);
  for (const field of [held.ahead, held.aheadStructural, held.turn, held.hasTurn]) s.put(ticket, field, 0);
  if (isShare(s, p)) return go(s, p, afterMark(s));
  if (s.get(p, own.gate) === 0) return decide(s, p, { stage: "publish", foreign: undefined });
  decide(s, p, { stage: "publish", foreign: undefined });
  return go(s, p, pc.publishUngate);
}

// ------------------------------------------------------------ work and giving back

function work(s: State, p: number): boolean {
  const isLast = s.get(p, own.request) === s.wants(p).length - 1;
  if (isLast) {
    const isBusy = (child: number) => s.get(child, own.isAlive) !== 0 && s.get(child, own.pc) !== pc.done;
    return p === 0 && s.config.children?.some(isBusy) === true ? false : go(s, p, pc.checkTable);
  }
  s.set(p, own.request, s.get(p, own.request) + 1);
  for (const field of [own.stage, own.hasSeen, own.seen, own.table, own.range]) s.set(p, field, 0);
  return go(s, p, pc.gate);
}

export function ticketsHeld(s: State, p: number): number[] {
  return Array.from({ length: s.get(p, own.request) + 1 }, (_, index) => p * perProcess + index);
}

function checkTable(s: State, p: number): boolean {
  const mine = ticketsHeld(s, p);
  s.set(p, own.note, mine.some((ticket) => s.of(ticket, held.isRevoked) !== 0) ? 1 : 0);
  const isCurrent = (ticket: number) =>
    s.of(ticket, held.table) === s.common(common.table) + 1 &&
    s.of(ticket, held.generation) === s.generationOf(s.slot(ticket)) &&
    (s.slot(ticket) !== slots.S || s.isHeldBy(0));
  return mine.every(isCurrent) ? go(s, p, pc.checkRecord) : lose(s, p);
}

function checkRecord(s: State, p: number): boolean {
  for (const ticket of ticketsHeld(s, p)) {
    const slot = s.slot(ticket);
    if (slot === slots.S) continue;
    const found = s.recordOf(slot);
    if (found === record.absent && s.get(p, own.wasPaused) !== 0 && !s.has("record put back after a long pause"))
      return lose(s, p);
    if (found === record.absent) s.setRecord(slot, ticket + 1);
    else if (found === record.older) return lose(s, p);
    else if (found !== ticket + 1 && !s.isShared(ticket)) return lose(s, p);
    else if (found !== ticket + 1 && !s.isHeldBy(found - 1)) {
      if (s.has("record of a dead reader counts as lost")) return lose(s, p);
      return go(s, p, pc.replaceGate);
    }
  }
  s.set(p, own.wasPaused, 0);
  if (s.get(p, own.note) !== 0) s.violation ??= "a revoked holder passed its check";
  s.set(p, own.note, 0);
  return giveBack(s, p);
}

/** Among those who share, the record named one who died: ours takes its place. In the gate, and judged anew there. */
function replaceDead(s: State, p: number): boolean {
  const ticket = s.ticket(p);
  if (s.of(ticket, held.generation) !== s.generationOf(s.slot(ticket))) {
    s.set(p, own.gate, 0);
    return lose(s, p);
  }
  const found = s.recordOf(s.slot(s.ticket(p)));
  const isDead = found !== record.absent && found < record.half && !s.isHeldBy(found - 1);
  s.set(p, own.list, isDead ? found : 0);
  return go(s, p, isDead ? pc.replaceRename : pc.replaceUngate);
}

function lose(s: State, p: number): boolean {
  const isRevoked = ticketsHeld(s, p).some((ticket) => s.of(ticket, held.isRevoked) !== 0);
  const isOrphan = isShare(s, p) && !s.isHeldBy(0);
  const isForced = s.common(common.disorder) !== 0 && (s.config.revoke ?? s.config.older) !== undefined;
  const mayBe = isRevoked || isOrphan || isForced || s.get(p, own.wasPaused) !== 0;
  if (!mayBe) s.violation ??= "a holder was told that its lock is lost, and it wasn't";
  s.set(p, own.note, 0);
  s.set(p, own.isLost, 1);
  return giveBack(s, p);
}

function giveBack(s: State, p: number): boolean {
  const ticket = s.ticket(p);
  s.set(p, own.table, 0);
  s.set(p, own.range, 0);
  if (s.slot(ticket) === slots.S || s.has("record removed after lock and ticket")) return go(s, p, pc.unlock);
  return go(s, p, s.isShared(ticket) ? pc.releaseGate : pc.removeRead);
}

function removeByPath(s: State, p: number): void {
  const found = s.recordOf(s.slot(s.ticket(p)));
  if (found !== s.ticket(p) + 1 && found !== record.absent) s.violation ??= "a record of another was removed";
  s.setRecord(s.slot(s.ticket(p)), record.absent);
}

/** Gives up a place: what it had announced, its lock, its ticket; then what it holds. */
export function leave(s: State, p: number): void {
  for (const field of [own.watch, own.event, own.note, own.list, own.live]) s.set(p, field, 0);
  s.set(p, own.isLeaving, 1);
  const isAnnounced = s.slot(s.ticket(p)) === slots.D && !s.has("announcement left behind on a timeout");
  go(s, p, isAnnounced ? pc.removeRead : pc.unlock);
}

function isLeaving(s: State, ticket: number): boolean {
  const owner = s.ownerOf(ticket);
  return s.get(owner, own.isLeaving) !== 0 && s.ticket(owner) === ticket;
}

function given(s: State, p: number): boolean {
  s.put(s.ticket(p), held.isGranted, 0);
  s.set(p, own.isLeaving, 0);
  if (s.get(p, own.request) === 0) {
    finish(s, p);
    return true;
  }
  s.set(p, own.request, s.get(p, own.request) - 1);
  return giveBack(s, p);
}

/** Nothing of it matters any more but what it left on the disk. */
export function finish(s: State, p: number): void {
  for (let field = 0; field < own.size; field++) {
    if (field !== own.isAlive && field !== own.isCovered) s.set(p, field, 0);
  }
  go(s, p, pc.done);
  dropInherited(s, p);
}

/** A descriptor that was inherited keeps its lock until the last one who has it ends. */
export function dropInherited(s: State, p: number): void {
  const { children = [] } = s.config;
  const has = (one: number) =>
    s.get(one, own.isAlive) !== 0 && s.get(one, own.pc) !== pc.done && s.get(one, own.pc) !== pc.uncalled;
  if (!children.includes(p) || s.get(0, own.isAlive) !== 0 || children.some(has)) return;
  for (let ticket = 0; ticket < perProcess; ticket++) s.freeLock(ticket);
}

// ------------------------------------------------------------ commands that a command calls

function isShare(s: State, p: number): boolean {
  return s.slot(s.ticket(p)) === slots.S;
}

function inherit(s: State, p: number): boolean {
  const carries = s.get(p, own.note) !== 0;
  const ticket = s.get(0, own.request);
  const isLive = s.isHeldBy(ticket);
  s.set(p, own.note, 0);
  const holding: Holding = {
    resource: resources[s.slot(ticket)] ?? { kind: "datastore" },
    mode: s.isShared(ticket) ? "shared" : "exclusive",
    nonce: String(ticket),
    token: 1,
    pid: 1,
  };
  const inherited = {
    holdings: carries && isLive ? [holding] : [],
    unshared: carries !== isLive ? [holding] : [],
  };
  if (s.has("nested skips the cover check")) return go(s, p, pc.gate);
  try {
    for (const { slot, mode } of s.wants(p))
      coverOf({ resource: resources[slot] ?? { kind: "datastore" }, mode }, inherited);
  } catch {
    finish(s, p); // told so, and waits for nobody
    return true;
  }
  const what =
    inherited.holdings.length > 0 ? cover.shared : inherited.unshared.length > 0 ? cover.unshared : cover.none;
  s.set(p, own.isCovered, what);
  return go(s, p, pc.gate);
}

const model = (id: string): Resource => ({ kind: "model", type: "t", id });
const resources: readonly Resource[] = [model("a"), model("b"), { kind: "datastore" }, model("a")];

/** True where production would find that this process waits for itself through others, and that it must give way. */
export function mustGiveWay(s: State, p: number): boolean {
  if (!s.isWithin(p) || isDue(s, p)) return false;
  const nonce = String(s.ticket(p));
  return findCycle(inspect(s), nonce)?.victim === nonce;
}

function inspect(s: State): LockTable {
  const heldLocks: LockTable["held"][number][] = [];
  const waiting: LockTable["waiting"][number][] = [];
  for (const slot of [slots.A, slots.B, slots.D, slots.S]) {
    let at = 0;
    for (const ticket of s.listed(slot).filter((one) => s.isLiveTicket(one))) {
      const resource = resources[slot] ?? { kind: "datastore" };
      const under = slot === slots.S ? { under: "0" } : {};
      const line = recordOf(s, ticket);
      if (s.of(ticket, held.isGranted) === 0) waiting.push({ resource, record: line, place: ++at, ...under });
      else heldLocks.push({ resource, state: "held", record: line, processes: [], path: "", ...under });
    }
  }
  return { held: heldLocks, waiting };
}

function recordOf(s: State, ticket: number): LockRecord {
  const owner = s.ownerOf(ticket);
  const before = Array.from({ length: ticket % perProcess }, (_, index) => String(owner * perProcess + index));
  const above = s.get(owner, own.isCovered) === cover.none ? [] : [String(s.get(0, own.request))];
  return {
    holder: "",
    hostname: "",
    pid: owner,
    acquiredAt: "",
    ttlMs: 1,
    nonce: String(ticket),
    mode: s.isShared(ticket) ? "shared" : "exclusive",
    within: [...above, ...before],
  };
}

// ------------------------------------------------------------ sets of tickets

function maskOf(tickets: readonly number[]): number {
  return tickets.reduce((mask, ticket) => mask | (1 << ticket), 0);
}

export function ticketsIn(mask: number): number[] {
  const found: number[] = [];
  for (let ticket = 0; ticket < 8; ticket++) if ((mask & (1 << ticket)) !== 0) found.push(ticket);
  return found;
}

function ordered(s: State, mask: number): number[] {
  return ticketsIn(mask).sort((a, b) => s.of(a, held.number) - s.of(b, held.number) || a - b);
}

function lastOf(s: State, mask: number): number {
  return ordered(s, mask).at(-1) ?? 0;
}

function ticketOf(ticket: number): TicketOf {
  return { nonce: String(ticket), ticket };
}
