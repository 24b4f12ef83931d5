/** Who holds and who waits, read without taking any lock: a LIST of the claims and a read for each resource that has any. */
import { FenError } from "../../kernel/errors.ts";
import { type LockRecord, type LockTable, type Resource, resourceKey } from "../../store/contract.ts";
import type { Answer, Ask, ListedClaim } from "./ask.ts";
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

export async function listClaims(means: Means): Promise<readonly ListedClaim[]> {
  const listed = await tellOrThrow(means, { do: "list-claims", key: undefined });
  return listed.is === "claims" ? listed.claims : [];
}

export async function inspectRecords(means: Means, scope: "all" | "live" | Resource): Promise<LockTable> {
  const wanted = typeof scope === "string" ? undefined : resourceKey(scope);
  const claims = await listClaims(means);
  const isAsked = (key: string) => wanted === undefined || key.startsWith(wanted + underSign);
  const keys = new Set([wanted ?? datastoreKey, ...claims.map((claim) => claim.key).filter(isAsked)]);
  const tables = await Promise.all([...keys].map((key) => inspectOne(means, key, claims)));
  return { held: tables.flatMap((one) => one.held), waiting: tables.flatMap((one) => one.waiting) };
}

async function inspectOne(means: Means, key: string, claims: readonly ListedClaim[]): Promise<LockTable> {
  const found = await tellOrThrow(means, { do: "read-record", key });
  const at = splitKey(key);
  const path = recordPath(key);
  if (found.is === "unreadable") return { held: [{ ...at, state: "unreadable", processes: [], path }], waiting: [] };
  if (found.is !== "record") return { held: [], waiting: [] };
  const { ttlMs, waiterQuietMs } = means.times;
  const goneMs = waiterQuietMs + 1000; // longer than anybody who waited may be quiet; stores tell an age to a second
  const seen = (entries: readonly Entry[]) => entries.filter((one) => one.mode !== "intention");
  const held = seen(found.state.holders).map((entry) => {
    const { pid, command } = entry.who;
    const { ageMs = 0 } = claims.find(({ nonce }) => nonce === entry.nonce) ?? {};
    const state = ageMs > goneMs ? ("stale" as const) : ("held" as const);
    return { ...at, state, record: recordOf(entry, ttlMs), processes: [{ pid, command }], path };
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
