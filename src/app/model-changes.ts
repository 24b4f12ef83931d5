/** Changing models: create, edit, delete, validate. */
import { FenError } from "../kernel/errors.ts";
import { Cel } from "../expression/cel.ts";
import { containsExpression } from "../expression/compile.ts";
import type { Schema } from "../expression/schema.ts";
import type { LoadedDefinition } from "../model/definitions.ts";
import { findMethod, type MethodSpec, wrongArguments } from "../model/type.ts";
import { invalidFile, locateFindings, type Problem, problemOf, showProblem } from "../repo/findings.ts";
import type { AppContext } from "./context.ts";
import {
  claimName,
  type EditSource,
  keepIdentity,
  refuseNewName,
  totals,
  type Validation,
  validation as check,
} from "./editing.ts";
import { expressionSources } from "./expression-sources.ts";
import { parseInputs } from "./inputs.ts";
import { ModelIndex } from "./model-index.ts";
import { describeMethods, type MethodDescription } from "./models.ts";
import { settlePast } from "./settle.ts";
import { checkGlobalArguments, checkMethodArguments, type ExpressionChecks } from "./validate-expressions.ts";
import { modelLock, openWorkspace, type Workspace } from "./workspace.ts";

export interface ModelCreateResult {
  readonly id: string;
  readonly type: string;
  readonly name: string;
  readonly path: string;
  readonly version: number;
  /** JSON Schema of the type's global arguments, where it has one. */
  readonly globalArguments?: Schema;
  readonly methods: readonly MethodDescription[];
}

/** Throws `type_missing`, `name_invalid`, `model_exists`. */
export async function createModel(
  context: AppContext,
  options: { readonly type: string; readonly name: string; readonly globalArgs: readonly string[] },
): Promise<ModelCreateResult> {
  const workspace = await openWorkspace(context);
  const type = workspace.types.find(options.type);
  const { name } = options;
  refuseNewName("model", name);
  const globalArguments = await parseInputs(context.machine, { input: options.globalArgs }, "--global-arg");
  const id = context.machine.random.uuid();
  const method = Object.keys(type.methods)[0] ?? "execute";
  const example =
    type.name === "command/shell" ? { [method]: { arguments: { run: "echo hello from ${{ self.name }}" } } } : {};
  const fields = {
    type: type.name,
    typeVersion: type.version,
    id,
    name,
    version: 1,
    tags: {},
    globalArguments,
    methods: example,
  };
  const path = await workspace.definitions.create(fields, (file) => claimName(context, name, file));
  const schema = type.globalArguments;
  return {
    id,
    type: type.name,
    name,
    path,
    version: 1,
    ...(schema === undefined ? {} : { globalArguments: schema }),
    methods: describeMethods(type),
  };
}

export interface ModelEditResult {
  readonly path: string;
  readonly editor?: string;
  readonly status: "opened" | "updated" | "unchanged";
  readonly name: string;
  readonly type: string;
  readonly editType: "model";
}

/** The new text is checked before it replaces the old one, which stays where the check fails. Holds the model's lock only while it replaces. */
export async function editModel(
  context: AppContext,
  options: { readonly model: string; readonly source: EditSource },
): Promise<ModelEditResult> {
  const workspace = await openWorkspace(context);
  const before = await workspace.definitions.find(options.model);
  const given = options.source.text ?? (await options.source.edit(before.text));
  const text = await keepIdentity(given, { file: before.file, id: before.definition.id });
  const after = await workspace.definitions.parse(text, before.file);
  const { definition } = after;
  if (definition.id !== before.definition.id || definition.type !== before.definition.type)
    throw new FenError("definition_invalid", "The id and the type of a model can't be changed.", {
      hint: `Keep id: ${before.definition.id} and type: ${before.definition.type}`,
    });
  await using lease = await workspace.lock([modelLock(before)]);
  // Inside of the lock, which may be long in coming: a claim lasts only as long as the writing.
  const claim = await claimName(context, definition.name, workspace.definitions.claimPath(definition.name));
  try {
    await refuseTaken(workspace, before, definition.name);
    const now = await workspace.definitions.reread(before);
    if (now.text !== before.text)
      throw new FenError("definition_invalid", `Somebody else changed the definition meanwhile: ${before.file}`, {
        hint: "Look at it and edit again.",
      });
    await lease.assertHeld();
    if (text !== before.text) await workspace.definitions.replace(before.file, text);
  } finally {
    claim.release();
  }
  return {
    path: before.file,
    ...(options.source.text === undefined ? { editor: options.source.editor } : {}),
    status: text === before.text ? "unchanged" : "updated",
    name: definition.name,
    type: definition.type,
    editType: "model",
  };
}

