/** Those who aren't in a queue: break-glass release, and a client that knows only lock files. Step by step, like the rest. */
import { gatekeeper } from "./kernel-process.ts";
import {
  common,
  held,
  olderDone,
  own,
  pc,
  perProcess,
  place,
  record,
  type Slot,
  slots,
  type State,
} from "./kernel-state.ts";

export interface Named {
  readonly name: string;
  readonly next: State;
}

export const revoker = {
  idle: 0,
  gate: 1,
  inspect: 2,
  processes: 3,
  take: 4,
  mark: 5,
  read: 6,
  rename: 7,
  judge: 8,
  bury: 9,
  ungate: 10,
  done: 11,
} as const;
export const revokerNames = Object.keys(revoker);

/** The holder's identity is shown to a person first; then that one is released, if it still holds. */
export function revokerSteps(s: State, slot: Slot): Named[] {
  const at = s.common(common.revokerPc);
  if (at === revoker.idle) return shown(s, slot);
  if (at === revoker.done) return [];
  const next = s.copy();
  const ticket = next.common(common.revokerTicket) - 1;
  const to = revokerStep(next, slot, ticket);
  if (to === undefined) return [];
  next.setCommon(common.revokerPc, to);
  if (to === revoker.done) next.setCommon(common.revokerTicket, 0);
  return [{ name: revokerNames[at] ?? "", next }];
}

function shown(s: State, slot: Slot): Named[] {
  const found: Named[] = [];
  for (let ticket = 0; ticket < s.processes * perProcess; ticket++) {
    const isLeft = s.recordOf(slot) === ticket + 1 && !s.isLiveTicket(ticket);
    if (!isLeft && !(s.isHeldBy(ticket) && s.slot(ticket) === slot)) continue;
    const next = s.copy();
    next.setCommon(common.revokerTicket, ticket + 1);
    next.setCommon(common.revokerPc, revoker.gate);
    found.push({ name: `is shown ${slot}/${ticket}`, next });
  }
  return found;
}

/** Where the revoker stands after this step; undefined where it can't go on now. */
function revokerStep(s: State, slot: Slot, ticket: number): number | undefined {
  switch (s.common(common.revokerPc)) {
    case revoker.gate:
      return enterGate(s, slot);
    case revoker.inspect: {
      const isLive = s.isLiveTicket(ticket) && s.slot(ticket) === slot;
      if (isLive) return s.isHeldBy(ticket) ? revoker.take : revoker.ungate;
      return s.recordOf(slot) === ticket + 1 ? revoker.processes : revoker.ungate;
    }
    case revoker.processes:
      if (!s.isKept(slot)) return revoker.read;
      return s.of(ticket, held.place) === place.shown ? revoker.take : revoker.mark;
    case revoker.take:
      if (s.of(ticket, held.place) !== place.shown && !s.has("revoke whoever holds by then")) return revoker.ungate;
      bump(s, slot, { generation: s.of(ticket, held.generation), meant: ticket });
      return revoker.read;
    case revoker.mark:
      bump(s, slot, { generation: s.generationOf(slot) });
      return revoker.read;
    case revoker.read:
      return s.recordOf(slot) === ticket + 1 ? revoker.rename : revoker.bury;
    case revoker.rename:
      if (s.recordOf(slot) === record.absent) return revoker.bury;
      s.setCommon(common.revokerAside, s.recordOf(slot));
      s.setRecord(slot, record.absent);
      return revoker.judge;
    case revoker.judge:
      if (s.common(common.revokerAside) !== ticket + 1 && s.recordOf(slot) === record.absent)
        s.setRecord(slot, s.common(common.revokerAside));
      s.setCommon(common.revokerAside, 0);
      return revoker.bury;
    case revoker.bury:
      if (s.of(ticket, held.place) === place.shown) s.removeTicket(ticket, { isSilent: false });
      return revoker.ungate;
    default:
      s.setCommon(common.revokerGate, 0);
      return revoker.done;
  }
}

function enterGate(s: State, slot: Slot): number | undefined {
  const code = 1 + slot + 4 * s.common(common.table);
  const inside = gatekeeper(s, code);
  if (inside === "running") return undefined;
  if (inside === "nobody") s.setCommon(common.revokerGate, code);
  else s.setCommon(common.disorder, s.common(common.disorder) | (1 << slot));
  return revoker.inspect;
}

