/** YAML in and out: the core schema and merge keys (no custom tags), with the place of what is wrong, and edits that keep comments and key order. */
import { CORE_SCHEMA, dump, load, mergeTag, YAMLException } from "js-yaml";
import { FenError } from "../kernel/errors.ts";
import { nearest } from "../kernel/suggest.ts";
import { plainYaml } from "./plain-yaml.ts";
import { readPlainYaml } from "./plain-yaml-reader.ts";

/** More nodes than this, aliases counted each time, is a bomb. */
const maxNodes = 1_000_000;

/** With `<<: *base`, which the older program reads. Made when something is parsed: most commands never load the library. */
const schema = () => CORE_SCHEMA.withTags(mergeTag);

export type YamlPath = readonly (string | number)[];

/** The value of a document; undefined where it is empty. Throws `yaml_invalid` with file, line and column. */
export function parseYaml(text: string, file: string): unknown {
  const source = text.startsWith("\uFEFF") ? text.slice(1) : text;
  try {
    if (/^\s*(#.*\n\s*)*$/.test(`${source.slice(0, 2000)}\n`) && source.length < 2000) return undefined;
    const plain = readPlainYaml(source);
    if (plain !== undefined) return plain;
    const value = load(source, { filename: file, schema: schema() });
    if (source.includes("*")) countNodes(value, { left: maxNodes });
    return value;
  } catch (error) {
    throw invalid(error, source, file);
  }
}

/** The text of a file, without a byte order mark. Throws `yaml_invalid` with the place of the first byte that isn't UTF-8. */
export function decodeYaml(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const before = decodableStart(bytes).split("\n");
    const line = before.length;
    const column = (before.at(-1) ?? "").length + 1;
    throw new FenError("yaml_invalid", `${file}:${line}:${column}: the file isn't UTF-8 text`, {
      remedy: "Save it as UTF-8",
      facts: { file, line, column },
    });
  }
}

/** The longest beginning that is UTF-8. */
function decodableStart(bytes: Uint8Array): string {
  const lenient = new TextDecoder("utf-8").decode(bytes);
  const encoded = Buffer.from(
    bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb ? `\uFEFF${lenient}` : lenient,
  );
  let same = 0;
  while (same < bytes.length && bytes[same] === encoded[same]) same++;
  return new TextDecoder("utf-8").decode(bytes.subarray(0, same)).replace(/\uFFFD$/, "");
}

function invalid(error: unknown, text: string, file: string): FenError {
  if (error instanceof FenError) return error;
  if (error instanceof YAMLException && error.mark !== undefined) {
    const line = error.mark.line + 1;
    const column = error.mark.column + 1;
    return new FenError("yaml_invalid", `${file}:${line}:${column}: ${error.reason}\n${showLine(text, line, column)}`, {
      hint: "Mend the file and run the command again.",
      facts: { file, line, column },
      cause: error,
    });
  }
  const reason =
    error instanceof RangeError
      ? "it is nested too deeply, or its aliases expand too far"
      : error instanceof Error
        ? error.message
        : String(error);
  return new FenError("yaml_invalid", `${file}: can't be read as YAML: ${reason}`, {
    hint: "Mend the file and run the command again.",
    facts: { file },
    cause: error,
  });
}

function countNodes(value: unknown, budget: { left: number }): void {
  if (--budget.left < 0) throw new RangeError("too many nodes");
  if (typeof value !== "object" || value === null) return;
  for (const child of Object.values(value)) countNodes(child, budget);
}

/** The line with a caret under the column. */
export function showLine(text: string, line: number, column: number): string {
  const source = text.split(/\r?\n/)[line - 1] ?? "";
  return `  ${String(line)} | ${source.slice(0, 200)}\n  ${" ".repeat(String(line).length)} | ${" ".repeat(Math.min(column, 200) - 1)}^`;
}

/** Text in the style that existing repositories have: two spaces, single quotes where needed, long text folded. */
export function stringifyYaml(value: unknown): string {
  return (isRecord(value) ? plainYaml(value) : undefined) ?? dump(value);
}

export interface YamlPlace {
  readonly line: number;
  readonly column: number;
}

/** A place in the text that a key has. */
export interface InsideText {
  readonly text: string;
  readonly offset: number;
}

export type YamlLocator = (path: YamlPath, inside?: InsideText) => YamlPlace | undefined;

/**
 * Finds line and column (from 1) of the key or element at a path, or of the nearest thing above it that exists; with `inside`, of a place in its text. Of a
 * text that YAML folds, the place of the `${{` before it. Reads the text once.
 */
export async function yamlLocator(text: string): Promise<YamlLocator> {
  const { isMap, isScalar, isSeq, LineCounter, parseDocument } = await import("yaml");
  const counter = new LineCounter();
  let contents: unknown;
  try {
    contents = parseDocument(text, { lineCounter: counter, schema: "core", uniqueKeys: false }).contents;
  } catch {
    return () => undefined; // nested too deeply for this library: the error is told without its place
  }
  const placeAt = (offset: number): YamlPlace => {
    const { line, col } = counter.linePos(offset);
    return { line, column: col };
  };
  return (path, inside) => {
    let node: unknown = contents;
    let offset: number | undefined;
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
        if (pair === undefined || !isScalar(pair.key)) break;
        offset = pair.key.range?.[0];
        node = pair.value;
      } else if (isSeq(node)) {
        node = node.items[Number(step)];
        if (typeof node !== "object" || node === null || !("range" in node) || !Array.isArray(node.range)) break;
        offset = Number(node.range[0]);
      } else break;
    }
    if (offset === undefined) return undefined;
    if (inside === undefined || !isScalar(node) || node.value !== inside.text || !node.range) return placeAt(offset);
    const [start, end] = node.range;
    if (node.type === "BLOCK_LITERAL") return placeInBlock(text, placeAt(start).line, inside);
    const written = text.slice(start, end);
    return placeAt(
      start + Math.max(0, nthPlace(written, "${{", inside.text.slice(0, inside.offset).split("${{").length - 1)),
    );
  };
}

