/** What is wrong with a YAML file that people write, and where: collected while it is read, told with line and column. */
import { FenError } from "../kernel/errors.ts";
import type { ErrorCode } from "../kernel/error-codes.ts";
import { nearest } from "../kernel/suggest.ts";
import { type InsideText, isRecord, showLine, suggestKey, type YamlPath, yamlLocator } from "./yaml.ts";

/** Something wrong at a place in a document. `severity: warning` doesn't keep it from being used. */
export interface Finding {
  readonly path: YamlPath;
  /** The place in the text of the key. */
  readonly inside?: InsideText | undefined;
  readonly message: string;
  readonly hint?: string;
  readonly severity: "error" | "warning";
}

/** Something wrong with a file, for people. */
export interface Problem {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  readonly key?: string;
  readonly message: string;
  readonly hint?: string;
  readonly severity: "error" | "warning";
}

/** A list that grows while a document is checked. */
export class Findings {
  readonly all: Finding[] = [];

  get hasErrors(): boolean {
    return this.all.some(({ severity }) => severity === "error");
  }

  error(path: YamlPath, message: string, hint?: string): void {
    this.all.push({ path, message, severity: "error", ...(hint === undefined ? {} : { hint }) });
  }

  warn(path: YamlPath, message: string, hint?: string): void {
    this.all.push({ path, message, severity: "warning", ...(hint === undefined ? {} : { hint }) });
  }

  /** Warns of every key that isn't known. With `misspelt: "error"`, one that is nearly a known one is an error. */
  unknownKeys(
    map: Readonly<Record<string, unknown>>,
    known: readonly string[],
    options: { readonly at?: YamlPath; readonly misspelt?: "error" | "warning" } = {},
  ): void {
    const { at = [], misspelt = "warning" } = options;
    for (const key of Object.keys(map)) {
      if (known.includes(key)) continue;
      const severity = nearest(key, known) === undefined ? "warning" : misspelt;
      this.all.push({ path: [...at, key], message: `unknown key ${key}`, hint: suggestKey(key, known), severity });
    }
  }

  /** The map at a key, {} where there is none or it isn't one. */
  mapAt(map: Readonly<Record<string, unknown>>, key: string, at: YamlPath = []): Record<string, unknown> {
    const found = map[key] ?? {};
    if (isRecord(found)) return found;
    this.error([...at, key], `${key} must be a map`);
    return {};
  }

  /** The map of text at `tags`. */
  tagsAt(map: Readonly<Record<string, unknown>>, at: YamlPath = []): Record<string, string> {
    const tags = Object.entries(this.mapAt(map, "tags", at));
    for (const [key, tag] of tags)
      if (typeof tag !== "string")
        this.error([...at, "tags", key], `tag ${key} must be text`, `Quote it: ${key}: "${String(tag)}"`);
    return Object.fromEntries(tags.map(([key, tag]) => [key, String(tag)]));
  }
}

/** The findings with their places in the text. */
export async function locateFindings(text: string, file: string, findings: readonly Finding[]): Promise<Problem[]> {
  if (findings.length === 0) return [];
  const locate = await yamlLocator(text);
  return findings.map(({ path, inside, message, hint, severity }) => ({
    file,
    message,
    severity,
    key: path.join("."),
    ...locate(path, inside),
    ...(hint === undefined ? {} : { hint }),
  }));
}

export function showProblem(problem: Problem): string {
  const place = problem.line === undefined ? problem.file : `${problem.file}:${problem.line}:${problem.column ?? 1}`;
  return `${place}: ${problem.message}${problem.hint === undefined ? "" : ` (${problem.hint})`}`;
}

/** The error of a file that has errors: all of them, and the line of the first. */
export function invalidFile(
  text: string,
  file: string,
  options: { readonly problems: readonly Problem[]; readonly code: ErrorCode; readonly hint: string },
): FenError {
  const errors = options.problems.filter((problem) => problem.severity === "error");
  const [first] = errors;
  const shown = first?.line === undefined ? "" : `\n${showLine(text, first.line, first.column ?? 1)}`;
  return new FenError(options.code, `${errors.map(showProblem).join("\n")}${shown}`, {
    hint: options.hint,
    facts: { file, problems: errors, ...(first?.line === undefined ? {} : { line: first.line, column: first.column }) },
  });
}

/** What was thrown about a file, as a problem of a list. */
export function problemOf(error: unknown, file: string): Problem {
  if (!(error instanceof FenError)) throw error;
  const { line, column } = error.facts;
  return {
    file,
    message: error.message,
    severity: "error",
    ...(typeof line === "number" ? { line } : {}),
    ...(typeof column === "number" ? { column } : {}),
  };
}