async function refuseTaken(workspace: Workspace, before: LoadedDefinition, name: string): Promise<void> {
  const { definitions } = await workspace.definitions.list();
  const other = definitions.find((one) => one.name === name && one.file !== before.file);
  if (other !== undefined)
    throw new FenError("model_exists", `A model called ${name} exists already: ${other.file}`, {
      hint: "Choose another name, or rename that one first.",
      facts: { model: name, file: other.file },
    });
}

export interface ModelDeleteResult {
  readonly deleted: { readonly id: string; readonly name: string; readonly type: string; readonly inputPath: string };
  readonly resourceDeleted: boolean;
  readonly outputsDeleted: number;
  readonly evaluatedInputDeleted: boolean;
  readonly dataDeleted: number;
}

/** Under the model's lock. Refused (`model_in_use`) where a workflow names the model; `model_has_data` without `force` where it has data. */
export async function deleteModel(
  context: AppContext,
  options: { readonly model: string; readonly force: boolean; confirm(question: string): Promise<boolean> },
): Promise<ModelDeleteResult | { readonly cancelled: true }> {
  const workspace = await openWorkspace(context);
  const before = await workspace.definitions.find(options.model);
  await refuseDelete(workspace, before, options.force);
  if (!options.force && !(await options.confirm(`Delete the model ${before.definition.name} (${before.file})?`)))
    return { cancelled: true };
  await using lease = await workspace.lock([modelLock(before)]);
  const { definition, file } = await workspace.definitions.reread(before);
  await settlePast(context, workspace, { definition, lease });
  const names = await refuseDelete(workspace, before, options.force);
  const { files } = workspace.datastore;
  // The definition goes last: a crash in between leaves a model that can be deleted again.
  await workspace.data.store.forget(definition, lease);
  const outputsDeleted = await workspace.outputs.removeAll(definition.id);
  const evaluated = await files.remove(`definitions-evaluated/${definition.type}/${definition.id}.yaml`);
  workspace.definitions.remove(file);
  return {
    deleted: { id: definition.id, name: definition.name, type: definition.type, inputPath: file },
    resourceDeleted: names.length > 0,
    outputsDeleted,
    evaluatedInputDeleted: evaluated,
    dataDeleted: names.length,
  };
}

/** Gives the names of its data. */
async function refuseDelete(
  workspace: Workspace,
  { definition }: LoadedDefinition,
  force: boolean,
): Promise<readonly string[]> {
  const [workflow] = await workspace.workflows.naming("model", definition);
  if (workflow !== undefined)
    throw new FenError("model_in_use", `A workflow names ${definition.name}: ${workflow}`, {
      hint: "Take the model out of the workflow first.",
      facts: { model: definition.name, workflow },
    });
  const names = await workspace.data.names(definition);
  if (names.length > 0 && !force)
    throw new FenError("model_has_data", `${definition.name} has data: ${names.join(", ")}.`, {
      hint: `Delete it all with: fen model delete ${definition.name} --force`,
      facts: { model: definition.name, data: names },
    });
  return names;
}

export interface ModelValidation {
  readonly modelId: string;
  readonly modelName: string;
  readonly type: string;
  readonly validations: readonly Validation[];
  readonly passed: boolean;
}

export interface AllValidations {
  readonly models: readonly ModelValidation[];
  readonly totalPassed: number;
  readonly totalFailed: number;
  readonly passed: boolean;
}

