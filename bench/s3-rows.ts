/** The rows of bench/s3.mjs, which bundles this and starts the server. A machine is a home, a cache, a clone of the repository and a host name of its own. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CasLocks } from "../src/lock/cas/locks.ts";
import { LockManager } from "../src/lock/manager.ts";
import { S3ConditionalStore } from "../src/store/drivers/s3/conditional.ts";
import { type Result, until } from "../test/support/cli.ts";
import { clientOf, machineFor, makeBucket, newPrefix } from "../test/support/s3-client.ts";
import { type S3Machine, type S3World, s3World } from "../test/support/s3-machine.ts";
import { type Passing, type S3Proxy, startProxy } from "../test/support/s3-proxy.ts";
import type { S3Server } from "../test/support/s3-server.ts";
import { fill, idOf } from "./s3-fill.ts";
import { unlockedProgram } from "./unlocked.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const words = process.argv.slice(2);
const numberAfter = (flag: string, usual: number) =>
  words.includes(flag) ? Number(words[words.indexOf(flag) + 1]) : usual;
const wordAfter = (flag: string) => (words.includes(flag) ? words[words.indexOf(flag) + 1] : undefined);
const objectCount = numberAfter("--objects", 20_000);
const only = words.find((word, at) => !word.startsWith("-") && words[at - 1]?.startsWith("--") !== true);

/** AWS S3 Standard, us-east-1, list price in dollars per 1,000 requests; DELETE is free. */
const price = { write: 0.005, read: 0.0004 };
const profileMs = 60;
const ttlMs = 10_000;

interface Row {
  readonly name: string;
  readonly value: string;
  readonly reach: string;
  /** Undefined where nothing is to be reached. */
  readonly ok: boolean | undefined;
  readonly figures: Readonly<Record<string, number>>;
}
const rows: Row[] = [];

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? Number.NaN;
const median = (values: readonly number[]): number => quantile(values, 0.5);
const show = (value: number, digits = 0): string => (Number.isFinite(value) ? value.toFixed(digits) : "-");
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));

const env = process.env;
const server: S3Server = {
  endpoint: env["AWS_ENDPOINT_URL_S3"] ?? "",
  region: env["AWS_REGION"] ?? "",
  accessKeyId: env["AWS_ACCESS_KEY_ID"] ?? "",
  secretAccessKey: env["AWS_SECRET_ACCESS_KEY"] ?? "",
};
const proxy: S3Proxy = await startProxy(server, { latencyMs: profileMs });
const worlds: S3World[] = [];

async function world(): Promise<S3World> {
  const made = await s3World(newPrefix());
  worlds.push(made);
  return made;
}

const run = (model: string) => ["model", "method", "run", model, "execute", "--json"];

async function timed(machine: S3Machine, args: readonly string[]): Promise<number> {
  const start = performance.now();
  const { exitCode, stderr } = await machine.fen(...args);
  if (exitCode !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
  return performance.now() - start;
}

/** What passes the proxy meanwhile. */
async function counted(work: () => Promise<unknown>): Promise<readonly Passing[]> {
  const before = proxy.passed.length;
  await work();
  return proxy.passed.slice(before);
}

function kindOf({ method, path }: Passing): "write" | "read" | "free" {
  if (method === "DELETE" || path.includes("delete=")) return "free";
  return method === "PUT" || method === "POST" || path.includes("list-type=") ? "write" : "read";
}

/** Of so many requests, one set of a thousand, in dollars. */
function dollars(requests: readonly Passing[]): number {
  const count = (kind: string) => requests.filter((one) => kindOf(one) === kind).length;
  return count("write") * price.write + count("read") * price.read;
}

// ------------------------------------------------------------------ rows

async function alone(): Promise<void> {
  const { repo, machine } = await world();
  repo.model("web", "echo hello");
  const there = machine(proxy);
  const direct = machine(server);
  const folder = machine(server, { SWAMP_DATASTORE: "" });
  for (const one of [folder, direct, there]) await timed(one, run("web"));
  const [base, near, far]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < 15; round++) {
    base.push(await timed(folder, run("web")));
    near.push(await timed(direct, run("web")));
    far.push(await timed(there, run("web")));
  }
  const over = median(far) - median(base);
  rows.push({
    name: `uncontended run at ${profileMs} ms: over the same run on a folder`,
    value: `${show(over)} ms (${show(median(far))} against ${show(median(base))}; direct ${show(median(near))})`,
    reach: "<= 350 ms",
    ok: over <= 350,
    figures: { overMs: over, farMs: median(far), folderMs: median(base), directMs: median(near) },
  });
  const requests = await counted(() => timed(there, run("web")));
  const outputs = requests.filter(({ method, path }) => method === "PUT" && path.includes("/data/")).length;
  rows.push({
    name: `requests of that run, ${outputs} outputs among them`,
    value: `${requests.length}; 1,000 runs cost $${show(dollars(requests), 4)}`,
    reach: "<= 8 + outputs",
    ok: requests.length <= 8 + outputs,
    figures: { requests: requests.length, outputs, dollarsPer1000: dollars(requests) },
  });
}

