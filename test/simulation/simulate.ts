/** One run of the simulation: some computers that want locks, things that go wrong, and what must come true in the end. */
import { FenError } from "../../src/kernel/errors.ts";
import { CasGrant, CasLocks } from "../../src/lock/cas/locks.ts";
import { type Rules, soundRules } from "../../src/lock/cas/rules.ts";
import type { Lease, LockRequest } from "../../src/lock/lease.ts";
import { LockManager } from "../../src/lock/manager.ts";
import type { Grant, Resource } from "../../src/store/contract.ts";
import { Oracle, type Pauses } from "./oracle.ts";
import { Computer, World } from "./world.ts";

export interface SimulationOptions {
  readonly seed: number;
  readonly rules?: Rules;
  readonly keepTrace?: boolean;
  /** Most holders are paused for longer than their lock lasts, just before their commit or in the middle of it. */
  readonly pausing?: boolean;
}

export interface Simulated {
  readonly seed: number;
  readonly failure: string | undefined;
  readonly trace: readonly string[];
  /** Equal for equal traces. */
  readonly digest: number;
  readonly grants: number;
  readonly commits: number;
  readonly pauses: Pauses;
}

const model = (id: string): Resource => ({ kind: "model", type: "test/thing", id });
const datastore: Resource = { kind: "datastore" };
const wishes: readonly (readonly LockRequest[])[] = [
  [{ resource: model("a"), mode: "exclusive" }],
  [{ resource: model("a"), mode: "exclusive" }],
  [{ resource: model("a"), mode: "shared" }],
  [{ resource: model("b"), mode: "exclusive" }],
  [{ resource: datastore, mode: "exclusive" }],
  [
    { resource: model("a"), mode: "exclusive" },
    { resource: model("b"), mode: "exclusive" },
  ],
];
/** Whatever goes wrong is over by then; and by the other time all is done. */
const calmAfterMs = 60_000;
const overAfterMs = 20 * 60_000;
const ttlMs = 10_000;

export async function simulate({
  seed,
  rules = soundRules,
  keepTrace = false,
  pausing = false,
}: SimulationOptions): Promise<Simulated> {
  const world = new World({ seed, drift: 0.05, keepTrace });
  const { chance } = world;
  const oracle = new Oracle(world);
  // A third of all runs has no faults of the store, a third no faults of computers.
  const kind = chance.pick(["store", "computers", "both"]);
  if (kind !== "computers") {
    world.faults = { before: chance.between(0, 0.1), after: chance.between(0, 0.1), late: chance.between(0, 0.05) };
    const usual = world.faults;
    if (chance.is(0.3)) {
      const stormAt = chance.between(500, 8000);
      world.at(stormAt, () => (world.faults = { before: 0.65, after: 0.05, late: 0.25 }));
      world.at(stormAt + chance.between(1000, 6000), () => (world.faults = usual));
    }
    world.at(calmAfterMs, () => (world.faults = { before: 0, after: 0, late: 0 }));
  }
  const actors = Array.from(
    { length: 2 + Math.floor(chance.next() * 3) },
    (_, index) => new Actor(new Computer(world, "ABCDE"[index] ?? "?"), { world, oracle, rules, pausing }),
  );
  if (kind !== "store") for (const { computer } of actors) trouble(world, computer);
  for (const actor of actors) actor.start();
  const ended = await world.run(() => actors.every((actor) => actor.done || actor.computer.crashed), overAfterMs);
  if (!ended) world.fail(`${actors.filter((one) => !one.done).map((one) => one.computer.name)} wait for ever`);
  return {
    seed,
    failure: world.failure?.message,
    trace: world.trace,
    digest: world.digest,
    grants: oracle.grants,
    commits: oracle.commits,
    pauses: oracle.pauses,
  };
}

