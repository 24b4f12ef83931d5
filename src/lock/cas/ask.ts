/** What the protocol asks of a store, one thing at a time, and what it may hear. */
import type { FenError } from "../../kernel/errors.ts";
import type { Listed, PutCondition } from "../../store/conditional.ts";
import type { LockState } from "./record.ts";

export interface ClaimState {
  /** Raised by its owner with every renewal. */
  readonly beat: number;
  /** Set once by whoever ends it; its owner holds nothing from then on. */
  readonly ended?: true;
}

/** A claim's name: the resource and the nonce. */
export interface ClaimName {
  readonly key: string;
  readonly nonce: string;
}

/** Its age is for people: it decides nothing. */
export type ListedClaim = ClaimName & Omit<Listed, "key">;

export type Ask =
  | { readonly do: "read-record"; readonly key: string }
  | { readonly do: "write-record"; readonly key: string; readonly state: LockState; readonly if: PutCondition }
  | { readonly do: "read-claim"; readonly claim: ClaimName }
  | { readonly do: "write-claim"; readonly claim: ClaimName; readonly state: ClaimState; readonly if: PutCondition }
  | { readonly do: "remove-claim"; readonly claim: ClaimName }
  /** The claims on one resource, or all. */
  | { readonly do: "list-claims"; readonly key: string | undefined };

export type Answer =
  | { readonly is: "record"; readonly state: LockState; readonly etag: string }
  | { readonly is: "claim"; readonly state: ClaimState; readonly etag: string }
  | { readonly is: "claims"; readonly claims: readonly ListedClaim[] }
  | { readonly is: "absent" }
  /** There is something, but nobody can tell what it says. */
  | { readonly is: "unreadable"; readonly etag: string }
  | { readonly is: "done"; readonly etag?: string | undefined }
  | { readonly is: "refused" }
  /** No answer: a write happened, didn't, or happens later. */
  | { readonly is: "unknown"; readonly error?: FenError };

export const isRead = (ask: Ask): boolean => ask.do.startsWith("read") || ask.do.startsWith("list");