async function lockManager(prefix: string): Promise<LockManager> {
  const limits = { wholeMs: ttlMs * 0.4, quietMs: ttlMs * 0.25 };
  const client = await clientOf(proxy, { prefix, connections: 16, limits, attempts: 3 });
  const machine = machineFor(server);
  const store = new S3ConditionalStore(client, { folder: ".fen", etagForm: "bare" });
  return new LockManager(new CasLocks(store, machine, { ttlMs }), machine);
}

/** From the call that gives the lock back to the next one's having it, ten waiters with connections of their own. */
async function handOvers(holdMs: number, rounds: number): Promise<number[]> {
  const gaps: number[] = [];
  const request = [{ resource: { kind: "model", type: "a", id: "b" }, mode: "exclusive" }] as const;
  for (let round = 0; round < rounds; round++) {
    const prefix = newPrefix();
    const managers = await Promise.all(times(11, () => lockManager(prefix)));
    const turns = await Promise.all(
      managers.map(async (manager, at) => {
        await sleep(at * 30);
        const lease = await manager.acquire(request, { timeoutMs: undefined, signal: new AbortController().signal });
        const enter = performance.now();
        await sleep(holdMs);
        const leave = performance.now();
        await lease.release();
        return { enter, leave };
      }),
    );
    turns.sort((a, b) => a.enter - b.enter);
    gaps.push(...turns.slice(1).map(({ enter }, at) => enter - (turns[at]?.leave ?? Number.NaN)));
  }
  return gaps;
}

async function handover(): Promise<void> {
  for (const { holdMs, rounds } of [
    { holdMs: 100, rounds: 4 },
    { holdMs: 1000, rounds: 4 },
  ]) {
    const gaps = await handOvers(holdMs, rounds);
    const [p50, p99] = [median(gaps), quantile(gaps, 0.99)];
    const overlaps = gaps.filter((gap) => gap < 0).length;
    rows.push({
      name: `hand-over, 10 waiters, ${holdMs} ms each, ${profileMs} ms`,
      value: `${show(p50)} / ${show(p99)} ms (p50 / p99)${overlaps > 0 ? `, ${overlaps} OVERLAPS` : ""}`,
      reach: "<= 200 / 500 ms",
      ok: p50 <= 200 && p99 <= 500 && overlaps === 0,
      figures: { p50, p99, overlaps },
    });
  }
}

async function waiter(): Promise<void> {
  const prefix = newPrefix();
  const [holder, next] = [await lockManager(prefix), await lockManager(prefix)];
  const request = [{ resource: { kind: "model", type: "a", id: "b" }, mode: "exclusive" }] as const;
  const lease = await holder.acquire(request, { timeoutMs: undefined, signal: new AbortController().signal });
  const patience = new AbortController();
  const seconds = 48; // of three beats
  const waiting = next.acquire(request, { timeoutMs: undefined, signal: patience.signal }).catch(() => undefined);
  await sleep(8000); // it is in the queue, and the quick looks of the beginning are over
  const passed = await counted(() => sleep(seconds * 1000));
  patience.abort(new Error("enough"));
  await waiting;
  await lease.release();
  // The holder renews: one request each fifth of the TTL.
  const perMinute = (passed.length * 60) / seconds - 60_000 / (ttlMs / 5);
  rows.push({
    name: "requests a minute of one that waits and is next (others fewer)",
    value: show(perMinute),
    reach: "<= 20",
    ok: perMinute <= 20,
    figures: { perMinute },
  });
}

