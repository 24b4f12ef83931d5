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
    exhaustive: { type: "boolean", default: false },
  },
});

if (values.exhaustive) searchAll();
else await run();

async function run(): Promise<void> {
  const start = performance.now();
  const first = Number(values.seed ?? Date.now() % 1e9);
  const until = start + Number(values.minutes) * 60_000;
  let [seed, grants] = [first, 0];
  for (; seed < first + Number(values.runs) && performance.now() < until; seed++) {
    const { failure, grants: more } = await simulate({ seed });
    grants += more;
    if (failure === undefined) continue;
    const { trace } = await simulate({ seed, keepTrace: true });
    console.log(`${trace.join("\n")}\n\nseed ${seed}: ${failure}\nAgain: npm run torture -- --seed ${seed} --runs 1`);
    process.exitCode = 1;
    return;
  }
  const seconds = (performance.now() - start) / 1000;
  const perMinute = Math.round(((seed - first) / seconds) * 60);
  console.log(`${seed - first} runs from seed ${first}, ${grants} grants, nothing broke (${perMinute} runs a minute)`);
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
