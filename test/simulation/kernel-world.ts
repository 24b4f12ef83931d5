/** All that can happen next in a state, and what must be true in every state. */
import { type Named, older, olderSteps, olderWorks, revokerSteps, revoker } from "./kernel-others.ts";
import { dropInherited, finish, leave, mustGiveWay, step } from "./kernel-process.ts";
import {
  common,
  held,
  own,
  pc,
  pcNames,
  perProcess,
  place,
  record,
  type Slot,
  slotNames,
  slots,
  type State,
} from "./kernel-state.ts";

export interface Move {
  readonly actor: string;
  readonly name: string;
  readonly next: State;
  /** Something that nobody may count on: a crash, a pause, somebody who gives up. The rest must come to an end without it. */
  readonly isFault?: true;
}

const names = ["P", "Q", "R", "T"] as const;

export function movesOf(s: State): Move[] {
  const moves: Move[] = [];
  for (let p = 0; p < s.processes; p++) moves.push(...processMoves(s, p));
  const { revoke, older: what } = s.config;
  if (revoke !== undefined && s.common(common.revokerPaused) === 0)
    moves.push(...named("revoker", revokerSteps(s, revoke), s.common(common.revokerPc) === revoker.idle));
  if (what !== undefined) moves.push(...named("older", olderSteps(s, what), false));
  moves.push(...faults(s));
  return moves;
}

function named(actor: string, steps: readonly Named[], isFault: boolean): Move[] {
  return steps.map(({ name, next }) => ({ actor, name, next, ...(isFault ? { isFault } : {}) }));
}

function processMoves(s: State, p: number): Move[] {
  const at = s.get(p, own.pc);
  if (s.get(p, own.isAlive) === 0 || at === pc.done) return [];
  const actor = names[p] ?? "?";
  if (s.get(p, own.isPaused) !== 0) {
    return [changed(s, actor, "goes on after its pause", (next) => next.set(p, own.isPaused, 0))];
  }
  const moves: Move[] = [];
  const next = s.copy();
  if (step(next, p)) moves.push({ actor, name: pcNames[at] ?? "", next });
  if (at !== pc.sleep && at !== pc.poll) return moves;
  if (s.config.impatient?.includes(p) === true)
    moves.push({ ...changed(s, actor, "gives up waiting", (one) => leave(one, p)), isFault: true });
  if (mustGiveWay(s, p))
    moves.push(
      changed(s, actor, "gives way: a wait cycle", (one) => {
        one.setCommon(common.cycles, 1);
        leave(one, p);
      }),
    );
  return moves;
}

function changed(s: State, actor: string, name: string, change: (next: State) => void): Move {
  const next = s.copy();
  change(next);
  return { actor, name, next };
}

function faults(s: State): Move[] {
  const moves: Move[] = [];
  const fault = (actor: string, name: string, change: (next: State) => void) =>
    moves.push({ ...changed(s, actor, name, change), isFault: true });
  for (let p = 0; p < s.processes; p++) {
    const at = s.get(p, own.pc);
    if (s.get(p, own.isAlive) === 0 || at === pc.done || at === pc.uncalled) continue;
    const actor = names[p] ?? "?";
    if (s.common(common.crashes) > 0) fault(actor, "is killed", (next) => crash(next, p));
    const isSeen = s.get(p, own.gate) !== 0 || isInStaleRecord(s, p);
    if (s.common(common.pauses) > 0 && isSeen && s.get(p, own.isPaused) === 0)
      fault(actor, "is paused", (next) => {
        next.setCommon(common.pauses, next.common(common.pauses) - 1);
        next.set(p, own.isPaused, 1);
        if (isInStaleRecord(next, p)) next.set(p, own.wasPaused, 1);
      });
  }
  if (s.common(common.pauses) > 0 && s.common(common.revokerGate) !== 0 && s.common(common.revokerPaused) === 0)
    fault("revoker", "is paused", (next) => {
      next.setCommon(common.pauses, next.common(common.pauses) - 1);
      next.setCommon(common.revokerPaused, 1);
    });
  if (s.common(common.revokerPaused) !== 0)
    moves.push(changed(s, "revoker", "goes on after its pause", (next) => next.setCommon(common.revokerPaused, 0)));
  moves.push(...olderFaults(s));
  return moves;
}