/** Runs of all models at once, on so many machines. */
async function atOnce(machines: readonly S3Machine[], names: readonly string[]) {
  const start = performance.now();
  const results = await Promise.all(
    names.map((name, at) => (machines[at % machines.length] ?? raise()).fen(...run(name))),
  );
  return { ms: performance.now() - start, results };
}

/**
 * Beside the same program that takes no locks: the puts of outputs, record and log are the same, so are the processes. In turns. Five machines and the
 * server are one here, and share its processors: a work of 12 s is to them what one of 2 s is to machines of their own. That of 2 s is told too.
 */
async function many(): Promise<void> {
  const unlocked = unlockedProgram();
  const [one, other] = [await world(), await world()];
  const namesOf = (workS: number) => times(50, (at) => `m${at}-${workS}s`);
  other.repo.model("m0", "true");
  for (const { repo } of [one, other])
    for (const workS of [12, 2]) for (const name of namesOf(workS)) repo.model(name, `sleep ${workS}; echo ${name}`);
  /** In a place of their own each round: no number of a version is taken there. */
  const beside = (env = {}) =>
    other.machine(server, { SWAMP_DATASTORE: `s3:conformance/${newPrefix()}`, ...env }, { as: unlocked.program });
  await timed(beside({ FEN_WRITE_CODE_CACHE: "1" }), run("m0"));
  const far = other.machine(proxy, {}, { as: unlocked.program });
  await timed(far, ["datastore", "status"]);
  const puts = (await counted(() => timed(far, run("m0")))).map(({ method }) => method);
  if (puts.join() !== "PUT,PUT,PUT,PUT") throw new Error(`without locks a run asks for ${puts}`);
  const machines = times(5, () => one.machine(server));
  for (const each of machines) await timed(each, ["datastore", "status"]);
  for (const workS of [12, 2]) {
    const names = namesOf(workS);
    const [locked, floor]: [number[], number[]] = [[], []];
    let [waits, failed] = [0, 0];
    for (let round = 0; round < 5; round++) {
      const { ms, results } = await atOnce(machines, names);
      locked.push(ms);
      failed += failures(results);
      waits += results.filter(({ stderr }) => /wait/i.test(stderr)).length;
      const place = `s3:conformance/${newPrefix()}`;
      const free5 = times(5, () => beside({ SWAMP_DATASTORE: place }));
      for (const each of free5) await timed(each, ["datastore", "status"]);
      const free = await atOnce(free5, names);
      floor.push(free.ms);
      failed += failures(free.results);
    }
    const share = median(floor) / median(locked);
    const isJudged = workS === 12;
    rows.push({
      name: `${names.length} models run at once from 5 machines, ${workS} s each`,
      value: `${waits} waits, ${failed} failed; ${show(median(locked) / 1000, 2)} s, without locks ${show(median(floor) / 1000, 2)} s: ${show(share, 2)} x`,
      reach: isJudged ? "0 waits, >= 0.9 x" : "",
      ok: isJudged ? waits === 0 && failed === 0 && share >= 0.9 : undefined,
      figures: { waits, failed, lockedMs: median(locked), unlockedMs: median(floor), share },
    });
  }
  unlocked.remove();
}

/** How many; the first one's words are shown. */
function failures(results: readonly Result[]): number {
  const failed = results.filter(({ exitCode }) => exitCode !== 0);
  if (failed[0] !== undefined) console.error(failed[0].stderr);
  return failed.length;
}

function raise(): never {
  throw new Error("there is none");
}

