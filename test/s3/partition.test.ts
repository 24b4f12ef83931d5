/** A holder that is cut off from the store: its lock goes to another in time, and when it is back it commits nothing. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, expect, inject, test } from "vitest";
import { Network, whyNoNetworks } from "../support/network.ts";
import { makeBucket, newPrefix } from "../support/s3-client.ts";
import { type S3Machine, type S3World, s3World } from "../support/s3-machine.ts";
import { startProxy } from "../support/s3-proxy.ts";

beforeAll(() => makeBucket(inject("s3"), "conformance"));
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const ttlMs = 3000;
const env = { FEN_LOCK_TTL_MS: String(ttlMs) };
const run = ["model", "method", "run", "slow", "execute"];

interface Cut {
  readonly machine: S3Machine;
  cut(): void;
  mend(): void;
}

/** In a network namespace of its own, whose only way out is a cable to the server. */
async function atCable(world: S3World): Promise<Cut> {
  const network = await Network.open();
  ends.push(() => network.close());
  const server = await startProxy(inject("s3"), {}, { host: network.address });
  ends.push(() => server.close());
  const machine = world.machine(server, env, { network: { enter: network.enter, allowHttp: true } });
  return { machine, cut: () => network.cut(), mend: () => network.mend() };
}

/** Behind a proxy that goes silent. */
async function behindProxy(world: S3World): Promise<Cut> {
  const proxy = await startProxy(inject("s3"));
  ends.push(() => proxy.close());
  return {
    machine: world.machine(proxy, env),
    cut: () => void (proxy.options.fault = () => "hang"),
    mend: () => void (proxy.options = {}),
  };
}

const reason = whyNoNetworks();
if (reason !== undefined) console.warn(`The partition is one of a proxy, no network of its own: ${reason}.`);
const ways = [
  reason === undefined
    ? { name: "in a network of its own whose cable is pulled out", open: atCable }
    : { name: `behind a proxy that goes silent (${reason})`, open: behindProxy },
];

test.each(ways)(
  "$name: the next one works within TTL + 1 s; the first is told of the loss, and commits nothing when it is back",
  async ({ open }) => {
    const world = await s3World(newPrefix());
    ends.push(() => world.remove());
    world.repo.model("slow", "echo at work; until [ -e go ]; do sleep 0.05; done; echo done");
    const { machine: one, cut, mend } = await open(world);
    const two = world.machine(inject("s3"), env);
    writeFileSync(join(two.path, "go"), "");

    const holder = one.start(...run);
    ends.push(() => holder.kill("SIGKILL"));
    await holder.says("at work");
    const next = two.start(...run);
    ends.push(() => next.kill("SIGKILL"));
    await next.says("held by");
    cut();
    const start = performance.now();
    await next.says("at work");
    const tookMs = Math.round(performance.now() - start);
    expect(tookMs).toBeLessThanOrEqual(ttlMs + 1000);
    expect((await next.done).exitCode).toBe(0);

    writeFileSync(join(one.path, "go"), "");
    mend();
    const { exitCode, stderr } = await holder.done;
    expect(exitCode, stderr).toBe(75);
    expect(stderr).toMatch(/was taken away[^]*kept in /);
    const { versions } = (await two.fen("data", "versions", "slow", "result", "--json")).json();
    expect(versions).toHaveLength(1);
    const statuses = async (at: S3Machine) =>
      (await at.fen("model", "output", "search", "--json"))
        .json()
        .results.map((found: { status: string }) => found.status);
    expect((await statuses(two)).sort()).toEqual(["failed", "succeeded"]);
    expect((await one.fen(...run)).exitCode).toBe(0);
    console.log(`taken over ${tookMs} ms after the cut`);
  },
);
