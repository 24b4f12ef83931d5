/** From words to a command, its arguments and its flags. Flags may stand anywhere. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { FenError } from "../kernel/errors.ts";
import { nearest } from "../kernel/suggest.ts";
import { catalog, groups } from "./catalog.ts";
import { type ArgumentSpec, type CommandSpec, Flags, type FlagSpec, globalFlags, lockFlags } from "./command.ts";

export interface ParsedLine {
  /** Undefined: help for `words` (a group, or nothing) is wanted. */
  readonly command: CommandSpec | undefined;
  readonly words: readonly string[];
  readonly args: readonly string[];
  readonly flags: Flags;
}

export function flagsOf(command: CommandSpec | undefined): Readonly<Record<string, FlagSpec>> {
  return { ...globalFlags, ...(command?.locks === true ? lockFlags : {}), ...command?.flags };
}

/** Throws `usage` and `unknown_command`, with what was probably meant. */
export function parseLine(argv: readonly string[]): ParsedLine {
  const { command, words, rest, unknown: wrong } = findCommand(argv);
  if (wrong !== undefined) throw unknownCommand([...words, wrong]); // before its flags, which nobody can know
  const specs = flagsOf(command);
  const { values, positionals } = parseFlags(rest, specs, command);
  const flags = new Flags(values);
  if (command === undefined) return { command, words, args: [], flags };
  if (!flags.on("help")) checkArguments(command, positionals, flags);
  return { command, words, args: positionals, flags };
}

/** The longest path of leading words (flags between them are kept for later) that is a command. */
function findCommand(argv: readonly string[]): {
  command: CommandSpec | undefined;
  words: string[];
  rest: string[];
  unknown?: string | undefined;
} {
  const words: string[] = [];
  const flags: string[] = [];
  let found: ReturnType<typeof findCommand> | undefined;
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (word.startsWith("-") && word !== "-" && word !== "--") {
      flags.push(word);
      if (takesValue(word, found?.command) && argv[at + 1] !== undefined) flags.push(argv[++at] ?? "");
      continue;
    }
    if (!isPrefix([...words, word])) break;
    words.push(word);
    const command = catalog.find((one) => same(one.path, words));
    if (command !== undefined) found = { command, words: [...words], rest: [...flags, ...argv.slice(at + 1)] };
  }
  const rest = argv.slice(at);
  return found ?? { command: undefined, words, rest: [...flags, ...rest], unknown: rest.find((word) => word !== "--") };
}

/** True for `--flag` or `-f` whose value is the next word. */
function takesValue(word: string, command: CommandSpec | undefined): boolean {
  const specs = flagsOf(command);
  const spec = word.startsWith("--")
    ? specs[word.slice(2)]
    : Object.values(specs).find(({ short }) => word === `-${short ?? ""}`);
  return spec?.type === "text";
}

function isPrefix(words: readonly string[]): boolean {
  return catalog.some((command) => words.every((word, index) => command.path[index] === word));
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}

function parseFlags(
  rest: readonly string[],
  specs: Readonly<Record<string, FlagSpec>>,
  command: CommandSpec | undefined,
): { values: Record<string, unknown>; positionals: string[] } {
  const options: NonNullable<ParseArgsConfig["options"]> = {};
  for (const [name, spec] of Object.entries(specs)) {
    options[name] = {
      type: spec.type === "text" ? "string" : "boolean",
      multiple: spec.repeat === true,
      ...(spec.short === undefined ? {} : { short: spec.short }),
    };
  }
  try {
    const { values, positionals } = parseArgs({ args: [...rest], options, allowPositionals: true, strict: true });
    return { values: { ...values }, positionals };
  } catch (error) {
    throw flagError(error instanceof Error ? error.message : String(error), specs, command);
  }
}

function flagError(
  message: string,
  specs: Readonly<Record<string, FlagSpec>>,
  command: CommandSpec | undefined,
): FenError {
  const flag = /'(--?[^' =]+)/.exec(message)?.[1] ?? "";
  const help = `fen ${[...(command?.path ?? []), "--help"].join(" ")}`;
  if (message.startsWith("Unknown option")) {
    const near = nearest(flag.replace(/^--?/, ""), Object.keys(specs));
    return new FenError("usage", `There is no flag ${flag}.`, {
      hint: near === undefined ? `See: ${help}` : `Did you mean --${near}? See: ${help}`,
    });
  }
  const [first = ""] = message.split("\n");
  return new FenError("usage", first.replace("Option '", "'"), { hint: `See: ${help}` });
}

