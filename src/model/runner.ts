/** Runs one method: arguments checked against their schema, failures turned into results. */
import type { ZodError, ZodObject } from "zod";
import { asError, FenError } from "../kernel/errors.ts";
import { suggestKey } from "../repo/yaml.ts";
import { findMethod, type MethodContext, type MethodResult, type ModelType } from "./type.ts";

export interface MethodCall {
  readonly type: ModelType;
  readonly method: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** Checks the arguments; text is turned into numbers and booleans where the schema wants them. Throws `arguments_invalid`, `method_missing`. */
export async function checkArguments(call: MethodCall): Promise<Record<string, unknown>> {
  const schema = await findMethod(call.type, call.method).arguments();
  const parsed = schema.safeParse(coerce(call.arguments, schema));
  if (parsed.success) return parsed.data;
  const messages = issuesOf(parsed.error, schema);
  throw new FenError("arguments_invalid", `Arguments of ${call.method} don't fit:\n  ${messages.join("\n  ")}`, {
    hint: `See what it takes: fen model type describe ${call.type.name}`,
    facts: { method: call.method, issues: messages },
  });
}

/** Runs the method. What it throws becomes a failed result; a lost lock and a signal are thrown on. */
export async function runMethod(call: MethodCall, context: MethodContext): Promise<MethodResult> {
  const args = await checkArguments(call);
  try {
    return await findMethod(call.type, call.method).execute(args, context);
  } catch (error) {
    if (error instanceof FenError) throw error;
    return { status: "failed", message: asError(error).message };
  }
}

function coerce(args: Readonly<Record<string, unknown>>, schema: ZodObject): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(args).map(([key, value]) => {
      const wanted = wantedType(schema.shape[key]);
      if (typeof value !== "string") return [key, value];
      if ((wanted === "number" || wanted === "int") && value.trim() !== "" && Number.isFinite(Number(value)))
        return [key, Number(value)];
      if (wanted === "boolean" && (value === "true" || value === "false")) return [key, value === "true"];
      return [key, value];
    }),
  );
}

/** The name of the type inside `optional` and the like. */
function wantedType(schema: unknown): string | undefined {
  let current = schema;
  for (let depth = 0; depth < 5; depth++) {
    const definition: unknown = isRecordLike(current) ? current["def"] : undefined;
    if (!isRecordLike(definition)) return undefined;
    if (!isRecordLike(definition["innerType"]))
      return typeof definition["type"] === "string" ? definition["type"] : undefined;
    current = definition["innerType"];
  }
  return undefined;
}

function isRecordLike(value: unknown): value is Record<string, unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null;
}

function issuesOf(error: ZodError, schema: ZodObject): string[] {
  const known = Object.keys(schema.shape);
  return error.issues.map((issue) => {
    if (issue.code === "unrecognized_keys")
      return `${issue.keys.join(", ")}: no such argument. ${suggestKey(issue.keys[0] ?? "", known)}`;
    const at = issue.path.join(".");
    const missing = issue.code === "invalid_type" && "input" in issue && issue.input === undefined;
    return `${at}: ${missing || issue.message.includes("received undefined") ? "is missing" : issue.message}`;
  });
}
