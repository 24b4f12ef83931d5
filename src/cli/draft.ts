/** New text for a file that people write: from standard input, or from an editor that works on a copy. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { EditSource } from "../app/editing.ts";
import { FenError } from "../kernel/errors.ts";
import { maxDefinitionBytes } from "../repo/named-files.ts";
import type { Console } from "./console.ts";

interface Edited {
  readonly what: "model" | "workflow";
  readonly name: string;
}

/** Does the editing with the text that is piped in, or else with an editor. */
export async function editWith<T>(
  console: Console,
  edited: Edited,
  apply: (source: EditSource) => Promise<T>,
): Promise<T> {
  const piped = await console.readInput(maxDefinitionBytes);
  const draft = new Draft(console, edited);
  const source: EditSource = {
    // Asked for when the file was found: where there is none, that is the thing to tell.
    get text() {
      if (piped?.trim() === "") throw emptyInput(edited);
      return piped;
    },
    editor: console.editor,
    edit: (text) => draft.edit(text),
  };
  const done = await apply(source).catch((error: unknown) => draft.keep(error));
  draft.remove();
  return done;
}

function emptyInput({ what, name }: Edited): FenError {
  const code = what === "model" ? "definition_invalid" : "workflow_invalid";
  return new FenError(code, `Standard input is empty: the ${what} ${name} stays as it is.`, {
    hint: `Pipe the whole new file in: fen ${what} edit ${name} < new.yaml   Or call it on a terminal, for an editor.`,
  });
}

/** The copy that the editor works on. What somebody wrote isn't lost because it can't be used. */
class Draft {
  readonly #console: Console;
  readonly #edited: Edited;
  #path: string | undefined;
  #isEdited = false;

  constructor(console: Console, edited: Edited) {
    this.#console = console;
    this.#edited = edited;
  }

  async edit(text: string): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), "fen-edit-"));
    this.#path = join(folder, `${this.#edited.name}.yaml`.replaceAll(/[/\\]/g, "_"));
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
    const { what, name } = this.#edited;
    throw new FenError(error.code, error.message, {
      hint: `Your text is kept: mend ${this.#path}, then: fen ${what} edit ${name} < ${this.#path}`,
      facts: { ...error.facts, keptAside: this.#path },
      cause: error,
    });
  }

  remove(): void {
    if (this.#path !== undefined) rmSync(dirname(this.#path), { recursive: true, force: true });
  }
}
