/** Runs the simulation for some minutes, or the long searches; prints the seed and the trace of what fails. Built and started by scripts/torture.mjs. */
import { parseArgs } from "node:util";
import { explore } from "./explore.ts";
import { protocolSpace } from "./protocol-space.ts";
import { allSearches, scriptsOf, searches } from "./searches.ts";
import { simulate } from "./simulate.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string" },
    runs: { type: "string", default: "Infinity" },
    pauses: { type: "string" },
    exhaustive: { type: "boolean", default: false },
  },
});

if (values.exhaustive) searchAll();
else await run();

async function run(): Promise<void> {
  const start = performance.now();
  const first = Number(values.seed ?? Date.now() % 1e9);
  const until = start + Number(values.minutes) * 60_000;
  const pausing = values.pauses !== undefined;
  const wanted = Number(values.pauses ?? Infinity);
  let [seed, grants] = [first, 0];
  const sum = { all: 0, takenOver: 0, refused: 0, committed: 0 };
  for (; seed < first + Number(values.runs) && performance.now() < until && sum.all < wanted; seed++) {
    const { failure, grants: more, pauses } = await simulate({ seed, pausing });
    grants += more;
    for (const what of ["all", "takenOver", "refused", "committed"] as const) sum[what] += pauses[what];
    if (failure === undefined) continue;
    const { trace } = await simulate({ seed, pausing, keepTrace: true });
    const again = `npm run torture -- --seed ${seed} --runs 1${pausing ? " --pauses 1" : ""}`;
    console.log(`${trace.join("\n")}\n\nseed ${seed}: ${failure}\nAgain: ${again}`);
    process.exitCode = 1;
    return;
  }
  const seconds = (performance.now() - start) / 1000;
  const perMinute = Math.round(((seed - first) / seconds) * 60);
  console.log(`${seed - first} runs from seed ${first}, ${grants} grants, nothing broke (${perMinute} runs a minute)`);
  if (pausing)
    console.log(
      `${sum.all} pauses of a holder past the TTL, with a commit to make: in ${sum.takenOver} its lock was gone when it woke, and none of those commits was ` +
        `done; of all, ${sum.refused} were refused, ${sum.committed} done by a holder that still had its lock, ${sum.all - sum.refused - sum.committed} never told`,
    );
}

function searchAll(): void {
  for (const { who, faults } of [...searches, ...allSearches]) {
    const start = performance.now();
    const { states, steps, failure } = explore(protocolSpace(scriptsOf(who), faults), 12_000_000);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${who} ${JSON.stringify(faults)}: ${states} states, ${steps} steps, ${seconds} s`);
    if (failure === undefined) continue;
    console.log(`${failure.trace.join("\n")}\n\n${failure.what}`);
    process.exitCode = 1;
    return;
  }
}
