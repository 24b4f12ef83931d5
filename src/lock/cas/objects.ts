/** The protocol's requests as requests to a store: keys, bodies, and what an error means. */
import { FenError } from "../../kernel/errors.ts";
import type { ConditionalStore, Listed, PutOutcome } from "../../store/conditional.ts";
import type { Answer, Ask, ClaimName, ClaimState, ListedClaim } from "./ask.ts";
import type { Entry, LockState } from "./record.ts";

const claimsPrefix = "claims/";
const modes: readonly string[] = ["shared", "exclusive", "intention"];

export const recordPath = (key: string): string => `locks/${encodeURIComponent(key)}`;
const claimsOf = (key?: string): string => claimsPrefix + (key === undefined ? "" : `${encodeURIComponent(key)}/`);
const claimPath = ({ key, nonce }: ClaimName): string => `${claimsOf(key)}${nonce}`;

/** Each body is unlike every other, so that no etag comes twice: `stamp` gives a word that is used once. */
export class LockObjects {
  readonly #store: ConditionalStore;
  readonly #stamp: () => string;

  constructor(store: ConditionalStore, stamp: () => string) {
    this.#store = store;
    this.#stamp = stamp;
  }

  /** Asks; an error that may be gone next time is the answer `unknown`, any other is thrown. */
  async tell(ask: Ask): Promise<Answer> {
    try {
      return await this.#ask(ask);
    } catch (error) {
      if (error instanceof FenError && error.retryable) return { is: "unknown", error };
      throw error;
    }
  }

  async #ask(ask: Ask): Promise<Answer> {
    switch (ask.do) {
      case "read-record": {
        const found = await this.#store.get(recordPath(ask.key));
        if (found === undefined) return { is: "absent" };
        const state = readState(found.body);
        return state === undefined ? { is: "unreadable", etag: found.etag } : { is: "record", state, etag: found.etag };
      }
      case "read-claim": {
        const found = await this.#store.get(claimPath(ask.claim));
        if (found === undefined) return { is: "absent" };
        // A claim that can't be read is nobody's any more.
        return { is: "claim", state: readClaim(found.body) ?? { beat: 0, ended: true }, etag: found.etag };
      }
      case "write-record":
        return heardOf(await this.#store.put(recordPath(ask.key), this.#body(ask.state), ask.if));
      case "write-claim":
        return heardOf(await this.#store.put(claimPath(ask.claim), this.#body(ask.state), ask.if));
      case "remove-claim":
        await this.#store.remove(claimPath(ask.claim));
        return { is: "done" };
      case "list-claims": {
        const listed = await this.#store.list(claimsOf(ask.key));
        return { is: "claims", claims: listed.flatMap(claimNamed) };
      }
    }
  }

  #body(value: LockState | ClaimState): string {
    return JSON.stringify({ ...value, stamp: this.#stamp() });
  }
}

function heardOf(outcome: PutOutcome): Answer {
  return outcome.outcome === "done" ? { is: "done", etag: outcome.etag } : { is: "refused" };
}

function claimNamed({ key: path, ...rest }: Listed): ListedClaim[] {
  const [key, nonce, ...more] = path.slice(claimsPrefix.length).split("/");
  if (key === undefined || nonce === undefined || more.length > 0) return []; // not one of ours
  try {
    return [{ key: decodeURIComponent(key), nonce, ...rest }];
  } catch {
    return []; // not one of ours
  }
}

function readObject(body: string): Record<string, unknown> | undefined {
  try {
    return asObject(JSON.parse(body));
  } catch {
    return undefined; // told as "unreadable"
  }
}

const asObject = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;

function readState(body: string): LockState | undefined {
  const { token, holders, queue, head } = readObject(body) ?? {};
  if (!Number.isSafeInteger(token) || !isEntries(holders) || !isEntries(queue)) return undefined;
  return { token: Number(token), holders, queue, ...(typeof head === "string" && { head }) };
}

const isEntries = (value: unknown): value is readonly Entry[] => Array.isArray(value) && value.every(isEntry);

function isEntry(value: unknown): boolean {
  const { nonce, mode, who } = asObject(value) ?? {};
  return typeof nonce === "string" && modes.includes(String(mode)) && typeof who === "object";
}

function readClaim(body: string): ClaimState | undefined {
  const value = readObject(body);
  if (value === undefined || typeof value["beat"] !== "number") return undefined;
  return value["ended"] === true ? { beat: value["beat"], ended: true } : { beat: value["beat"] };
}
