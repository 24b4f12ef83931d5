/** `data search`: data of all models, by what is known of it and of who made it. Takes no lock. */
import { FenError } from "../kernel/errors.ts";
import type { ModelRef } from "../data/layout.ts";
import { durationMs, type Owner } from "../data/metadata.ts";
import type { DataVersion } from "../data/versions.ts";
import { isIdPrefix } from "../repo/named-files.ts";
import type { AppContext } from "./context.ts";
import { newestOf, type OwnedDataItem, toOwnedItem } from "./data-use.ts";
import { findRun } from "./find-run.ts";
import { parseTags } from "./inputs.ts";
import { PastRuns } from "./past-runs.ts";
import { unlessUnreadable } from "./unless-unreadable.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

export interface DataSearchOptions {
  readonly query: string;
  readonly type?: string | undefined;
  readonly model?: string | undefined;
  readonly lifetime?: string | undefined;
  readonly contentType?: string | undefined;
  readonly since?: string | undefined;
  readonly ownerType?: string | undefined;
  /** Name or id: a run of it made the newest version. */
  readonly workflow?: string | undefined;
  /** Id of a workflow run, or its first digits: every version that it made. */
  readonly run?: string | undefined;
  /** Id of an output, or its first digits: every version that it made. */
  readonly output?: string | undefined;
  readonly streaming?: true | undefined;
  readonly tags: readonly string[];
  readonly limit: number;
}

export interface DataSearchResult {
  readonly query: string;
  readonly filters: Readonly<Record<string, unknown>>;
  readonly results: readonly OwnedDataItem[];
  readonly total: number;
  readonly limited: boolean;
}

type Test = (version: DataVersion) => boolean;

export const ownerTypes: readonly Owner["ownerType"][] = ["model-method", "workflow-step", "manual"];

/** The newest version of each name; with a run or an output, what that made, newest or not. */
export async function searchData(context: AppContext, options: DataSearchOptions): Promise<DataSearchResult> {
  const workspace = await openWorkspace(context);
  const tags = parseTags(options.tags);
  const names = new Map((await workspace.definitions.list()).definitions.map((one) => [one.id, one.name]));
  const wanted =
    options.model === undefined ? undefined : (await workspace.definitions.find(options.model)).definition.id;
  const makers = await makersOf(workspace, options);
  const fits = [
    ...testsOf(context, options, Object.entries(tags)),
    ...(await testOfWorkflow(workspace, options.workflow)),
  ];
  const results: OwnedDataItem[] = [];
  for (const model of await workspace.data.models()) {
    if (wanted !== undefined && model.id !== wanted) continue;
    const versions = await (makers.length === 0 ? newestOf : allOf)(context, workspace, model);
    for (const version of versions) {
      // Every maker is asked, also where the rest doesn't fit: it notes whether it has made anything at all.
      if (!makers.map((maker) => maker.made(version)).every(Boolean) || !fits.every((test) => test(version))) continue;
      const modelName = names.get(model.id) ?? version.metadata.tags["modelName"] ?? "";
      results.push(toOwnedItem({ ...version, modelName }));
    }
  }
  for (const maker of makers) maker.assertKnown();
  results.sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt));
  const { query, limit, tags: _tags, ...filters } = options;
  const shown = { ...filters, ...(Object.keys(tags).length > 0 ? { tags } : {}) };
  return {
    query,
    filters: Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined)),
    results: results.slice(0, limit),
    total: results.length,
    limited: results.length > limit,
  };
}

/** The time that `--since 7d` means, in milliseconds since the epoch. Throws `usage`. */
export function earliestOf({ machine }: AppContext, since: string | undefined): number {
  if (since === undefined) return -Infinity;
  const ms = durationMs(since);
  if (ms === undefined)
    throw new FenError("usage", `--since can't be ${since}.`, { hint: "For example: 30m, 12h, 7d" });
  return machine.clock.now() - ms;
}

function testsOf(
  context: AppContext,
  options: DataSearchOptions,
  tags: readonly (readonly [string, string])[],
): readonly Test[] {
  const { type, lifetime, contentType, ownerType, streaming } = options;
  if (ownerType !== undefined && !ownerTypes.some((one) => one === ownerType))
    throw new FenError("usage", `--owner-type can't be ${ownerType}.`, { hint: `One of: ${ownerTypes.join(", ")}` });
  const query = options.query.toLowerCase();
  const earliest = earliestOf(context, options.since);
  return [
    ({ metadata }) =>
      [metadata.name, metadata.tags["modelName"] ?? ""].some((text) => text.toLowerCase().includes(query)),
    ({ metadata }) => type === undefined || metadata.tags["type"] === type,
    ({ metadata }) => lifetime === undefined || metadata.lifetime === lifetime,
    ({ metadata }) => contentType === undefined || metadata.contentType === contentType,
    ({ metadata }) => ownerType === undefined || metadata.ownerDefinition.ownerType === ownerType,
    ({ metadata }) => streaming === undefined || metadata.streaming === streaming,
    ({ metadata }) => Date.parse(metadata.createdAt) >= earliest,
    ({ metadata }) => tags.every(([key, value]) => metadata.tags[key] === value),
  ];
}

