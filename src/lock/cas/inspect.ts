/** Who holds and who waits, read without taking any lock: a LIST of the claims and a read for each resource that has any. */
import { FenError } from "../../kernel/errors.ts";
import { type HeldLock, type LockRecord, type LockTable, type Resource, resourceKey } from "../../store/contract.ts";
import type { Answer, Ask, ClaimName } from "./ask.ts";
import type { Means } from "./hold.ts";
import { recordPath } from "./objects.ts";
import type { Entry } from "./record.ts";
import { datastoreKey } from "./turn.ts";

/** `key~nonce`: what the children of the holder `nonce` share among themselves. */
const underSign = "~";

export function keyUnder(resource: Resource, under: string | undefined): string {
  return under === undefined ? resourceKey(resource) : `${resourceKey(resource)}${underSign}${under}`;
}

function splitKey(key: string): { readonly resource: Resource; readonly under?: string } {
  const cut = key.lastIndexOf(underSign);
  const [name, under] = cut < 0 ? [key] : [key.slice(0, cut), key.slice(cut + 1)];
  const slash = name.lastIndexOf("/");
  const resource: Resource =
    name === datastoreKey
      ? { kind: "datastore" }
      : { kind: "model", type: name.slice(0, slash), id: name.slice(slash + 1) };
  return { resource, ...(under === undefined ? {} : { under }) };
}

/** For reads that nobody repeats for us: no answer is an error. */
export async function tellOrThrow({ objects }: Means, ask: Ask): Promise<Exclude<Answer, { is: "unknown" }>> {
  const answer = await objects.tell(ask);
  if (answer.is !== "unknown") return answer;
  throw answer.error ?? new FenError("store_unavailable", "The store gave no answer.");
}

export async function listClaims(means: Means): Promise<readonly (ClaimName & { readonly etag: string })[]> {
  const listed = await tellOrThrow(means, { do: "list-claims", key: undefined });
  return listed.is === "claims" ? listed.claims : [];
}

export async function inspectRecords(means: Means, scope: "all" | "live" | Resource): Promise<LockTable> {
  const wanted = typeof scope === "string" ? undefined : resourceKey(scope);
  const claimed = (await listClaims(means)).map((claim) => claim.key);
  const keys = [...new Set([datastoreKey, ...(wanted === undefined ? [] : [wanted]), ...claimed])].filter(
    (key) => wanted === undefined || key === wanted || key.startsWith(wanted + underSign),
  );
  const tables = await Promise.all(keys.map((key) => inspectOne(means, key)));
  return { held: tables.flatMap((one) => one.held), waiting: tables.flatMap((one) => one.waiting) };
}

async function inspectOne(means: Means, key: string): Promise<LockTable> {
  const found = await tellOrThrow(means, { do: "read-record", key });
  const at = splitKey(key);
  const path = recordPath(key);
  if (found.is === "unreadable") return { held: [{ ...at, state: "unreadable", processes: [], path }], waiting: [] };
  if (found.is !== "record") return { held: [], waiting: [] };
  const { ttlMs } = means.times;
  const seen = (entries: readonly Entry[]) => entries.filter((one) => one.mode !== "intention");
  const held = seen(found.state.holders).map((entry): HeldLock => {
    const { pid, command } = entry.who;
    return { ...at, state: "held", record: recordOf(entry, ttlMs), processes: [{ pid, command }], path };
  });
  const queue = seen(found.state.queue);
  const waiting = queue.map((entry, index) => ({ ...at, record: recordOf(entry, ttlMs), place: index + 1 }));
  return { held, waiting };
}

/** An entry as people and programs see it. */
export function recordOf(entry: Entry, ttlMs: number): LockRecord {
  const { mode, nonce, token, who } = entry;
  const granted = token === undefined ? {} : { token };
  return { ...who, acquiredAt: who.since, ttlMs, nonce, mode: mode === "intention" ? "shared" : mode, ...granted };
}
