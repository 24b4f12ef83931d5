/**
 * From staged to committed in an object store: contents first, then one swap of the head. What can't be committed now because the store fails is complete
 * all the same: it stays in `<run id>.push`, with a hash of what was committed when it was made. The next holder on this machine commits it if that is so
 * still (whoever only had the lock, or died with it, changes nothing), else puts it aside.
 */
import { FenError } from "../../kernel/errors.ts";
import { sha256Hex } from "../../kernel/hash.ts";
import { all, several } from "../../kernel/several.ts";
import type { LocalFiles } from "../../store/contract.ts";
import { asideFolder, ownerFile, putAside } from "../commit.ts";
import { hashOf, otherContent } from "../brought.ts";
import type { Brought, CommitOptions, Draft, Held, Settled, StagedRun, VersionRef } from "../contract.ts";
import { modelFolder, type ModelRef, stagingFolder } from "../layout.ts";
import { type Metadata, readMetadata } from "../metadata.ts";
import { isRecord } from "../../repo/yaml.ts";
import {
  encodeManifest,
  hasId,
  type Manifest,
  nextNumber,
  numbersOf,
  parseManifest,
  versionsWhere,
  withSkipped,
  withVersions,
} from "./manifest.ts";
import { contentPath, type ObjectParts } from "./parts.ts";

/** Beside the outputs of a run: what they are. */
const planFile = "plan.json";
const maxPlanBytes = 4 * 1024 * 1024;

const broughtAtOnce = 8;
/** What is there about as soon as a record is. */
const swiftBytes = 1024 * 1024;

interface Plan {
  /** What was committed when the run ended: as long as it is so, nobody has come in between. */
  readonly base: string;
  readonly outputs: readonly Draft[];
}

interface Manifests {
  read(model: ModelRef, held: Held): Promise<Manifest>;
  shorten(model: ModelRef, manifest: Manifest): Promise<Manifest>;
  /** What was read of this model is old. */
  changed(model: ModelRef): void;
}

interface Changing {
  change(manifest: Manifest): Manifest | undefined;
  readonly last?: boolean | undefined;
  /** What was read under the lock, where it was. */
  readonly base?: Manifest;
}

interface Pushing {
  readonly held: Held;
  readonly base: Manifest;
}

export class Pushes {
  readonly #parts: ObjectParts;
  readonly #manifests: Manifests;

  constructor(parts: ObjectParts, manifests: Manifests) {
    this.#parts = parts;
    this.#manifests = manifests;
  }

  async commit(run: StagedRun, held: Held, options: CommitOptions): Promise<readonly Metadata[]> {
    if (run.outputs.length === 0) return [];
    held.signal.throwIfAborted();
    const { local } = this.#parts;
    const base = await this.#manifests.read(run.model, held);
    const plan: Plan = { base: digestOf(base), outputs: run.outputs };
    await local.write(`${run.folder}/${planFile}`, JSON.stringify(plan), { durable: false });
    try {
      return await this.#push(run, { held, base }, options);
    } catch (error) {
      if (!(error instanceof FenError) || error.code === "lock_lost" || error.kind !== "unavailable") throw error;
      throw await this.#keepForLater(run, error);
    }
  }

