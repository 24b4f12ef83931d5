/** Arguments and flags that several commands have. */
import type { ArgumentSpec, FlagSpec } from "../command.ts";

export const model: ArgumentSpec = { name: "model", summary: "Name or id of a model", complete: "model" };
export const workflow: ArgumentSpec = { name: "workflow", summary: "Name or id of a workflow", complete: "workflow" };
export const query: ArgumentSpec = { name: "query", summary: "Only what holds this text", optional: true };
export const outputOrModel: ArgumentSpec = {
  name: "id|model",
  summary: "Id of an output or its first digits, or a model (its newest output)",
  complete: "model",
};
export const dataName: ArgumentSpec = { name: "name", summary: "Name of the data", complete: "data" };
export const force: FlagSpec = { type: "switch", short: "f", summary: "Don't ask" };
export const dryRun: FlagSpec = { type: "switch", summary: "Only say what would be done" };
export const limit: FlagSpec = { type: "text", value: "N", summary: "At most so many (default 50)" };
export const tail: FlagSpec = { type: "text", value: "N", summary: "Only the last N lines" };
export const stream: FlagSpec = { type: "switch", summary: "Events as newline-delimited JSON on stdout" };
export const run: ArgumentSpec = {
  name: "run|workflow",
  summary: "Id of a run or its first digits (at least 3), or a workflow (its newest run)",
  complete: "run",
};
export const concurrency: FlagSpec = {
  type: "text",
  value: "N",
  summary:
    "Steps at work at once, from 1 (also SWAMP_MAX_CONCURRENT_STEPS; default: what the workflow says, else twice the processors)",
};
export const inputFlag: FlagSpec = {
  type: "text",
  repeat: true,
  value: "K=V",
  summary: "An input (a.b=v nests, k=@file reads a file, or one JSON object)",
};
export const inputFileFlag: FlagSpec = {
  type: "text",
  value: "FILE",
  complete: "file",
  summary: "Inputs from a YAML or JSON file (- reads standard input)",
};
export const version: FlagSpec = { type: "text", value: "N", summary: "This version (default: the newest)" };
