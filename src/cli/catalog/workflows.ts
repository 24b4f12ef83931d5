/** Commands on workflows and their runs. */
import type { CommandSpec } from "../command.ts";
import { historyCommands } from "./history.ts";
import { workflow, query, force, stream, run, concurrency, inputFlag, inputFileFlag } from "./parts.ts";

export const workflowsCommands: readonly CommandSpec[] = [
  {
    path: ["workflow", "create"],
    summary: "Make a new workflow",
    details:
      "Writes workflows/workflow-<id>.yaml: one that calls a model that you have, with comments on how to go on.",
    arguments: [{ name: "name", summary: "Lowercase letters, digits, - and _, at most 64" }],
    examples: ["fen workflow create patch-fleet"],
    locks: true,
    load: () => import("../commands/workflow/create.ts"),
  },
  {
    path: ["workflow", "get"],
    summary: "Show a workflow",
    arguments: [workflow],
    examples: ["fen workflow get patch-fleet"],
    load: () => import("../commands/workflow/get.ts"),
  },
  {
    path: ["workflow", "search"],
    summary: "List workflows",
    details: "With a query: those whose name or description holds it.",
    arguments: [query],
    examples: ["fen workflow search patch"],
    load: () => import("../commands/workflow/search.ts"),
  },
  {
    path: ["workflow", "list"],
    summary: "List workflows",
    arguments: [query],
    hidden: true,
    load: () => import("../commands/workflow/search.ts"),
  },
  {
    path: ["workflow", "edit"],
    summary: "Edit a workflow in $EDITOR, or replace it from standard input",
    details: "The new text is checked before it replaces the old one; the id stays.",
    arguments: [workflow],
    locks: true,
    examples: ["fen workflow edit patch-fleet", "fen workflow edit patch-fleet < patch-fleet.yaml"],
    load: () => import("../commands/workflow/edit.ts"),
  },
  {
    path: ["workflow", "delete"],
    summary: "Delete a workflow and the records of its runs",
    details: "The data that its runs made is of the models and stays.",
    arguments: [workflow],
    flags: { force },
    locks: true,
    examples: ["fen workflow delete patch-fleet --force"],
    load: () => import("../commands/workflow/delete.ts"),
  },
  {
    path: ["workflow", "validate"],
    summary: "Check one workflow, or all",
    details: "Its keys, its graph, and whether the models, methods and workflows that it names are there.",
    arguments: [{ ...workflow, optional: true }],
    examples: ["fen workflow validate", "fen workflow validate patch-fleet"],
    load: () => import("../commands/workflow/validate.ts"),
  },
  {
    path: ["workflow", "schema"],
    summary: "Print the format of workflow files as JSON Schemas",
    examples: ["fen workflow schema | jq .workflow > workflow.schema.json"],
    load: () => import("../commands/workflow/schema.ts"),
  },
  {
    path: ["workflow", "schema", "get"],
    summary: "Print the format of workflow files as JSON Schemas",
    hidden: true,
    load: () => import("../commands/workflow/schema.ts"),
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
    load: () => import("../commands/workflow/evaluate.ts"),
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
      "last-evaluated": {
        type: "switch",
        summary: "Run the workflow and its models as fen workflow evaluate and fen model evaluate wrote them last",
      },
      explain: { type: "switch", summary: "Only say which models would be locked, and why" },
      "dry-run": { type: "switch", summary: "Only say what would be done" },
      stream,
    },
    locks: true,
    examples: [
      "fen workflow run patch-fleet --input pkg=curl",
      "fen workflow run patch-fleet --input-file hosts.yaml --explain",
    ],
    load: () => import("../commands/workflow/run.ts"),
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
    examples: ["fen workflow resume patch-fleet", "fen workflow resume 1609d4d5 --failed"],
    load: () => import("../commands/workflow/resume.ts"),
  },
  {
    path: ["workflow", "cancel"],
    summary: "End a run that is going on, from anywhere",
    details:
      "Its children are ended, its records written, its locks released; the command that carries it out ends with exit code 1. It can be resumed.",
    arguments: [run],
    examples: ["fen workflow cancel 1609d4d5", "fen workflow cancel patch-fleet"],
    load: () => import("../commands/workflow/cancel.ts"),
  },
];