/** Pauses, a crash, a jump of the wall clock, each perhaps. */
function trouble(world: World, computer: Computer): void {
  const { chance } = world;
  const when = (): number => chance.between(0, calmAfterMs / 4);
  if (chance.is(0.5)) world.at(when(), () => computer.pause(chance.between(1000, 25_000)));
  if (chance.is(0.2)) world.at(when(), () => computer.crash());
  if (chance.is(0.3)) world.at(when(), () => computer.stepWall(chance.pick([-3.6e6, 3.6e6])));
}

interface Stage {
  readonly world: World;
  readonly oracle: Oracle;
  readonly rules: Rules;
  readonly pausing: boolean;
}

class Actor {
  readonly computer: Computer;
  readonly #stage: Stage;
  readonly #manager: LockManager;
  done = false;

  constructor(computer: Computer, stage: Stage) {
    this.computer = computer;
    this.#stage = stage;
    this.#manager = new LockManager(
      new CasLocks(computer.store, computer.machine, { rules: stage.rules, ttlMs }),
      computer.machine,
    );
  }

  start(): void {
    const { world } = this.#stage;
    this.computer.later(world.chance.between(0, 2000), () => {
      this.#live().catch((error: unknown) => world.fail(`${this.computer.name} failed: ${String(error)}`));
    });
  }

  async #live(): Promise<void> {
    const { world } = this.#stage;
    const rounds = 1 + Math.floor(world.chance.next() * 2);
    for (let round = 0; round < rounds; round++) {
      try {
        await this.#work(world.chance.pick(wishes));
      } catch (error) {
        if (!(error instanceof FenError || error instanceof AggregateError)) throw error;
        world.say(`${this.computer.name}: ${error instanceof FenError ? error.code : error.message}`);
      }
    }
    this.done = true;
  }

  async #work(wish: readonly LockRequest[]): Promise<void> {
    const { world, oracle } = this.#stage;
    const { chance } = world;
    const { clock } = this.computer.machine;
    const timeoutMs = chance.is(0.2) ? chance.between(0, 3000) : undefined;
    const lease = await this.#manager.acquire(wish, { timeoutMs });
    const grants = lease.grants.filter((grant) => grant instanceof CasGrant);
    const over = grants.map((grant) => oracle.entered({ on: this.computer, grant, deadline: () => grant.deadline }));
    const stop = (): void => over.forEach((end) => end());
    lease.signal.addEventListener("abort", stop);
    try {
      await clock.sleep(chance.is(0.2) ? chance.between(1000, 12_000) : chance.between(0, 500), lease.signal);
      for (const [at, grant] of grants.entries()) {
        if (grant.mode !== "exclusive" || grant.resource.kind === "datastore") continue;
        const head = `${grant.nonce}#1`;
        const last = chance.is(0.5);
        if (last) over[at]?.();
        if (this.#stage.pausing && chance.is(0.8)) await this.#pauseAround(grant, head);
        oracle.told(head, await isCommitted(lease, grant, { head, last }));
      }
    } finally {
      stop();
      await lease.release();
    }
  }

  /** Past the TTL, whatever the drift of the clocks; from now, or from a moment at which the commit is on its way. */
  async #pauseAround(grant: Grant, head: string): Promise<void> {
    const { world, oracle } = this.#stage;
    const forMs = world.chance.between(ttlMs * 1.1, ttlMs * 4);
    const pause = (): void => {
      if (oracle.wasTold(head)) return;
      this.computer.pause(forMs);
      oracle.paused({ grant, head, untilMs: world.time + forMs });
    };
    if (world.chance.is(0.3)) return void world.at(world.time + world.chance.between(0, 100), pause);
    pause();
    await this.computer.machine.clock.sleep(world.chance.between(0, 50));
  }
}

/** False where it was lost; throws where nobody knows. */
async function isCommitted(
  lease: Lease,
  { resource }: Grant,
  { head, last }: { readonly head: string; readonly last: boolean },
): Promise<boolean> {
  try {
    await lease.commit(resource, head, { last });
    return true;
  } catch (error) {
    if (error instanceof FenError && error.code === "lock_lost") return false;
    throw error;
  }
}
