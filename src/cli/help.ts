/** Help as text and as data, from the catalog. */
import { catalog, groups } from "./catalog.ts";
import { type CommandSpec, type FlagSpec, globalFlags, lockFlags } from "./command.ts";
import { usageOf } from "./parse.ts";

/** Help for a command, a group, or everything. */
export function helpText(words: readonly string[], bold: (text: string) => string): string {
  const command = catalog.find((one) => one.path.join(" ") === words.join(" "));
  return command === undefined ? groupHelp(words, bold) : commandHelp(command, bold);
}

function commandHelp(command: CommandSpec, bold: (text: string) => string): string {
  const flags = { ...(command.locks === true ? lockFlags : {}), ...command.flags };
  const args = command.arguments ?? [];
  return [
    `${command.summary}.`,
    ...(command.details === undefined ? [] : [command.details]),
    "",
    `${bold("Usage:")} fen ${usageOf(command)} [flags]`,
    ...(args.length === 0
      ? []
      : ["", bold("Arguments"), ...rows(args.map((argument) => [argument.name, argument.summary]))]),
    ...(shownFlags(flags).length === 0 ? [] : ["", bold("Flags"), ...rows(shownFlags(flags))]),
    ...(command.examples === undefined
      ? []
      : ["", bold("Examples"), ...command.examples.map((example) => `  ${example}`)]),
    "",
    "Flags of every command: fen help",
  ].join("\n");
}

function groupHelp(words: readonly string[], bold: (text: string) => string): string {
  const within = catalog.filter(
    (command) => command.hidden !== true && words.every((word, index) => command.path[index] === word),
  );
  const group = groups[words.join(" ")] ?? words.join(" ");
  return [
    words.length === 0
      ? "fen automates fleets from models in git: one lock per model, versioned data, clear waits."
      : `${group}.`,
    "",
    `${bold("Usage:")} fen ${[...words, "<command>"].join(" ")} [flags]`,
    ...(words.length === 0 ? sections(within, bold) : ["", bold("Commands"), ...rows(within.map(commandRow))]),
    ...(words.length > 0 ? [] : ["", bold("Flags of every command"), ...rows(shownFlags(globalFlags))]),
    "",
    words.length === 0
      ? "Start with: fen demo   or: fen init   More of a command: fen <command> --help"
      : `More of a command: fen ${words.join(" ")} <command> --help`,
  ].join("\n");
}

/** The commands by their first word; those that stand alone come first. */
function sections(commands: readonly CommandSpec[], bold: (text: string) => string): string[] {
  const titleOf = ({ path }: CommandSpec) => groups[path[0] ?? ""] ?? "Commands";
  const titles = new Set(["Commands", ...commands.map(titleOf)]);
  const width = columnWidth(commands.map(commandRow));
  return [...titles].flatMap((title) => [
    "",
    bold(title),
    ...rows(commands.filter((command) => titleOf(command) === title).map(commandRow), width),
  ]);
}

function commandRow(command: CommandSpec): [string, string] {
  return [usageOf(command), command.summary];
}

function shownFlags(flags: Readonly<Record<string, FlagSpec>>): [string, string][] {
  return Object.entries(flags)
    .filter(([, flag]) => flag.hidden !== true)
    .map(flagRow);
}

function flagRow([name, flag]: readonly [string, FlagSpec]): [string, string] {
  const value = flag.type === "text" ? ` ${flag.value ?? "TEXT"}` : "";
  return [
    `${flag.short === undefined ? "    " : `-${flag.short}, `}--${name}${value}`,
    `${flag.summary}${flag.repeat === true ? " (may be repeated)" : ""}`,
  ];
}

function columnWidth(pairs: readonly (readonly [string, string])[]): number {
  return Math.min(44, Math.max(...pairs.map(([left]) => left.length)));
}

function rows(pairs: readonly (readonly [string, string])[], width = columnWidth(pairs)): string[] {
  return pairs.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

/** Lines that are longer than the window go on below their last column, where it is wide enough for that. Commands stay whole, to be copied. */
export function folded(text: string, width: number): string {
  return text
    .split("\n")
    .map((line) => {
      const column = /^ +(?:\S| (?! ))*? {2,}(?=\S)/.exec(line)?.[0].length ?? /^ */.exec(line)?.[0].length ?? 0;
      return line.length <= width || width - column < 20 || / fen \w/.test(line.slice(0, 8))
        ? line
        : foldLine(line, column, width);
    })
    .join("\n");
}

function foldLine(line: string, column: number, width: number): string {
  const [first = "", ...others] = line.slice(column).split(" ");
  const lines = [line.slice(0, column) + first];
  for (const word of others) {
    const last = lines.at(-1) ?? "";
    if (last.length + 1 + word.length < width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(" ".repeat(column) + word);
  }
  return lines.join("\n");
}

export interface CommandTree {
  readonly name: string;
  readonly description: string;
  /** Further sentences. */
  readonly details?: string;
  readonly examples?: readonly string[];
  readonly arguments: readonly { readonly name: string; readonly description: string; readonly required: boolean }[];
  readonly options: readonly {
    readonly name: string;
    readonly short?: string;
    readonly value?: string;
    readonly repeat: boolean;
    readonly description: string;
  }[];
  readonly subcommands: readonly CommandTree[];
  /** The JSON Schema of what `--json` prints: a file of the package. */
  readonly schema?: string;
  /** The JSON Schema of each line that `--stream` prints. */
  readonly events?: string;
}

/** The JSON Schema of a command's document: a file of the package. */
export function schemaOf(path: readonly string[]): string {
  return `schemas/${path.join("-")}.json`;
}

/** The command line below `words` as data. */
export function commandTree(words: readonly string[] = []): CommandTree {
  const command = catalog.find((one) => one.path.join(" ") === words.join(" "));
  const children = new Set(
    catalog
      .filter(
        (one) =>
          one.hidden !== true &&
          one.path.length > words.length &&
          words.every((word, index) => one.path[index] === word),
      )
      .map((one) => one.path[words.length] ?? ""),
  );
  const flags = words.length === 0 ? globalFlags : { ...(command?.locks === true ? lockFlags : {}), ...command?.flags };
  return {
    name: words.at(-1) ?? "fen",
    description: command?.summary ?? groups[words.join(" ")] ?? "Automates fleets from models in git",
    ...(command?.details === undefined ? {} : { details: command.details }),
    ...(command?.examples === undefined ? {} : { examples: command.examples }),
    arguments: (command?.arguments ?? []).map((argument) => ({
      name: argument.name,
      description: argument.summary,
      required: argument.optional !== true && argument.unless === undefined,
    })),
    options: Object.entries<FlagSpec>(flags)
      .filter(([, flag]) => flag.hidden !== true)
      .map(([name, flag]) => ({
        name: `--${name}`,
        ...(flag.short === undefined ? {} : { short: `-${flag.short}` }),
        ...(flag.type === "text" ? { value: flag.value ?? "TEXT" } : {}),
        repeat: flag.repeat === true,
        description: flag.summary,
      })),
    subcommands: [...children].sort().map((child) => commandTree([...words, child])),
    ...(command === undefined ? {} : { schema: schemaOf(command.path) }),
    ...(command?.flags?.["stream"] === undefined ? {} : { events: "schemas/events.json" }),
  };
}
