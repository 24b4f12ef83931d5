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
const options = {
  lines: values.lines ? Infinity : 0,
  runs: Number(values.runs),
  seed: Number(values.seed),
  parallel: Number(values.parallel),
};
const { steps, runs, kills, ended, again, broken } = await torture(options, console.log);
console.log(
  `${runs} runs of ${steps} steps, ${kills} kills: ${ended} steps that had ended stayed so, ${again} that were at work began again, ${broken.length} runs broken`,
);
process.exit(broken.length === 0 ? 0 : 1);
