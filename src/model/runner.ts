/** Runs one method: arguments checked against their schema, failures turned into results. */
import { asError, FenError } from "../kernel/errors.ts";
import { asSchema, checkValue, coerceValue } from "../expression/schema.ts";
import { findMethod, type MethodContext, type MethodResult, type ModelType } from "./type.ts";

export interface MethodCall {
  readonly type: ModelType;
  readonly method: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/**
 * Checks the arguments; text is turned into numbers and booleans where the schema wants them.
 * Throws `arguments_invalid`, `method_missing`.
 */
export function checkArguments(call: MethodCall): Record<string, unknown> {
  const schema = findMethod(call.type, call.method).arguments;
  const properties = asSchema(schema["properties"]);
  const args = Object.fromEntries(
    Object.entries(call.arguments).map(([name, value]) => [name, coerceValue(value, asSchema(properties[name]))]),
  );
  const problems: string[] = [];
  checkValue(args, schema, "", problems);
  if (problems.length === 0) return args;
  throw new FenError("arguments_invalid", `Arguments of ${call.method} don't fit:\n  ${problems.join("\n  ")}`, {
    hint: `See what it takes: fen model type describe ${call.type.name}`,
    facts: { method: call.method, problems },
  });
}

/** Runs the method. What it throws becomes a failed result; a lost lock and a signal are thrown on. */
export async function runMethod(call: MethodCall, context: MethodContext): Promise<MethodResult> {
  const args = checkArguments(call);
  try {
    return await findMethod(call.type, call.method).execute(args, context);
  } catch (error) {
    if (error instanceof FenError) throw error;
    return { status: "failed", message: asError(error).message };
  }
}
