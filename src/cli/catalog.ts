/** All commands: their place in the tree and their words. Help, completions and the docs are made from this; handlers load when they run. */
import { historyCommands } from "./catalog-history.ts";
import type { ArgumentSpec, CommandSpec, FlagSpec } from "./command.ts";

const model: ArgumentSpec = { name: "model", summary: "Name or id of a model", complete: "model" };
const workflow: ArgumentSpec = { name: "workflow", summary: "Name or id of a workflow", complete: "workflow" };
const query: ArgumentSpec = { name: "query", summary: "Only what holds this text", optional: true };
const output: ArgumentSpec = { name: "id", summary: "Id of an output, or its first digits (at least 3)" };
const outputOrModel: ArgumentSpec = {
  name: "id|model",
  summary: "Id of an output or its first digits, or a model (its newest output)",
  complete: "model",
};
const dataName: ArgumentSpec = { name: "name", summary: "Name of the data", complete: "data" };
const force: FlagSpec = { type: "switch", short: "f", summary: "Don't ask" };
const dryRun: FlagSpec = { type: "switch", summary: "Only say what would be done" };
const limit: FlagSpec = { type: "text", value: "N", summary: "At most so many (default 50)" };
const tail: FlagSpec = { type: "text", value: "N", summary: "Only the last N lines" };
const stream: FlagSpec = { type: "switch", summary: "Events as newline-delimited JSON on stdout" };
const run: ArgumentSpec = { name: "run", summary: "Id of a workflow run, or its first digits (at least 3)" };
const concurrency: FlagSpec = {
  type: "text",
  value: "N",
  summary:
    "Steps at work at once (also SWAMP_MAX_CONCURRENT_STEPS; default: what the workflow says, else twice the processors)",
};
const inputFlag: FlagSpec = {
  type: "text",
  repeat: true,
  value: "K=V",
  summary: "An input (a.b=v nests, k=@file reads a file, or one JSON object)",
};
const inputFileFlag: FlagSpec = {
  type: "text",
  value: "FILE",
  complete: "file",
  summary: "Inputs from a YAML file",
};
const version: FlagSpec = { type: "text", value: "N", summary: "This version (default: the newest)" };

export const groups: Readonly<Record<string, string>> = {
  repo: "Repositories",
  model: "Models: what is automated, each a YAML file",
  "model type": "Types that models can be of",
  "model method": "Methods: what models can do",
  "model method history": "Past runs",
  "model output": "Records of runs, their data and logs",
  workflow: "Workflows: methods of many models, in jobs of steps",
  "workflow history": "Past runs of workflows, and those that go on",
  data: "Versioned data that runs leave behind",
  datastore: "Where data lives and who holds its locks",
  "datastore lock": "Locks: who holds which, and the last resort",
};

const init = {
  summary: "Make a repository, or complete one",
  arguments: [{ name: "path", summary: "Folder (default: here)", optional: true, complete: "folder" }],
  flags: {
    force: {
      type: "switch",
      short: "f",
      summary: "Replace a marker that can't be read (the old one is kept beside it)",
    },
    tool: { type: "text", short: "t", value: "NAME", hidden: true, summary: "Accepted for older scripts" },
  },
  examples: ["fen init", "fen repo init infra/"],
  load: () => import("./commands/repo/init.ts"),
} as const satisfies Omit<CommandSpec, "path">;

const historySearch = {
  summary: "List runs, newest first",
  arguments: [query],
  flags: { limit },
  load: () => import("./commands/model/output-search.ts"),
} as const satisfies Omit<CommandSpec, "path">;