function olderFaults(s: State): Move[] {
  const at = s.common(common.olderPc);
  if (s.config.older === undefined || at === older.done || s.common(common.olderAlive) === 0) return [];
  const moves: Move[] = [];
  if (s.common(common.olderPaused) !== 0)
    return [changed(s, "older", "goes on after its pause", (next) => next.setCommon(common.olderPaused, 0))];
  if (s.common(common.crashes) > 0)
    moves.push({
      ...changed(s, "older", "is killed", (next) => {
        next.setCommon(common.crashes, next.common(common.crashes) - 1);
        next.setCommon(common.olderAlive, 0);
        next.setCommon(common.olderPc, 0);
      }),
      isFault: true,
    });
  if (s.common(common.pauses) > 0 && at > older.create)
    moves.push({
      ...changed(s, "older", "is paused", (next) => {
        next.setCommon(common.pauses, next.common(common.pauses) - 1);
        next.setCommon(common.olderPaused, 1);
      }),
      isFault: true,
    });
  return moves;
}

/** Whether the older client, which wants the same, could take this one's record for stale. */
function isInStaleRecord(s: State, p: number): boolean {
  if (s.config.older === undefined) return false;
  const found = s.recordOf(s.config.older);
  return found !== record.absent && found < record.half && s.ownerOf(found - 1) === p;
}

/** The kernel frees what a dead process had, but for what others inherited. */
function crash(s: State, p: number): void {
  s.setCommon(common.crashes, s.common(common.crashes) - 1);
  // Killed with an older client's record in hand: that client lost it, and nobody can know.
  if (s.get(p, own.aside) === record.older) s.setCommon(common.olderRevoked, 1);
  const heirs = (s.config.children ?? []).filter(
    (child) =>
      s.get(child, own.isAlive) !== 0 && s.get(child, own.pc) !== pc.done && s.get(child, own.pc) !== pc.uncalled,
  );
  const isKept = p === 0 && heirs.length > 0 && !s.has("descriptor not inherited");
  const request = s.get(p, own.request);
  for (let index = 0; index < perProcess; index++) {
    const ticket = p * perProcess + index;
    s.put(ticket, held.isLocked, 0);
    for (const field of [held.ahead, held.aheadStructural, held.turn, held.hasTurn]) s.put(ticket, field, 0);
    if (!isKept) s.freeLock(ticket);
  }
  finish(s, p);
  s.set(p, own.isAlive, 0);
  if (p === 0) s.set(p, own.request, request);
  dropInherited(s, p);
}

// ------------------------------------------------------------ what must be true

/** What is broken in this state, or undefined. */
export function broken(s: State): string | undefined {
  return exclusion(s) ?? records(s);
}

/** Those who work and would pass a check. */
function workers(s: State): number[] {
  const found: number[] = [];
  for (let ticket = 0; ticket < s.processes * perProcess; ticket++) {
    const owner = s.ownerOf(ticket);
    const isWorking =
      s.of(ticket, held.isGranted) !== 0 &&
      s.of(ticket, held.table) !== 0 &&
      s.of(ticket, held.isRevoked) === 0 &&
      s.get(owner, own.isAlive) !== 0 &&
      s.get(owner, own.isLost) === 0;
    if (isWorking) found.push(ticket);
  }
  return found;
}