  /** Replaces the manifest; `change` gives undefined where it is as wanted already. Throws `lock_lost`; then nothing was changed. */
  async change(model: ModelRef, held: Held, { change, last, ...known }: Changing): Promise<void> {
    const { heads, machine } = this.#parts;
    const base = known.base ?? (await this.#manifests.read(model, held));
    const wanted = change(base);
    const prepared = wanted === undefined ? undefined : await this.#manifests.shorten(model, wanted);
    const swapped = (head: string | undefined) => {
      const current = head === undefined ? base : parseManifest(head, modelFolder(model));
      // Where others were faster, theirs is the one to change; the next commit makes it short.
      const next = isSame(current, base) ? prepared : change(current);
      return next === undefined ? undefined : encodeManifest(next, machine.random.uuid());
    };
    const outcome = await heads.commit(model, held, { change: swapped, last });
    this.#manifests.changed(model);
    if (outcome === "lost") throw lost();
  }

  /** Contents, and what is written beside them, all at the same time; then the head. */
  async #push(run: StagedRun, { held, base }: Pushing, options: CommitOptions = {}): Promise<readonly Metadata[]> {
    const { model } = run;
    const { beside, last } = options;
    const planned = allotted(run.outputs, base);
    const placing = all(planned.map((metadata) => this.#place(run, metadata)));
    // What is under way for long is told when it is there.
    if (planned.some(({ size = 0 }) => size > swiftBytes)) await placing;
    const [placed] = await all([placing, beside?.(planned)]);
    if (placed.some(({ version }, index) => version !== planned[index]?.version)) await beside?.(placed);
    const passedOver = placed.map(({ name, version: to }, n) => ({ name, from: planned[n]?.version ?? to, to }));
    const isThere = (now: Manifest) => placed.some(({ id }) => hasId(now, id));
    try {
      const change = (now: Manifest) => {
        if (isThere(now)) return undefined;
        const whole = passedOver.reduce((before, { name, ...range }) => withSkipped(before, name, range), now);
        return withVersions(whole, placed);
      };
      await this.change(model, held, { change, last, base });
    } catch (error) {
      // The answer to the swap may have been lost, and the lock after it: then others have gone on from what it did.
      if (!(error instanceof FenError) || !["lock_lost", "store_unavailable"].includes(error.code)) throw error;
      const head = await this.#parts.heads.read(model).catch(() => undefined); // the first error is the one to tell
      if (head === undefined || !isThere(parseManifest(head, modelFolder(model)))) throw error;
    }
    for (const { name, checksum } of placed)
      if (checksum !== undefined)
        this.#parts.cache.take(this.#parts.local.locate(`${run.folder}/${name}/raw`), checksum);
    return placed;
  }

  /** Under its number, or the next one whose key nobody has taken. */
  async #place(run: StagedRun, metadata: Metadata): Promise<Metadata> {
    const { objects, local } = this.#parts;
    const { id, name, size = 0, checksum = "", contentType } = metadata;
    const file = local.locate(`${run.folder}/${name}/raw`);
    const content = { source: { file }, size, sha256: checksum, contentType };
    for (let number = metadata.version; ; number++) {
      const path = contentPath({ model: run.model, name, number });
      if ((await objects.create(path, content, { nonce: id })) === "taken") continue;
      return { ...metadata, version: number };
    }
  }

  async #keepForLater(run: StagedRun, error: FenError): Promise<FenError> {
    const { local } = this.#parts;
    const kept = `${run.folder}.push`;
    await local.settle(run.folder); // from here on it must survive a power cut
    if ((await local.adopt(run.folder, kept)) !== "adopted") return error;
    const path = local.locate(kept);
    const hint = `What it produced is complete and kept in ${path}; the next command on the model commits it.`;
    return error.retold({ hint, facts: { keptAside: path } });
  }

  /** Contents first; then one head that names all of them. The id of a version shows that the object is this very one. */
  async bring(model: ModelRef, versions: readonly Brought[], held: Held): Promise<void> {
    const { objects, local, machine } = this.#parts;
    await several(versions, broughtAtOnce, async ({ metadata, file }) => {
      const path = contentPath({ model, name: metadata.name, number: metadata.version });
      const { size, checksum: sha256, contentType } = metadata;
      const content = { source: { file: local.locate(file) }, size, sha256, contentType };
      if ((await objects.create(path, content, { nonce: metadata.id })) === "put") return;
      // Of an older program, or of a run that died.
      const scratch = `.fen/fetched/${machine.random.uuid()}`;
      const options = { maxBytes: Number.MAX_SAFE_INTEGER };
      try {
        await objects.getTo(path, local.locate(scratch), options);
        if ((await hashOf(local.stream(scratch))) !== sha256) throw otherContent(metadata, objects.locate(path));
      } finally {
        await local.remove(scratch);
      }
    });
    const change = (now: Manifest) => {
      const missing = versions.filter(({ metadata }) => !numbersOf(now, metadata.name).includes(metadata.version));
      return missing.length === 0
        ? undefined
        : withVersions(
            now,
            missing.map(({ metadata }) => metadata),
          );
    };
    await this.change(model, held, { change });
  }

  // ---------------------------------------------------------------- what former runs left

  /** Of each run: its data, then its record, then its folder. Ended in between, the next one finds the folder and does what is left. */
  async settle(
    model: ModelRef,
    held: Held,
    told: (one: Settled) => Promise<void> = async () => undefined,
  ): Promise<readonly Settled[]> {
    const { local } = this.#parts;
    const settled: Settled[] = [];
    for (const { name } of await local.list(stagingFolder(model))) {
      const [, runId = name, push] = /^(.*?)(\.push)?$/.exec(name) ?? [];
      const run = { model, runId, folder: `${stagingFolder(model)}/${name}` };
      const one = await this.#finish(run, held, { isComplete: push !== undefined });
      await told(one);
      const wasThere = await (one.keptAside === undefined
        ? dropUncommitted(local, run.folder, one)
        : putAside(local, run.folder, runId));
      if (wasThere) settled.push(one);
    }
    return settled;
  }

