/** How this program was called, so that commands shown to people work when they are pasted. */
import { basename, delimiter, dirname } from "node:path";

export interface Call {
  /** The path of the program as the shell gave it: `process.argv[1]`. */
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** `npx fen`, `fen` (or the name of the link that was called), or a path where nothing shorter would be found. */
export function calledAs({ path, env }: Call): string {
  // npx leaves its variables in all that it starts: only where it started this program itself is it the way to call it.
  const name = programName(path);
  const script = env["npm_lifecycle_script"] ?? "";
  if (env["npm_command"] === "exec" && /^[\w-]+/.exec(script.replaceAll(/['"]/g, ""))?.[0] === name)
    return `npx ${name}`;
  if (/\.c?js$/.test(path)) return `node ${shellQuote(path)}`;
  const folders = (env["PATH"] ?? "").split(delimiter);
  return folders.includes(dirname(path)) ? basename(path) : shellQuote(path);
}

/** `fen`, or the name of the link. */
export function programName(path: string): string {
  return basename(path).replace(/\.c?js$/, "");
}

/** A word that the shell reads as exactly this text. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
