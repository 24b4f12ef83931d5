/** What can be said of a definition's expressions without running anything: what they name must be there. */
import type { Cel } from "../expression/cel.ts";
import { type CompiledValue, compileValue } from "../expression/compile.ts";
import type { DataCall, Dependencies } from "../expression/dependencies.ts";
import { ExpressionError, shorten, withLine } from "../expression/failure.ts";
import { GlobalArguments } from "../expression/global-arguments.ts";
import { FenError } from "../kernel/errors.ts";
import { nearest } from "../kernel/suggest.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import type { ModelType, ModelTypes } from "../model/type.ts";
import type { ModelSource } from "../expression/sources.ts";
import type { AppContext } from "./context.ts";
import { knownInputs } from "./expression-sources.ts";
import type { ModelIndex } from "./model-index.ts";

export interface ExpressionChecks {
  readonly context: AppContext;
  readonly cel: Cel;
  readonly index: ModelIndex;
  readonly models: ModelSource;
  readonly types: ModelTypes;
}

/** Throws the first thing that is wrong with the global arguments, circles included. */
export async function checkGlobalArguments(checks: ExpressionChecks, loaded: LoadedDefinition): Promise<void> {
  const { definition, file } = loaded;
  await located(loaded, async () => {
    const { globalArguments } = definition;
    await checkValue(checks, loaded, { value: globalArguments, path: ["globalArguments"] });
    const globals = new GlobalArguments(checks.cel, definition, { file, locate: () => undefined, keepsAll: true });
    const { values: inputs, open } = knownInputs(definition, { given: {}, which: "all" });
    for (const key of globals.keys) {
      try {
        await globals.value(key, { models: checks.models, inputs, open });
      } catch (error) {
        // Whatever else can't be computed now may well be there when it runs.
        if (error instanceof FenError && error.code === "expression_circle") throw error;
      }
    }
  });
}

/** The same of a method's arguments. */
export async function checkMethodArguments(
  checks: ExpressionChecks,
  loaded: LoadedDefinition,
  method: string,
): Promise<void> {
  const value = loaded.definition.methods[method]?.arguments ?? {};
  await located(loaded, () => checkValue(checks, loaded, { value, path: ["methods", method, "arguments"] }));
}

async function located({ file, text }: LoadedDefinition, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    throw await withLine(error, file, text);
  }
}

async function checkValue(
  checks: ExpressionChecks,
  loaded: LoadedDefinition,
  { value, path }: { readonly value: unknown; readonly path: readonly string[] },
): Promise<void> {
  const compiled: CompiledValue = compileValue(checks.cel, value, {
    ...{ file: loaded.file, path, locate: () => undefined },
  });
  for (const warning of compiled.warnings) checks.context.emit({ event: "warning", ...warning });
  for (const { where, source, dependencies } of compiled.expressions) {
    const fail = (text: string, hint: string): ExpressionError =>
      new ExpressionError("expression_invalid", where, {
        ...{ text: `${text}\n  ${shorten(source)}`, hint, facts: { expression: shorten(source) } },
      });
    checkSelf(loaded, dependencies, fail);
    for (const name of dependencies.models) await findModel(checks, name, fail);
    for (const call of dependencies.data) await checkCall(checks, call, fail);
  }
}

type Fail = (text: string, hint: string) => ExpressionError;

const fields = ["id", "name", "version", "tags", "globalArguments"];

function checkSelf({ definition }: LoadedDefinition, { self, globalArguments }: Dependencies, fail: Fail): void {
  for (const field of self)
    if (field !== "*" && !fields.includes(field))
      throw fail(`self has no ${field}`, hintFor(field, fields, `It has ${fields.join(", ")}.`));
  const keys = Object.keys(definition.globalArguments);
  for (const key of globalArguments)
    if (key !== "*" && !keys.includes(key))
      throw fail(`there is no global argument ${key}`, hintFor(key, keys, "Declare it under globalArguments."));
}

async function findModel({ index }: ExpressionChecks, name: string, fail: Fail): Promise<LoadedDefinition> {
  try {
    return await index.find(name);
  } catch (error) {
    if (!(error instanceof FenError) || error.code !== "model_missing") throw error;
    throw fail(`no model is called ${name}`, error.hint ?? "List the models: fen model search");
  }
}

async function checkCall(checks: ExpressionChecks, call: DataCall, fail: Fail): Promise<void> {
  if (call.model === undefined) return;
  const { definition } = await findModel(checks, call.model, fail);
  if (call.name === undefined || !checks.types.has(definition.type)) return;
  const declared = declaredBy(call.function, checks.types.find(definition.type));
  if (declared === undefined || declared.includes(call.name)) return;
  const what = call.function === "resource" || call.function === "file" ? call.function : "output";
  throw fail(
    `${definition.type} declares no ${what} ${call.name}`,
    hintFor(call.name, declared, `It declares ${declared.length === 0 ? "none" : declared.join(", ")}.`),
  );
}

/** Specs that a call may name; undefined where it names data, which is known only when it is there. */
function declaredBy(called: string, { resources, files }: ModelType): readonly string[] | undefined {
  switch (called) {
    case "resource":
      return Object.keys(resources);
    case "file":
      return Object.keys(files);
    case "findBySpec":
    case "contents":
      return [...Object.keys(resources), ...Object.keys(files)];
    default:
      return undefined;
  }
}

function hintFor(name: string, known: readonly string[], otherwise: string): string {
  const near = nearest(name, known);
  return near === undefined ? otherwise : `Did you mean ${near}?`;
}
