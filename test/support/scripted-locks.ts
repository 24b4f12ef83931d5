/** A lock driver that does as a test says: for the manager and the lease, which only know the contract. */
import { systemMachine } from "../../src/kernel/machine.ts";
import type {
  Attempt,
  Claim,
  Grant,
  Inherited,
  LockDriver,
  LockMode,
  LockRecord,
  LockTable,
  Place,
  Resource,
} from "../../src/store/contract.ts";
import { resourceKey } from "../../src/store/contract.ts";
import { HandClock } from "./hand-clock.ts";

export class ScriptedLocks implements LockDriver {
  readonly clock = new HandClock();
  readonly machine = { ...systemMachine("test"), clock: this.clock };
  /** What happened, in order: "join x", "granted x", "leave x", "release x". */
  readonly log: string[] = [];
  readonly claims: Claim[] = [];
  /** How long each resource stays taken by another. */
  readonly freeAfterMs = new Map<string, number>();
  /** Fails these steps, such as "release x". */
  readonly failing = new Map<string, Error>();
  table: LockTable = { held: [], waiting: [] };
  inherited: Inherited = { holdings: [], unshared: [] };
  readonly blocker: LockRecord = recordOf("blocker");

  async join(resource: Resource, mode: LockMode, claim: Claim): Promise<Place> {
    const key = resourceKey(resource);
    this.#step(`join ${key}`);
    this.claims.push(claim);
    const freeAt = this.clock.monotonic() + (this.freeAfterMs.get(key) ?? 0);
    return {
      attempt: async (): Promise<Attempt> => {
        if (this.clock.monotonic() < freeAt)
          return { outcome: "blocked", resource, by: { kind: "holder", record: this.blocker }, place: 1 };
        this.#step(`granted ${key}`);
        return { outcome: "granted", grant: this.grant(resource, { mode, nonce: claim.nonce }) };
      },
      changed: (maxMs, signal) => this.clock.sleep(Math.min(maxMs, 100), signal),
      leave: async () => this.#step(`leave ${key}`),
    };
  }

  grant(resource: Resource, { mode, nonce }: { readonly mode: LockMode; readonly nonce: string }): ScriptedGrant {
    return new ScriptedGrant(resource, { mode, nonce, step: (what) => this.#step(what) });
  }

  async inspect(): Promise<LockTable> {
    return this.table;
  }

  async inherit(): Promise<Inherited> {
    return this.inherited;
  }

  async revoke(): Promise<boolean> {
    return false;
  }

  #step(what: string): void {
    this.log.push(what);
    const error = this.failing.get(what);
    if (error !== undefined) throw error;
  }
}

export class ScriptedGrant implements Grant {
  readonly resource: Resource;
  readonly mode: LockMode;
  readonly nonce: string;
  readonly token = 5;
  isLost = false;
  head: string | undefined;
  /** How recent a proof was good enough, check by check. */
  readonly trusted: number[] = [];
  readonly #step: (what: string) => void;

  constructor(
    resource: Resource,
    more: { readonly mode: LockMode; readonly nonce: string; readonly step: (what: string) => void },
  ) {
    this.resource = resource;
    this.mode = more.mode;
    this.nonce = more.nonce;
    this.#step = more.step;
  }

  get holding() {
    const { resource, mode, nonce, token } = this;
    return { resource, mode, nonce, token, pid: process.pid };
  }

  async check(recentMs = 0): Promise<"held" | "lost"> {
    this.trusted.push(recentMs);
    this.#step(`check ${resourceKey(this.resource)}`);
    return this.isLost ? "lost" : "held";
  }

  async commit(head: string, { last = false } = {}): Promise<boolean> {
    this.#step(`commit ${resourceKey(this.resource)}${last ? ", the last" : ""}`);
    if (this.isLost) return false;
    this.head = head;
    this.isLost = last; // to a check that comes after it
    return true;
  }

  async refresh(): Promise<void> {
    this.#step(`refresh ${resourceKey(this.resource)}`);
  }

  async release(): Promise<void> {
    this.#step(`release ${resourceKey(this.resource)}`);
  }
}

export function recordOf(nonce: string, more: Partial<LockRecord> = {}): LockRecord {
  return {
    holder: "ann@here",
    hostname: "here",
    pid: 4711,
    acquiredAt: "2026-01-01T00:00:00.000Z",
    ttlMs: 30_000,
    nonce,
    command: "fen other",
    token: 1,
    ...more,
  };
}

export function model(key: string): Resource {
  const cut = key.lastIndexOf("/");
  return { kind: "model", type: key.slice(0, cut), id: key.slice(cut + 1) };
}
