/** Reading models: get, search, types and methods. Takes no lock. */
import { findMethod, type MethodSpec, type ModelType, normalizeType } from "../model/type.ts";
import { builtinTypes } from "../model/types/index.ts";
import type { AppContext } from "./context.ts";
import { warnOf } from "./editing.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

export interface MethodDescription {
  readonly name: string;
  readonly description: string;
  readonly kind: string;
  readonly arguments: JsonSchema;
  readonly dataOutputSpecs: readonly {
    readonly specName: string;
    readonly type: "resource" | "file";
    readonly description: string;
    readonly contentType: string;
    readonly lifetime: string;
    readonly garbageCollection: number | string;
  }[];
}

export interface ModelGetResult {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly version: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly globalArguments: Readonly<Record<string, unknown>>;
  /** Absent where neither the definition tells it nor the type is known. */
  readonly typeVersion?: string;
  /** Of the type, where it has one. */
  readonly globalArgumentsSchema?: JsonSchema;
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly path: string;
  readonly methods: readonly (MethodDescription & { readonly configured?: Readonly<Record<string, unknown>> })[];
}

export async function getModel(context: AppContext, options: { readonly model: string }): Promise<ModelGetResult> {
  const workspace = await openWorkspace(context);
  const { definition, file, warnings } = await workspace.definitions.find(options.model);
  warnOf(context, warnings);
  const type = knownType(context, workspace, definition.type);
  const { id, name, version, tags, globalArguments, inputs } = definition;
  const methods = type === undefined ? [] : describeMethods(type);
  const typeVersion = definition.typeVersion ?? type?.version;
  return {
    id,
    name,
    type: definition.type,
    version,
    tags,
    globalArguments,
    ...(typeVersion === undefined ? {} : { typeVersion }),
    ...(type?.globalArguments === undefined ? {} : { globalArgumentsSchema: type.globalArguments }),
    ...(inputs === undefined ? {} : { inputs }),
    path: file,
    methods: methods.map((method) => {
      const configured = definition.methods[method.name]?.arguments;
      return { ...method, ...(configured === undefined ? {} : { configured }) };
    }),
  };
}

/** A model of a type that isn't installed here can be looked at all the same; that is warned of. */
function knownType(context: AppContext, workspace: Workspace, name: string): ModelType | undefined {
  if (workspace.types.has(name)) return workspace.types.find(name);
  context.emit({
    event: "warning",
    message: `No model type is called ${name}: what its models can do isn't known here.`,
    hint: "List the types: fen model type search",
  });
  return undefined;
}

export interface ModelSearchResult {
  readonly query: string;
  readonly results: readonly { readonly id: string; readonly name: string; readonly type: string }[];
}

/** Names, types and ids that hold the query. Files that can't be read are warned of, not hidden. */
export async function searchModels(
  context: AppContext,
  options: { readonly query: string },
): Promise<ModelSearchResult> {
  const { definitions, problems } = await (await openWorkspace(context)).definitions.list();
  warnOf(context, problems);
  const wanted = options.query.toLowerCase();
  const results = definitions
    .filter((one) => one.name.toLowerCase().includes(wanted) || one.type.includes(wanted) || one.id === wanted)
    .map(({ id, name, type }) => ({ id, name, type }));
  return { query: options.query, results };
}

export interface TypeSearchResult {
  readonly query: string;
  readonly results: readonly { readonly raw: string; readonly normalized: string; readonly description: string }[];
}

export async function searchTypes(
  _context: AppContext,
  options: { readonly query: string },
): Promise<TypeSearchResult> {
  return {
    query: options.query,
    results: builtinTypes()
      .search(options.query)
      .map((type) => ({ raw: type.name, normalized: type.name, description: type.description })),
  };
}

export interface TypeDescription {
  readonly type: { readonly raw: string; readonly normalized: string };
  readonly version: string;
  readonly description: string;
  readonly globalArguments?: JsonSchema;
  readonly methods: readonly MethodDescription[];
}

export async function describeType(_context: AppContext, options: { readonly type: string }): Promise<TypeDescription> {
  const type = builtinTypes().find(options.type);
  const schema = type.globalArguments;
  return {
    type: { raw: options.type, normalized: normalizeType(options.type) },
    version: type.version,
    description: type.description,
    ...(schema === undefined ? {} : { globalArguments: schema }),
    methods: describeMethods(type),
  };
}

export interface MethodDescribeResult {
  readonly modelName: string;
  readonly modelType: string;
  readonly version: string;
  readonly method: MethodDescription;
}

export async function describeMethod(
  context: AppContext,
  options: { readonly model: string; readonly method: string },
): Promise<MethodDescribeResult> {
  const workspace = await openWorkspace(context);
  const { definition } = await workspace.definitions.find(options.model);
  const type = workspace.types.find(definition.type);
  const method = findMethod(type, options.method);
  return {
    modelName: definition.name,
    modelType: type.name,
    version: type.version,
    method: describe(type, options.method, method),
  };
}

export function describeMethods(type: ModelType): MethodDescription[] {
  return Object.entries(type.methods).map(([name, method]) => describe(type, name, method));
}

function describe(type: ModelType, name: string, method: MethodSpec): MethodDescription {
  const outputs = [
    ...Object.entries(type.resources).map(([specName, spec]) => ({ specName, kind: "resource" as const, spec })),
    ...Object.entries(type.files).map(([specName, spec]) => ({ specName, kind: "file" as const, spec })),
  ];
  return {
    name,
    description: method.description,
    kind: method.kind,
    arguments: method.arguments,
    dataOutputSpecs: outputs.map(({ specName, kind, spec }) => ({
      specName,
      type: kind,
      description: spec.description,
      contentType: spec.contentType,
      lifetime: spec.lifetime,
      garbageCollection: spec.garbageCollection,
    })),
  };
}