/** By the id that the owner keeps; data of the older program has only the name, in a tag. Throws `workflow_missing`. */
async function testOfWorkflow(workspace: Workspace, nameOrId: string | undefined): Promise<readonly Test[]> {
  if (nameOrId === undefined) return [];
  const runs = new PastRuns(workspace);
  const { id, name, problem } = await runs.workflowOf(nameOrId);
  const ids = new Set(id === undefined ? [] : [id]);
  if (problem !== undefined) {
    const known = (await runs.summaries(() => undefined, { workflowId: id })).filter(
      ({ ref, workflowName }) => ref.workflowId === id || workflowName === name,
    );
    if (known.length === 0) throw problem;
    for (const { ref } of known) ids.add(ref.workflowId);
  }
  return [
    ({ metadata: { ownerDefinition: owner, tags } }) =>
      owner.workflowId === undefined
        ? tags["source"] === "step-output" && tags["workflow"] === name
        : ids.has(owner.workflowId),
  ];
}

/** Versions of every number; what can't be read is warned of. */
async function allOf(context: AppContext, workspace: Workspace, model: ModelRef): Promise<DataVersion[]> {
  const found: DataVersion[] = [];
  for (const name of await workspace.data.names(model))
    for (const number of await workspace.data.numbers(model, name)) {
      const version = await unlessUnreadable(context, () => workspace.data.version(model, name, number));
      if (version !== undefined && version.metadata.lifecycle !== "deleted") found.push(version);
    }
  return found;
}

async function makersOf(workspace: Workspace, { run, output }: DataSearchOptions): Promise<readonly Maker[]> {
  const makers: Maker[] = [];
  if (run !== undefined) makers.push(await makerOfRun(workspace, run));
  if (output !== undefined) makers.push(await makerOfOutput(workspace, output));
  return makers;
}

async function makerOfRun(workspace: Workspace, idOrPrefix: string): Promise<Maker> {
  const idOf = ({ workflowRunId }: Owner) => workflowRunId;
  const ref = await unlessMissing(findRun(workspace.datastore.files, idOrPrefix), "run_missing");
  if (ref instanceof FenError) return new Maker(idOf, { wanted: idOrPrefix, missing: ref });
  const { state } = await new PastRuns(workspace).read(ref);
  const ids = state.steps.flatMap(({ data = [] }) => data.map(([dataId]) => dataId));
  return new Maker(idOf, { wanted: ref.id, dataIds: new Set(ids) });
}

async function makerOfOutput(workspace: Workspace, idOrPrefix: string): Promise<Maker> {
  const idOf = ({ outputId }: Owner) => outputId;
  const stored = await unlessMissing(workspace.outputs.find(idOrPrefix), "output_missing");
  if (stored instanceof FenError) return new Maker(idOf, { wanted: idOrPrefix, missing: stored });
  const ids = stored.record.artifacts.dataArtifacts.map(({ dataId }) => dataId);
  return new Maker(idOf, { wanted: stored.record.id, dataIds: new Set(ids) });
}

async function unlessMissing<T>(finding: Promise<T>, code: FenError["code"]): Promise<T | FenError> {
  return finding.catch((error: unknown) => {
    if (error instanceof FenError && error.code === code) return error;
    throw error;
  });
}

/**
 * A run or an output, by the id that the owner of its data keeps. Data of the older program has none: there the record tells which it made. Where the record
 * is gone (`missing`) its first digits do, as long as they are those of one.
 */
class Maker {
  readonly #idOf: (owner: Owner) => string | undefined;
  readonly #wanted: string;
  readonly #dataIds: ReadonlySet<string>;
  readonly #missing: FenError | undefined;
  readonly #seen = new Set<string>();

  constructor(
    idOf: (owner: Owner) => string | undefined,
    options: { readonly wanted: string; readonly dataIds?: ReadonlySet<string>; readonly missing?: FenError },
  ) {
    this.#idOf = idOf;
    this.#wanted = options.wanted.toLowerCase();
    this.#dataIds = options.dataIds ?? new Set();
    this.#missing = options.missing;
  }

  made({ metadata: { id, ownerDefinition } }: DataVersion): boolean {
    const maker: unknown = this.#idOf(ownerDefinition);
    if (typeof maker !== "string") return this.#dataIds.has(id);
    if (this.#missing === undefined) return maker === this.#wanted;
    const fits = isIdPrefix(this.#wanted) && maker.startsWith(this.#wanted);
    if (fits) this.#seen.add(maker);
    return fits;
  }

  /** Throws where nothing has told of it, or of several. */
  assertKnown(): void {
    if (this.#missing === undefined) return;
    if (this.#seen.size === 0) throw this.#missing;
    if (this.#seen.size > 1)
      throw new FenError("id_ambiguous", `${this.#seen.size} ids begin with ${this.#wanted}.`, {
        hint: `Write more of it: ${[...this.#seen].slice(0, 5).join(", ")}`,
      });
  }
}