function exclusion(s: State): string | undefined {
  const working = workers(s);
  for (const a of working) {
    for (const b of working) {
      if (a < b && s.conflict(a, b) && touch(s, a, b))
        return `two hold ${slotNames[s.slot(a)]} and ${slotNames[s.slot(b)]} in modes that conflict`;
    }
  }
  const what = s.config.older;
  if (what === undefined || !olderWorks(s) || s.common(common.disorder) !== 0) return undefined;
  // Those who give back have stopped working.
  const beside = working.find(
    (ticket) =>
      s.get(s.ownerOf(ticket), own.pc) < pc.releaseGate &&
      (what === slots.D || s.slot(ticket) === what || s.slot(ticket) === slots.D),
  );
  // Paused for longer than its TTL: the older client may think it dead, and it learns of that.
  return beside === undefined || isStopped(s, beside) ? undefined : "an older client works beside a holder";
}

function isStopped(s: State, ticket: number): boolean {
  return s.get(s.ownerOf(ticket), own.isPaused) !== 0;
}

/** True where two locks cover something in common and neither works for the other. */
function touch(s: State, a: number, b: number): boolean {
  const [p, q] = [s.ownerOf(a), s.ownerOf(b)];
  const { children = [] } = s.config;
  if (p === q || (p === 0 && children.includes(q)) || (q === 0 && children.includes(p))) return false;
  const model = (slot: Slot) => (slot === slots.S ? slots.A : slot);
  const [left, right] = [model(s.slot(a)), model(s.slot(b))];
  return left === right || left === slots.D || right === slots.D;
}

/** A holder at work is named by the record, or by one that somebody has in hand for a moment; nobody else is named there. */
function records(s: State): string | undefined {
  for (const ticket of workers(s)) {
    const owner = s.ownerOf(ticket);
    const slot = s.slot(ticket);
    const isQuiet = s.get(owner, own.pc) === pc.work && slot !== slots.S;
    if (!isQuiet || (s.common(common.disorder) & (1 << slot)) !== 0) continue;
    const found = s.recordOf(slot);
    const isNamed =
      found === ticket + 1 || (s.isShared(ticket) && found !== record.absent && s.of(found - 1, held.table) !== 0);
    // Among those who share, one may have died; the others find out at their next check.
    const isOfDead = s.isShared(ticket) && found !== record.absent && s.get(s.ownerOf(found - 1), own.isAlive) === 0;
    // Killed with another's record in hand: the holder puts it back at its next check.
    const isLost = found === record.absent && s.common(common.crashes) < (s.config.crashes ?? 0);
    if (!isNamed && !isOfDead && !isLost && !isInHand(s, slot) && s.config.older === undefined)
      return `the record of ${slotNames[slot]} doesn't name its holder`;
  }
  for (const slot of [slots.A, slots.B]) {
    const found = s.recordOf(slot);
    if (found === record.absent || found >= record.half) continue;
    const ticket = found - 1;
    const isAlive = s.get(s.ownerOf(ticket), own.isAlive) !== 0 && s.of(ticket, held.place) === place.shown;
    // After a paused process was passed in its gate a record may be left behind that names one who was there: only older clients read it.
    const isOrdered = (s.common(common.disorder) & (1 << slot)) === 0;
    // And one that a release by force had in hand by mistake may be put back after its holder left.
    const isForced = s.common(common.revokerPc) !== revoker.idle;
    if (isOrdered && !isForced && isAlive && s.of(ticket, held.table) === 0)
      return `the record of ${slotNames[slot]} names one who doesn't hold it`;
  }
  return undefined;
}

function isInHand(s: State, slot: Slot): boolean {
  if (s.common(common.revokerAside) !== 0) return true;
  for (let p = 0; p < s.processes; p++) {
    const isThere = s.get(p, own.aside) !== 0 && s.slot(s.ticket(p)) === slot;
    const at = s.get(p, own.pc);
    const isHandedOn = (at === pc.putOther || at === pc.link) && s.slot(s.ticket(p)) === slot;
    if (isThere || isHandedOn) return true;
  }
  return false;
}
