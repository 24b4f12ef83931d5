/** What went wrong with an expression: where it stands, a caret under the place, and what it was about. */
import type { ErrorCode } from "../kernel/error-codes.ts";
import { asError, FenError, type FenErrorOptions } from "../kernel/errors.ts";
import { type InsideText, type YamlLocator, type YamlPath, yamlLocator } from "../repo/yaml.ts";
import type { Source } from "./source.ts";
import { isNode, type Node } from "./syntax.ts";

/** Where an expression stands, for errors. */
export interface Where {
  readonly file: string;
  /** `methods.execute.arguments.run` */
  readonly key: string;
  readonly line?: number | undefined;
  /** The same as `key`, to find the line by. */
  readonly path?: YamlPath | undefined;
  /** The place in the text of the key, which may have several lines: of the expression, or of what is wrong in it. */
  readonly inside?: InsideText | undefined;
}

/** An error that knows where its expression stands. */
export class ExpressionError extends FenError {
  readonly where: Where;

  /** `text` begins behind the place. */
  constructor(code: ErrorCode, where: Where, options: FenErrorOptions & { readonly text: string }) {
    const { file, key, line } = where;
    super(code, `${placeOf(where)}: ${options.text}`, {
      ...options,
      facts: { file, key, ...(line === undefined ? {} : { line }), ...options.facts },
    });
    this.where = where;
  }

  /** What stands behind the place. */
  get text(): string {
    return this.message.slice(placeOf(this.where).length + 2);
  }
}

/**
 * The same error with the line, where it is of this file and the line, or the one within the text of its key, isn't known. Finding it takes longer than most of
 * the rest: not before it is needed.
 */
export async function withLine(error: unknown, file: string, source: string): Promise<unknown> {
  return locatedBy(error, file, () => yamlLocator(source));
}

/** As `withLine`, where there may be many. */
export async function locatedBy(error: unknown, file: string, locator: () => Promise<YamlLocator>): Promise<unknown> {
  if (!(error instanceof ExpressionError)) return error;
  const { where, code, hint, facts, cause, text } = error;
  const { path, inside } = where;
  if ((where.line !== undefined && inside === undefined) || path === undefined || where.file !== file) return error;
  const line = (await locator())(path, inside)?.line;
  if (line === undefined) return error;
  const found = { ...where, line, inside: undefined };
  return new ExpressionError(code, found, { hint, facts: { ...facts, line }, cause, text });
}

export type ExpressionCode = "expression_invalid" | "expression_failed" | "expression_not_yet";

/** `details` are lines between the message and the expression; the caret stands under `position` of what was parsed. */
export function expressionError(
  code: ExpressionCode,
  reason: string,
  at: {
    readonly source: Source;
    readonly where: Where;
    readonly position?: number | undefined;
    readonly hint?: string | undefined;
    readonly details?: readonly string[];
    readonly cause?: unknown;
  },
): ExpressionError {
  const { source, position, details = [], cause } = at;
  const where = position === undefined ? at.where : movedTo(at.where, source.placeOf(position));
  const shown = excerpt(source.written, position === undefined ? undefined : source.placeOf(position));
  return new ExpressionError(code, where, {
    text: [reason, shown, ...details.map((line) => `  ${line}`)].join("\n"),
    hint: at.hint ?? "Mend the expression, then check it with: fen model validate",
    facts: { expression: shorten(source.written) },
    cause,
  });
}

/** The place so far behind the beginning of the expression. */
function movedTo(where: Where, by: number): Where {
  const { inside } = where;
  return inside === undefined ? where : { ...where, inside: { ...inside, offset: inside.offset + by } };
}

export function placeOf({ file, line, key }: Where): string {
  return `${file}${line === undefined ? "" : `:${line}`} (${key})`;
}

/** What the library said, in our words. `node`: where. */
export interface Fault {
  readonly reason: string;
  readonly node: Node | undefined;
  readonly position: number | undefined;
  readonly hint?: string;
  /** The key that wasn't there. */
  readonly missing?: string;
}

export function faultOf(error: unknown): Fault {
  const said = asError(error).message.split("\n", 1)[0] ?? "";
  const found = isObject(error) && isNode(error["node"]) ? error["node"] : undefined;
  const position = positionOf(error);
  const at = { node: found, position };
  const missing = /^No such key: (.+)$/.exec(said)?.[1];
  if (missing?.startsWith("index out of bounds") === true) return { ...at, reason: "index out of bounds" };
  if (missing?.includes("[object") === true) return { ...at, reason: "a key is a text or a number" };
  if (missing !== undefined) return { ...at, reason: `nothing is called ${missing} here`, missing };
  const overload = /^no such overload: (.+) (\S+) (.+)$/.exec(said);
  if (overload !== null) return { ...at, ...operatorFault(overload[1] ?? "", overload[2] ?? "", overload[3] ?? "") };
  const matching = /^found no matching overload for '(.+?)\((.*)\)'$/.exec(said);
  if (matching !== null)
    return { ...at, reason: `there is no ${plainType(matching[1] ?? "")}(${plainType(matching[2] ?? "")})` };
  const known = /^(integer overflow|Invalid regular expression|.*invalid string value)/.exec(said)?.[1];
  return { ...at, reason: known ?? said };
}

const numeric = /^(dyn<)?(int|double|uint)>?$/;
const textual = /^(dyn<)?string>?$/;

function operatorFault(left: string, operator: string, right: string): { reason: string; hint?: string } {
  const reason = `${operator} doesn't work on ${plainType(left)} and ${plainType(right)}`;
  const mixesText = (numeric.test(left) && textual.test(right)) || (textual.test(left) && numeric.test(right));
  if (operator === "+" && mixesText)
    return { reason, hint: "Make the number a text first: 'port ' + string(inputs.port)" };
  return { reason };
}

/** Types by the names that people know. */
function plainType(type: string): string {
  return type
    .replaceAll(/dyn<(\w+)>/g, "$1")
    .replaceAll(/\b(\w+)Namespace\b/g, (_, name: string) => name.toLowerCase())
    .replaceAll(/list<dyn>/g, "list")
    .replaceAll(/map<dyn, dyn>/g, "map")
    .replaceAll(/google\.protobuf\.(\w+)/g, (_, name: string) => name.toLowerCase());
}

const shownBefore = 60;
const shownLength = 160;

/** The line with the place of the error and a caret under it; the beginning where there is no place. */
function excerpt(source: string, position: number | undefined): string {
  if (position === undefined) return `  ${shorten(source)}`;
  const lineStart = source.lastIndexOf("\n", position - 1) + 1;
  const lineEnd = source.indexOf("\n", position);
  const line = source.slice(lineStart, lineEnd < 0 ? undefined : lineEnd);
  const column = position - lineStart;
  const start = line.length <= shownLength ? 0 : Math.max(0, column - shownBefore);
  const end = Math.min(line.length, start + shownLength);
  const before = start === 0 ? "" : "… ";
  const text = `${before}${line.slice(start, end)}${end < line.length ? " …" : ""}`;
  return `  ${text}\n  ${" ".repeat(before.length + column - start)}^`;
}

export function shorten(source: string, length = shownLength): string {
  return source.length <= length ? source : `${source.slice(0, length)} …`;
}

function positionOf(error: unknown): number | undefined {
  if (!isObject(error)) return undefined;
  const node = error["node"];
  const position = isObject(node) ? node["pos"] : error["pos"];
  return typeof position === "number" ? position : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
