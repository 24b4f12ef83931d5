/**
 * A made-up machine for the search: a queue folder per slot, the kernel's lock table, the records, and where each process stands. A state
 * is a few dozen bytes, copied for every step, so that states compare as strings.
 *
 * Slots: the models A and B, the datastore D, and S, the share of A among the commands that A's holder calls. A ticket is named by
 * its process and the number of the request, so a name is never used twice.
 */
export const slots = { A: 0, B: 1, D: 2, S: 3 } as const;
export type Slot = (typeof slots)[keyof typeof slots];
export const slotNames = ["A", "B", "D", "S"] as const;

export interface Want {
  readonly slot: Slot;
  readonly mode: "exclusive" | "shared";
}

export interface Config {
  readonly name: string;
  /** What each process takes, in this order; it works once it has all, then gives back. */
  readonly programs: readonly (readonly Want[])[];
  readonly crashes?: number;
  /** Pauses of any length. Elsewhere than here a pause is no more than an interleaving; in a gate, and behind a record, others see it. */
  readonly pauses?: number;
  /** Break-glass release of this slot, once, by identity. */
  readonly revoke?: Slot;
  /** Processes that may give up while they wait. */
  readonly impatient?: readonly number[];
  /** A client that knows only lock files; what it takes. */
  readonly older?: typeof slots.A | typeof slots.D;
  /** Processes that the first one calls while it works. */
  readonly children?: readonly number[];
  /** A planted one. */
  readonly bug?: string;
}

/** Where a process stands. */
export const pc = {
  gate: 0,
  open: 1,
  lock: 2,
  list: 3,
  sweep: 4,
  unhide: 5,
  show: 6,
  ungate: 7,
  look: 8,
  probe: 9,
  bury: 10,
  setWatch: 11,
  lookAgain: 12,
  sleep: 13,
  tryTable: 14,
  verify: 15,
  explain: 16,
  poll: 17,
  lookOwn: 18,
  publishGate: 19,
  link: 20,
  takeRename: 21,
  takeJudge: 22,
  recheck: 23,
  mark: 24,
  publishUngate: 25,
  init: 26,
  work: 27,
  checkTable: 28,
  checkRecord: 29,
  replaceGate: 30,
  replaceDead: 31,
  replaceRename: 32,
  replaceUngate: 33,
  releaseGate: 34,
  otherHolder: 35,
  removeRead: 36,
  removeRename: 37,
  removeJudge: 38,
  putOther: 39,
  unlock: 40,
  removeTicket: 41,
  closeTicket: 42,
  releaseUngate: 43,
  done: 44,
  uncalled: 45,
  inheritLock: 46,
  inheritTicket: 47,
} as const;
export type Pc = (typeof pc)[keyof typeof pc];
export const pcNames: readonly string[] = Object.keys(pc);

/** Fields of a process. */
export const own = {
  pc: 0,
  request: 1,
  stage: 2,
  hasSeen: 3,
  seen: 4,
  list: 5,
  live: 6,
  watch: 7,
  event: 8,
  note: 9,
  table: 10,
  range: 11,
  gate: 12,
  aside: 13,
  isAlive: 14,
  isPaused: 15,
  isLost: 16,
  isLeaving: 17,
  /** What it works within (`cover`). */
  isCovered: 18,
  /** For so long that it missed its refreshes; it hasn't seen its record since. */
  wasPaused: 19,
  size: 20,
} as const;

/** Fields of a ticket, and of what is held by it. */
export const held = {
  place: 0,
  isLocked: 1,
  number: 2,
  isGranted: 3,
  table: 4,
  range: 5,
  generation: 6,
  ahead: 7,
  aheadStructural: 8,
  turn: 9,
  isRevoked: 10,
  hasTurn: 11,
  size: 12,
} as const;

export const place = { none: 0, hidden: 1, shown: 2, removed: 3 } as const;

/** Fields of everything else. */
export const common = {
  generationA: 0,
  generationB: 1,
  generationD: 2,
  table: 3,
  recordA: 4,
  recordB: 5,
  recordD: 6,
  crashes: 7,
  pauses: 8,
  /** Slots in whose gate somebody passed a paused process: order isn't promised there any more. */
  disorder: 9,
  revokerPc: 10,
  revokerTicket: 11,
  revokerGate: 12,
  revokerAside: 13,
  revokerPaused: 14,
  olderPc: 15,
  olderAlive: 16,
  olderPaused: 17,
  olderRevoked: 18,
  cycles: 19,
  /** The older client removed a record that it took for stale. */
  olderRemoved: 20,
  size: 21,
} as const;

