// Writes docs/reference/ from the tables in the source, as the built program tells them. --check only says whether it is current.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const help = JSON.parse(
  execFileSync(process.execPath, [join(root, "dist/fen.cjs"), "help", "--json"], { encoding: "utf8" }),
);
const note = "<!-- Made by `npm run docs` from the tables in src/. Don't edit. -->";

const cell = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ").replaceAll("<", "&lt;");
const table = (head, rows) => [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
const flagRows = (options) =>
  options.map(({ name, short, value, repeat, description }) => [
    `\`${[short, name].filter(Boolean).join(", ")}${value === undefined ? "" : ` ${value}`}\``,
    cell(`${description}${repeat ? " (may be repeated)" : ""}`),
  ]);

function commandsOf(node, path) {
  const words = [...path, node.name];
  return node.subcommands.length === 0
    ? [{ ...node, words }]
    : node.subcommands.flatMap((child) => commandsOf(child, words));
}

function section(command) {
  const args = command.arguments.map(({ name, required }) => (required ? `<${name}>` : `[${name}]`));
  const usage = [...command.words, ...args].join(" ");
  const parts = [`### ${command.words.slice(1).join(" ")}`, "", `\`${usage}\``, "", `${command.description}.`];
  if (command.details !== undefined)
    parts.push("", ...(command.details.includes("\n") ? ["```text", command.details, "```"] : [command.details]));
  const rows = [
    ...command.arguments.map(({ name, description }) => [`\`${name}\``, cell(description)]),
    ...flagRows(command.options),
  ];
  if (rows.length > 0) parts.push("", table(["Argument or flag", "Meaning"], rows));
  if (command.examples !== undefined) parts.push("", "```sh", ...command.examples, "```");
  return parts.join("\n");
}

const pages = {
  "commands.md": [
    "# Commands",
    "",
    note,
    "",
    "The same as data: `fen help --json`. What goes wrong and how it ends: [exit codes and error codes](exit-codes.md).",
    "",
    "## Flags of every command",
    "",
    table(["Flag", "Meaning"], flagRows(help.root.options)),
    "",
    "## Each command",
    "",
    help.root.subcommands
      .flatMap((child) => commandsOf(child, ["fen"]))
      .map(section)
      .join("\n\n"),
    "",
  ],
  "exit-codes.md": [
    "# Exit codes and error codes",
    "",
    note,
    "",
    table(
      ["Exit code", "Meaning"],
      help.exitCodes.map(({ code, meaning }) => [String(code), cell(meaning)]),
    ),
    "",
    'With `--json` an error is one document on stderr: `{"error": {"code", "message", "hint", "retryable", ...}}`. Codes are stable; messages are not.',
    "*Retryable* says that the same command may succeed later without any change.",
    "",
    table(
      ["Error code", "Exit code", "Retryable", "Meaning"],
      help.errorCodes.map(({ code, exitCode, retryable, summary }) => [
        `\`${code}\``,
        exitCode === 128 ? "128 + signal" : String(exitCode),
        retryable ? "yes" : "",
        cell(summary),
      ]),
    ),
    "",
  ],
};

const folder = join(root, "docs/reference");
const stale = Object.entries(pages).filter(([name, lines]) => {
  const path = join(folder, name);
  return !existsSync(path) || readFileSync(path, "utf8") !== lines.join("\n");
});
if (process.argv.includes("--check")) {
  for (const [name] of stale) console.error(`docs/reference/${name} is not current: npm run build && npm run docs`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  mkdirSync(folder, { recursive: true });
  for (const [name, lines] of stale) writeFileSync(join(folder, name), lines.join("\n"));
  console.log(stale.length === 0 ? "docs/reference is current" : `written: ${stale.map(([name]) => name).join(", ")}`);
}
