/**
 * Reads the events of a run in their order and says what broke. Where something can't be known from outside it gives the benefit of the doubt: a killed
 * worker's hold may have ended from the line before its kill on; a place counts from the line that says it is taken.
 */
import type { TortureEvent } from "./events.ts";

export const everything = "*";
/** A free lock with a waiter that nobody paused or killed: longer than this is a wake-up that was lost. */
const stallUs = 10_000_000;
/** A process that is killed may be there for so long still, with its tickets. */
const dyingUs = 1_000_000;

interface Hold {
  readonly id: string;
  readonly worker: string;
  readonly mode: "shared" | "exclusive";
  readonly resource: string;
  /** False once its lock was taken away: then it keeps nobody out. */
  sure: boolean;
}

interface Waiter {
  readonly id: string;
  readonly worker: string;
  readonly mode: "shared" | "exclusive";
  readonly askedAtLine: number;
  readonly nested: boolean;
  queuedAtLine: number;
  queuedAt: number;
  /** The least token of those who came in before it, and rightly only if its lock had been taken away. */
  passedBy: number;
}

interface Line {
  readonly holds: Map<string, Hold>;
  readonly waiters: Map<string, Waiter>;
  highestToken: number;
  /** When the last holder left of its own accord. */
  freedAt: number;
  killedAt: number;
}

export interface Verdict {
  readonly violations: readonly string[];
  readonly grants: number;
  readonly structural: number;
  readonly kills: number;
  readonly pauses: number;
  readonly quits: number;
  readonly loans: number;
  readonly revocations: number;
  readonly excused: Readonly<Record<string, number>>;
  /** Microseconds from the leaving of one to the entering of the next, where one was waiting and nobody was paused. */
  readonly handOvers: readonly number[];
  /** The same after a kill. */
  readonly takeovers: readonly number[];
}

export class Checker {
  readonly violations: string[] = [];
  readonly handOvers: number[] = [];
  readonly takeovers: number[] = [];
  readonly #lines = new Map<string, Line>();
  readonly #holds = new Map<string, Hold>();
  readonly #paused = new Set<string>();
  readonly #killed = new Set<string>();
  readonly #checks = new Map<string, number>();
  /** Holds that somebody sets out to take away: from then on they keep nobody out. */
  readonly #doubted = new Set<string>();
  readonly #revoked = new Map<string, number>();
  readonly #excused: Record<string, number> = {};
  #counts = { grants: 0, structural: 0, kills: 0, pauses: 0, quits: 0, loans: 0, revocations: 0 };
  #lineNumber = 0;
  /** The last line at which somebody had or wanted everything, or seemed to. */
  #everythingWantedAt = 0;
  /** Those who give everything back or stop wanting it, and whose tickets may still be seen; and until when those of killed ones may. */
  readonly #departing = new Map<string, { readonly worker: string }>();
  #dyingUntil = 0;
  #pausedUntil = 0;
  #now = 0;

  take(event: TortureEvent): void {
    this.#lineNumber++;
    this.#now = Math.max(this.#now, event.at);
    const { waiters, holds } = this.#line(everything);
    if (waiters.size + holds.size + this.#departing.size > 0 || this.#now < this.#dyingUntil)
      this.#everythingWantedAt = this.#lineNumber;
    switch (event.name) {
      case "ask":
      case "asknested":
        return this.#ask(event);
      case "queued":
        return this.#queued(event);
      case "enter":
        return this.#enter(event);
      case "lent":
        return this.#lend(event);
      case "leave":
        return this.#leave(event);
      case "returned":
        return this.#returned(event);
      case "quit":
        this.#counts.quits++;
        this.#line(event.resource).waiters.delete(event.id);
        return this.#depart(event);
      case "gone":
        this.#departing.delete(event.id);
        return undefined;
      case "check":
        this.#checks.set(event.id, this.#lineNumber);
        return undefined;
      case "commit":
        return this.#commit(event);
      case "revoking":
        return this.#doubt(event.id);
      case "revoked":
        this.#counts.revocations++;
        this.#revoked.set(event.id, this.#lineNumber);
        return undefined;
      case "kill":
        return this.#kill(event);
      case "stop":
        this.#counts.pauses++;
        this.#paused.add(event.worker);
        return undefined;
      case "cont":
        this.#paused.delete(event.worker);
        this.#pausedUntil = this.#now;
        return undefined;
      case "trouble":
        return this.#broken(event, `trouble: ${event.note ?? ""}`);
      case "excused":
        this.#excused[event.note ?? "?"] = (this.#excused[event.note ?? "?"] ?? 0) + 1;
        return undefined;
      default:
        return this.#broken(event, "an event that nobody knows");
    }
  }

  /** At the end of a run, when every worker has come to its end. */
  finish(): Verdict {
    for (const [resource, { waiters, holds }] of this.#lines) {
      for (const one of waiters.values())
        this.violations.push(`lost: ${one.worker} asked for ${resource} (${one.id}) and never heard of it again`);
      for (const one of holds.values())
        if (one.sure) this.violations.push(`never left: ${one.worker} on ${resource} (${one.id})`);
    }
    const { violations, handOvers, takeovers } = this;
    return { violations, handOvers, takeovers, excused: this.#excused, ...this.#counts };
  }

  #ask({ id, worker, mode, resource, name }: TortureEvent): void {
    if (this.#killed.has(worker)) return;
    this.#line(resource).waiters.set(id, {
      id,
      worker,
      mode,
      askedAtLine: this.#lineNumber,
      nested: name === "asknested",
      queuedAtLine: Infinity,
      queuedAt: Infinity,
      passedBy: Infinity,
    });
  }

