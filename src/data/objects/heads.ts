/**
 * The root of each model's data in an object store: one text, the `head` in the record of the model's lock. It is replaced by compare-and-swap only while
 * the lock is ours, so that whoever lost it is refused by the store, however late it comes.
 */
import { FenError } from "../../kernel/errors.ts";
import type { Machine } from "../../kernel/machine.ts";
import { recordPath } from "../../lock/cas/objects.ts";
import { freshState } from "../../lock/cas/record.ts";
import { isRecord } from "../../repo/yaml.ts";
import { type ConditionalStore, putOver } from "../../store/conditional.ts";
import { type Grant, type Resource, resourceKey } from "../../store/contract.ts";
import type { Held } from "../contract.ts";
import { type ModelRef, modelRefOf } from "../layout.ts";

export interface Heads {
  /** What was committed last; undefined where nothing ever was. Whoever has the model alone knows it without asking. */
  read(model: ModelRef, held?: Held): Promise<string | undefined>;
  /**
   * `change` is asked again where others who share the lock were faster; it gives undefined where the head has the change already. `lost`: nothing was
   * changed. `last`: the lock may go back in the same write. Throws where nobody knows.
   */
  commit(model: ModelRef, held: Held, swap: Swap): Promise<"done" | "lost">;
  /** Models that have a record, committed or not. */
  models(): Promise<readonly ModelRef[]>;
}

export interface Swap {
  change(head: string | undefined): string | undefined;
  readonly last?: boolean | undefined;
}

/** Others who share a lock may be faster so often. */
const maxTurns = 200;
const pauseMs = 20;

export class CasHeads implements Heads {
  readonly #store: ConditionalStore;
  readonly #machine: Machine;

  constructor(store: ConditionalStore, machine: Machine) {
    this.#store = store;
    this.#machine = machine;
  }

  async read(model: ModelRef, held?: Held): Promise<string | undefined> {
    const grant = held === undefined ? undefined : aloneWith(grantOf(model, held));
    return grant === undefined ? (await this.#record(model))?.head : grant.head;
  }

  async commit(model: ModelRef, held: Held, { change, last = false }: Swap): Promise<"done" | "lost"> {
    const grant = grantOf(model, held);
    const alone = aloneWith(grant);
    if (alone === undefined) return this.#swap(model, grant, { held, change });
    const head = change(alone.head);
    if (head === undefined) return "done";
    try {
      await held.commit(alone.resource, head, { last });
      return "done";
    } catch (error) {
      if (error instanceof FenError && error.code === "lock_lost") return "lost";
      throw error;
    }
  }

  async models(): Promise<readonly ModelRef[]> {
    const prefix = "locks/";
    // Records of what is held within another's lock carry a sign that no id has.
    return (await this.#store.list(prefix)).flatMap(({ key }) => modelRefOf(key.slice(prefix.length)) ?? []);
  }

  /** Beside others who share the lock, within a caller's, or under the datastore's: on condition of what was read, and of the entry that covers us. */
  async #swap(
    model: ModelRef,
    grant: Grant,
    { held, change }: { readonly held: Held; readonly change: Swap["change"] },
  ): Promise<"done" | "lost"> {
    const nonce = grant.holding.under ?? grant.nonce;
    for (let turn = 0; turn < maxTurns; turn++) {
      await held.assertHeld();
      const record = await this.#record(model);
      // Whoever has the whole datastore is in the record of that; a model's can't be entered meanwhile.
      if (grant.resource.kind === "model" && record?.holders.includes(nonce) !== true) return "lost";
      const head = change(record?.head);
      if (head === undefined || (await this.#put(model, record, head))) return "done";
      await this.#machine.clock.sleep(pauseMs * (0.5 + (this.#machine.random.bytes(1)[0] ?? 0) / 255));
    }
    throw new FenError("store_unavailable", `Others change ${keyOf(model)} all the time.`, {
      next: "run the command again.",
    });
  }

  /** False where it was not done, or nobody knows: then the next look tells. */
  async #put(model: ModelRef, record: HeadRecord | undefined, head: string): Promise<boolean> {
    const { state = { ...freshState }, etag } = record ?? {};
    const body = JSON.stringify({ ...state, head, stamp: this.#machine.random.uuid() });
    return putOver(this.#store, recordPath(keyOf(model)), { body, etag });
  }

  async #record(model: ModelRef): Promise<HeadRecord | undefined> {
    const path = recordPath(keyOf(model));
    const found = await this.#store.get(path);
    if (found === undefined) return undefined;
    const state = parse(found.body);
    if (state === undefined)
      throw new FenError("data_corrupt", `The record of ${keyOf(model)} can't be read: ${path}`, {
        hint: "See: fen datastore lock status",
        facts: { path },
      });
    const holders: unknown[] = Array.isArray(state["holders"]) ? state["holders"] : [];
    return {
      state,
      etag: found.etag,
      head: typeof state["head"] === "string" ? state["head"] : undefined,
      holders: holders.flatMap((one) => (isRecord(one) && typeof one["nonce"] === "string" ? [one["nonce"]] : [])),
    };
  }
}

interface HeadRecord {
  readonly state: Readonly<Record<string, unknown>>;
  readonly etag: string;
  readonly head: string | undefined;
  /** Nonces. */
  readonly holders: readonly string[];
}

function parse(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined; // told as unreadable
  }
}

function keyOf({ type, id }: ModelRef): string {
  return resourceKey({ kind: "model", type, id });
}

function grantOf(model: ModelRef, held: Held): Grant {
  const isOurs = (resource: Resource) => resourceKey(resource) === keyOf(model);
  const grant =
    held.grants.find((one) => isOurs(one.resource)) ?? held.grants.find((one) => one.resource.kind === "datastore");
  if (grant === undefined) throw new Error(`${keyOf(model)} is changed without its lock`);
  return grant;
}

/** The grant, where nobody else may change the head: what it says of that is true. */
function aloneWith(grant: Grant): Grant | undefined {
  const isAlone = grant.resource.kind === "model" && grant.mode === "exclusive" && grant.holding.under === undefined;
  return isAlone && grant.commit !== undefined ? grant : undefined;
}
