/**
 * What a lock on an object store is made of (decision 0004): objects that are changed only on condition. A driver supplies these primitives
 * and nothing else; each ends within a bounded time.
 *
 * Three answers, not two. A call that throws a retryable `FenError` is *unknown*: the change happened, didn't, or happens later; the caller reads again.
 * Reads and lists are strongly consistent: they show every change that was answered before they began.
 */
import { FenError } from "../kernel/errors.ts";

export interface Versioned {
  readonly body: string;
  /** Changes with every change of the body. Equal bodies may have equal etags. */
  readonly etag: string;
}

/** Create only where nothing is, or replace only what still has this etag. */
export type PutCondition = { readonly ifAbsent: true } | { readonly ifMatch: string };

/** `refused`: the condition didn't hold, nothing was changed by this call. */
export type PutOutcome = { readonly outcome: "done"; readonly etag: string } | { readonly outcome: "refused" };

export interface Listed {
  readonly key: string;
  readonly etag: string;
  /** How long ago it was put, by the store's clock, to about a second; where the store says it. */
  readonly ageMs?: number;
}

export interface ConditionalStore {
  /** The whole object, or undefined where the store says that there is none. A read that failed throws. */
  get(key: string): Promise<Versioned | undefined>;
  /** Atomic: of any number of puts on one condition at most one is done. */
  put(key: string, body: string, condition: PutCondition): Promise<PutOutcome>;
  /** Every object whose key starts so, sorted by code point. Costs as much as there are. */
  list(prefix: string): Promise<readonly Listed[]>;
  /** Unconditional, since some stores ignore a condition here: only for names that are used once. No error where there is nothing. */
  remove(key: string): Promise<void>;
}

/**
 * Puts where the object is still what was seen: with this etag, or absent where there is none. False where that was refused, or nobody knows whether it was done:
 * then the next look tells.
 */
export async function putOver(
  store: Pick<ConditionalStore, "put">,
  key: string,
  { body, etag }: { readonly body: string; readonly etag: string | undefined },
): Promise<boolean> {
  const condition = etag === undefined ? ({ ifAbsent: true } as const) : { ifMatch: etag };
  try {
    return (await store.put(key, body, condition)).outcome === "done";
  } catch (error) {
    if (error instanceof FenError && error.retryable) return false;
    throw error;
  }
}