export const catalog: readonly CommandSpec[] = [
  { path: ["init"], ...init },
  { path: ["repo", "init"], ...init },
  {
    path: ["demo"],
    summary: "Watch twenty models being run at once, with their locks, in a scratch folder",
    details:
      "Takes about ten seconds and needs nothing but this program. The folder stays, to be explored; delete it when you like.",
    flags: { fast: { type: "switch", summary: "The same with shorter work" } },
    examples: ["fen demo"],
    load: () => import("./commands/demo.ts"),
  },
  {
    path: ["model", "create"],
    summary: "Make a new model",
    details: "Writes models/<type>/<id>.yaml, with an example to change. fen model type search lists the types.",
    arguments: [
      { name: "type", summary: "For example command/shell", complete: "type" },
      { name: "name", summary: "Lowercase letters, digits, - and _, at most 64" },
    ],
    flags: { "global-arg": { type: "text", repeat: true, value: "K=V", summary: "A global argument" } },
    examples: ["fen model create command/shell web-01 --global-arg host=web-01.example"],
    locks: true,
    load: () => import("./commands/model/create.ts"),
  },
  {
    path: ["model", "get"],
    summary: "Show a model",
    arguments: [model],
    examples: ["fen model get web-01"],
    load: () => import("./commands/model/get.ts"),
  },
  {
    path: ["model", "search"],
    summary: "List models",
    details: "With a query: those whose name or type holds it.",
    arguments: [query],
    examples: ["fen model search web"],
    load: () => import("./commands/model/search.ts"),
  },
  {
    path: ["model", "list"],
    summary: "List models",
    arguments: [query],
    hidden: true,
    load: () => import("./commands/model/search.ts"),
  },
  {
    path: ["model", "edit"],
    summary: "Edit a definition in $EDITOR, or replace it from standard input",
    details: "The new text is checked before it replaces the old one; id and type stay.",
    arguments: [model],
    locks: true,
    examples: ["fen model edit web-01", "fen model edit web-01 < web-01.yaml"],
    load: () => import("./commands/model/edit.ts"),
  },
  {
    path: ["model", "delete"],
    summary: "Delete a model, its data and its outputs",
    arguments: [model],
    flags: { force: { ...force, summary: "Don't ask; delete its data too" } },
    locks: true,
    examples: ["fen model delete web-01 --force"],
    load: () => import("./commands/model/delete.ts"),
  },
  {
    path: ["model", "validate"],
    summary: "Check one definition, or all",
    arguments: [{ ...model, optional: true }],
    examples: ["fen model validate", "fen model validate web-01"],
    load: () => import("./commands/model/validate.ts"),
  },
  {
    path: ["model", "evaluate"],
    summary: "Resolve the expressions of one definition, or of all, and store the result",
    details:
      "What comes from the environment, or needs an input that has no value, stays as it is written. One model under its lock; --all under that of the datastore.",
    arguments: [{ ...model, optional: true }],
    flags: {
      all: { type: "switch", summary: "All models" },
      input: inputFlag,
      "input-file": inputFileFlag,
    },
    locks: true,
    examples: ["fen model evaluate web-01", "fen model evaluate web-01 --input pkg=curl", "fen model evaluate --all"],
    load: () => import("./commands/model/evaluate.ts"),
  },
  {
    path: ["model", "type", "search"],
    summary: "List model types",
    arguments: [query],
    examples: ["fen model type search"],
    load: () => import("./commands/model/type-search.ts"),
  },
  {
    path: ["model", "type", "describe"],
    summary: "Show a type: methods, arguments, data",
    arguments: [{ name: "type", summary: "For example command/shell", complete: "type" }],
    examples: ["fen model type describe command/shell"],
    load: () => import("./commands/model/type-describe.ts"),
  },
  {
    path: ["model", "type", "get"],
    summary: "Show a type",
    arguments: [{ name: "type", summary: "For example command/shell", complete: "type" }],
    hidden: true,
    load: () => import("./commands/model/type-describe.ts"),
  },
  {
    path: ["model", "method", "describe"],
    summary: "Show one method of a model",
    arguments: [model, { name: "method", summary: "Name of the method", complete: "method" }],
    examples: ["fen model method describe web-01 execute"],
    load: () => import("./commands/model/method-describe.ts"),
  },
  {
    path: ["model", "method", "run"],
    summary: "Run a method on a model, under the model's lock",
    details:
      "Calls on different models never wait for each other; calls on one model run one after the other, first come first served.",
    arguments: [model, { name: "method", summary: "Name of the method", complete: "method" }],
    flags: {
      input: inputFlag,
      "input-file": inputFileFlag,
      tag: { type: "text", repeat: true, value: "K=V", summary: "A tag for the data that this run makes" },
      stream,
    },
    locks: true,
    examples: [
      "fen model method run web-01 execute",
      "fen model method run web-01 execute --input pkg=curl --lock-timeout 30s",
    ],
    load: () => import("./commands/model/method-run.ts"),
  },
  { path: ["model", "method", "history", "search"], ...historySearch },
  {
    path: ["model", "method", "history", "get"],
    summary: "Show a run",
    arguments: [outputOrModel],
    load: () => import("./commands/model/output-get.ts"),
  },
  {
    path: ["model", "method", "history", "logs"],
    summary: "Show the log of a run",
    arguments: [outputOrModel],
    flags: { tail },
    examples: ["fen model method history logs web-01 --tail 20"],
    load: () => import("./commands/model/history-logs.ts"),
  },
  { path: ["model", "output", "search"], ...historySearch },
  {
    path: ["model", "output", "get"],
    summary: "Show the record of a run",
    arguments: [outputOrModel],
    load: () => import("./commands/model/output-get.ts"),
  },
  {
    path: ["model", "output", "data"],
    summary: "Show data that a run left",
    arguments: [output],
    flags: {
      name: { type: "text", value: "NAME", summary: "Which data (default: the first)" },
      field: { type: "text", value: "PATH", summary: "A field of JSON data: stdout, a.b" },
      version,
    },
    examples: ["fen model output data 1609d4d5 --field stdout"],
    load: () => import("./commands/model/output-data.ts"),
  },
  {
    path: ["model", "output", "logs"],
    summary: "Show what a run's command wrote",
    arguments: [output],
    flags: { tail },
    examples: ["fen model output logs web-01"],
    load: () => import("./commands/model/output-logs.ts"),
  },
  {
    path: ["workflow", "create"],
    summary: "Make a new workflow",
    details:
      "Writes workflows/workflow-<id>.yaml: one that calls a model that you have, with comments on how to go on.",
    arguments: [{ name: "name", summary: "Lowercase letters, digits, - and _, at most 64" }],
    examples: ["fen workflow create patch-fleet"],
    locks: true,
    load: () => import("./commands/workflow/create.ts"),
  },
  {
    path: ["workflow", "get"],
    summary: "Show a workflow",
    arguments: [workflow],
    examples: ["fen workflow get patch-fleet"],
    load: () => import("./commands/workflow/get.ts"),
  },
  {
    path: ["workflow", "search"],
    summary: "List workflows",
    details: "With a query: those whose name or description holds it.",
    arguments: [query],
    examples: ["fen workflow search patch"],
    load: () => import("./commands/workflow/search.ts"),
  },
  {
    path: ["workflow", "list"],
    summary: "List workflows",
    arguments: [query],
    hidden: true,
    load: () => import("./commands/workflow/search.ts"),
  },
  {
    path: ["workflow", "edit"],
    summary: "Edit a workflow in $EDITOR, or replace it from standard input",
    details: "The new text is checked before it replaces the old one; the id stays.",
    arguments: [workflow],
    locks: true,
    examples: ["fen workflow edit patch-fleet", "fen workflow edit patch-fleet < patch-fleet.yaml"],
    load: () => import("./commands/workflow/edit.ts"),
  },
  {
    path: ["workflow", "delete"],
    summary: "Delete a workflow and the records of its runs",
    details: "The data that its runs made is of the models and stays.",
    arguments: [workflow],
    flags: { force },
    locks: true,
    examples: ["fen workflow delete patch-fleet --force"],
    load: () => import("./commands/workflow/delete.ts"),
  },
  {
    path: ["workflow", "validate"],
    summary: "Check one workflow, or all",
    details: "Its keys, its graph, and whether the models, methods and workflows that it names are there.",
    arguments: [{ ...workflow, optional: true }],
    examples: ["fen workflow validate", "fen workflow validate patch-fleet"],
    load: () => import("./commands/workflow/validate.ts"),
  },
  {
    path: ["workflow", "schema"],
    summary: "Print the format of workflow files as JSON Schemas",
    examples: ["fen workflow schema | jq .workflow > workflow.schema.json"],
    load: () => import("./commands/workflow/schema.ts"),
  },
  {
    path: ["workflow", "schema", "get"],
    summary: "Print the format of workflow files as JSON Schemas",
    hidden: true,
    load: () => import("./commands/workflow/schema.ts"),
  },
  ...historyCommands,
  {
    path: ["workflow", "evaluate"],
    summary: "Write a workflow as it would run: names and inputs evaluated, fan-outs expanded",
    details:
      "Goes to workflows-evaluated/ in the datastore. What depends on data, the environment or a vault stays as it is written.",
    arguments: [{ ...workflow, optional: true }],
    flags: {
      all: { type: "switch", summary: "All workflows, under the datastore's lock" },
      input: inputFlag,
      "input-file": inputFileFlag,
    },
    locks: true,
    examples: ["fen workflow evaluate patch-fleet --input pkg=curl", "fen workflow evaluate --all"],
    load: () => import("./commands/workflow/evaluate.ts"),
  },
  {
    path: ["workflow", "run"],
    summary: "Run a workflow: its steps call methods on many models, each as soon as its conditions hold",
    details: [
      "All models that the run can touch are locked before the first step, and each is let go after its last one (lock: run); or each step takes its own (lock: step).",
      "--explain shows what would be locked and why, --dry-run what would be done; neither locks anything.",
    ].join("\n"),
    arguments: [workflow],
    flags: {
      input: inputFlag,
      "input-file": inputFileFlag,
      tag: { type: "text", repeat: true, value: "K=V", summary: "A tag for the run and the data that it makes" },
      concurrency,
      explain: { type: "switch", summary: "Only say which models would be locked, and why" },
      "dry-run": { type: "switch", summary: "Only say what would be done" },
      stream,
    },
    locks: true,
    examples: [
      "fen workflow run patch-fleet --input pkg=curl",
      "fen workflow run patch-fleet --input-file hosts.yaml --explain",
    ],
    load: () => import("./commands/workflow/run.ts"),
  },
  {
    path: ["workflow", "resume"],
    summary: "Go on with a run that died, was cancelled or failed",
    details: [
      "What had ended stays ended. A step that was at work when the run died has ended if its outputs were committed; otherwise its retry policy decides, or you do.",
      "The run goes on with the workflow and the inputs that it began with.",
    ].join("\n"),
    arguments: [run],
    flags: {
      failed: { type: "switch", summary: "Failed steps, and those that never began because of them, begin again" },
      "retry-unknown": { type: "switch", summary: "Steps of which nobody knows how far they got run again" },
      "skip-unknown": { type: "switch", summary: "Steps of which nobody knows how far they got are left out" },
      concurrency,
      stream,
    },
    locks: true,
    examples: ["fen workflow resume 1609d4d5", "fen workflow resume 1609d4d5 --failed"],
    load: () => import("./commands/workflow/resume.ts"),
  },
  {
    path: ["workflow", "cancel"],
    summary: "End a run that is going on, from anywhere",
    details: "Its children are ended, its records written, its locks released. It can be resumed.",
    arguments: [run],
    examples: ["fen workflow cancel 1609d4d5"],
    load: () => import("./commands/workflow/cancel.ts"),
  },
  {
    path: ["data", "get"],
    summary: "Show data of a model",
    arguments: [model, dataName],
    flags: {
      version,
      "no-content": { type: "switch", summary: "Metadata only" },
      raw: { type: "switch", summary: "Only the bytes, as they are" },
    },
    examples: ["fen data get web-01 result", "fen data get web-01 log --raw"],
    load: () => import("./commands/data/get.ts"),
  },
  {
    path: ["data", "list"],
    summary: "List the data of a model",
    arguments: [model],
    flags: { type: { type: "text", value: "TYPE", summary: "resource or file" } },
    examples: ["fen data list web-01"],
    load: () => import("./commands/data/list.ts"),
  },
  {
    path: ["data", "search"],
    summary: "Find data of all models, newest first",
    arguments: [query],
    flags: {
      type: { type: "text", value: "TYPE", summary: "resource or file" },
      model: { type: "text", value: "MODEL", complete: "model", summary: "Of this model" },
      lifetime: { type: "text", value: "L", summary: "Kept so long: infinite, 7d, ..." },
      "content-type": { type: "text", value: "T", summary: "Of this content type: text/plain, ..." },
      since: { type: "text", value: "7d", summary: "Made within this time: 30m, 12h, 7d" },
      tag: { type: "text", repeat: true, value: "K=V", summary: "With this tag" },
      limit,
    },
    examples: ["fen data search --model web-01 --since 7d --tag site=ams"],
    load: () => import("./commands/data/search.ts"),
  },
  {
    path: ["data", "versions"],
    summary: "List the versions of data, newest first",
    arguments: [model, dataName],
    examples: ["fen data versions web-01 result"],
    load: () => import("./commands/data/versions.ts"),
  },
  {
    path: ["data", "delete"],
    summary: "Delete data of a model, or one version",
    arguments: [model, dataName],
    flags: { version: { ...version, summary: "Only this version" }, force },
    locks: true,
    examples: ["fen data delete web-01 log --version 3", "fen data delete web-01 log --force"],
    load: () => import("./commands/data/delete.ts"),
  },
  {
    path: ["data", "rename"],
    summary: "Rename data; the old name leads to the new one",
    arguments: [model, { ...dataName, name: "old" }, { name: "new", summary: "The new name" }],
    locks: true,
    examples: ["fen data rename web-01 log old-log"],
    load: () => import("./commands/data/rename.ts"),
  },
  {
    path: ["data", "gc"],
    summary: "Delete data that has expired and versions beyond what is kept",
    details:
      "Works on the whole datastore: waits for runs that hold a model, and runs that come meanwhile wait for it.",
    flags: { "dry-run": dryRun, force, stream },
    locks: true,
    examples: ["fen data gc --dry-run", "fen data gc --force"],
    load: () => import("./commands/data/gc.ts"),
  },
  {
    path: ["datastore", "status"],
    summary: "Where the datastore is and whether it works",
    load: () => import("./commands/datastore/status.ts"),
  },
  {
    path: ["datastore", "lock", "status"],
    summary: "Who holds and who waits for which lock",
    flags: { watch: { type: "switch", short: "w", summary: "Follow live; with --json a line for each change" } },
    examples: ["fen datastore lock status", "fen datastore lock status --watch", "fen datastore lock status --json"],
    load: () => import("./commands/datastore/lock-status.ts"),
  },
  {
    path: ["datastore", "lock", "release"],
    summary: "Break a lock (the last resort)",
    details:
      "The former holder is told and can't commit. A holder that is alive is only released when its nonce is named; fen datastore lock status --json shows it.",
    flags: {
      force: { type: "switch", summary: "Needed: this takes a lock from somebody" },
      model: {
        type: "text",
        value: "MODEL",
        complete: "model",
        summary: "The model's lock (name, id or type/id); default: the datastore's",
      },
      nonce: { type: "text", value: "NONCE", summary: "The holder that is meant (needed where it is alive)" },
    },
    examples: ["fen datastore lock release --force --model web-01"],
    load: () => import("./commands/datastore/lock-release.ts"),
  },
  { path: ["version"], summary: "Print the version", load: () => import("./commands/version.ts") },
  {
    path: ["help"],
    summary: "Help for a command; --json gives the whole command line as data",
    arguments: [{ name: "command", summary: "Words of a command", optional: true }],
    load: () => import("./commands/help.ts"),
  },
  {
    path: ["completions"],
    summary: "Print a completion script for your shell",
    details: [
      "It completes commands, flags and the names of your models, methods and data. Put one line into your shell's start-up file:",
      "  bash  ~/.bashrc                   source <(fen completions bash)",
      "  zsh   ~/.zshrc                    source <(fen completions zsh)",
      "  fish  ~/.config/fish/config.fish  fen completions fish | source",
      "fen must be on your PATH (npm link in a clone puts it there); npx fen can't be completed.",
    ].join("\n"),
    arguments: [{ name: "shell", summary: "bash, zsh or fish" }],
    flags: {
      name: {
        type: "text",
        short: "n",
        value: "NAME",
        summary: "Complete this name (default: the one that was called)",
      },
    },
    load: () => import("./commands/completions.ts"),
  },
  {
    path: ["__complete"],
    summary: "Words that may come next",
    arguments: [{ name: "words", summary: "The words so far", optional: true }],
    flags: { shell: { type: "text", value: "SHELL", summary: "Who asks" } },
    hidden: true,
    load: () => import("./commands/complete.ts"),
  },
];
