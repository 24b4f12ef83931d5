import { type ModelType, ModelTypes } from "../type.ts";
import { commandShell } from "./command-shell/index.ts";

/** The types that come with fen, and `more`. */
export function builtinTypes(more: readonly ModelType[] = []): ModelTypes {
  return new ModelTypes([commandShell, ...more]);
}