/** In a block of lines as they are; its `|` stands on the line `header`. */
function placeInBlock(text: string, header: number, inside: InsideText): YamlPlace {
  const before = inside.text.slice(0, inside.offset).split("\n");
  const line = header + before.length;
  const written = text.split("\n", line)[line - 1] ?? "";
  const own = inside.text.split("\n", before.length)[before.length - 1] ?? "";
  const indent = Math.max(0, written.replace(/\r$/, "").length - own.length);
  return { line, column: indent + (before.at(-1) ?? "").length + 1 };
}

/** Where the nth of these words begins; -1 where there are fewer. */
function nthPlace(text: string, word: string, nth: number): number {
  let at = -1;
  for (let count = 0; count < nth; count++) {
    at = text.indexOf(word, at + 1);
    if (at < 0) return -1;
  }
  return at;
}

export type YamlEdit =
  | { readonly op: "set"; readonly path: YamlPath; readonly value: unknown }
  | { readonly op: "remove"; readonly path: YamlPath };

/** Applies edits to a document; comments, key order and quoting of everything else stay as they are. */
export async function editYaml(text: string, edits: readonly YamlEdit[]): Promise<string> {
  const { parseDocument } = await import("yaml");
  const document = parseDocument(text, { schema: "core" });
  for (const edit of edits) {
    if (edit.op === "set") document.setIn(edit.path, edit.value);
    else document.deleteIn(edit.path);
  }
  return document.toString({ lineWidth: 0 });
}

/** "did you mean ...", or what is known, for a key that isn't. */
export function suggestKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return near === undefined ? `Known keys: ${known.join(", ")}.` : `Did you mean ${near}?`;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