/** What a record says: nothing, half a record, the older client, or the ticket that it describes (plus one). */
export const record = { absent: 0, half: 30, older: 31 } as const;

/** Where the older client stands when it has ended. */
export const olderDone = 5;
const olderHolds = 2;

/** Requests per process. */
export const perProcess = 2;

/** What a called command has from its caller: nothing, a lock that it may share, or one that it must not wait for. */
export const cover = { none: 0, shared: 1, unshared: 2 } as const;

export class State {
  /** What the last step broke. */
  violation: string | undefined;
  readonly config: Config;
  readonly bytes: Uint8Array;
  readonly #tickets: number;
  readonly #common: number;

  constructor(config: Config, bytes: Uint8Array) {
    this.config = config;
    this.bytes = bytes;
    this.#tickets = config.programs.length * own.size;
    this.#common = this.#tickets + config.programs.length * perProcess * held.size;
  }

  static bytesOf(config: Config): number {
    return config.programs.length * (own.size + perProcess * held.size) + common.size;
  }

  copy(): State {
    return new State(this.config, this.bytes.slice());
  }

  get(process: number, field: number): number {
    return this.bytes[process * own.size + field] ?? 0;
  }

  set(process: number, field: number, value: number): void {
    this.bytes[process * own.size + field] = value;
  }

