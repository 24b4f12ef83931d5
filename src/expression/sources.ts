/** Where expressions read other models and data from. Implemented above this room; reads take no lock and see only committed versions. */

/** Other models, with global arguments evaluated. */
export interface ModelSource {
  /** Undefined where no model has this name or id. Throws what is wrong with its definition, and `expression_circle`. */
  read(nameOrId: string, wanted: WantedModel): Promise<ModelValue | undefined>;
  /** For suggestions. */
  names(): Promise<readonly string[]>;
}

/** What of a model an expression wants, and what the evaluation so far knows. */
export interface WantedModel {
  /** Global arguments that the expression can see; "*": all. Others aren't evaluated. */
  readonly globalArguments: ReadonlySet<string>;
  readonly chain: readonly string[];
  readonly memory: Map<string, Promise<unknown>>;
}

export interface ModelValue {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly globalArguments: Readonly<Record<string, unknown>>;
  /** A global argument that was wanted comes from the environment or a vault. */
  readonly isTainted: boolean;
  /** A global argument that was wanted depends on data or on the time. */
  readonly isVolatile: boolean;
  /** A global argument that was wanted and can't be known: it needs an input that has no default. */
  readonly open?: string | undefined;
}

/** Data of models. Throws `model_missing` for a model that doesn't exist; data that doesn't exist is undefined or empty. */
export interface DataSource {
  latest(model: string, name: string): Promise<DataRecord | undefined>;
  version(model: string, name: string, version: number): Promise<DataRecord | undefined>;
  /** Ascending. */
  listVersions(model: string, name: string): Promise<readonly number[]>;
  /** The latest version of each data that has the tag, of all models. */
  findByTag(key: string, value: string): Promise<readonly DataRecord[]>;
  /** The latest version of each data of a declared output. */
  findBySpec(model: string, spec: string): Promise<readonly DataRecord[]>;
  /** Text of the first file of a declared output. */
  contents(model: string, spec: string): Promise<string | undefined>;
  /** The latest of each resource or file of a model, by spec and name; only of `spec` where that is given. */
  outputs(model: string, kind: "resource" | "file", spec?: string): Promise<OutputsBySpec>;
}

export type OutputsBySpec = Readonly<Record<string, Readonly<Record<string, DataRecord | FileRecord>>>>;

export interface DataRecord {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly createdAt: string;
  /** Parsed content of JSON, else empty. */
  readonly attributes: unknown;
  readonly tags: Readonly<Record<string, string>>;
}

export interface FileRecord {
  readonly id: string;
  readonly version: number;
  readonly createdAt: string;
  readonly path: string;
  readonly size: number;
  readonly contentType: string;
}