  #queued({ id, resource, at }: TortureEvent): void {
    const waiter = this.#line(resource).waiters.get(id);
    if (waiter === undefined) return; // killed, or granted by another name
    waiter.queuedAtLine = this.#lineNumber;
    waiter.queuedAt = at;
  }

  #enter(event: TortureEvent): void {
    const { id, worker, mode, resource, token } = event;
    const line = this.#line(resource);
    this.#counts.grants++;
    if (resource === everything) this.#counts.structural++;
    const waiter = line.waiters.get(id);
    line.waiters.delete(id);
    const sure = !this.#doubted.has(id);
    if (sure) this.#mustBeAlone(event);
    if (sure && token !== undefined) this.#mustGrow(event, line, token);
    if (waiter !== undefined) {
      if (token !== undefined && token > waiter.passedBy)
        this.#broken(
          event,
          `token ${token}, though one with ${waiter.passedBy} overtook it: its lock wasn't taken away`,
        );
      this.#mustBeNext(event, waiter);
      this.#measure(event, waiter, line);
    }
    if (!this.#killed.has(worker)) this.#hold({ id, worker, mode, resource, sure });
  }

  #hold(hold: Hold): void {
    this.#line(hold.resource).holds.set(hold.id, hold);
    this.#holds.set(hold.id, hold);
  }

  #mustBeAlone(event: TortureEvent): void {
    for (const other of this.#against(event.resource)) {
      if (other.id !== event.id && other.sure && conflict(other, event))
        this.#broken(event, `overlap with ${other.worker} (${other.id}, ${other.mode}) on ${other.resource}`);
    }
  }

  /** Holds that exclude one on `resource`, if the modes conflict. */
  *#against(resource: string): Iterable<Hold> {
    if (resource === everything) yield* this.#holds.values();
    else {
      yield* this.#line(resource).holds.values();
      yield* this.#line(everything).holds.values();
    }
  }

  #mustGrow(event: TortureEvent, line: Line, token: number): void {
    const isBehind = event.mode === "exclusive" ? token <= line.highestToken : token < line.highestToken;
    if (isBehind) this.#broken(event, `token ${token} after ${line.highestToken}`);
    if (event.mode === "exclusive") line.highestToken = Math.max(line.highestToken, token);
  }

  /** Nobody whose place was visible before ours was asked for, and who conflicts, may still wait. */
  #mustBeNext(event: TortureEvent, own: Waiter): void {
    const isEarlier = (other: Waiter) => other.queuedAtLine < own.askedAtLine && conflict(other, own);
    // One whose lock somebody takes away had been granted it, also where it hadn't come to say so yet: then its token shows it.
    const isOver = (other: Waiter) => {
      if (!this.#doubted.has(other.id)) return false;
      other.passedBy = Math.min(other.passedBy, event.token ?? Infinity);
      return true;
    };
    // Where a command waits for everything, one who works within a lock passes those who don't: they wait for that command, and it for the lock.
    const passes = (other: Waiter) => own.nested && !other.nested && this.#everythingWantedAt >= own.askedAtLine;
    for (const other of this.#line(event.resource).waiters.values())
      if (isEarlier(other) && !passes(other) && !isOver(other))
        this.#broken(event, `overtook ${other.worker} (${other.id})`);
    if (event.resource === everything || own.nested) return;
    for (const other of this.#line(everything).waiters.values())
      if (isEarlier(other)) this.#broken(event, `overtook ${other.worker} (${other.id}), who waits for everything`);
  }

  #measure(event: TortureEvent, waiter: Waiter, line: Line): void {
    const freedAt = Math.max(line.freedAt, this.#line(everything).freedAt);
    const killedAt = Math.max(line.killedAt, this.#line(everything).killedAt);
    const since = Math.max(freedAt, killedAt);
    if (event.resource === everything || event.at === 0 || since <= waiter.queuedAt) return;
    if (this.#paused.size > 0 || this.#pausedUntil >= since) return;
    // While others wait for everything, a free lock may rightly stay free.
    if (this.#line(everything).waiters.size > 0) return;
    const took = event.at - since;
    (freedAt >= killedAt ? this.handOvers : this.takeovers).push(took);
    if (took > stallUs) this.#broken(event, `the lock was free for ${(took / 1e6).toFixed(1)} s`);
  }

  #leave({ id, resource, at, worker }: TortureEvent): void {
    const line = this.#line(resource);
    line.holds.delete(id);
    this.#holds.delete(id);
    this.#checks.delete(id);
    this.#revoked.delete(id);
    this.#doubted.delete(id);
    if (at !== 0) line.freedAt = at;
    else line.freedAt = this.#now;
    this.#depart({ id, resource, worker });
  }

  #depart({ id, resource, worker }: Pick<TortureEvent, "id" | "resource" | "worker">): void {
    if (resource === everything && !this.#killed.has(worker)) this.#departing.set(id, { worker });
  }

  /** A child shows that the lock is held (still, or again for certain after its parent was killed). */
  #lend(event: TortureEvent): void {
    this.#counts.loans++;
    const { id, worker, mode, resource } = event;
    const sure = !this.#doubted.has(id);
    if (sure) this.#mustBeAlone(event);
    this.#hold({ id, worker: childOf(worker), mode, resource, sure });
  }

  #returned(event: TortureEvent): void {
    const { id, worker, mode, resource } = event;
    if (this.#killed.has(worker)) this.#leave(event);
    else this.#hold({ id, worker, mode, resource, sure: !this.#doubted.has(id) });
  }

  #commit(event: TortureEvent): void {
    const revoked = this.#revoked.get(event.id) ?? Infinity;
    if (revoked < (this.#checks.get(event.id) ?? Infinity)) this.#broken(event, "commit after its lock was taken away");
  }

  #kill({ worker, at }: TortureEvent): void {
    this.#counts.kills++;
    this.#killed.add(worker);
    this.#paused.delete(worker);
    const { waiters, holds } = this.#line(everything);
    for (const { worker: who } of [...waiters.values(), ...holds.values(), ...this.#departing.values()])
      if (who === worker) this.#dyingUntil = at + dyingUs;
    for (const [id, one] of this.#departing) if (one.worker === worker) this.#departing.delete(id);
    for (const line of this.#lines.values()) {
      for (const one of line.waiters.values()) if (one.worker === worker) line.waiters.delete(one.id);
      for (const one of line.holds.values()) {
        if (one.worker !== worker) continue;
        line.killedAt = at;
        line.holds.delete(one.id);
        this.#holds.delete(one.id);
      }
    }
  }

  #doubt(id: string): void {
    this.#doubted.add(id);
    const hold = this.#holds.get(id);
    if (hold !== undefined) hold.sure = false;
  }

  #line(resource: string): Line {
    const line = this.#lines.get(resource) ?? {
      holds: new Map(),
      waiters: new Map(),
      highestToken: 0,
      freedAt: 0,
      killedAt: 0,
    };
    this.#lines.set(resource, line);
    return line;
  }

  #broken({ worker, id, resource, mode }: TortureEvent, what: string): void {
    this.violations.push(`line ${this.#lineNumber}: ${worker} (${id}, ${mode}) on ${resource}: ${what}`);
  }
}

function childOf(worker: string): string {
  return `${worker}'s child`;
}

function conflict(a: { readonly mode: string }, b: { readonly mode: string }): boolean {
  return a.mode === "exclusive" || b.mode === "exclusive";
}
