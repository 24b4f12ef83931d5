/**
 * A process that takes locks on request: each message asks for one thing, the answer bears its number. For tests that kill, pause or misplace a process.
 * Started by `LockProcess` with the folder as its argument.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { systemErrorCode } from "../../src/kernel/errors.ts";
import { systemMachine } from "../../src/kernel/machine.ts";
import type { Lease } from "../../src/lock/lease.ts";
import { LockManager } from "../../src/lock/manager.ts";
import { resourceOf } from "../../src/lock/names.ts";
import type { LockMode } from "../../src/store/contract.ts";
import { openFilesystemDatastore } from "../../src/store/drivers/filesystem/datastore.ts";

export interface Ask {
  readonly resources: readonly string[];
  readonly mode?: LockMode;
  readonly timeoutMs?: number;
}

export interface Holding {
  readonly lease: number;
  readonly nonce: string;
  readonly token: number;
}

/** What a holder can be asked for. */
export interface Calls {
  acquire(ask: Ask): Promise<Holding>;
  release(lease: number): Promise<void>;
  assertHeld(lease: number): Promise<void>;
  /** Renews the record of a lease without a pause, until the process ends. */
  refreshForEver(lease: number): Promise<void>;
  /** Keeps the event loop busy. */
  block(ms: number): Promise<void>;
  /** Takes and gives back, `rounds` times, each written to `log` as "enter" and "leave" with this process's name. */
  cycle(options: Ask & { rounds: number; holdMs: number; log: string; name: string }): Promise<void>;
  wallClock(): Promise<number>;
}

const machine = systemMachine(process.argv[3] ?? "holder");
const { locks } = openFilesystemDatastore(process.argv[2] ?? ".", machine);
const manager = new LockManager(locks, machine);
const leases: Lease[] = [];
const leaseOf = (number: number): Lease => {
  const lease = leases[number];
  if (lease === undefined) throw new Error(`no lease ${number}`);
  return lease;
};

async function take({ resources, mode = "exclusive", timeoutMs }: Ask): Promise<Lease> {
  return manager.acquire(
    resources.map((name) => ({ resource: resourceOf(name), mode })),
    { timeoutMs },
  );
}

const calls: Calls = {
  async acquire(ask) {
    const lease = await take(ask);
    const [first] = lease.grants;
    return { lease: leases.push(lease) - 1, nonce: first?.nonce ?? "", token: first?.token ?? 0 };
  },
  release: (lease) => leaseOf(lease).release(),
  assertHeld: (lease) => leaseOf(lease).assertHeld(),
  async refreshForEver(lease) {
    void (async () => {
      for (;;) {
        for (const grant of leaseOf(lease).grants) await grant.refresh();
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
  },
  async block(ms) {
    const until = machine.clock.monotonic() + ms;
    while (machine.clock.monotonic() < until) readFileSync("/dev/null");
  },
  async cycle({ rounds, holdMs, log, name, ...ask }) {
    for (let n = 0; n < rounds; n++) {
      await using lease = await take(ask);
      appendFileSync(log, `enter ${name} ${lease.grants.length}\n`);
      await machine.clock.sleep(holdMs);
      appendFileSync(log, `leave ${name}\n`);
    }
  },
  wallClock: async () => machine.clock.now(),
};

process.on("message", ({ number, call, argument }: { number: number; call: keyof Calls; argument: unknown }) => {
  // oxlint-disable-next-line -- the other side is typed by the same interface
  const run = calls[call] as (argument: unknown) => Promise<unknown>;
  run(argument).then(
    (value) => process.send?.({ number, value }),
    (error: unknown) => {
      const { message, facts }: Partial<{ message: string; facts: unknown }> = Object(error);
      process.send?.({ number, error: { code: systemErrorCode(error), message, facts } });
    },
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ ready: true });