async function takeover(): Promise<void> {
  const delays: number[] = [];
  for (let trial = 0; trial < 3; trial++) {
    const { repo, machine } = await world();
    const file = join(tmpdir(), `fen-bench-takeover-${process.pid}-${trial}`);
    repo.model("web", `date +%s%N >> ${file}; [ $(wc -l < ${file}) -gt 1 ] || sleep 3`);
    const [one, two] = [machine(server), machine(server)];
    const dying = one.start(...run("web"));
    await until(
      () => noteCount(file) === 1,
      () => "the first one's work",
    );
    const next = two.start(...run("web"));
    await sleep(1000 + trial * 900);
    dying.kill("SIGKILL");
    const killed = Date.now();
    const { exitCode, stderr } = await next.done;
    if (exitCode !== 0) throw new Error(stderr);
    delays.push(Number(readFileSync(file, "utf8").trim().split("\n")[1]) / 1e6 - killed);
    rmSync(file);
  }
  const most = Math.max(...delays);
  rows.push({
    name: `takeover after kill -9 on another machine, ${delays.length} trials`,
    value: `${show(median(delays) / 1000, 1)} s, at most ${show(most / 1000, 1)} s`,
    reach: `<= ${(ttlMs + 1000) / 1000} s`,
    ok: most <= ttlMs + 1000,
    figures: { median: median(delays), most },
  });
}

function noteCount(file: string): number {
  try {
    return readFileSync(file, "utf8").split("\n").length - 1;
  } catch {
    return 0; // not yet
  }
}

interface Bucket {
  readonly objects: number;
  readonly world: S3World;
  readonly names: readonly string[];
}

/** A world with so many objects, ten models that have a head, and one that nobody has touched yet. Filled: by a run of this with `--fill` before. */
async function bucket(count: number, filled?: string): Promise<Bucket> {
  const prefix = filled ?? newPrefix();
  const made = await s3World(prefix);
  worlds.push(made);
  const names = times(10, (at) => `p${at}`);
  for (const name of names) made.repo.model(name, "echo hello");
  made.repo.model("untouched", "echo hello", { id: idOf(3) });
  const objects = filled === undefined ? await fill(server, prefix, { count }) : count;
  const first = made.machine(server);
  for (const name of names) await timed(first, run(name));
  return { objects, world: made, names };
}

async function large(): Promise<void> {
  const [small, big] = [await bucket(1000), await bucket(objectCount, wordAfter("--filled"))];
  for (const { what, model, data } of [
    { what: "model with a manifest", model: "p1", data: "result" },
    { what: "model of the older program, untouched", model: "untouched", data: "result" },
  ]) {
    const [few, lots] = [await pull(small, model, data), await pull(big, model, data)];
    const ratio = median(lots.ms) / median(few.ms);
    rows.push({
      name: `pull of a ${what}: ${big.objects} objects against ${small.objects}`,
      value: `${lots.requests} against ${few.requests} requests, ${show(median(lots.ms))} against ${show(median(few.ms))} ms`,
      reach: "the same",
      ok: lots.requests === few.requests && ratio <= 1.25,
      figures: { objects: big.objects, requests: lots.requests, few: few.requests, ratio },
    });
  }
  const machines = big.names.map(() => big.world.machine(server));
  for (const one of machines) await timed(one, ["datastore", "status"]);
  const start = performance.now();
  const done = await Promise.all(big.names.map((name, at) => machines[at]?.fen(...run(name)) ?? raise()));
  const ms = performance.now() - start;
  const failed = failures(done);
  rows.push({
    name: `10 pushers, ${big.objects / 2} versions in the bucket`,
    value: `all done after ${show(ms / 1000, 1)} s, ${failed} failed`,
    reach: "<= 10 s",
    ok: ms <= 10_000 && failed === 0,
    figures: { ms, failed, versions: big.objects / 2 },
  });
}

