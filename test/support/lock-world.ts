/**
 * One datastore folder and the independent clients that lock in it. Kernel locks belong to an open file, not to a process: so two clients in
 * one process exclude each other as two processes do, and a test can stop one between any two steps.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Machine, systemMachine } from "../../src/kernel/machine.ts";
import type { Attempt, Claim, Grant, LockMode, LockRecord, Place, Resource } from "../../src/store/contract.ts";
import { type ByteRange, KernelLocks } from "../../src/store/drivers/filesystem/kernel-locks.ts";
import { LockFolder } from "../../src/store/drivers/filesystem/lock-folder.ts";
import { type Slot, slotName } from "../../src/store/drivers/filesystem/lock-table.ts";
import { FilesystemLocks } from "../../src/store/drivers/filesystem/locks.ts";
import { HandClock } from "./hand-clock.ts";

export const web: Resource = { kind: "model", type: "command/shell", id: "a0000000-0000-4000-a000-000000000001" };
export const db: Resource = { kind: "model", type: "command/shell", id: "b0000000-0000-4000-b000-000000000002" };
export const datastore: Resource = { kind: "datastore" };

/** The real locks, and a door for what others do between two steps. */
export class WatchedKernel extends KernelLocks {
  beforeLock: (fd: number, range: ByteRange) => void = () => undefined;
  beforeUnlock: (fd: number, range: ByteRange) => void = () => undefined;

  constructor() {
    super(process.platform, process.arch);
  }

  override tryLock(fd: number, range: ByteRange, mode: LockMode): boolean {
    this.beforeLock(fd, range);
    return super.tryLock(fd, range, mode);
  }

  override unlock(fd: number, range: ByteRange): void {
    this.beforeUnlock(fd, range);
    super.unlock(fd, range);
  }
}

/** A place that says who took it. */
export interface AskedPlace extends Place {
  readonly nonce: string;
}

export class LockWorld {
  readonly root = mkdtempSync(join(tmpdir(), "fen-locks-"));
  readonly clock = new HandClock();
  readonly machine: Machine = { ...systemMachine("test"), clock: this.clock };
  readonly kernel = new WatchedKernel();
  /** For a look at the folder from outside. */
  readonly folder: LockFolder;
  readonly #kept: number[] = [];

  constructor() {
    this.folder = new LockFolder(this.root, this.machine, { kernel: this.kernel });
    // The trial of the filesystem costs a process each time; it has tests of its own.
    const device = statSync(this.root).dev;
    this.write(`.fen/trial/${encodeURIComponent(this.machine.host.hostname).slice(0, 100)}-${device}`, "works\n");
  }

  /** A driver that knows nothing of the others. */
  driver(): FilesystemLocks {
    return new FilesystemLocks(this.root, this.machine, { kernel: this.kernel });
  }

  /** Takes a place for a new client. */
  async ask(resource: Resource, mode: LockMode = "exclusive", more: Partial<Claim> = {}): Promise<AskedPlace> {
    const claim = this.claim(more);
    const place = await this.driver().join(resource, mode, claim);
    return {
      nonce: claim.nonce,
      attempt: () => place.attempt(),
      changed: (maxMs, signal) => place.changed(maxMs, signal),
      leave: () => place.leave(),
    };
  }

  /** A lock that must be free. */
  async take(resource: Resource, mode: LockMode = "exclusive", more: Partial<Claim> = {}): Promise<Grant> {
    const place = await this.ask(resource, mode, more);
    return granted(await place.attempt());
  }

  claim(more: Partial<Claim> = {}): Claim {
    const { host, random, clock } = this.machine;
    return {
      holder: `${host.user}@${host.hostname}`,
      hostname: host.hostname,
      pid: host.pid,
      command: "test",
      owner: "test",
      nonce: random.uuid(),
      since: new Date(clock.now()).toISOString(),
      within: [],
      ...more,
    };
  }

  /** Takes the kernel's lock alone, without ticket and record, as a child does that outlived its parent. */
  orphan(slot: Slot, mode: LockMode = "exclusive"): { readonly fd: number; end(): void } {
    const { table } = this.folder;
    const fd = table.open();
    if (!table.tryLock(fd, table.ranges(slot), mode)) throw new Error("the kernel's lock is taken");
    return { fd, end: () => closeSync(fd) };
  }

  /** True where somebody has the kernel's lock. */
  isLocked(resource: Resource): boolean {
    return this.folder.table.isLocked(this.folder.table.ranges({ resource }));
  }

  /** A file in the queue, as somebody left it who died. */
  deadTicket(resource: Resource, name: string): string {
    const hidden = name.startsWith(".") ? "." : "";
    const path = join(
      this.folder.queue({ resource }).folder,
      `${hidden}${slotName({ resource })}+${name.slice(hidden.length)}`,
    );
    this.#write(path, `${JSON.stringify(foreignRecord())}\n`);
    return path;
  }

  recordPath(resource: Resource): string {
    return this.folder.recordPath(resource);
  }

  /** What the record at its place says; undefined where there is none. */
  record(resource: Resource): LockRecord | undefined {
    const path = this.recordPath(resource);
    return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
  }

  writeRecord(resource: Resource, record: unknown): void {
    this.#write(this.recordPath(resource), typeof record === "string" ? record : JSON.stringify(record));
  }

  write(path: string, text: string): void {
    this.#write(join(this.root, path), text);
  }

  #write(path: string, text: string): void {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  tickets(resource: Resource): string[] {
    const { folder } = this.folder.queue({ resource });
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  /** Ends with the world. */
  keep(fd: number): number {
    this.#kept.push(fd);
    return fd;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#kept) closeSync(fd);
    rmSync(this.root, { recursive: true, force: true });
  }
}

export function granted(attempt: Attempt): Grant {
  if (attempt.outcome === "granted") return attempt.grant;
  throw new Error(`not granted: ${JSON.stringify(attempt.by)}`);
}

/** What stops an attempt: "holder", "waiter", "structural", "foreign", ...; "nothing" where it was granted. */
export function blockedBy(attempt: Attempt): string {
  return attempt.outcome === "granted" ? "nothing" : attempt.by.kind;
}

/** A record as a client writes it that knows only lock files. */
export function foreignRecord(more: Record<string, unknown> = {}): LockRecord & Record<string, unknown> {
  return {
    holder: "ann@elsewhere",
    hostname: "elsewhere",
    pid: 999_999,
    acquiredAt: "2026-01-01T00:00:00.000Z",
    ttlMs: 30_000,
    nonce: "f0000000-0000-4000-a000-00000000000f",
    ...more,
  };
}

/** A record as fen writes it. */
export function fenRecord(more: Record<string, unknown> = {}): LockRecord & Record<string, unknown> {
  return foreignRecord({ token: 7, mode: "exclusive", ...more });
}
