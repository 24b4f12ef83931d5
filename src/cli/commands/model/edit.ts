import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { editModel } from "../../../app/model-changes.ts";
import { FenError } from "../../../kernel/errors.ts";
import { maxDefinitionBytes } from "../../../repo/named-files.ts";
import type { Handler } from "../../command.ts";
import type { Console } from "../../console.ts";

export const handler: Handler = async ({ context, args, console }) => {
  const [model = ""] = args;
  const piped = await console.readInput(maxDefinitionBytes);
  if (piped?.trim() === "")
    throw new FenError("definition_invalid", "Standard input is empty: the model stays as it is.", {
      hint: "Pipe the whole new definition in, or call it on a terminal.",
    });
  const draft = new Draft(console, model);
  const source = { text: piped, editor: console.editor, edit: (text: string) => draft.edit(text) };
  const document = await editModel(context, { model, source }).catch((error: unknown) => draft.keep(error));
  draft.remove();
  return {
    document,
    text: () =>
      `${document.status === "unchanged" ? "Unchanged" : console.green("Updated")} ${document.name}\n${document.path}`,
  };
};

/** The copy that the editor works on. What somebody wrote isn't lost because it can't be used. */
class Draft {
  readonly #console: Console;
  readonly #model: string;
  #path: string | undefined;
  #isEdited = false;

  constructor(console: Console, model: string) {
    this.#console = console;
    this.#model = model;
  }

  async edit(text: string): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), "fen-edit-"));
    this.#path = join(folder, `${this.#model}.yaml`.replaceAll(/[/\\]/g, "_"));
    writeFileSync(this.#path, text, { mode: 0o600 });
    await this.#console.edit(this.#path);
    const edited = readFileSync(this.#path, "utf8");
    this.#isEdited = edited !== text;
    return edited;
  }

  /** Throws the error again, with where the text is kept, if there is one to keep. */
  keep(error: unknown): never {
    if (!this.#isEdited || this.#path === undefined || !(error instanceof FenError)) {
      this.remove();
      throw error;
    }
    throw new FenError(error.code, error.message, {
      hint: `Your text is kept: mend ${this.#path}, then: fen model edit ${this.#model} < ${this.#path}`,
      facts: { ...error.facts, keptAside: this.#path },
      cause: error,
    });
  }

  remove(): void {
    if (this.#path !== undefined) rmSync(dirname(this.#path), { recursive: true, force: true });
  }
}
