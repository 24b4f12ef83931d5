import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { editModel } from "../../../app/model-changes.ts";
import { FenError } from "../../../kernel/errors.ts";
import { maxDefinitionBytes } from "../../../model/definitions.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const piped = await console.readInput(maxDefinitionBytes);
  if (piped?.trim() === "")
    throw new FenError("definition_invalid", "Standard input is empty: the model stays as it is.", {
      hint: "Pipe the whole new definition in, or call it on a terminal.",
    });
  const edit = async (text: string): Promise<string> => {
    const folder = mkdtempSync(join(tmpdir(), "fen-edit-"));
    const copy = join(folder, `${args[0] ?? "model"}.yaml`.replaceAll(/[/\\]/g, "_"));
    try {
      writeFileSync(copy, text, { mode: 0o600 });
      await console.edit(copy);
      return readFileSync(copy, "utf8");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  const { editor } = console;
  const document = await editModel(context, { model: args[0] ?? "", source: { text: piped, editor, edit } });
  return {
    document,
    text: () =>
      `${document.status === "unchanged" ? "Unchanged" : console.green("Updated")} ${document.name}\n${document.path}`,
  };
};