function checkArguments(command: CommandSpec, given: readonly string[], flags: Flags): void {
  const wanted = argumentsOf(command, (flag) => flags.text(flag) !== undefined);
  const usage = `fen ${usageOf(command)}`;
  const missing = wanted.find((argument, index) => argument.optional !== true && (given[index] ?? "") === "");
  if (missing !== undefined)
    throw new FenError("usage", `<${missing.name}> is missing: ${missing.summary.toLowerCase()}.`, {
      hint: `Usage: ${usage}${missing.unless === undefined ? "" : ` (or --${missing.unless} instead of <${missing.name}>)`}`,
    });
  const many = wanted.at(-1)?.name === "command" || wanted.at(-1)?.name === "words";
  const extra = given[wanted.length];
  const replaced = command.arguments?.find((argument) => !wanted.includes(argument));
  if (extra !== undefined && replaced !== undefined)
    throw new FenError("usage", `<${replaced.name}> and --${replaced.unless} don't go together.`, {
      hint: `Leave one of them out. See: fen ${command.path.join(" ")} --help`,
    });
  if (extra !== undefined && !many)
    throw new FenError("usage", `One word too many: ${extra}`, { hint: `Usage: ${usage}` });
}

/** Without those for which a flag that is given stands in. */
export function argumentsOf(command: CommandSpec, isGiven: (flag: string) => boolean): readonly ArgumentSpec[] {
  return (command.arguments ?? []).filter(({ unless }) => unless === undefined || !isGiven(unless));
}

export function usageOf(command: CommandSpec): string {
  const args = (command.arguments ?? []).map((argument) =>
    argument.optional === true ? `[${argument.name}]` : `<${argument.name}>`,
  );
  return [...command.path, ...args].join(" ");
}

/** `fen model run` means `fen model method run`: the first command of the group (or of all) that has this word further down. */
function furtherDown(words: readonly string[]): string | undefined {
  const word = words.at(-1) ?? "";
  const within = (group: readonly string[]) =>
    catalog.find(
      ({ path, hidden }) =>
        hidden !== true && path.includes(word, group.length) && group.every((one, index) => path[index] === one),
    );
  const found = within(words.slice(0, -1)) ?? within([]);
  return found?.path.slice(0, found.path.indexOf(word) + 1).join(" ");
}

/** What other programs call `list` is here, by what a group offers, `list`, `search` or `status`. */
function listingOf(words: readonly string[]): string | undefined {
  if (!["list", "ls"].includes(words.at(-1) ?? "")) return undefined;
  const group = words.slice(0, -1).join(" ");
  const offered = catalog.filter(({ hidden }) => hidden !== true).map(({ path }) => path.join(" "));
  return ["list", "search", "status"].map((word) => `${group} ${word}`).find((path) => offered.includes(path));
}

/** What scripts for the older program may call, and this one will have. */
const notYet = ["vault", "repo upgrade", "summarise", "summarize"];

function unknownCommand(words: readonly string[]): FenError {
  const called = words.join(" ");
  if (notYet.includes(called))
    return new FenError("not_yet", `fen ${called} isn't there yet: this version can't do it.`, {
      hint: "Nothing was done. What there is: fen help",
    });
  const known = [
    ...new Set(
      catalog
        .filter((command) => command.hidden !== true)
        .map((command) => command.path.slice(0, words.length).join(" ")),
    ),
  ];
  const near = listingOf(words) ?? furtherDown(words) ?? (known.includes(called) ? undefined : nearest(called, known));
  const group = words.slice(0, -1).join(" ");
  const help = groups[group] === undefined ? "fen help" : `fen ${group} --help`;
  return new FenError("unknown_command", `There is no command fen ${called}.`, {
    hint: near === undefined ? `See: ${help}` : `Did you mean: fen ${near}? See: ${help}`,
  });
}
