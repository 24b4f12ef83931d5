// Tortures the locks with real processes, round after round: node scripts/torture-processes.mjs [--minutes N] [--grants N] [--seed S] [--processes N] [--commands N] [--brisk] [--round SECONDS]
// Each round has its own seed, which is printed where something broke; --seed S begins with that one. The folder of a broken round is kept.
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({
  options: {
    minutes: { type: "string" },
    grants: { type: "string" },
    seed: { type: "string" },
    processes: { type: "string", default: "12" },
    commands: { type: "string", default: "1" },
    brisk: { type: "boolean", default: false },
    round: { type: "string", default: "20" },
  },
});
const { buildWorker, runRound } = await loadRunner();
const { planRound, summarize } = await loadRunner("rounds");
const until = performance.now() + Number(values.minutes ?? (values.grants === undefined ? 1 : 1e9)) * 60_000;
const wanted = Number(values.grants ?? Infinity);
const firstSeed = Number(values.seed ?? Date.now() % 1_000_000);
const script = await buildWorker();
const results = [];
const grants = () => results.reduce((sum, result) => sum + result.grants, 0);
for (let n = 0; performance.now() < until && grants() < wanted; n++) {
  const plan = planRound(firstSeed + n, {
    seconds: Number(values.round),
    processes: Number(values.processes),
    commands: Number(values.commands),
    brisk: values.brisk,
  });
  const result = await runRound({ ...plan, keep: true }, script);
  results.push(result);
  console.log(summarize([result], `seed ${plan.seed}`));
  for (const violation of result.violations.slice(0, 20)) console.log(`  ${violation}`);
  if (result.kept !== undefined) console.log(`  kept: ${result.kept}`);
}
console.log(summarize(results, `seeds ${firstSeed} to ${firstSeed + results.length - 1}`));
process.exit(results.every((result) => result.violations.length === 0) ? 0 : 1);

/** The runner is TypeScript, as the tests import it. */
async function loadRunner(name = "runner") {
  const folder = join(root, "node_modules/.cache/fen-test", String(process.pid));
  const bundle = await rolldown({
    input: { [name]: join(root, `test/torture/${name}.ts`) },
    platform: "node",
    external: [/^rolldown/],
    transform: { target: "node20.18" },
  });
  await bundle.write({ dir: folder, format: "esm", entryFileNames: "[name].mjs" });
  await bundle.close();
  return import(pathToFileURL(join(folder, `${name}.mjs`)).href);
}
