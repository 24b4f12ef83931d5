/** Runs workflows of steps that do nothing, in this process: what is left is the engine. Arguments: repository, workflow. Prints milliseconds as JSON. */
import type { AppContext } from "../src/app/context.ts";
import { runWorkflow } from "../src/app/workflow-run.ts";
import { systemMachine } from "../src/kernel/machine.ts";
import type { ModelType } from "../src/model/type.ts";

const nothing: ModelType = {
  name: "bench/nothing",
  version: "2026.01.01.1",
  description: "Does nothing",
  methods: {
    execute: {
      description: "Nothing",
      kind: "action",
      arguments: { type: "object" },
      execute: async () => ({ status: "succeeded" }),
    },
  },
  resources: {},
  files: {},
};

const [repoDir = ".", workflow = ""] = process.argv.slice(2);
const context: AppContext = {
  machine: systemMachine("bench"),
  repoDir,
  types: [nothing],
  signal: new AbortController().signal,
  lockTimeoutMs: undefined,
  emit: () => undefined,
};
const start = performance.now();
const run = await runWorkflow(context, { workflow });
const ms = performance.now() - start;
process.stdout.write(JSON.stringify({ ms, status: run.status, path: run.path, rss: process.resourceUsage().maxRSS }));