/** Ten machines write at once what older programs read of a bucket that they filled, each after a run of its own. */
async function push(): Promise<void> {
  const { objects, world, names } = await bucket(objectCount, wordAfter("--filled"));
  const machines = times(10, () => world.machine(server));
  for (const one of machines) await timed(one, ["datastore", "status"]);
  const first = await timed(machines[0] ?? raise(), ["datastore", "sync", "--push"]);
  await Promise.all(names.map((name, at) => timed(machines[at] ?? raise(), run(name))));
  const start = performance.now();
  const done = await Promise.all(machines.map((one) => one.fen("datastore", "sync", "--push")));
  const ms = performance.now() - start;
  const failed = failures(done);
  rows.push({
    name: `10 machines push for older programs, ${objects / 2} versions in the bucket`,
    value: `all done after ${show(ms / 1000, 1)} s, ${failed} failed; the first of all took ${show(first / 1000, 1)} s`,
    reach: "<= 10 s",
    ok: ms <= 10_000 && failed === 0,
    figures: { ms, failed, first, versions: objects / 2 },
  });
}

/** By machines that have nothing in their caches. */
async function pull({ world: { machine } }: Bucket, model: string, data: string) {
  const ms: number[] = [];
  let requests = 0;
  for (let trial = 0; trial < 5; trial++) {
    const fresh = machine(proxy);
    await timed(fresh, ["datastore", "lock", "status"]); // it knows what the store can do
    requests = (await counted(async () => ms.push(await timed(fresh, ["data", "get", model, data])))).length;
  }
  return { ms, requests };
}

/** Only fills: until there are so many objects, the time is up (`--seconds`), or little memory is left. Says how many there are. */
async function fillOnly(prefix: string): Promise<void> {
  const [start, from] = [performance.now(), numberAfter("--from", 0)];
  const seconds = numberAfter("--seconds", Infinity);
  let saidAt = start;
  const enough = (made: number): boolean => {
    const now = performance.now();
    if (now - saidAt > 10_000) {
      console.error(`${made} objects, ${show(((made - from) / (now - start)) * 1000)} a second`);
      saidAt = now;
    }
    return now - start > seconds * 1000;
  };
  console.log(String(await fill(server, prefix, { count: objectCount, from, enough })));
}

// ------------------------------------------------------------------ all of them

const benches = { alone, handover, waiter, many, takeover, large, push };

function print(): void {
  const cells = rows.map(({ name, value, reach, ok }) => [
    name,
    value,
    reach,
    ok === undefined ? "" : ok ? "ok" : "MISSED",
  ]);
  const all = [["what", "fen", "reach", ""], ...cells];
  const widths = times(4, (column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  for (const row of all)
    console.log(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  console.log(
    `Prices: AWS S3 Standard, us-east-1, list price: $${price.write} per 1,000 PUT, POST and LIST, $${price.read} per 1,000 GET and HEAD, DELETE free.`,
  );
}

try {
  await makeBucket(server, "conformance");
  const toFill = wordAfter("--fill");
  if (toFill !== undefined) {
    await fillOnly(toFill);
    process.exit(0);
  }
  for (const [name, bench] of Object.entries(benches)) {
    if (only !== undefined && only !== name) continue;
    console.error(`${name} ...`);
    await bench();
  }
} finally {
  for (const one of worlds) one.remove();
  await proxy.close();
}
const file = join(root, "bench/results/s3.json");
const at = new Date().toISOString();
const measured = rows.map((row) => ({ ...row, at }));
/** Of a run that was narrowed the others stay as they were, in their places. */
const before: typeof measured =
  only !== undefined && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).rows : [];
const all = [
  ...before.map((row) => measured.find(({ name }) => name === row.name) ?? row),
  ...measured.filter(({ name }) => !before.some((row) => row.name === name)),
];
const results = {
  at,
  node: process.version,
  cores: cpus().length,
  cpu: cpus()[0]?.model,
  load: loadavg()[0],
  price,
  rows: all,
};
mkdirSync(join(root, "bench/results"), { recursive: true });
writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
if (words.includes("--json")) console.log(JSON.stringify(results, undefined, 2));
else print();
process.exit(rows.every(({ ok }) => ok !== false) ? 0 : 1);
