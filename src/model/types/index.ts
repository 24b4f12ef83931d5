import { ModelTypes } from "../type.ts";
import { commandShell } from "./command-shell/index.ts";

/** The types that come with fen. */
export function builtinTypes(): ModelTypes {
  return new ModelTypes([commandShell]);
}
