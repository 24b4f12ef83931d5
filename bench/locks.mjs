// Measures the locks, each beside its peers in the same minute. Prints a table; --json prints JSON; results also go to bench/results/locks.json.
// One word narrows: node bench/locks.mjs takeover. --no-peers leaves the peers out.
import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openLocks } from "../dist/lock.mjs";
import { etcdPeer, flockPeer, installPeers, postgresPeer } from "./lock-peers.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const only = process.argv.slice(2).find((word) => !word.startsWith("-"));
const scratch = mkdtempSync(join(tmpdir(), "fen-bench-locks-"));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)];
const median = (values) => quantile(values, 0.5);
const rows = [];
const processes = 20;

class Worker {
  #number = 0;
  #pending = new Map();

  static async start(folder, records = "none") {
    const worker = new Worker();
    const env = { ...process.env };
    delete env.NODE_EXTRA_CA_CERTS;
    worker.child = fork(join(root, "bench/lock-worker.mjs"), [folder, records], { env });
    await new Promise((resolve) => worker.child.once("message", resolve));
    worker.child.on("message", ({ number, value }) => worker.#pending.get(number)?.(value));
    return worker;
  }

  tell(order, options = {}) {
    const number = ++this.#number;
    const answer = new Promise((resolve) => this.#pending.set(number, resolve));
    this.child.send({ number, order, options });
    return answer;
  }

  end() {
    this.child.kill("SIGKILL");
  }
}

const startWorkers = (folder, count = processes, records = "none") =>
  Promise.all(Array.from({ length: count }, () => Worker.start(folder, records)));

/** `rounds` times all processes at once on one model. */
async function handOverRounds(folder, rounds, records) {
  const workers = await startWorkers(folder, processes, records);
  const turns = [];
  for (let round = 0; round < rounds; round++)
    turns.push(
      (await Promise.all(workers.map((worker) => worker.tell("turn", { resource: "one/model", holdMs: 100 })))).flat(),
    );
  for (const worker of workers) worker.end();
  return turns;
}

/** Milliseconds from each one's leaving to the next one's entering. */
function handOvers(turns) {
  const sorted = turns.toSorted((a, b) => a.enter - b.enter);
  return sorted.slice(1).map((turn, n) => (turn.enter - sorted[n].leave) / 1000);
}

function overlaps(turns) {
  return handOvers(turns).filter((ms) => ms < 0).length;
}

/** From the first to enter to the last to leave: what starting a client takes doesn't count. */
function span(turns) {
  return (Math.max(...turns.map((turn) => turn.leave)) - Math.min(...turns.map((turn) => turn.enter))) / 1000;
}

const show = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : "-");

const benches = {
  async handover(peers) {
    const rounds = 6;
    const ours = await handOverRounds(join(scratch, "handover"), rounds, "none");
    const withRecords = await handOverRounds(join(scratch, "handover-records"), rounds, "published");
    const beside = [];
    for (const peer of peers) {
      const turns = [];
      for (let round = 0; round < 2; round++)
        turns.push(await Promise.all(Array.from({ length: processes }, () => peer.turn(100))));
      const gaps = turns.flatMap(handOvers);
      const spans = turns.map(span);
      beside.push(
        `${peer.name} ${show(median(gaps))} / ${show(quantile(gaps, 0.99))} ms, ${show(median(spans) / 1000, 2)} s`,
      );
    }
    const gaps = ours.flatMap(handOvers);
    const total = median(ours.map(span)) / 1000;
    const [p50, p99] = [median(gaps), quantile(gaps, 0.99)];
    const about = `${processes} processes`;
    const recorded = withRecords.flatMap(handOvers);
    const [recordedP50, recordedP99] = [median(recorded), quantile(recorded, 0.99)];
    rows.push(
      {
        name: `hand-over, ${about}`,
        value: `${show(p50, 2)} / ${show(p99, 2)} ms (p50 / p99)`,
        figures: { p50, p99, overlaps: ours.reduce((sum, turns) => sum + overlaps(turns), 0) },
        beside,
        reach: "<= 1.5 / 8 ms",
        ok: p50 <= 1.5 && p99 <= 8,
      },
      {
        name: "the same, with records for older clients (as fen's commands take it)",
        value: `${show(recordedP50, 2)} / ${show(recordedP99, 2)} ms, ${show(median(withRecords.map(span)) / 1000, 3)} s`,
        figures: { p50: recordedP50, p99: recordedP99 },
        beside: [],
        reach: "",
        ok: true,
      },
      {
        name: `${processes} x 100 ms on one model`,
        value: `${show(total, 3)} s`,
        figures: { total },
        beside: [],
        reach: "<= 2.15 s",
        ok: total <= 2.15,
      },
    );
  },

  async order(peers) {
    const folder = join(scratch, "order");
    const locks = openLocks(folder);
    const workers = await startWorkers(folder);
    const inversions = [];
    for (let round = 0; round < 20; round++) {
      const first = await locks.acquire([{ resource: "one/model", mode: "exclusive" }]);
      const waiting = [];
      for (const worker of workers) {
        waiting.push(worker.tell("turn", { resource: "one/model", holdMs: 0 }));
        while ((await locks.status()).waiting.length < waiting.length) await sleep(1);
      }
      await first.release();
      inversions.push(inverted((await Promise.all(waiting)).flat()));
    }
    for (const worker of workers) worker.end();
    const beside = [];
    for (const peer of peers) {
      const found = [];
      for (let round = 0; round < 3; round++) {
        const first = peer.turn(processes * 100 + 1000);
        await sleep(300);
        const waiting = [];
        for (let n = 0; n < processes; n++) {
          waiting.push(peer.turn(0));
          await sleep(100);
        }
        await first;
        found.push(inverted(await Promise.all(waiting)));
      }
      beside.push(`${peer.name} ${median(found)} (3 rounds, callers 100 ms apart)`);
    }
    const all = inversions.reduce((sum, count) => sum + count, 0);
    rows.push({
      name: "order: inversions in 190 pairs, 20 rounds",
      value: String(all),
      figures: { inversions },
      beside,
      reach: "0",
      ok: all === 0,
    });
  },

  async thousand() {
    const folder = join(scratch, "thousand");
    const workers = await startWorkers(folder);
    const callers = 1000 / processes;
    const start = performance.now();
    const turns = (
      await Promise.all(workers.map((worker) => worker.tell("turn", { resource: "one/model", holdMs: 0, callers })))
    ).flat();
    const seconds = (performance.now() - start) / 1000;
    for (const worker of workers) worker.end();
    rows.push({
      name: "1,000 queued callers",
      value: `${turns.length} served in ${show(seconds)} s`,
      figures: { served: turns.length, seconds, p50: median(handOvers(turns)), overlaps: overlaps(turns) },
      beside: [],
      reach: "all served",
      ok: turns.length === 1000 && overlaps(turns) === 0,
    });
  },

  async alone(peers) {
    const few = await Worker.start(withModels(10));
    const recorded = await Worker.start(withModels(10), "published");
    const many = await Worker.start(manyModels());
    const times = { few: [], many: [], recorded: [] };
    // In turns, so that noise hits both.
    for (let round = 0; round < 30; round++) {
      for (const [name, worker] of Object.entries({ few, many, recorded }))
        times[name].push(...(await worker.tell("alone", { resource: `command/shell/${randomUUID()}`, count: 100 })));
    }
    few.end();
    many.end();
    recorded.end();
    const beside = [];
    for (const peer of peers) {
      if (peer.alone !== undefined) {
        const own = [];
        for (let n = 0; n < 300; n++) own.push(await peer.alone());
        beside.push(`${peer.name} ${show(median(own), 2)} ms (over HTTP)`);
      }
      if (peer.aloneMany !== undefined) beside.push(`${peer.name} ${show(median(await peer.aloneMany(500)), 2)} ms`);
    }
    const [p50, ratio] = [median(times.few) / 1000, median(times.many) / median(times.few)];
    rows.push(
      {
        name: "acquire + release, nobody else, 10 models",
        value: `${show(p50, 3)} ms p50`,
        figures: { p50, p99: quantile(times.few, 0.99) / 1000 },
        beside,
        reach: "<= 0.5 ms",
        ok: p50 <= 0.5,
      },
      {
        name: "the same, with records for older clients",
        value: `${show(median(times.recorded) / 1000, 3)} ms p50`,
        figures: { p50: median(times.recorded) / 1000 },
        beside: [],
        reach: "",
        ok: true,
      },
      {
        name: "the same with 100,000 models",
        value: `${show(ratio, 2)} x`,
        figures: { p50: median(times.many) / 1000, ratio },
        beside: [],
        reach: "<= 1.1 x",
        ok: ratio <= 1.1,
      },
    );
  },

  async structural() {
    const folder = manyModels();
    const holders = await startWorkers(folder, 10);
    const [structural] = await startWorkers(folder, 1);
    const locks = openLocks(folder);
    const times = [];
    for (let trial = 0; trial < 20; trial++) {
      await Promise.all(holders.map((worker) => worker.tell("hold", { resource: `command/shell/${randomUUID()}` })));
      const waiting = structural.tell("hold", { resource: "*" });
      while (!(await locks.status()).waiting.some((one) => one.resource === "*")) await sleep(5);
      await sleep(300);
      const left = await Promise.all(holders.map((worker) => worker.tell("release")));
      times.push(((await waiting) - Math.max(...left)) / 1000);
      await structural.tell("release");
    }
    for (const worker of [...holders, structural]) worker.end();
    const [p50, most] = [median(times), Math.max(...times)];
    rows.push({
      name: "datastore lock, 100,000 models, 10 held: after the last has left",
      value: `${show(p50)} ms p50, ${show(most)} ms at most`,
      figures: { p50, most },
      beside: [],
      reach: "<= 50 ms",
      ok: p50 <= 50,
    });
  },

  async takeover(peers) {
    const trials = 500;
    const folder = join(scratch, "takeover");
    const [next] = await startWorkers(folder, 1);
    const locks = openLocks(folder);
    const times = [];
    const ready = Array.from({ length: 3 }, () => Worker.start(folder));
    for (let trial = 0; trial < trials; trial++) {
      const holder = await ready.shift();
      ready.push(Worker.start(folder));
      await holder.tell("hold", { resource: "one/model" });
      const waiting = next.tell("hold", { resource: "one/model" });
      while ((await locks.status()).waiting.length === 0) await sleep(2);
      const killed = Number(process.hrtime.bigint()) / 1000;
      holder.end();
      times.push(((await waiting) - killed) / 1000);
      await next.tell("release");
    }
    for (const worker of [next, ...(await Promise.all(ready))]) worker.end();
    const beside = [];
    for (const peer of peers) {
      if (peer.takeover === undefined) continue;
      const own = [];
      for (let n = 0; n < 20; n++) own.push(await peer.takeover());
      beside.push(`${peer.name} ${show(median(own))} ms p50`);
    }
    const [p50, p99] = [median(times), quantile(times, 0.99)];
    rows.push({
      name: `takeover after kill -9, ${trials} trials`,
      value: `${show(p50)} / ${show(p99)} ms (p50 / p99)`,
      figures: { p50, p99, most: Math.max(...times) },
      beside,
      reach: "p99 <= 100 ms",
      ok: p99 <= 100,
    });
  },
};

/** Pairs that were served in another order than they came. */
function inverted(turns) {
  let count = 0;
  for (const [n, later] of turns.entries())
    count += turns.slice(0, n).filter((earlier) => earlier.enter > later.enter).length;
  return count;
}

function withModels(count) {
  const folder = join(scratch, `models-${count}`);
  for (let n = 0; n < count; n++)
    mkdirSync(join(folder, "data/command/shell", `${String(n).padStart(8, "0")}-0000-4000-8000-000000000000`), {
      recursive: true,
    });
  return folder;
}

let many;
function manyModels() {
  many ??= withModels(100_000);
  return many;
}

function print() {
  const cells = rows.map((row) => [row.name, row.value, row.reach, row.ok ? "ok" : "MISSED"]);
  const all = [["what", "fen", "reach", ""], ...cells];
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
  for (const [n, row] of all.entries()) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join("  ")
        .trimEnd(),
    );
    for (const peer of rows[n - 1]?.beside ?? []) console.log(`    beside: ${peer}`);
  }
}

const peers = [];
try {
  if (!process.argv.includes("--no-peers")) {
    const has = installPeers();
    if (has.flock) peers.push(flockPeer(scratch));
    if (has.etcd) peers.push(await etcdPeer(scratch));
    if (has.postgres) peers.push(await postgresPeer(scratch));
    for (const [name, is] of Object.entries(has)) if (!is) console.error(`${name} could not be installed: left out`);
  }
  for (const [name, bench] of Object.entries(benches)) if (only === undefined || only === name) await bench(peers);
} finally {
  for (const peer of peers) peer.stop();
  await sleep(500);
  rmSync(scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}
const results = {
  at: new Date().toISOString(),
  node: process.version,
  cores: cpus().length,
  cpu: cpus()[0]?.model,
  load: loadavg()[0],
  rows,
};
if (only === undefined) {
  mkdirSync(join(root, "bench/results"), { recursive: true });
  writeFileSync(join(root, "bench/results/locks.json"), `${JSON.stringify(results, undefined, 2)}\n`);
}
if (process.argv.includes("--json")) console.log(JSON.stringify(results, undefined, 2));
else print();
process.exitCode = rows.every((row) => row.ok) ? 0 : 1;