/** The next generation, and of the datastore the next table. Whoever has what it leaves behind must never pass a check that begins later. */
function bump(s: State, slot: Slot, { generation, meant }: { readonly generation: number; readonly meant?: number }) {
  const next = Math.max(s.generationOf(slot), generation + 1);
  if (next === s.generationOf(slot)) return;
  const range = s.rangesOf(slot);
  for (let ticket = 0; ticket < s.processes * perProcess; ticket++) {
    const isHit =
      s.of(ticket, held.table) === s.common(common.table) + 1 &&
      (slot === slots.D || (s.slot(ticket) === slot && s.of(ticket, held.range) === range));
    if (!isHit) continue;
    s.put(ticket, held.isRevoked, 1);
    const isByMistake = meant !== undefined && ticket !== meant && s.conflict(ticket, meant);
    // Models wait for the datastore's lock, not for its ticket, which is removed a moment later: what they took meanwhile is lost.
    const isLeaving =
      slot === slots.D && s.of(meant ?? 0, held.place) === place.shown && s.of(meant ?? 0, held.table) === 0;
    if (isByMistake && !isLeaving && (s.common(common.disorder) & (1 << slot)) === 0)
      s.violation ??= "a release by force hit another than the one that was shown";
  }
  if (!s.has("revoke without a new byte")) s.setCommon(common.generationA + slot, next);
  if (slot !== slots.D) return;
  s.setCommon(common.table, s.common(common.table) + 1);
  s.setCommon(common.disorder, 7);
}

// ------------------------------------------------------------ the older client

export const older = { look: 0, create: 1, recheck: 2, work: 3, release: 4, done: olderDone } as const;
export const olderNames = Object.keys(older);

export function olderSteps(s: State, slot: typeof slots.A | typeof slots.D): Named[] {
  if (s.common(common.olderAlive) === 0 || s.common(common.olderPaused) !== 0) return [];
  const at = s.common(common.olderPc);
  if (at === older.done) return [];
  const next = s.copy();
  const to = olderStep(next, slot);
  if (to === undefined) return [];
  next.setCommon(common.olderPc, to);
  return [{ name: olderNames[at] ?? "", next }];
}

/** It takes a record for stale when its writer is dead, or was paused for so long that it missed its refreshes. */
function isStale(s: State, found: number): boolean {
  if (found === record.absent || found === record.older) return found === record.older; // its own, from before
  const owner = s.ownerOf(found - 1);
  return s.get(owner, own.isAlive) === 0 || s.get(owner, own.isPaused) !== 0;
}

function olderStep(s: State, slot: typeof slots.A | typeof slots.D): number | undefined {
  const isFree = (one: Slot) => s.recordOf(one) === record.absent || isStale(s, s.recordOf(one));
  switch (s.common(common.olderPc)) {
    case older.look:
      return isFree(slots.D) ? older.create : undefined;
    case older.create:
      if (s.recordOf(slot) === record.absent) {
        if (s.common(common.olderRemoved) !== 0) outOfSight(s, slot);
        s.setRecord(slot, record.older);
        return older.recheck;
      }
      // Judged and removed in one step: held up between the two it would remove whatever is there then, which nobody can prevent.
      if (!isStale(s, s.recordOf(slot))) return undefined;
      s.setCommon(common.olderRemoved, 1);
      s.setRecord(slot, record.absent);
      return older.create;
    case older.recheck:
      if (slot === slots.D) return isFree(slots.A) && isFree(slots.B) ? older.work : undefined;
      if (isFree(slots.D)) return older.work;
      if (s.recordOf(slot) === record.older) s.setRecord(slot, record.absent);
      return older.look;
    case older.work:
      return older.release;
    default:
      if (s.recordOf(slot) === record.older) s.setRecord(slot, record.absent);
      s.setCommon(common.olderRevoked, 0);
      return older.done;
  }
}

/** It took somebody who had missed his refreshes for dead: he must find out. */
function outOfSight(s: State, slot: Slot): void {
  s.setCommon(common.olderRemoved, 0);
  for (let ticket = 0; ticket < s.processes * perProcess; ticket++) {
    const at = s.get(s.ownerOf(ticket), own.pc);
    const isPublished = s.of(ticket, held.isGranted) !== 0 || at === pc.recheck || at === pc.mark;
    if (s.slot(ticket) === slot && s.of(ticket, held.table) !== 0 && isPublished) s.put(ticket, held.isRevoked, 1);
  }
}

/** The older client is at work, and nobody could take it for dead. */
export function olderWorks(s: State): boolean {
  return (
    s.common(common.olderPc) === older.work &&
    s.common(common.olderAlive) !== 0 &&
    s.common(common.olderRevoked) === 0 &&
    s.common(common.olderPaused) === 0
  );
}

export function isSettled(s: State): boolean {
  const isOlderOver =
    s.config.older === undefined || s.common(common.olderAlive) === 0 || s.common(common.olderPc) === older.done;
  const at = s.common(common.revokerPc);
  const isRevokerOver = at === revoker.idle || at === revoker.done;
  for (let p = 0; p < s.processes; p++) {
    const isOver = s.get(p, own.isAlive) === 0 || s.get(p, own.pc) === pc.done || s.get(p, own.pc) === pc.uncalled;
    if (!isOver) return false;
  }
  return isOlderOver && isRevokerOver;
}
