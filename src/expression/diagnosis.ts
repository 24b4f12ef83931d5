/** What is said of an expression that failed: what it was about, the values at fault, what to do. Nothing of it tells a value of the environment or of a vault. */
import { FenError } from "../kernel/errors.ts";
import { nearest } from "../kernel/suggest.ts";
import { isRecord } from "../repo/yaml.ts";
import { ExpressionError, expressionError, type Fault, faultOf, shorten, type Where } from "./failure.ts";
import { NeedsInput } from "./session.ts";
import type { Scope } from "./scope.ts";
import type { Source } from "./source.ts";
import { childrenOf, isNode, namespaces, type Node } from "./syntax.ts";

/** What failed, and how to look at its parts. */
export interface Patient {
  readonly source: Source;
  readonly where: Where;
  readonly scope: Scope;
  /** Something in it comes from the environment or a vault. */
  readonly isTainted: boolean;
  /** The value of a part of what was parsed; undefined where it can't be told. */
  part(text: string): Promise<{ readonly value: unknown; readonly isTainted: boolean } | undefined>;
}

export async function diagnose(error: unknown, patient: Patient): Promise<FenError> {
  const { source, where, isTainted } = patient;
  if (error instanceof ExpressionError) return error; // of an expression in another model
  if (error instanceof NeedsInput)
    return expressionError("expression_failed", `${error.message} needs inputs that have no default`, {
      ...{ source, where },
      hint: "Give those inputs a default in the other model's definition.",
    });
  if (error instanceof FenError) return isTainted ? withheld(error, patient) : placed(error, patient);
  const fault = faultOf(error);
  const { reason, hint } = await explain(fault, patient);
  const details = await valuesAt(fault, patient);
  const cause = isTainted ? {} : { cause: error };
  return expressionError("expression_failed", reason, {
    ...{ source, where, position: fault.position, hint, details, ...cause },
  });
}

/** An error of something that was read keeps its hint, and gets the place of the expression. */
function placed(error: FenError, { source, where }: Patient): FenError {
  return new ExpressionError(codeOf(error), where, {
    text: `${error.message}\n  ${shorten(source.written)}`,
    hint: error.hint,
    facts: { ...error.facts, expression: shorten(source.written) },
    cause: error,
  });
}

/** The same without what it says: the name that was looked for may be a secret. */
function withheld(error: FenError, { source, where }: Patient): FenError {
  return new ExpressionError(codeOf(error), where, {
    text: `what it reads can't be read (${error.code})\n  ${shorten(source.written)}`,
    hint: "A name in it comes from the environment: look there.",
    facts: { expression: shorten(source.written) },
  });
}

function codeOf({ code }: FenError): FenError["code"] {
  return code === "model_missing" ? "expression_failed" : code;
}

async function explain(
  { reason, hint, missing, node }: Fault,
  { isTainted, scope }: Patient,
): Promise<{ readonly reason: string; readonly hint?: string | undefined }> {
  if (missing === undefined) return { reason: isTainted ? withoutValues(reason) : reason, hint };
  if (isTainted && !isWritten(node)) return { reason: "nothing is called so here" };
  if (rootOf(node) !== "model") return { reason, hint: hintForMissing(missing, node, scope) };
  const near = nearest(missing, (await scope.models?.names()) ?? []);
  return {
    reason: `no model is called ${missing}`,
    hint: near === undefined ? "List the models: fen model search" : `Did you mean ${near}?`,
  };
}

/** The library puts values behind a colon, or names the types alone. */
function withoutValues(reason: string): string {
  return reason.replace(/[:"'].*$/s, "").trim();
}

/** True for a key that the expression says itself. */
function isWritten(node: Node | undefined): boolean {
  const key: unknown = node !== undefined && Array.isArray(node.args) ? node.args[1] : undefined;
  return typeof key === "string" || (isNode(key) && key.op === "value");
}

function hintForMissing(missing: string, node: Node | undefined, scope: Scope): string {
  const root = rootOf(node);
  if (root === "env") return `Set the environment variable ${missing}.`;
  const holder = root === "inputs" ? scope.inputs : root === "self" ? scope.self : undefined;
  const near = isRecord(holder) ? nearest(missing, Object.keys(holder)) : undefined;
  if (near !== undefined) return `Did you mean ${near}?`;
  if (root === "inputs") return `Give it with --input ${missing}=..., or a default in the definition's inputs.`;
  return `Where it may be absent: .?${missing}.orValue(...)`;
}

/** The variable directly below an access. */
function rootOf(node: Node | undefined): string | undefined {
  const [base] = node === undefined ? [] : childrenOf(node);
  return base !== undefined && base.op === "id" ? String(base.args) : undefined;
}

/** What the parts of a failed node are: their values, or only their types where these come from the environment or a vault. */
async function valuesAt({ node, missing }: Fault, { source, part }: Patient): Promise<string[]> {
  const lines: string[] = [];
  for (const child of node === undefined ? [] : childrenOf(node).slice(0, 3)) {
    if (child.op === "value" || (child.op === "id" && namespaces.includes(String(child.args)))) continue;
    const found = await part(source.parsed.slice(child.start, child.end));
    if (found === undefined) continue;
    const written = source.written.slice(source.placeOf(child.start), source.placeOf(child.end - 1) + 1);
    const tell = found.isTainted ? typeOf : missing === undefined ? describe : describeKeys;
    lines.push(`${shorten(written, 60)} is ${tell(found.value)}`);
  }
  return lines;
}

function describe(value: unknown): string {
  const text = JSON.stringify(value) ?? "undefined";
  return `${shorten(text, 80)} (${typeOf(value)})`;
}

/** Of a map in which a key is missing, the keys that it has. */
function describeKeys(value: unknown): string {
  if (!isRecord(value)) return describe(value);
  const keys = Object.keys(value);
  return keys.length === 0 ? "an empty map" : shorten(`a map of ${keys.join(", ")}`);
}

function typeOf(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "list";
  if (typeof value === "string") return "text";
  return typeof value === "object" ? "map" : typeof value;
}
