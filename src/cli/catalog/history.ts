/** The commands that look at runs of workflows: what was, and what goes on. */
import type { CommandSpec } from "../command.ts";
import { query, run } from "./parts.ts";

const runSearch = {
  summary: "List runs of workflows, newest first",
  arguments: [query],
  flags: {
    since: { type: "text", value: "7d", summary: "Begun within this time: 30m, 12h, 7d" },
    status: { type: "text", value: "STATUS", summary: "running, succeeded, failed, cancelled or interrupted" },
    workflow: { type: "text", value: "WORKFLOW", complete: "workflow", summary: "Of this workflow" },
    tag: { type: "text", repeat: true, value: "K=V", summary: "With this tag" },
    limit: { type: "text", value: "N", summary: "At most so many (default 50)" },
  },
  load: () => import("../commands/workflow/history-search.ts"),
} as const satisfies Omit<CommandSpec, "path">;

export const historyCommands: readonly CommandSpec[] = [
  {
    path: ["workflow", "run", "search"],
    ...runSearch,
    examples: ["fen workflow run search --status failed --since 7d"],
  },
  {
    path: ["workflow", "history", "search"],
    ...runSearch,
    examples: ["fen workflow history search --workflow patch-fleet --limit 5"],
  },
  { path: ["workflow", "history", "list"], ...runSearch, hidden: true },
  {
    path: ["workflow", "history", "get"],
    summary: "Show a run: its jobs and steps, what failed and why",
    arguments: [run],
    examples: ["fen workflow history get patch-fleet", "fen workflow history get 3f0f3c0e"],
    load: () => import("../commands/workflow/history-get.ts"),
  },
  {
    path: ["workflow", "history", "logs"],
    summary: "Print the log of a run",
    arguments: [run],
    flags: { tail: { type: "text", value: "N", summary: "Only the last N lines" } },
    examples: ["fen workflow history logs patch-fleet --tail 20"],
    load: () => import("../commands/workflow/history-logs.ts"),
  },
  {
    path: ["workflow", "history", "timeline"],
    summary: "When each step of a run waited for its lock and when it worked",
    details:
      "--html writes a page that needs nothing else: zoom, search, details of each step. Folders that are missing are made; a page that is there is replaced.",
    arguments: [run],
    flags: {
      html: { type: "text", value: "FILE", complete: "file", summary: "Write it as a page, to be opened in a browser" },
    },
    examples: [
      "fen workflow history timeline patch-fleet",
      "fen workflow history timeline patch-fleet --html run.html",
    ],
    load: () => import("../commands/workflow/history-timeline.ts"),
  },
  {
    path: ["workflow", "history", "watch"],
    summary: "Follow a run that goes on elsewhere",
    details:
      "From another terminal, or another machine on the same datastore. Ends when the run does, with its exit code; Ctrl-C ends the watching, not the run.",
    arguments: [run],
    flags: { stream: { type: "switch", summary: "Events as newline-delimited JSON on stdout" } },
    examples: ["fen workflow history watch patch-fleet"],
    load: () => import("../commands/workflow/history-watch.ts"),
  },
];
