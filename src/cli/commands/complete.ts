/** Words that may come next, one a line with a description. Never an error: no words are better than noise in a prompt. */
import { openWorkspace, type Workspace } from "../../app/workspace.ts";
import { builtinTypes } from "../../model/types/index.ts";
import type { AppContext } from "../../app/context.ts";
import { catalog } from "../catalog.ts";
import type { ArgumentSpec, Handler } from "../command.ts";
import { commandTree } from "../help.ts";
import { flagsOf } from "../parse.ts";

export const handler: Handler = async ({ context, args }) => {
  const words = args.slice(0, -1);
  const current = args.at(-1) ?? "";
  const found = await candidates(context, words, current).catch(() => []);
  const lines = found.filter(([word]) => word.startsWith(current)).map(([word, about]) => `${word}\t${about}`);
  return { document: { candidates: lines }, text: () => lines.join("\n") };
};

type Candidate = readonly [string, string];

async function candidates(context: AppContext, words: readonly string[], current: string): Promise<Candidate[]> {
  const command = catalog.findLast((one) => one.path.every((word, index) => words[index] === word));
  if (current.startsWith("-"))
    return Object.entries(flagsOf(command)).map(([name, flag]) => [`--${name}`, flag.summary]);
  if (command === undefined) {
    return commandTree(words.filter((word) => !word.startsWith("-"))).subcommands.map((child) => [
      child.name,
      child.description,
    ]);
  }
  const given = words.slice(command.path.length).filter((word) => !word.startsWith("-"));
  return valuesFor(context, command.arguments?.[given.length], given);
}

async function valuesFor(
  context: AppContext,
  argument: ArgumentSpec | undefined,
  given: readonly string[],
): Promise<Candidate[]> {
  switch (argument?.complete) {
    case "model": {
      const { definitions } = await (await openWorkspace(context)).definitions.list();
      return definitions.map((one) => [one.name, one.type]);
    }
    case "type":
      return builtinTypes()
        .search()
        .map((type) => [type.name, type.description]);
    case "method": {
      const workspace = await openWorkspace(context);
      const type = workspace.types.find(await typeOf(workspace, given[0] ?? ""));
      return Object.entries(type.methods).map(([name, method]) => [name, method.description]);
    }
    case "data": {
      const workspace = await openWorkspace(context);
      const { definition } = await workspace.definitions.find(given[0] ?? "");
      return (await workspace.data.names(definition)).map((name) => [name, ""]);
    }
    default:
      return argument?.name === "shell"
        ? [
            ["bash", ""],
            ["zsh", ""],
            ["fish", ""],
          ]
        : [];
  }
}

async function typeOf(workspace: Workspace, model: string): Promise<string> {
  return (await workspace.definitions.find(model)).definition.type;
}