/** All checks of one model, or of all. Files that can't be read count as failed models. */
export async function validateModels(
  context: AppContext,
  options: { readonly model?: string | undefined },
): Promise<ModelValidation | AllValidations> {
  const workspace = await openWorkspace(context);
  const index = new ModelIndex(workspace.definitions);
  const cel = await Cel.load();
  const { models: source } = expressionSources(context.machine, workspace, { models: index, cel, isFixed: true });
  const checks = { context, cel, index, models: source, types: workspace.types };
  if (options.model !== undefined) return validateOne(workspace, options.model, checks);
  const { definitions, problems } = await workspace.definitions.list();
  const models = problems.map((problem) => unreadable(problem.file, problem.message));
  const seen = new Map<string, string>();
  for (const { file, name } of definitions) {
    const twin = seen.get(name);
    models.push(await validateLoaded(workspace, await loadOrProblem(workspace, file), { twin, checks }));
    seen.set(name, file);
  }
  return { models, ...totals(models) };
}

async function validateOne(workspace: Workspace, name: string, checks: ExpressionChecks): Promise<ModelValidation> {
  try {
    return await validateLoaded(workspace, await workspace.definitions.find(name), { twin: undefined, checks });
  } catch (error) {
    if (
      !(error instanceof FenError) ||
      !["definition_invalid", "yaml_invalid", "file_too_large", "model_ambiguous"].includes(error.code)
    )
      throw error;
    return unreadable(name, error.message);
  }
}

/** What there is to say of a definition that can't be read. */
function unreadable(modelName: string, error: string): ModelValidation {
  return {
    modelId: "",
    modelName,
    type: "",
    validations: [{ name: "Definition", passed: false, error }],
    passed: false,
  };
}

async function loadOrProblem(workspace: Workspace, file: string): Promise<LoadedDefinition | Problem> {
  try {
    return await workspace.definitions.load(file);
  } catch (error) {
    return problemOf(error, file);
  }
}

async function validateLoaded(
  workspace: Workspace,
  loaded: LoadedDefinition | Problem,
  { twin, checks }: { readonly twin: string | undefined; readonly checks: ExpressionChecks },
): Promise<ModelValidation> {
  if (!("definition" in loaded)) return unreadable(loaded.file, loaded.message);
  const { definition, warnings } = loaded;
  const validations: Validation[] = [check("Definition", warnings.map(showProblem))];
  if (twin !== undefined) validations.push(check("Unique name", [`the name is also used in ${twin}`]));
  validations.push(await attempt("Type", async () => void workspace.types.find(definition.type)));
  if (workspace.types.has(definition.type)) {
    const type = workspace.types.find(definition.type);
    const { globalArguments } = definition;
    if (containsExpression(globalArguments))
      validations.push(await attempt("Global arguments", () => checkGlobalArguments(checks, loaded)));
    for (const method of Object.keys(definition.methods))
      validations.push(
        await attempt(`Method ${method}`, async () => {
          await refuseWrongArguments(loaded, method, findMethod(type, method));
          await checkMethodArguments(checks, loaded, method);
        }),
      );
  }
  return {
    modelId: definition.id,
    modelName: definition.name,
    type: definition.type,
    validations,
    passed: validations.every((validation) => validation.passed),
  };
}

/** Throws `definition_invalid` with the lines of keys that the method doesn't take, and of values that don't fit. */
async function refuseWrongArguments(
  { definition, file, text }: LoadedDefinition,
  method: string,
  spec: MethodSpec,
): Promise<void> {
  const findings = wrongArguments(spec, definition.methods[method]?.arguments ?? {}).map((one) => ({
    ...one,
    path: ["methods", method, "arguments", ...one.path],
  }));
  if (findings.length === 0) return;
  const problems = await locateFindings(text, file, findings);
  throw invalidFile(text, file, {
    problems,
    code: "definition_invalid",
    hint: `See what it takes: fen model type describe ${definition.type}`,
  });
}

async function attempt(name: string, task: () => Promise<void>): Promise<Validation> {
  try {
    await task();
    return { name, passed: true };
  } catch (error) {
    if (!(error instanceof FenError)) throw error;
    return { name, passed: false, error: error.message };
  }
}
