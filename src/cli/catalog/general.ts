/** Commands around it. */
import type { CommandSpec } from "../command.ts";

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
  load: () => import("../commands/repo/init.ts"),
} as const satisfies Omit<CommandSpec, "path">;

export const generalCommands: readonly CommandSpec[] = [
  { path: ["init"], ...init },
  { path: ["repo", "init"], ...init },
  {
    path: ["demo"],
    summary: "Watch twenty models being run at once, with their locks, in a scratch folder",
    details:
      "Takes about ten seconds and needs nothing but this program. The folder stays, to be explored; delete it when you like.",
    flags: { fast: { type: "switch", summary: "The same with shorter work" } },
    examples: ["fen demo"],
    load: () => import("../commands/demo.ts"),
  },
  { path: ["version"], summary: "Print the version", load: () => import("../commands/version.ts") },
  {
    path: ["help"],
    summary: "Help for a command; --json gives the whole command line as data",
    arguments: [{ name: "command", summary: "Words of a command", optional: true }],
    load: () => import("../commands/help.ts"),
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
    load: () => import("../commands/completions.ts"),
  },
  {
    path: ["__complete"],
    summary: "Words that may come next",
    arguments: [{ name: "words", summary: "The words so far", optional: true }],
    flags: { shell: { type: "text", value: "SHELL", summary: "Who asks" } },
    hidden: true,
    load: () => import("../commands/complete.ts"),
  },
];
