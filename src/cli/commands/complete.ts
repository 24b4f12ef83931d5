/** Words that may come next, one a line with a description. Never an error: no words are better than noise in a prompt. */
import type { AppContext } from "../../app/context.ts";
import { dataOfRun } from "../../app/data-of-run.ts";
import { PastRuns } from "../../app/past-runs.ts";
import { openWorkspace, type Workspace } from "../../app/workspace.ts";
import { builtinTypes } from "../../model/types/index.ts";
import { catalog } from "../catalog.ts";
import type { ArgumentSpec, CommandSpec, FlagSpec, Handler } from "../command.ts";
import { commandTree } from "../help.ts";
import { argumentsOf, flagsOf } from "../parse.ts";
import { requote, unquote } from "../shell-words.ts";

export const handler: Handler = async ({ context, args, flags }) => {
  // bash hands over words as they were typed, and takes what it is given; zsh and fish take off quotes, choose and quote themselves.
  const isBash = flags.text("shell") === "bash";
  const typed = args.at(-1) ?? "";
  const [current, words] = isBash ? [unquote(typed), args.slice(0, -1).map(unquote)] : [typed, args.slice(0, -1)];
  const found = await candidates(context, words, current).catch(() => []);
  const lines = found
    .filter(([word]) => !isBash || word.startsWith(":") || word.startsWith(current))
    .filter(([word]) => !/\p{Cc}/u.test(word))
    .map(([word, about]) => `${isBash && !word.startsWith(":") ? requote(word, typed) : word}\t${about}`);
  return { document: { candidates: lines }, text: () => lines.join("\n"), verbatim: true };
};

/** More to choose from would be of no help. */
const shownRuns = 50;

type Candidate = readonly [word: string, about: string];
type Kind = NonNullable<ArgumentSpec["complete"]>;

/** What the shell completes itself. */
const files: readonly Candidate[] = [[":files", ""]];
const folders: readonly Candidate[] = [[":folders", ""]];

async function candidates(
  context: AppContext,
  words: readonly string[],
  current: string,
): Promise<readonly Candidate[]> {
  const line = readLine(words);
  const here = { ...context, repoDir: line.values["repo-dir"] ?? context.repoDir };
  const [, inline, rest] = /^--([\w-]+)=(.*)$/s.exec(current) ?? [];
  const flag = inline ?? line.open;
  if (flag !== undefined) {
    const values = await valuesFor(here, flagsOf(line.command)[flag]?.complete, line);
    return rest === undefined ? values : values.map(([word, about]) => [`--${flag}=${word}`, about]);
  }
  if (current.startsWith("-")) return flagCandidates(line);
  const { command, path, given } = line;
  if (command === undefined || command.path.join(" ") === "help")
    return subcommands(command === undefined ? path : given);
  const argument = argumentsOf(command, (name) => line.values[name] !== undefined)[given.length];
  if (argument?.name === "shell") return ["bash", "zsh", "fish"].map((shell) => [shell, ""]);
  return valuesFor(here, argument?.complete, line);
}

interface Line {
  readonly path: string[];
  command: CommandSpec | undefined;
  /** Arguments before the current word. */
  readonly given: string[];
  readonly values: Record<string, string>;
  readonly seen: Set<string>;
  /** A flag whose value is the current word. */
  open: string | undefined;
}

function readLine(words: readonly string[]): Line {
  const line: Line = { path: [], command: undefined, given: [], values: {}, seen: new Set(), open: undefined };
  for (const word of words) {
    if (word === "=" && line.open !== undefined) continue; // bash cuts --flag=value into three
    if (line.open !== undefined) {
      line.values[line.open] = word;
      line.open = undefined;
    } else if (word.startsWith("-") && word !== "-") readFlag(line, word);
    else {
      const path = [...line.path, word].join(" ");
      const further = line.given.length > 0 ? undefined : catalog.find((one) => one.path.join(" ") === path);
      if (line.command !== undefined && further === undefined) line.given.push(word);
      else {
        line.path.push(word);
        line.command = further;
      }
    }
  }
  return line;
}

function readFlag(line: Line, word: string): void {
  const [name = "", value] = word.replace(/^--?/, "").split(/=(.*)/s);
  const specs = Object.entries(flagsOf(line.command));
  const [known, spec] = specs.find(([long, one]) => (word.startsWith("--") ? long : one.short) === name) ?? [];
  if (known === undefined) return;
  line.seen.add(known);
  if (value !== undefined) line.values[known] = value;
  else if (spec?.type === "text") line.open = known;
}

function flagCandidates({ command, seen }: Line): Candidate[] {
  const wanted = ([name, flag]: readonly [string, FlagSpec]) =>
    flag.hidden !== true && (flag.repeat === true || !seen.has(name));
  return Object.entries(flagsOf(command))
    .filter(wanted)
    .map(([name, flag]) => [`--${name}`, flag.summary]);
}

function subcommands(path: readonly string[]): Candidate[] {
  return commandTree(path).subcommands.map((child) => [child.name, child.description]);
}

async function valuesFor(
  context: AppContext,
  kind: Kind | undefined,
  { given, values }: Pick<Line, "given" | "values">,
): Promise<readonly Candidate[]> {
  const { workflow } = values;
  switch (kind) {
    case undefined:
      return [];
    case "file":
      return files;
    case "folder":
      return folders;
    case "type":
      return builtinTypes()
        .search()
        .map((type) => [type.name, type.description]);
    case "model": {
      const { definitions } = await (await openWorkspace(context)).definitions.list();
      return definitions.map((one) => [one.name, one.type]);
    }
    case "run": {
      const all = await new PastRuns(await openWorkspace(context)).summaries(() => undefined);
      const runs = all.filter((run) => [undefined, run.workflowName, run.ref.workflowId].includes(workflow));
      return runs.slice(0, shownRuns).map((run) => [run.ref.id, `${run.workflowName}, ${run.status}`]);
    }
    case "workflow": {
      const { workflows } = await (await openWorkspace(context)).workflows.list();
      return workflows.map(({ workflow: { name, description = "" } }) => [name, description.split("\n")[0] ?? ""]);
    }
    case "method": {
      const workspace = await openWorkspace(context);
      const type = workspace.types.find(await typeOf(workspace, given[0] ?? ""));
      return Object.entries(type.methods).map(([name, method]) => [name, method.description]);
    }
    case "data": {
      const workspace = await openWorkspace(context);
      if (workflow !== undefined) {
        const { left } = await dataOfRun(context, workspace, { workflow, run: values["run"] });
        return [...new Set(left.map(({ name }) => name))].sort().map((name) => [name, ""]);
      }
      const { definition } = await workspace.definitions.find(given[0] ?? "");
      return (await workspace.data.names(definition)).map((name) => [name, ""]);
    }
  }
}

async function typeOf(workspace: Workspace, model: string): Promise<string> {
  return (await workspace.definitions.find(model)).definition.type;
}
