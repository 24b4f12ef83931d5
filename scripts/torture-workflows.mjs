// Kills runs of a workflow of 200 steps at random moments, or with --lines at every line of their journals, resumes them, and looks at what is left:
// npm run torture -- --workflows [--runs 1000] [--seed S] [--lines] [--parallel 2]
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({
  options: {
    workflows: { type: "boolean" },
    runs: { type: "string", default: "1000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    lines: { type: "boolean", default: false },
    parallel: { type: "string", default: "2" },
  },
});
const folder = join(root, "node_modules/.cache/fen-test", String(process.pid));
const bundle = await rolldown({
  input: { crashes: join(root, "test/torture/workflow-crashes.ts") },
  platform: "node",
  external: [/^rolldown/, /^fs-native-extensions/],
  transform: { target: "node20.18" },
});
await bundle.write({ dir: folder, format: "esm", entryFileNames: "[name].mjs" });
await bundle.close();
const { torture } = await import(pathToFileURL(join(folder, "crashes.mjs")).href);
let isBroken = false;
const options = {
  lines: values.lines,
  runs: Number(values.runs),
  seed: Number(values.seed),
  parallel: Number(values.parallel),
};
const sums = await torture(options, (what) => {
  isBroken ||= what.includes("\n");
  console.log(what);
});
console.log(sums);
process.exit(isBroken ? 1 : 0);