  async #finish(
    run: Omit<StagedRun, "outputs">,
    held: Held,
    { isComplete }: { readonly isComplete: boolean },
  ): Promise<Settled> {
    const { local } = this.#parts;
    const { model, runId, folder } = run;
    const versions = await this.#committed(run, held);
    if (versions.length > 0) return { runId, committed: true, versions };
    if (!isComplete) return { runId, committed: false };
    const plan = await readPlan(local, folder);
    const base = await this.#manifests.read(model, held);
    if (plan !== undefined && plan.base === digestOf(base))
      return { runId, committed: true, versions: await this.#push({ ...run, outputs: plan.outputs }, { held, base }) };
    return { runId, committed: false, keptAside: local.locate(asideFolder(runId)) };
  }

  /** By what it was to become; where a power cut took that, by whose the versions are. */
  async #committed({ model, runId, folder }: Omit<StagedRun, "outputs">, held: Held): Promise<readonly Metadata[]> {
    const plan = await readPlan(this.#parts.local, folder);
    const ids = plan && new Set(plan.outputs.map(({ id }) => id));
    const isOurs = ({ id, ownerDefinition }: Metadata) => ids?.has(id) ?? ownerDefinition.outputId === runId;
    return versionsWhere(await this.#manifests.read(model, held), isOurs);
  }

  async *stream(version: VersionRef, sha256: string | undefined): AsyncIterable<Uint8Array> {
    const { objects, cache, local, machine } = this.#parts;
    const cached = sha256 === undefined ? undefined : await cache.open(sha256);
    if (cached !== undefined) return yield* cached;
    const scratch = `.fen/fetched/${machine.random.uuid()}`;
    const room = sha256 === undefined ? undefined : cache.room(sha256);
    const options = { maxBytes: Number.MAX_SAFE_INTEGER, ...(sha256 === undefined ? {} : { sha256 }) };
    try {
      if (!(await objects.getTo(contentPath(version), room ?? local.locate(scratch), options)))
        throw new FenError(
          "data_corrupt",
          `The content of ${version.name} version ${version.number} is missing: ${objects.locate(contentPath(version))}`,
          {
            hint: `Remove the version: fen data delete <model> ${version.name} --version ${version.number}`,
            facts: { path: objects.locate(contentPath(version)) },
          },
        );
      // Others may have removed it from there since.
      const kept = room === undefined || sha256 === undefined ? undefined : await cache.open(sha256);
      if (kept !== undefined) return yield* kept;
      if (room !== undefined) await objects.getTo(contentPath(version), local.locate(scratch), options);
      yield* local.stream(scratch);
    } finally {
      await local.remove(scratch);
    }
  }
}

/** With the numbers that they get where nobody has left anything under those. */
function allotted(outputs: readonly Draft[], manifest: Manifest): Metadata[] {
  return outputs.map(({ id, name, contentType, ...rest }) => {
    return { id, name, version: nextNumber(manifest, name), contentType, ...rest };
  });
}

/** What isn't committed and belongs to somebody who lives is put aside, for that one to name. False where it was gone already. */
async function dropUncommitted(local: LocalFiles, folder: string, { runId, committed }: Settled): Promise<boolean> {
  const isOwned = !committed && (await local.owner(`${folder}/${ownerFile}`)) === "alive";
  return isOwned ? (await putAside(local, folder, runId)) !== undefined : local.remove(folder);
}

async function readPlan(local: LocalFiles, folder: string): Promise<Plan | undefined> {
  const path = `${folder}/${planFile}`;
  const bytes = await local.read(path, { maxBytes: maxPlanBytes });
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined; // of a run that died while it wrote it: nothing of it can be committed
  }
  if (!isRecord(value) || typeof value["base"] !== "string" || !Array.isArray(value["outputs"])) return undefined;
  const outputs = value["outputs"].map((one: unknown) => {
    const { version: _version, ...draft } = readMetadata(isRecord(one) ? { ...one, version: 1 } : one, path);
    return draft;
  });
  return { base: value["base"], outputs };
}

function digestOf(manifest: Manifest): string {
  return sha256Hex(encodeManifest(manifest, ""));
}

function isSame(a: Manifest, b: Manifest): boolean {
  return encodeManifest(a, "") === encodeManifest(b, "");
}

function lost(): FenError {
  return new FenError("lock_lost", "The lock was taken away before the outputs were committed.", {
    hint: "Look who holds it now: fen datastore lock status",
  });
}