  of(ticket: number, field: number): number {
    return this.bytes[this.#tickets + ticket * held.size + field] ?? 0;
  }

  put(ticket: number, field: number, value: number): void {
    this.bytes[this.#tickets + ticket * held.size + field] = value;
  }

  common(field: number): number {
    return this.bytes[this.#common + field] ?? 0;
  }

  setCommon(field: number, value: number): void {
    this.bytes[this.#common + field] = value;
  }

  get processes(): number {
    return this.config.programs.length;
  }

  has(bug: string): boolean {
    return this.config.bug === bug;
  }

  // ------------------------------------------------------------ processes and tickets

  /** The ticket of the request that the process is at. */
  ticket(process: number): number {
    return process * perProcess + this.get(process, own.request);
  }

  ownerOf(ticket: number): number {
    return Math.floor(ticket / perProcess);
  }

  wants(process: number): readonly Want[] {
    return this.config.programs[process] ?? [];
  }

  slot(ticket: number): Slot {
    const owner = this.ownerOf(ticket);
    const slot = this.wants(owner)[ticket % perProcess]?.slot ?? slots.A;
    return slot === slots.A && this.get(owner, own.isCovered) === cover.shared ? slots.S : slot;
  }

  isShared(ticket: number): boolean {
    return this.wants(this.ownerOf(ticket))[ticket % perProcess]?.mode === "shared";
  }

  tickets(slot: Slot): number[] {
    const found: number[] = [];
    for (let ticket = 0; ticket < this.processes * perProcess; ticket++) {
      if (this.of(ticket, held.place) !== place.none && this.slot(ticket) === slot) found.push(ticket);
    }
    return found;
  }

  /** Names in a queue's folder, first come first. */
  listed(slot: Slot): number[] {
    return this.tickets(slot)
      .filter((ticket) => this.of(ticket, held.place) === place.shown)
      .sort((a, b) => this.of(a, held.number) - this.of(b, held.number) || a - b);
  }

  conflict(a: number, b: number): boolean {
    return !this.isShared(a) || !this.isShared(b);
  }

  /** What a look through an open descriptor tells. */
  isGone(ticket: number): boolean {
    return this.of(ticket, held.place) === place.removed || this.of(ticket, held.isLocked) === 0;
  }

  isLiveTicket(ticket: number): boolean {
    return this.of(ticket, held.place) === place.shown && this.of(ticket, held.isLocked) !== 0;
  }

  isHeldBy(ticket: number): boolean {
    return this.isLiveTicket(ticket) && this.of(ticket, held.isGranted) !== 0;
  }

  removeTicket(ticket: number, options: { readonly isSilent: boolean }): void {
    const wasShown = this.of(ticket, held.place) === place.shown;
    if (this.of(ticket, held.place) !== place.none) this.put(ticket, held.place, place.removed);
    if (!wasShown || options.isSilent) return;
    for (let process = 0; process < this.processes; process++) {
      if (this.get(process, own.watch) === ticket + 1) this.set(process, own.event, 1);
    }
  }

  isWithin(process: number): boolean {
    return this.get(process, own.request) > 0 || this.get(process, own.isCovered) !== 0;
  }

  // ------------------------------------------------------------ the lock table

  /** The ranges that stand for a slot now: the byte of a model, the holes in the datastore's. */
  rangesOf(slot: Slot): number {
    if (slot === slots.A || slot === slots.S) return this.common(common.generationA);
    if (slot === slots.B) return this.common(common.generationB);
    return this.common(common.generationA) + 2 * this.common(common.generationB);
  }

  generationOf(slot: Slot): number {
    return this.common(slot === slots.S ? common.generationA : common.generationA + slot);
  }

  /** Would the kernel refuse this lock? */
  isTaken(ticket: number, table: number, range: number): boolean {
    const slot = this.slot(ticket);
    for (let other = 0; other < this.processes * perProcess; other++) {
      if (other === ticket || this.of(other, held.table) !== table) continue;
      if (!this.has("shared admitted beside exclusive") && !this.conflict(ticket, other)) continue;
      if (this.has("shared admitted beside exclusive") && (this.isShared(ticket) || this.isShared(other))) continue;
      if (overlap({ slot, range }, { slot: this.slot(other), range: this.of(other, held.range) })) return true;
    }
    return false;
  }

  /** Somebody, whoever, keeps what stands for this slot alone: of the datastore the byte that is no model's. */
  isKept(slot: Slot): boolean {
    const range = this.rangesOf(slot);
    for (let ticket = 0; ticket < this.processes * perProcess; ticket++) {
      if (this.of(ticket, held.table) !== this.common(common.table) + 1) continue;
      if (slot === slots.D && this.slot(ticket) !== slots.D) continue;
      if (overlap({ slot, range }, { slot: this.slot(ticket), range: this.of(ticket, held.range) })) return true;
    }
    return false;
  }

  freeLock(ticket: number): void {
    this.put(ticket, held.table, 0);
    this.put(ticket, held.range, 0);
    this.put(ticket, held.isRevoked, 0);
  }

  // ------------------------------------------------------------ records

  recordOf(slot: Slot): number {
    return this.common(common.recordA + slot);
  }

  setRecord(slot: Slot, what: number): void {
    this.setCommon(common.recordA + slot, what);
  }

  /** True for a record of the older client that hasn't changed for its TTL: it is dead, or was paused and is taken for dead from here on. */
  isOlderSpent(): boolean {
    const at = this.common(common.olderPc);
    // Before it creates one and after its end it refreshes none: what is there was left behind.
    const isOver = this.common(common.olderAlive) === 0 || at === olderDone || at < olderHolds;
    const isSpent = isOver || this.common(common.olderPaused) !== 0;
    if (isSpent) this.setCommon(common.olderRevoked, 1);
    return isSpent;
  }

  isFreshOlder(found: number): boolean {
    return found === record.older && !this.isOlderSpent();
  }
}

interface Lock {
  readonly slot: Slot;
  readonly range: number;
}

function overlap(a: Lock, b: Lock): boolean {
  if (a.slot === slots.S || b.slot === slots.S) return a.slot === b.slot && a.range === b.range;
  if (a.slot === slots.D && b.slot === slots.D) return true;
  if (a.slot === slots.D) return !isHole(a.range, b);
  if (b.slot === slots.D) return !isHole(b.range, a);
  return a.slot === b.slot && a.range === b.range;
}

/** The first byte of a model that was revoked is a hole in the datastore's range. */
function isHole(holes: number, model: Lock): boolean {
  return model.range === 0 && (holes & (model.slot === slots.A ? 1 : 2)) !== 0;
}

export function start(config: Config): State {
  const state = new State(config, new Uint8Array(State.bytesOf(config)));
  for (let process = 0; process < state.processes; process++) {
    state.set(process, own.isAlive, 1);
    if (config.children?.includes(process) === true) state.set(process, own.pc, pc.uncalled);
  }
  state.setCommon(common.crashes, config.crashes ?? 0);
  state.setCommon(common.pauses, config.pauses ?? 0);
  state.setCommon(common.olderAlive, config.older === undefined ? 0 : 1);
  return state;
}
