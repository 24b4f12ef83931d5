// A client that knows only lock files, as older programs of this format do: it creates the file with O_EXCL, rewrites `acquiredAt` every so often, thinks a
// record stale once `acquiredAt + ttlMs` lies behind its own clock, and removes such a one by its path. A holder of a model looks for the datastore's lock after each
// acquisition and backs off; a structural one takes the datastore's lock and then waits for the models' (it polls, and passes over stale ones).
//
//   node older-client.mjs '{"datastore": "...", "model": "type/id"}'      a model's lock; without "model" the datastore's
//
// Times of the real one: ttlMs 30,000, refreshMs 10,000, retryMs 1,000, giveUpMs 60,000. Says "waiting", "held", "released" or "gave up" on stdout, a word a
// line; gives back when its standard input ends.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const options = JSON.parse(process.argv[2]);
const { datastore, model, ttlMs = 30_000, refreshMs = 10_000, retryMs = 1000, giveUpMs = 60_000 } = options;
const globalPath = join(datastore, ".datastore.lock");
const modelPath = (key) => join(datastore, "data", key, ".lock");
const say = (word) => process.stdout.write(`${word}\n`);
const nonce = randomUUID();
const record = () => ({
  holder: `old@${options.hostname ?? hostname()}`,
  hostname: options.hostname ?? hostname(),
  pid: options.pid ?? process.pid,
  acquiredAt: new Date().toISOString(),
  ttlMs,
  nonce,
});

function read(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // absent or unreadable: the old client tells neither apart
  }
}

const isStale = (found) => Date.parse(found.acquiredAt) + found.ttlMs < Date.now();

async function take(path) {
  const giveUpAt = Date.now() + giveUpMs;
  for (let waits = 0; ; waits++) {
    try {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, JSON.stringify(record(), undefined, 2), { flag: "wx" });
      return true;
    } catch (error) {
      if (error.code === "ENOENT") continue; // the folder went between the two
      if (error.code !== "EEXIST") throw error;
    }
    const found = read(path);
    if (found !== undefined && isStale(found)) {
      rmSync(path, { force: true });
      continue;
    }
    if (Date.now() > giveUpAt) return false;
    if (waits === 0) say("waiting");
    await sleep(retryMs);
  }
}

function giveBack(path) {
  if (read(path)?.nonce === nonce) rmSync(path, { force: true });
}

/** Fresh locks of models, as the old client looks for them: any `.lock` below data. */
function heldModels() {
  const data = join(datastore, "data");
  if (!existsSync(data)) return [];
  return readdirSync(data, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".lock"))
    .map((name) => read(join(data, name)))
    .filter((found) => found !== undefined && !isStale(found));
}

async function acquire() {
  const path = model === undefined ? globalPath : modelPath(model);
  for (;;) {
    if (!(await take(path))) return undefined;
    if (model === undefined) {
      while (heldModels().length > 0) await sleep(retryMs);
      return path;
    }
    const global = read(globalPath);
    if (global === undefined || isStale(global)) return path;
    giveBack(path);
    await sleep(retryMs);
  }
}

const path = await acquire();
if (path === undefined) {
  say("gave up");
  process.exit(1);
}
say("held");
const timer = setInterval(() => {
  // Rewritten in place, and only while it is still there and its own.
  if (read(path)?.nonce === nonce) writeFileSync(path, JSON.stringify(record(), undefined, 2));
}, refreshMs);
process.stdin.resume().on("end", () => {
  clearInterval(timer);
  giveBack(path);
  say("released");
});
